/**
 * Commits of this process on their way to the cluster: few requests at once, and whatever comes meanwhile goes into the
 * next ones together.
 */
import { BulkBody, LARGE_BYTES, type BulkOutcome, type BulkWrite, lineOf, send } from './bulk.ts';
import type { Cluster } from './connection.ts';

/** Keeps the cluster busy while the next request is made. */
const REQUESTS_AT_ONCE = 3;

/** So long a small request waits for more, and no longer: it may have what was paid for. */
const HOLD_MS = 100;
/** Nothing more came for so long: whoever makes documents may be waiting for these. */
const QUIET_MS = 10;

/** What a request of a busy worker comes to: to grow is to copy. */
const USUAL_BYTES = LARGE_BYTES + 2 ** 18;

/** As `bulk`; what cannot be put into words throws before anything is written. */
export type Gather = (writes: BulkWrite[]) => Promise<BulkOutcome[]>;

interface Request {
  body: BulkBody;
  /** Not to wait for more. */
  overdue: boolean;
  quiet: NodeJS.Timeout;
  outcomes: PromiseWithResolvers<BulkOutcome[]>;
}

export function gathering(cluster: Cluster): Gather {
  /** The last of them takes what comes, while there is room. */
  const waiting: Request[] = [];
  let running = 0;
  /** Of requests that were answered, for the next ones while there are any. */
  const spare: BulkBody[] = [];

  /** A small request waits while another is under way: it costs the cluster nearly what a large one does. */
  const isDue = (next: Request): boolean => running === 0 || (running < REQUESTS_AT_ONCE && (waiting.length > 1 || next.body.isLarge || next.overdue));

  const pump = (): void => {
    for (let next = waiting[0]; next && isDue(next); next = waiting[0]) {
      waiting.shift();
      running++;
      send(cluster, next.body).then(next.outcomes.resolve, next.outcomes.reject).finally(() => {
        running--;
        pump();
        if (!next.body.mayBeRead) spare.push(next.body);
        while (spare.length > (running === 0 ? 0 : REQUESTS_AT_ONCE)) spare.pop()?.letGo();
      });
    }
  };

  const open = (): Request => {
    const due = (): void => {
      request.overdue = true;
      pump();
    };
    const body = spare.pop() ?? new BulkBody(USUAL_BYTES);
    body.empty();
    const request: Request = { body, overdue: false, quiet: setTimeout(due, QUIET_MS), outcomes: Promise.withResolvers() };
    waiting.push(request);
    setTimeout(due, HOLD_MS);
    return request;
  };

  return (writes) => {
    const lines = writes.map((write) => lineOf(cluster, write));
    const parts: Promise<BulkOutcome[]>[] = [];
    let last = waiting.at(-1);
    for (let from = 0; from < lines.length; last = undefined) {
      const { body, outcomes, quiet } = last ?? open();
      quiet.refresh();
      const begin = body.count;
      from = body.take(lines, from);
      const end = body.count;
      parts.push(outcomes.promise.then((all) => all.slice(begin, end)));
    }
    pump();
    return Promise.all(parts).then((outcomes) => outcomes.flat());
  };
}
