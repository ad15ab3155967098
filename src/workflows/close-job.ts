/** Writes the end of a job whose workflow is gone and cannot: terminated, timed out, or failed. Started by the reconciler. */
import { proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES, type FinishJobInput, type JobActivities } from '../contracts/messages.ts';
import { FINISH } from './activity-options.ts';

const { finishJob } = proxyActivities<JobActivities>({ ...FINISH, taskQueue: TASK_QUEUES.jobs });

export async function closeJob(input: FinishJobInput): Promise<void> {
  await finishJob(input);
}
