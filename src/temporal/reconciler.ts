/**
 * Makes the records, the queue and Temporal agree: starts jobs that were accepted while Temporal was away, hands over
 * wishes, closes the records of workflows that an operator terminated, frees the places of jobs that are gone and gives out what
 * is free. Every worker runs one; all of it may be done twice.
 */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { SheafError, type ErrorBody } from '../contracts/errors.ts';
import { isEnded, type EndedState, type JobRecord } from '../contracts/job.ts';
import { TASK_QUEUES, WORKFLOWS, type FinishJobInput } from '../contracts/messages.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import type { Listed } from '../store/ports/lists.ts';
import { reconcilePlans } from './batches.ts';
import { reminder } from './dependents.ts';
import { deliverWish, startDeletion, startJob, tellOfQueue } from './job-calls.ts';
import { isUnavailable } from './reached.ts';
import type { Queue } from './queue.ts';
import { closeWorkflowId, jobWorkflowId } from './workflow-ids.ts';

/** A terminated workflow's record tells the truth within ten seconds. */
const EVERY_MS = 2_000;
/** What the API or the workflow is just about to do itself. */
const PATIENCE_MS = 3_000;
const AT_ONCE = 10;
/** Jobs that rest in the queue are looked at so many a round, for they may be ten thousand; Temporal's list names those that were ended. */
const RESTING_A_ROUND = 50;
const ENDED_LATELY_MS = 120_000;

export interface Reconciler {
  stop(): Promise<void>;
}

export function startReconciler(deps: { store: Store; client: Client; queue: Queue; log: Log }): Reconciler {
  const { store, client, queue, log } = deps;
  let stopped = false;
  let wake: () => void = () => {};
  const reminded = reminder(store, client);
  /** Where the look at resting jobs goes on. */
  let restingCursor: string | null = null;

  const round = async (): Promise<void> => {
    await freeLostPlaces();
    await queue.putRight();
    for (let cursor: string | undefined; !stopped; ) {
      const jobs = await store.openJobs({ limit: 200, ...(cursor !== undefined && { cursor }) }, 'active');
      await each(jobs.items, reconcile);
      if (jobs.nextCursor === null) break;
      cursor = jobs.nextCursor;
    }
    await reconcilePlans(store, client, each);
    const resting: Listed<JobRecord> = await store.openJobs({ limit: RESTING_A_ROUND, ...(restingCursor !== null && { cursor: restingCursor }) }, 'resting');
    restingCursor = resting.nextCursor;
    await each(resting.items, reconcileResting);
    await closeEnded();
  };

  const each = async <T>(items: T[], work: (item: T) => Promise<void>): Promise<void> => {
    for (let index = 0; index < items.length && !stopped; index += AT_ONCE) {
      await Promise.all(items.slice(index, index + AT_ONCE).map(work));
    }
  };

  /** Places of jobs that have ended or are gone: whoever ended them was killed before it gave the place back. */
  const freeLostPlaces = async (): Promise<void> => {
    for (const { tenant, jobId, source, lane, attempt, changedAt } of await store.placesTaken(Date.now())) {
      const job = await store.getJob(tenant, jobId);
      const lost = !job || job.attempt > attempt || (isEnded(job.state) && Date.now() - Date.parse(job.updatedAt) > PATIENCE_MS);
      if (!lost || Date.now() - changedAt < PATIENCE_MS) continue;
      await queue.leave({ tenant, id: jobId, source, lane }, attempt);
      log.warn({ tenant, job: jobId, attempt }, 'freed the place of a job that is gone');
    }
  };

  const reconcileResting = async (job: JobRecord): Promise<void> => {
    await reconcile(job);
    // Where the store was put back from a backup, say: it enters the queue again.
    if (job.state === 'queued' && job.until === null && (await store.queueEntry(job.tenant, job.id)) === null) await tellOfQueue(client, { tenant: job.tenant, jobId: job.id, attempt: job.attempt });
  };

  /** Workflows that were terminated while their jobs rested. */
  const closeEnded = async (): Promise<void> => {
    const since = new Date(Date.now() - ENDED_LATELY_MS).toISOString();
    const query = `ExecutionStatus != 'Running' AND ${SEARCH_ATTRIBUTES.state.name} IN ('queued', 'waiting') AND CloseTime > '${since}'`;
    for await (const { workflowId, typedSearchAttributes } of client.workflow.list({ query })) {
      const tenant = typedSearchAttributes.get(SEARCH_ATTRIBUTES.tenant);
      const job = tenant === undefined ? null : await store.getJob(tenant, workflowId.split('/')[0] ?? '');
      if (job && !isEnded(job.state) && jobWorkflowId(job.id, job.attempt) === workflowId) await reconcile(job);
      if (stopped) return;
    }
  };

  const reconcile = async (job: JobRecord): Promise<void> => {
    const settled = Date.now() - Date.parse(job.updatedAt) > PATIENCE_MS;
    if (!settled) return;
    if (job.desired === 'deleted') {
      await startDeletion(client, { tenant: job.tenant, jobId: job.id });
      return;
    }
    const status = await workflowStatus(client, job);
    if (status !== null && status !== 'RUNNING') {
      // It may have ended, as it should, while others were looked at.
      const now = await store.getJob(job.tenant, job.id);
      if (!now || isEnded(now.state) || now.attempt !== job.attempt) return;
      await close(client, job, status);
      log.warn({ tenant: job.tenant, job: job.id, attempt: job.attempt, status }, 'closing a job whose workflow is gone');
      return;
    }
    if (status === null) {
      if (!(await startJob(client, job))) return;
      log.info({ tenant: job.tenant, job: job.id, attempt: job.attempt }, 'started a job that was accepted before');
    }
    await reminded.remind(job);
    if (job.desired !== null && (await deliverWish(client, job))) {
      await store.changeJob(job.tenant, job.id, job.revision, { desired: null });
    }
  };

  let refusal: string | null = null;
  const loop = async (): Promise<void> => {
    while (!stopped) {
      await round().then(() => { refusal = null; }, (error: unknown) => {
        if (isUnavailable(error)) return;
        if (!(error instanceof SheafError) || !error.retryable) return log.error({ err: error }, 'reconciling failed');
        // Said once: an outage may be long.
        if (refusal !== error.message) log.warn({ code: error.code, reason: error.message }, 'reconciling waits');
        refusal = error.message;
      });
      if (!stopped) await new Promise<void>((resolve) => { wake = resolve; setTimeout(resolve, EVERY_MS).unref(); });
    }
  };

  const running = loop();
  return {
    stop() {
      stopped = true;
      wake();
      return running;
    },
  };
}

