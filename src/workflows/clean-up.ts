/** Removes what has been kept long enough, step by step; where it is, its report says. Started by a schedule or by the API. */
import { continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { CleanUpInput, MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import { REMOVE } from './activity-options.ts';
import { historyIsFull } from './history.ts';

const { beginCleanup, cleanUpStep } = proxyActivities<MaintenanceActivities>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function cleanUp(input: CleanUpInput): Promise<void> {
  const info = workflowInfo();
  const id = input.id ?? info.firstExecutionRunId;
  // Workflow time, so that what is old does not change with a retry.
  if (input.step === undefined && !(await beginCleanup({ id, dryRun: input.dryRun, asked: input.id !== null, now: Date.now() }))) return;
  for (let step = input.step ?? 2; await cleanUpStep({ id, step }); step++) {
    if (historyIsFull()) await continueAsNew<typeof cleanUp>({ ...input, id, step: step + 1 });
  }
}
