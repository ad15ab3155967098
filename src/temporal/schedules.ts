/** What runs by the clock: Temporal Schedules, made by every worker at its start, and brought up to date where they exist. */
import { ScheduleAlreadyRunning, type Client, type ScheduleOptions } from '@temporalio/client';
import { TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import type { Log } from '../log.ts';

const SCHEDULES: (ScheduleOptions & { policies: object })[] = [
  {
    scheduleId: 'sheaf-sweep-uploads',
    spec: { intervals: [{ every: '1h' }] },
    action: { type: 'startWorkflow', workflowType: WORKFLOWS.sweepUploads, workflowId: 'sheaf-sweep-uploads', taskQueue: TASK_QUEUES.jobs },
    policies: { overlap: 'SKIP', catchupWindow: '1h' },
  },
];

const PATIENCE_MS = 10_000;

/** An operator who has paused one finds it paused. Never rejects: a worker that may not make schedules still does its work. */
export async function keepSchedules({ client, log }: { client: Client; log: Log }): Promise<void> {
  for (const schedule of SCHEDULES) {
    try {
      await client.withDeadline(Date.now() + PATIENCE_MS, () => keep(client, schedule));
    } catch (error) {
      log.warn({ schedule: schedule.scheduleId, err: error }, 'a schedule could not be made; the next worker that starts tries again');
    }
  }
}

async function keep(client: Client, schedule: ScheduleOptions & { policies: object }): Promise<void> {
  try {
    await client.schedule.create(schedule);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const { spec, action, policies } = schedule;
    await client.schedule.getHandle(schedule.scheduleId).update(({ state }) => ({ spec, action, policies, state }));
  }
}
