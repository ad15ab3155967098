import { ActivityFailure, ApplicationFailure, isCancellation, TimeoutFailure } from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';

/** What a failed activity means to its job. Null: it was interrupted, or the next step asks again. Throws what is no failure of an activity. */
export function failureOf(error: unknown): ErrorBody | null {
  if (isCancellation(error)) return null;
  // Its worker was lost, or it failed in a way that is worth another try, while it was asked to stop.
  if (error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED') return null;
  const cause = error instanceof ActivityFailure ? error.cause : error;
  // Nobody took it while it was of low priority: the next step asks again, as normal.
  if (cause instanceof TimeoutFailure && cause.timeoutType === 'SCHEDULE_TO_START') return null;
  if (cause instanceof TimeoutFailure) {
    return {
      code: 'worker_lost', message: 'Workers were lost, again and again, while they handled the same part of the job.',
      remedy: "Look at the worker's log for what ends it, then `sheaf job retry ID`: it goes on with the rows that remain.",
    };
  }
  if (!(cause instanceof ApplicationFailure)) throw error;
  const body = (cause.details?.[0] as ErrorBody | undefined) ?? { code: cause.type ?? 'internal', message: cause.message };
  return body.code === 'worker_stopped' ? null : body; // each of its tries met a worker that was being stopped
}
