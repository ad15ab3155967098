/** What a batch comes to, from its members' states and counts. */
import { ENDED_STATES, isEnded, JOB_STATES, type JobState } from '../contracts/job.ts';
import type { BatchRecord, BatchTotals, FilesWithoutJob } from '../contracts/plans.ts';

export type BatchState = 'creating' | 'queued' | 'running' | 'paused' | 'completed' | 'failed' | 'cancelled';

const countOf = (jobs: BatchTotals['jobs'], states: readonly JobState[]): number => states.reduce((sum, state) => sum + (jobs[state] ?? 0), 0);

export const endedOf = ({ jobs }: BatchTotals): number => countOf(jobs, ENDED_STATES);

export function batchState({ open, desired, files }: Pick<BatchRecord, 'open' | 'desired' | 'files'>, { jobs }: BatchTotals): BatchState {
  const alive = countOf(jobs, JOB_STATES.filter((state) => !isEnded(state)));
  if (alive > 0 && alive === (jobs.paused ?? 0) && (!open || desired === 'paused')) return 'paused';
  if (open) return desired === 'paused' && alive === 0 ? 'paused' : 'creating';
  if (alive > 0) return countOf(jobs, ['queued', 'waiting', 'paused']) === alive ? 'queued' : 'running';
  if (jobs.failed || files?.refused) return 'failed';
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
export function batchProgress({ open, size, files }: Pick<BatchRecord, 'open' | 'size' | 'files'>, totals: BatchTotals): BatchProgress {
  if (files !== undefined) return fileProgress(size, files, totals);
  const { done, unchanged, failed, skipped, rows, unread, jobs } = totals;
  const finished = done + unchanged + failed + skipped;
  const ended = endedOf(totals);
  const all = countOf(jobs, JOB_STATES);
  const known = !open && (unread === 0 || ended === all);
  const remaining = known ? Math.max(0, rows - finished) : null;
  return {
    total: known ? rows : null, done, unchanged, failed, skipped, remaining, ended,
    percent: known ? percentOf(finished, rows) : null,
  };
}

/** Files in place of rows: a document that there was before is `unchanged`, one that was cancelled `skipped`. */
function fileProgress(size: number, { duplicate, refused }: FilesWithoutJob, { jobs }: BatchTotals): BatchProgress {
  const [done, skipped, failed] = [jobs.completed ?? 0, jobs.cancelled ?? 0, (jobs.failed ?? 0) + refused];
  const ended = done + skipped + failed + duplicate;
  return { total: size, done, unchanged: duplicate, failed, skipped, remaining: Math.max(0, size - ended), ended, percent: percentOf(ended, size) };
}

/** Rounded down to one decimal: 100 is the end. */
const percentOf = (finished: number, all: number): number => (all === 0 ? 100 : Math.min(100, Math.floor((finished / all) * 1000) / 10));
