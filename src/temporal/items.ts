/** Rows that are workflows of their own: how one stands, and what can be asked of it. */
import { ApplicationFailure, WorkflowNotFoundError, WorkflowUpdateFailedError, type Client } from '@temporalio/client';
import { STEER_ITEM, type ItemControl, type ItemJobStatus, type SteerItemInput } from '../contracts/items.ts';
import { isEnded, type JobRecord, type Priority, type SheetJobRecord } from '../contracts/job.ts';
import { SET_PRIORITY, STATUS_QUERY } from '../contracts/messages.ts';
import type { JobStatus } from '../contracts/sheet-messages.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Jobs } from './jobs.ts';
import { CALL_MS, isUnavailable } from './reached.ts';
import { itemWorkflowId, jobWorkflowId } from './workflow-ids.ts';

/** What is asked of a row: one of both. */
export type ItemAsked = { control: ItemControl } | { priority: Priority };

export interface Items {
  /** Null: the row has no workflow in the job's attempt. Rejects with `temporal_unavailable`. */
  look(job: JobRecord, row: number): Promise<ItemJobStatus | null>;
  /** What was asked of a row that has no workflow, as its status; null: nothing, or the job does not answer. */
  asked(job: JobRecord, row: number): Promise<Pick<ItemJobStatus, 'status' | 'priority'> | null>;
  /** `page`: the row's. A retry of a row whose job has ended is a new attempt of the job for that row alone. Rejects with `wrong_state`, `temporal_unavailable`. */
  ask(job: SheetJobRecord, row: number, page: number, asked: ItemAsked): Promise<void>;
}

export function createItems(client: Client, jobs: Pick<Jobs, 'retry'>): Items {
  const itemOf = (job: JobRecord, row: number) => client.workflow.getHandle(itemWorkflowId(job.id, job.attempt, row));
  const jobOf = (job: JobRecord) => client.workflow.getHandle(jobWorkflowId(job.id, job.attempt));

  /** Null: there is no such workflow, or it has ended. */
  const timely = async <T>(call: () => Promise<T>): Promise<T | null> => {
    try {
      return await client.withDeadline(Date.now() + CALL_MS, call);
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return null;
      if (error instanceof WorkflowUpdateFailedError) throw refused(error);
      if (isUnavailable(error)) throw new SheafError('temporal_unavailable', 'Neither Temporal nor a worker has answered for the row.', { remedy: 'Try again; `sheaf system check` tells what is away.' });
      throw error;
    }
  };

  return {
    look: (job, row) => timely(async () => {
      const handle = itemOf(job, row);
      const [shown, { raw }] = await Promise.all([handle.query<ItemJobStatus>(STATUS_QUERY), handle.describe()]);
      const call = shown.status === 'dispatched' || shown.status === 'retried' ? raw.pendingActivities?.[0] : undefined;
      if (!call) return shown;
      return { ...shown, status: call.lastStartedTime ? 'in_progress' : (call.attempt ?? 1) > 1 ? 'retried' : shown.status };
    }),

    async asked(job, row) {
      const found = await timely(() => jobOf(job).query<JobStatus>(STATUS_QUERY)).catch(() => null);
      const wish = found?.items?.asked.find((one) => one.row === row);
      return wish ? { status: wish.wanted === 'paused' ? 'paused' : wish.wanted === 'cancelled' ? 'cancelled' : 'queued', priority: wish.priority ?? job.priority } : null;
    },

    async ask(job, row, page, asked) {
      const control = 'control' in asked ? asked.control : null;
      if (control === 'retry' && isEnded(job.state)) return void (await jobs.retry(job.tenant, job.id, { codes: null, rows: [row] }));
      const item = itemOf(job, row);
      if ('priority' in asked ? await told(() => item.executeUpdate<void, [Priority]>(SET_PRIORITY, { args: [asked.priority] })) : control !== 'retry' && (await told(() => item.executeUpdate(asked.control)))) return;
      const steer: SteerItemInput = { row, page, control, priority: 'priority' in asked ? asked.priority : null };
      if (await told(() => jobOf(job).executeUpdate<void, [SteerItemInput]>(STEER_ITEM, { args: [steer] }))) return;
      throw new SheafError('wrong_state', `Job ${job.id} does not run its rows now.`, { remedy: 'Only rows of a job that has begun and not ended can be controlled.' });
    },
  };

  async function told(call: () => Promise<unknown>): Promise<boolean> {
    return (await timely(async () => {
      await call();
      return true;
    })) ?? false;
  }
}

function refused({ cause }: WorkflowUpdateFailedError): SheafError {
  const code = cause instanceof ApplicationFailure && cause.type === 'invalid_request' ? 'invalid_request' : 'wrong_state';
  return new SheafError(code, cause instanceof Error ? cause.message : 'The row does not allow this now.');
}