/** Null: there is no such workflow. */
async function workflowStatus(client: Client, job: JobRecord): Promise<string | null> {
  try {
    const description = await client.withDeadline(Date.now() + 5_000, () => client.workflow.getHandle(jobWorkflowId(job.id, job.attempt)).describe());
    return description.status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

async function close(client: Client, job: JobRecord, status: string): Promise<void> {
  const ends: Record<string, { state: EndedState; error: ErrorBody | null }> = {
    CANCELLED: { state: 'cancelled', error: null },
    COMPLETED: { state: 'completed', error: null },
    TERMINATED: {
      state: 'failed',
      error: {
        code: 'workflow_terminated', message: 'An operator terminated the workflow. What was done stays done.',
        remedy: '`sheaf job retry` goes on with the rows that remain.',
      },
    },
  };
  const end = ends[status] ?? {
    state: 'failed',
    error: {
      code: 'workflow_failed', message: 'The workflow ended with an error. What was done stays done.',
      remedy: "The Temporal Web UI and the worker's log show the cause; `sheaf job retry` goes on with the rows that remain.",
    },
  };
  const input: FinishJobInput = {
    tenant: job.tenant, jobId: job.id, attempt: job.attempt, sequence: null, state: end.state, error: end.error, reason: end.error?.message ?? null,
  };
  await client.workflow.start(WORKFLOWS.closeJob, {
    workflowId: closeWorkflowId(job.id, job.attempt), taskQueue: TASK_QUEUES.jobs, args: [input], workflowIdConflictPolicy: 'USE_EXISTING',
  });
}
