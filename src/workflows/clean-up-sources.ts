/** Removes finished jobs of sources that are old enough, and versions beyond what their sources keep. By schedule or by hand. */
import { continueAsNew, proxyActivities, workflowInfo } from '@temporalio/workflow';
import { TASK_QUEUES } from '../contracts/messages.ts';
import type { CleanUpSourcesInput, SourceMaintenance, SourcesCleanup } from '../contracts/source.ts';
import { MAX_HISTORY_EVENTS, REMOVE } from './activity-options.ts';

const { cleanUpSourcesStep } = proxyActivities<SourceMaintenance>({ ...REMOVE, taskQueue: TASK_QUEUES.maintenance });

export async function cleanUpSources(input: CleanUpSourcesInput): Promise<SourcesCleanup> {
  const { carried, ...asked } = input;
  let { position, report } = carried ?? { position: null, report: { sources: 0, jobs: 0, versions: 0 } };
  for (;;) {
    const step = await cleanUpSourcesStep({ ...asked, position });
    report = { sources: report.sources + step.report.sources, jobs: report.jobs + step.report.jobs, versions: report.versions + step.report.versions };
    position = step.position;
    if (position === null) return report;
    if (workflowInfo().historyLength >= MAX_HISTORY_EVENTS) await continueAsNew<typeof cleanUpSources>({ ...asked, carried: { position, report } });
  }
}
