/** Whether a call got to Temporal. One that did not is the reconciler's to make again. */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';

/** What Temporal may take to accept a start or a signal. */
export const CALL_MS = 2_000;

/**
 * What it may take to change or describe a schedule. More than five seconds: so long the server itself waits when its own worker,
 * which runs schedules, has lost one of them, before it hands the schedule to another.
 */
export const SCHEDULE_CALL_MS = 10_000;

/** Whether a start or a signal got to Temporal; a workflow that is there already is as good. */
export async function reached(call: () => Promise<unknown>): Promise<boolean> {
  try {
    await call();
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return true;
    if (isUnavailable(error)) return false;
    throw error;
  }
}

/** gRPC: CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE, and FAILED_PRECONDITION: the workflow's tasks fail,
 *  as they do for a moment where Signals come again and again while a run ends. */
const UNAVAILABLE = new Set([1, 4, 8, 9, 14]);

/** Whether an error of the client means that Temporal did not answer, as opposed to saying no. */
export function isUnavailable(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'number' && UNAVAILABLE.has(cause.code)) return true;
  }
  return false;
}
