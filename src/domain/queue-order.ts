/** The order of the queue: by priority, then first come, first served. */
import { PRIORITY_KEYS } from '../contracts/job.ts';
import type { QueueRequest } from '../contracts/queue.ts';

const { low: LOW, normal: NORMAL } = PRIORITY_KEYS;

/** What `low` work counts as: `normal` once it has waited since `agedSince` or longer. */
export const effectivePriority = (priority: number, since: number, agedSince: number): number =>
  priority === LOW && since <= agedSince ? NORMAL : priority;

/** Negative: `a` goes first. Ties are broken by the job's id, which sorts by the time at which it was made. */
export function compareTurns(a: Turn, b: Turn, agedSince: number): number {
  return effectivePriority(a.priority, a.since, agedSince) - effectivePriority(b.priority, b.since, agedSince)
    || a.since - b.since || (a.jobId < b.jobId ? -1 : a.jobId > b.jobId ? 1 : 0);
}
type Turn = Pick<QueueRequest, 'priority' | 'since' | 'jobId'>;

/**
 * The queue in pieces that are each in order of coming: the pieces of one turn are merged, the turns follow each other.
 * A store finds the first of each by its index, whatever the time has made of `low` work.
 */
export const turns = (agedSince: number): { priority: number; after: number; until: number }[][] => [
  ...[1, 2].map((priority) => [{ priority, after: -Infinity, until: Infinity }]),
  [{ priority: NORMAL, after: -Infinity, until: Infinity }, { priority: LOW, after: -Infinity, until: agedSince }],
  [{ priority: LOW, after: agedSince, until: Infinity }],
];
