/** Removes uploads that nobody went on with, and their parts, which take room. Started by a schedule. */
import { proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import { REMOVE } from './activity-options.ts';

const activities = proxyActivities<MaintenanceActivities>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function sweepUploads(): Promise<{ expired: number; aborted: number }> {
  return activities.sweepUploads();
}
