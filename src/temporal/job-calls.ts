/** What a job's workflow is started with and told, from the job's record. The reconciler makes the calls again that did not get to Temporal. */
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { TypedSearchAttributes } from '@temporalio/common';
import { PRIORITY_KEYS, type DesiredState, type JobRecord } from '../contracts/job.ts';
import { QUEUE_SIGNAL, TASK_QUEUES, WORKFLOWS, type Control, type JobInput, type JobPlan, type JobRef } from '../contracts/messages.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import { CALL_MS, isUnavailable, reached } from './reached.ts';
import { deleteWorkflowId, jobWorkflowId } from './workflow-ids.ts';

/** How long a creator waits for the start; the answer is the same without it. */
const START_PATIENCE_MS = 500;

/** What is wished of a job, as its record says it until the workflow has heard. */
export const DESIRED: Record<Control, DesiredState> = { pause: 'paused', resume: 'running', cancel: 'cancelled' };

/** Starts the job without keeping its creator waiting for a Temporal that is away: the record is what counts. */
export async function startSoon(client: Client, job: JobRecord): Promise<boolean> {
  const patience = new AbortController();
  const started = await Promise.race([
    startJob(client, job).catch(() => false), // the reconciler tries again, and logs
    sleep(START_PATIENCE_MS, false, { signal: patience.signal }).catch(() => false),
  ]);
  patience.abort();
  return started;
}

/** Whether the workflow of this attempt runs or has run. False: Temporal cannot be reached, and the reconciler will start it. */
export async function startJob(client: Client, job: JobRecord): Promise<boolean> {
  const input: JobInput = {
    tenant: job.tenant, jobId: job.id, attempt: job.attempt, sequence: job.sequence,
    priority: job.priority, concurrency: job.kind === 'sheet' ? job.request.concurrency : null, ...planOf(job),
    ...(job.kind === 'sheet' && job.request.fanOut && { fanOut: job.request.fanOut }),
  };
  const typedSearchAttributes = new TypedSearchAttributes([
    { key: SEARCH_ATTRIBUTES.tenant, value: job.tenant }, { key: SEARCH_ATTRIBUTES.kind, value: job.kind },
    { key: SEARCH_ATTRIBUTES.state, value: 'queued' }, { key: SEARCH_ATTRIBUTES.source, value: job.source },
    { key: SEARCH_ATTRIBUTES.tags, value: job.tags },
  ]);
  return reached(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.start(WORKFLOWS[`${job.kind}Job`], {
    workflowId: jobWorkflowId(job.id, job.attempt), taskQueue: TASK_QUEUES.jobs, args: [input],
    workflowIdReusePolicy: 'REJECT_DUPLICATE', typedSearchAttributes,
    priority: { priorityKey: PRIORITY_KEYS[job.priority], fairnessKey: job.tenant },
    staticSummary: `${job.kind === 'sheet' ? job.request.handler : 'document'}: ${job.request.fileName}`,
  })));
}

/** Nothing for a job that has run: what had to come first did. */
function planOf({ startedAt, runAt, dependsOn }: JobRecord): { plan?: JobPlan } {
  return startedAt === null && (runAt !== null || dependsOn.length > 0) ? { plan: { runAt, unmet: dependsOn } } : {};
}

/** False: Temporal cannot be reached, and the reconciler will start it. */
export async function startDeletion(client: Client, ref: JobRef): Promise<boolean> {
  return reached(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.start(WORKFLOWS.deleteJob, {
    workflowId: deleteWorkflowId(ref.jobId), taskQueue: TASK_QUEUES.jobs, args: [ref], workflowIdConflictPolicy: 'USE_EXISTING',
  })));
}

/** Delivers a wish that could not be told when it was made. False: not delivered. */
export async function deliverWish(client: Client, job: JobRecord): Promise<boolean> {
  const control = (Object.keys(DESIRED) as Control[]).find((name) => DESIRED[name] === job.desired);
  if (!control) return false;
  return signal(client, client.workflow.getHandle(jobWorkflowId(job.id, job.attempt)), control, []);
}

/** The queue has news for the job. False: not delivered. */
export async function tellOfQueue(client: Client, { jobId, attempt }: JobRef & { attempt: number }): Promise<boolean> {
  return signal(client, client.workflow.getHandle(jobWorkflowId(jobId, attempt)), QUEUE_SIGNAL, []);
}

/** False: not delivered. */
export async function signal(client: Client, handle: WorkflowHandle, name: string, args: unknown[]): Promise<boolean> {
  try {
    await client.withDeadline(Date.now() + CALL_MS, () => handle.signal(name, ...args));
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError || isUnavailable(error)) return false;
    throw error;
  }
}
