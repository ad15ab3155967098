/** Asks a worker what a job would do and cost. */
import { ApplicationFailure, WorkflowFailedError, type Client } from '@temporalio/client';
import type { Blobs } from '../blobs/blobs.ts';
import { blobKeys } from '../blobs/keys.ts';
import { errorOf, ERRORS, SheafError, type ErrorBody } from '../contracts/errors.ts';
import { FORECAST_WORKFLOW, type Forecast, type ForecastInput, type ForecastRequest } from '../contracts/forecast.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { NewJob } from '../contracts/plans.ts';
import { defaultLane, implicitSource } from './jobs.ts';
import { isUnavailable } from './reached.ts';
import { forecastWorkflowId } from './workflow-ids.ts';

/** Who asks waits for it. */
const PATIENCE_MS = 110_000;

/** Rejects with what would end the job before its first row, and with `temporal_unavailable`. */
export type Forecaster = (id: string, job: NewJob, sample: number) => Promise<Forecast>;

export function createForecaster(blobs: Blobs, client: Client): Forecaster {
  return async (id, { tenant, owner, source, lane, request }, sample) => {
    const asked: ForecastRequest = { tenant, id, owner, request, sample, source: source ?? implicitSource(id, request), lane: lane ?? defaultLane(request) };
    await blobs.put(blobKeys.forecast(tenant, id), Buffer.from(JSON.stringify(asked)));
    const workflowId = forecastWorkflowId(id);
    const input: ForecastInput = { tenant, id };
    try {
      return await client.withDeadline(Date.now() + PATIENCE_MS, () => client.workflow.execute<(input: ForecastInput) => Promise<Forecast>>(FORECAST_WORKFLOW, {
        workflowId, taskQueue: TASK_QUEUES.jobs, args: [input], workflowExecutionTimeout: PATIENCE_MS, staticSummary: request.fileName,
      }));
    } catch (error) {
      throw readable(error);
    } finally {
      // Whatever is left of it after a crash is small, and nobody's.
      await blobs.deleteUnder(blobKeys.jobFolder(tenant, id)).catch(() => {});
    }
  };
}

function readable(error: unknown): unknown {
  if (error instanceof WorkflowFailedError) {
    for (let cause: Error | undefined = error.cause; cause; cause = cause.cause as Error | undefined) {
      const body = cause instanceof ApplicationFailure ? (cause.details?.[0] as ErrorBody | undefined) : undefined;
      if (body && body.code in ERRORS) return errorOf(body, error);
    }
  } else if (!isUnavailable(error)) return error;
  return new SheafError('temporal_unavailable', 'No worker has told in time what the job would do.', { remedy: 'Try again, for a very large sheet with a range of it; `sheaf system check` tells whether workers run.', cause: error });
}
