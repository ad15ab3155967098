/** Deletion of jobs: stop, then remove. Every step may be repeated. */
import { heartbeat } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client, type WorkflowHandle } from '@temporalio/client';
import { blobKeys } from '../blobs/keys.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';
import type { JobRef } from '../contracts/messages.ts';
import { endpointsOf } from '../webhooks.ts';
import { endWebhook } from '../temporal/webhooks.ts';
import { tellDependents } from '../temporal/dependents.ts';
import type { Queue } from '../temporal/queue.ts';
import { jobWorkflowId } from '../temporal/workflow-ids.ts';
import type { ActivityDeps } from './deps.ts';

/** A job drains for its own `drainSeconds` and must then have ended; a workflow that hangs longer is terminated. */
const EXTRA_STOP_MS = 60_000;

export function maintenanceActivities(deps: ActivityDeps, client: Client, queue: Queue) {
  return {
    async stopJob(input: JobRef): Promise<void> {
      const job = await deps.store.getJob(input.tenant, input.jobId);
      if (!job) return;
      const handle = client.workflow.getHandle(jobWorkflowId(job.id, job.attempt));
      if (!(await isRunning(handle))) return;
      await handle.signal('cancel');
      const deadline = Date.now() + job.request.drainSeconds * 1000 + EXTRA_STOP_MS;
      while (await isRunning(handle)) {
        heartbeat();
        if (Date.now() > deadline) {
          await handle.terminate('The job was deleted and did not end when it was cancelled.');
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    },

    removeJob: (input: JobRef): Promise<void> => removeJob(deps, client, queue, input),
  };
}

/** Blobs first and the record last, so that a deletion that was cut off is seen and goes on. */
export async function removeJob(deps: ActivityDeps, client: Client, queue: Queue, { tenant, jobId }: JobRef): Promise<void> {
  const { store, blobs } = deps;
  const job = await store.getJob(tenant, jobId);
  await blobs.deleteUnder(blobKeys.jobFolder(tenant, jobId));
  if (job?.kind === 'document') await removeDocument(deps, job);
  if (job) await queue.leave(job, job.attempt);
  if (job) await Promise.all([...endpointsOf(job, deps.webhooks).keys()].map((endpoint) => endWebhook(client, { tenant, jobId, endpoint })));
  while (!(await store.removeJob(tenant, jobId))) heartbeat();
  if (job) await tellDependents(store, client, job, heartbeat);
}

/** The file, all that was made of it, and what search finds; its record last. */
async function removeDocument({ store, blobs }: ActivityDeps, { tenant, request: { document } }: DocumentJobRecord): Promise<void> {
  await blobs.deleteUnder(blobKeys.documentFolder(tenant, document));
  await blobs.deleteUnder(blobKeys.quarantineFolder(tenant, document));
  while (!(await store.removeDocument(tenant, document))) heartbeat();
}

async function isRunning(handle: WorkflowHandle): Promise<boolean> {
  try {
    return (await handle.describe()).status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
