/** One place turns what activities throw into Temporal's failures: typed by code, retryable as the error table says. */
import { ApplicationFailure, CancelledFailure, TemporalFailure } from '@temporalio/common';
import type { ActivityInboundCallsInterceptor } from '@temporalio/worker';
import { Context } from '@temporalio/activity';
import { SheafError, type ErrorBody } from '../contracts/errors.ts';
import type { Log } from '../log.ts';

export const activityErrors = (log: Log) => (): { inbound: ActivityInboundCallsInterceptor } => ({
  inbound: {
    async execute(input, next) {
      try {
        return await next(input);
      } catch (error) {
        throw toFailure(error, log);
      }
    },
  },
});

function toFailure(error: unknown, log: Log): Error {
  const { cancellationSignal, info } = Context.current();
  if (cancellationSignal.aborted) {
    // Whatever breaks while a cancelled activity unwinds is the cancellation; a worker that stops hands it to the next.
    const reason: unknown = cancellationSignal.reason;
    const stops = reason instanceof CancelledFailure && reason.message === 'WORKER_SHUTDOWN';
    return stops ? ApplicationFailure.retryable('The worker stopped.', 'worker_stopped') : new CancelledFailure('The activity was cancelled.');
  }
  if (error instanceof TemporalFailure) return error;
  const body: ErrorBody = error instanceof SheafError
    ? error.body()
    : { code: 'internal', message: 'Something went wrong in Sheaf.', remedy: "The worker's log has the cause." };
  const retryable = error instanceof SheafError ? error.retryable : true;
  const where = { activity: info.activityType, workflow: info.workflowExecution?.workflowId, attempt: info.attempt, code: body.code };
  if (error instanceof SheafError) log.warn({ ...where, reason: error.message }, 'activity failed');
  else log.error({ ...where, err: error }, 'activity failed');
  return ApplicationFailure.create({ type: body.code, message: body.message, nonRetryable: !retryable, details: [body] });
}
