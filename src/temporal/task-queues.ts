/** What waits on Temporal's task queues, and how fast it is taken. */
import type { Client } from '@temporalio/client';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { TaskQueueStats } from '../contracts/system.ts';

const PATIENCE_MS = 1_500;

/** Temporal's numbers. */
const WORKFLOW_TASKS = 1;
const ACTIVITY_TASKS = 2;

const ASKED: { queue: string; tasks: TaskQueueStats['tasks'] }[] = [
  { queue: TASK_QUEUES.jobs, tasks: 'workflows' }, { queue: TASK_QUEUES.jobs, tasks: 'activities' },
  { queue: TASK_QUEUES.rows, tasks: 'activities' }, { queue: TASK_QUEUES.items, tasks: 'activities' },
  { queue: TASK_QUEUES.documents, tasks: 'activities' }, { queue: TASK_QUEUES.maintenance, tasks: 'activities' },
  { queue: TASK_QUEUES.webhooks, tasks: 'activities' },
];

/** Rejects when Temporal does not answer. */
export function taskQueueStats(client: Client, namespace: string): () => Promise<TaskQueueStats[]> {
  const describe = async ({ queue, tasks }: (typeof ASKED)[number]): Promise<TaskQueueStats> => {
    const { stats, pollers } = await client.connection.workflowService.describeTaskQueue({
      namespace, taskQueue: { name: queue }, taskQueueType: tasks === 'workflows' ? WORKFLOW_TASKS : ACTIVITY_TASKS, reportStats: true,
    });
    return {
      queue, tasks,
      backlog: Number(stats?.approximateBacklogCount ?? 0),
      oldestSeconds: Number(stats?.approximateBacklogAge?.seconds ?? 0),
      addedPerSecond: stats?.tasksAddRate ?? 0,
      takenPerSecond: stats?.tasksDispatchRate ?? 0,
      pollers: new Set((pollers ?? []).map(({ identity }) => identity)).size,
    };
  };
  return async () => {
    // All are let end: one that is left alone tries again by itself, also on a connection that was closed since.
    const found = await client.withDeadline(Date.now() + PATIENCE_MS, () => Promise.allSettled(ASKED.map(describe)));
    return found.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  };
}
