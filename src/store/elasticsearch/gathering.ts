/**
 * Commits of this process on their way to the cluster: few requests at once, and whatever waits meanwhile goes into the
 * next one together. A document becomes text when its request is made, so that waiting costs no memory.
 */
import { bulk, type BulkOutcome, type BulkWrite } from './bulk.ts';
import type { Cluster } from './connection.ts';

/** Keeps the cluster busy while the next request is made. */
const REQUESTS_AT_ONCE = 3;
/** Documents of waiting commits that one request takes; a commit is never split for it. */
const MOST_TOGETHER = 3_000;

interface Waiting {
  documents: number;
  write: () => BulkWrite[];
  resolve(outcomes: BulkOutcome[]): void;
  reject(error: unknown): void;
}

/** `write` is called once, when its turn comes; what it throws, the promise rejects with. Else as `bulk`. */
export type Gather = (documents: number, write: () => BulkWrite[]) => Promise<BulkOutcome[]>;

export function gathering(cluster: Cluster): Gather {
  const waiting: Waiting[] = [];
  let running = 0;

  const takeTogether = (): Waiting[] => {
    const taken: Waiting[] = [];
    for (let documents = 0; waiting[0] !== undefined; ) {
      documents += waiting[0].documents;
      if (taken.length > 0 && documents > MOST_TOGETHER) break;
      taken.push(waiting.shift()!);
    }
    return taken;
  };

  const send = async (together: Waiting[]): Promise<void> => {
    const made = together.flatMap((one) => {
      try {
        return [{ one, writes: one.write() }];
      } catch (error) {
        one.reject(error);
        return [];
      }
    });
    try {
      const outcomes = await bulk(cluster, made.flatMap(({ writes }) => writes));
      let from = 0;
      for (const { one, writes } of made) one.resolve(outcomes.slice(from, from += writes.length));
    } catch (error) {
      for (const { one } of made) one.reject(error);
    }
  };

  const pump = (): void => {
    while (running < REQUESTS_AT_ONCE && waiting.length > 0) {
      running++;
      void send(takeTogether()).finally(() => {
        running--;
        pump();
      });
    }
  };

  return (documents, write) => new Promise((resolve, reject) => {
    waiting.push({ documents, write, resolve, reject });
    pump();
  });
}
