/** The queue: entries of jobs that wait for a place or have one. */
import type { JobRef } from '../../contracts/messages.ts';
import type { QueueEntry, QueueLimits, QueueRequest, QueueStanding } from '../../contracts/queue.ts';
import type { LaneRef } from './rows.ts';

export interface QueueStore {
  /** Puts the attempt in, in place of an earlier one. One that is there already is brought up to date: it waits again after a pause
   *  with the `since` that it had, and what was offered is running. Null: the job has ended, is gone, or is another attempt's. `now` in
   *  milliseconds, here and below. */
  enqueue(request: QueueRequest, now: number): Promise<QueueEntry | null>;
  /** Gives all free places to those whose turn it is, with their lanes; one whose lane is held becomes `blocked` and costs no place.
   *  Answers who got one: the job that asks as `running`, others as `offered`. Asked by many at once, no limit is exceeded. */
  admitNext(limits: QueueLimits, now: number, asking?: JobRef): Promise<QueueEntry[]>;
  /** The job gives its place back and is not considered until it is enqueued again. It keeps its lane. */
  pauseTurn(at: JobRef & { attempt: number; sequence: number }, now: number): Promise<void>;
  /** Removes the entry, up to that attempt, and frees the lane that it held. Answers the job that was blocked by it and waits now. */
  leaveQueue(lane: LaneRef, jobId: string, attempt: number, now: number): Promise<QueueEntry | null>;
  /** Null: the job is not in the queue. */
  queueEntry(tenant: string, jobId: string): Promise<QueueEntry | null>;
  /** The same with what is before it, which is counted. */
  queueStanding(tenant: string, jobId: string, limits: QueueLimits, now: number): Promise<QueueStanding | null>;
  /** The entries of every tenant that have a place. Places that a crash left to nobody are given back. */
  placesTaken(now: number): Promise<QueueEntry[]>;
}
