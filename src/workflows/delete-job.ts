/** Deletes a job: its workflow is stopped, then all that only the job owns is removed, the record last. */
import { proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES, type JobRef } from '../contracts/messages.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import { REMOVE } from './activity-options.ts';

const { stopJob, removeJob } = proxyActivities<MaintenanceActivities>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function deleteJob(input: JobRef): Promise<void> {
  await stopJob(input);
  await removeJob(input);
}
