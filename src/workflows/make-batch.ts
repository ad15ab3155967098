/** Makes the members of a batch, as many as it takes; waits where the batch is paused. Going on after a crash is the activity's. */
import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { BATCH_CHANGED, type PlanActivities, type PlanRef } from '../contracts/plans.ts';
import { LOOK_AGAIN_MS, MANY } from './activity-options.ts';

const { makeMembers } = proxyActivities<PlanActivities>({ ...MANY, taskQueue: TASK_QUEUES.maintenance });

export const batchChangedSignal = defineSignal(BATCH_CHANGED);

export async function makeBatch(input: PlanRef): Promise<void> {
  let changed = false;
  setHandler(batchChangedSignal, () => { changed = true; });
  for (;;) {
    changed = false;
    const { complete } = await makeMembers(input);
    if (complete) return;
    await condition(() => changed, LOOK_AGAIN_MS);
  }
}
