/** What runs by the clock: Temporal Schedules, made by every worker at its start, and brought up to date where they exist. */
import { ScheduleAlreadyRunning, type Client, type ScheduleOptions } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import type { CleanUpInput } from '../contracts/maintenance-messages.ts';
import { DEFAULT_TASK_HOURS, SOURCE_WORKFLOWS, type CleanUpSourcesInput } from '../contracts/source.ts';
import type { Log } from '../log.ts';
import { claimNamespace, memoOf } from './claim.ts';
import { CLEAN_UP_SOURCES_ID, SWEEP_UPLOADS_ID } from './workflow-ids.ts';

const SCHEDULES: (ScheduleOptions & { policies: object })[] = [
  {
    scheduleId: SWEEP_UPLOADS_ID,
    spec: { intervals: [{ every: '1h' }] },
    action: { type: 'startWorkflow', workflowType: WORKFLOWS.sweepUploads, workflowId: SWEEP_UPLOADS_ID, taskQueue: TASK_QUEUES.jobs },
    policies: { overlap: 'SKIP', catchupWindow: '1h' },
  },
  {
    scheduleId: 'sheaf-clean-up',
    spec: { intervals: [{ every: '24h', offset: '3h' }] },
    action: {
      type: 'startWorkflow', workflowType: WORKFLOWS.cleanUp, workflowId: 'sheaf-clean-up', taskQueue: TASK_QUEUES.jobs,
      args: [{ id: null, dryRun: false } satisfies CleanUpInput],
    },
    policies: { overlap: 'SKIP', catchupWindow: '1h' },
  },
  {
    scheduleId: CLEAN_UP_SOURCES_ID,
    spec: { intervals: [{ every: '24h', offset: '4h' }] },
    action: {
      type: 'startWorkflow', workflowType: SOURCE_WORKFLOWS.cleanUpSources, workflowId: CLEAN_UP_SOURCES_ID, taskQueue: TASK_QUEUES.jobs,
      args: [{ tenant: null, maxAgeHours: DEFAULT_TASK_HOURS, environment: null, dryRun: false } satisfies CleanUpSourcesInput],
    },
    policies: { overlap: 'SKIP', catchupWindow: '1h' },
  },
];

const PATIENCE_MS = 10_000;

/**
 * For a worker, before it asks for work. `storage`: what jobs are kept in. An operator who has paused a schedule finds it paused. Rejects with
 * `namespace_taken` and nothing else: a worker that may not make schedules still does its work.
 */
export async function keepSchedules({ client, log, storage }: { client: Client; log: Log; storage: () => Promise<string> }): Promise<void> {
  const attempt = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await client.withDeadline(Date.now() + PATIENCE_MS, work);
    } catch (error) {
      if (error instanceof SheafError && error.code === 'namespace_taken') throw error;
      log.warn({ schedule: what, err: error }, 'a schedule could not be made; the next worker that starts tries again');
    }
  };
  await attempt(SWEEP_UPLOADS_ID, async () => {
    const name = await storage();
    await claimNamespace(client, name);
    for (const schedule of SCHEDULES) await attempt(schedule.scheduleId, () => keep(client, schedule, name));
  });
}

async function keep(client: Client, schedule: ScheduleOptions & { policies: object }, storage: string): Promise<void> {
  try {
    await client.schedule.create({ ...schedule, memo: memoOf(storage) });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const { spec, action, policies } = schedule;
    await client.schedule.getHandle(schedule.scheduleId).update(({ state }) => ({ spec, action, policies, state }));
  }
}
