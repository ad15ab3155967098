/** What a batch comes to, from its members' states and counts. */
import { ENDED_STATES, isEnded, JOB_STATES, type JobState } from '../contracts/job.ts';
import type { BatchRecord, BatchTotals } from '../contracts/plans.ts';

export type BatchState = 'creating' | 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled';

const countOf = (jobs: BatchTotals['jobs'], states: readonly JobState[]): number => states.reduce((sum, state) => sum + (jobs[state] ?? 0), 0);

export const endedOf = ({ jobs }: BatchTotals): number => countOf(jobs, ENDED_STATES);

export function batchState({ open, desired }: Pick<BatchRecord, 'open' | 'desired'>, { jobs }: BatchTotals): BatchState {
  const alive = countOf(jobs, JOB_STATES.filter((state) => !isEnded(state)));
  if (alive > 0 && alive === (jobs.paused ?? 0) && (!open || desired === 'paused')) return 'paused';
  if (open) return desired === 'paused' && alive === 0 ? 'paused' : 'creating';
  if (alive > 0) return countOf(jobs, ['queued', 'waiting', 'paused']) === alive ? 'queued' : 'running';
  if (jobs.failed) return 'failed';
  return jobs.cancelled || desired === 'cancelled' ? 'cancelled' : 'completed';
}

export interface BatchProgress {
  total: number | null;
  done: number;
  unchanged: number;
  failed: number;
  skipped: number;
  remaining: number | null;
  percent: number | null;
  ended: number;
}

/** A total is never guessed: it is known when every sheet has been read that will be. */
export function batchProgress({ open }: Pick<BatchRecord, 'open'>, totals: BatchTotals): BatchProgress {
  const { done, unchanged, failed, skipped, rows, unread, jobs } = totals;
  const finished = done + unchanged + failed + skipped;
  const ended = endedOf(totals);
  const all = countOf(jobs, JOB_STATES);
  const known = !open && (unread === 0 || ended === all);
  const remaining = known ? Math.max(0, rows - finished) : null;
  return {
    total: known ? rows : null, done, unchanged, failed, skipped, remaining, ended,
    percent: known ? (rows === 0 ? 100 : Math.min(100, Math.floor((finished / rows) * 1000) / 10)) : null,
  };
}
