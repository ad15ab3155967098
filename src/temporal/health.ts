import type { Client } from '@temporalio/client';
import { TASK_QUEUES } from '../contracts/messages.ts';

/** A worker's poll lasts up to a minute, and a new one follows at once. */
const POLL_MS = 70_000;

const PATIENCE_MS = 2_000;

/** Rejects when Temporal does not answer. `workers`: processes that have asked for jobs of late; one that was killed counts for another minute. */
export function temporalHealth(client: Client, namespace: string): () => Promise<{ workers: number }> {
  return async () => {
    const { pollers } = await client.withDeadline(Date.now() + PATIENCE_MS, () => client.connection.workflowService.describeTaskQueue({
      namespace, taskQueue: { name: TASK_QUEUES.jobs }, taskQueueType: 1, // workflow tasks
    }));
    const since = Date.now() / 1000 - POLL_MS / 1000;
    return { workers: (pollers ?? []).filter(({ lastAccessTime }) => Number(lastAccessTime?.seconds ?? 0) >= since).length };
  };
}
