/** Removes a source with all that it has: its jobs are stopped first, their records stay. */
import { proxyActivities } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { SourceMaintenance, SourceRef } from '../contracts/source.ts';
import { REMOVE } from './activity-options.ts';

const { stopSource, removeSource } = proxyActivities<SourceMaintenance>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function deleteSource(input: SourceRef): Promise<void> {
  await stopSource(input);
  await removeSource(input);
}
