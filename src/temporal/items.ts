/** Rows that are workflows of their own: how one stands, and its controls. */
import { WorkflowNotFoundError, WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import type { ItemJobStatus } from '../contracts/items.ts';
import type { JobRecord } from '../contracts/job.ts';
import { STATUS_QUERY, type Control } from '../contracts/messages.ts';
import { SheafError } from '../contracts/errors.ts';
import { CALL_MS, isUnavailable } from './jobs.ts';
import { itemWorkflowId } from './workflow-ids.ts';

export interface Items {
  /** Null: the row was not started in the job's attempt. Rejects with `temporal_unavailable`. */
  look(job: JobRecord, row: number): Promise<ItemJobStatus | null>;
  /** False: the row does not run, or cannot do this now. Rejects with `temporal_unavailable`. */
  control(job: JobRecord, row: number, control: Control): Promise<boolean>;
}

export function createItems(client: Client): Items {
  const handleOf = (job: JobRecord, row: number) => client.workflow.getHandle(itemWorkflowId(job.id, job.attempt, row));
  const timely = async <T>(call: () => Promise<T>): Promise<T | null> => {
    try {
      return await client.withDeadline(Date.now() + CALL_MS, call);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError || error instanceof WorkflowUpdateFailedError) return null;
      if (isUnavailable(error)) throw new SheafError('temporal_unavailable', 'Neither Temporal nor a worker has answered for the row.', { remedy: 'Try again; `sheaf system check` tells what is away.' });
      throw error;
    }
  };

  return {
    look: (job, row) => timely(async () => {
      const handle = handleOf(job, row);
      const [shown, { raw }] = await Promise.all([handle.query<ItemJobStatus>(STATUS_QUERY), handle.describe()]);
      const working = raw.pendingActivities?.some(({ lastStartedTime }) => Boolean(lastStartedTime)) ?? false;
      return shown.status === 'dispatched' && working ? { ...shown, status: 'in_progress' } : shown;
    }),

    control: async (job, row, control) => (await timely(async () => {
      await handleOf(job, row).executeUpdate(control);
      return true;
    })) ?? false,
  };
}
