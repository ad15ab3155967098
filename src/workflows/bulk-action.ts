/** One action on every job that matches a filter, a chunk at a time. How far it is stands in its record, so any run of it goes on there. */
import { continueAsNew, proxyActivities, sleep, workflowInfo } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { PlanActivities, PlanRef } from '../contracts/plans.ts';
import { MANY, MAX_HISTORY_EVENTS, RECORD, TURN_WAIT_MS } from './activity-options.ts';

const { bulkTurn, selectJobs, finishBulk } = proxyActivities<PlanActivities>({ ...RECORD, taskQueue: TASK_QUEUES.jobs });
const { applyToJobs } = proxyActivities<PlanActivities>({ ...MANY, taskQueue: TASK_QUEUES.maintenance });

export async function bulkAction(input: PlanRef): Promise<void> {
  for (let waitMs: number = TURN_WAIT_MS.first; ; waitMs = Math.min(waitMs * TURN_WAIT_MS.factor, TURN_WAIT_MS.most)) {
    const turn = await bulkTurn(input);
    if (turn === 'superseded') return finishBulk({ ...input, state: 'superseded' });
    if (turn === 'begin') break;
    await sleep(waitMs);
  }
  for (;;) {
    const chunk = await selectJobs(input);
    if (chunk === null) return finishBulk({ ...input, state: 'completed' });
    if (!(await applyToJobs({ ...input, ...chunk }))) return finishBulk({ ...input, state: 'superseded' });
    if (workflowInfo().historyLength >= MAX_HISTORY_EVENTS) await continueAsNew<typeof bulkAction>(input);
  }
}
