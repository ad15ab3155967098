/** Aborts uploads in parts that nobody went on with: their parts take room, and no list shows them. Started by a schedule. */
import { proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES, type MaintenanceActivities } from '../contracts/messages.ts';
import { REMOVE } from './activity-options.ts';

const activities = proxyActivities<MaintenanceActivities>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function sweepUploads(): Promise<{ aborted: number }> {
  return activities.sweepUploads();
}
