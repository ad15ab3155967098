/** The queue as those use it who take and give places: a step in the store, then a word to the jobs that it let through. */
import type { Client } from '@temporalio/client';
import type { JobRecord } from '../contracts/job.ts';
import type { JobRef } from '../contracts/messages.ts';
import type { QueueEntry, QueueLimits, QueueRequest } from '../contracts/queue.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import { tellOfQueue } from './job-calls.ts';

export interface Queue {
  limits: QueueLimits;
  /** Puts the job in and gives out places. Null: the job has ended or is gone. */
  enter(request: QueueRequest): Promise<QueueEntry | null>;
  /** The job gives its place back and keeps its turn. */
  pause(at: JobRef & { attempt: number; sequence: number }): Promise<void>;
  /** The job is through: its place and its lane are free. May be repeated. */
  leave(job: Pick<JobRecord, 'tenant' | 'id' | 'source' | 'lane'>, attempt: number): Promise<void>;
  /** Gives out what is free, tells again who was told and has not come, and takes its place back where it does not come at all. */
  putRight(): Promise<void>;
}

/** A job that was offered a place comes for it at once, where its worker lives. */
const OFFER_MS = 3_000;
/** One that has not come for so long, though it was told, does not hold up others: no worker lives that could take its workflow on. */
const OFFER_LOST_MS = 90_000;

/** `now` in milliseconds since 1970. */
export function createQueue({ store, client, limits, log, now = Date.now }: {
  store: Store; client: Client; limits: QueueLimits; log: Log; now?: () => number;
}): Queue {
  /** False: it was not reached. A word that is lost is said again by the reconciler. */
  const tellOne = (entry: QueueEntry): Promise<boolean> => tellOfQueue(client, entry).catch((error: unknown) => {
    log.debug({ job: entry.jobId, err: error }, 'a job could not be told of its place');
    return false;
  });
  const tell = async (entries: QueueEntry[]): Promise<void> => void await Promise.all(entries.map(tellOne));

  return {
    limits,

    async enter(request) {
      const entry = await store.enqueue(request, now());
      if (entry?.state !== 'waiting') return entry;
      const admitted = await store.admitNext(limits, now(), request);
      await tell(admitted.filter(({ jobId }) => jobId !== request.jobId));
      const own = admitted.find(({ jobId }) => jobId === request.jobId);
      if (own) return own;
      // It may have turned out to be blocked; or another worker was faster and has offered it the place.
      const found = await store.queueEntry(request.tenant, request.jobId);
      return found?.state === 'offered' ? store.enqueue(request, now()) : found;
    },

    async pause(at) {
      await store.pauseTurn(at, now());
      await tell(await store.admitNext(limits, now()));
    },

    async leave({ tenant, id, source, lane }, attempt) {
      const released = await store.leaveQueue({ tenant, source, lane }, id, attempt, now());
      const admitted = await store.admitNext(limits, now());
      // Also where it got no place: it waits for its turn now, and no longer for a job.
      await tell(released && !admitted.some(({ jobId }) => jobId === released.jobId) ? [...admitted, released] : admitted);
    },

    async putRight() {
      const late: QueueEntry[] = [];
      for (const entry of await store.placesTaken(now())) {
        const sinceMs = now() - entry.changedAt;
        if (entry.state !== 'offered' || sinceMs <= OFFER_MS) continue;
        if (sinceMs <= OFFER_LOST_MS || !(await tellOne(entry))) {
          late.push(entry);
          continue;
        }
        // The word lies in its history: once it can go on, it asks for a place again, and has its old turn.
        await store.pauseTurn(entry, now());
        log.warn({ tenant: entry.tenant, job: entry.jobId, attempt: entry.attempt }, 'a job did not come for its place: others have it');
      }
      await tell([...await store.admitNext(limits, now()), ...late]);
    },
  };
}
