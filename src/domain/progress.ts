/** A job's progress: counted from its record and its pages' totals, never made up. */
import { isEnded } from '../contracts/job.ts';
import type { Counts, JobRecord, Progress } from '../contracts/job.ts';

type Of = Pick<JobRecord, 'state' | 'manifest' | 'startedAt' | 'runningSince' | 'finishedBefore'> & { request?: JobRecord['request'] };

/** `now` in milliseconds since the epoch. With a total, the four counts and `remaining` add up to it. */
export function progressOf(job: Of, counts: Counts & { submitted?: number }, now: number): Progress {
  const { done, unchanged, failed, skipped } = counts;
  const finished = done + unchanged + failed + skipped;
  const total = job.manifest?.rows ?? null;
  const remaining = total === null ? null : Math.max(0, total - finished);
  const itemsPerSecond = rateOf(job, finished, now);
  return {
    stage: stageOf(job, remaining),
    total, done, unchanged, failed, skipped, remaining,
    ...(counts.submitted !== undefined && { submitted: counts.submitted }),
    percent: total === null ? null : percentOf(finished, total),
    itemsPerSecond,
    etaSeconds: remaining !== null && itemsPerSecond ? Math.ceil(remaining / itemsPerSecond) : null,
  };
}

function stageOf(job: Of, remaining: number | null): Progress['stage'] {
  if (isEnded(job.state)) return 'ended';
  if (remaining === 0 && job.request && 'writeBack' in job.request) return 'write_back';
  if (job.manifest) return 'rows';
  return job.startedAt === null ? 'queued' : 'snapshot';
}

/** Rounded down, so that 100 means all of them. */
function percentOf(finished: number, total: number): number {
  return total === 0 ? 100 : Math.min(100, Math.floor((finished / total) * 1000) / 10);
}

/** Rows a second since rows began to run without a break; null while none run. */
function rateOf(job: Of, finished: number, now: number): number | null {
  if (job.state !== 'running' || job.runningSince === null) return null;
  const seconds = (now - Date.parse(job.runningSince)) / 1000;
  if (seconds <= 0) return null;
  return Math.round(Math.max(0, (finished - job.finishedBefore) / seconds) * 10) / 10;
}
