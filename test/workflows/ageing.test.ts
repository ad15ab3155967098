/** What waiting does to low priority, in skipped time. */
import { expect, test } from 'vitest';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/common';
import { pino } from 'pino';
import type { JobRecord } from '../../src/contracts/job.ts';
import { createQueue } from '../../src/temporal/queue.ts';
import { aJob } from '../conformance/store-samples.ts';
import { realEnv, timeSkippingEnv } from '../servers/temporal.ts';
import { openStage, type FakeJob } from './fakes.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

// A server of its own for every test: what one leaves unfinished would keep the next one's time from being skipped.
const HOUR = 3_600_000;
test('a queued job of low priority is before later normal ones once it has waited long enough', async () => {
  const env = await timeSkippingEnv();
  let now = await env.currentTimeMs();
  const limits = { perTenant: 1, all: 1, ageAfterMs: HOUR };
  const rig: Rig = await openRig({ limits, env, now: () => now });
  try {
    await rig.startWorkers();
    // It has the only place. Time is not skipped while an activity runs, so it has no workflow.
    const occupant = aJob('occupant', { tenant: TENANT, source: 'occupied' });
    await rig.store.createJob(occupant);
    await rig.store.enqueue({ tenant: TENANT, jobId: occupant.id, attempt: 1, sequence: 1, source: 'occupied', lane: occupant.lane, priority: 3, since: now }, now);
    await rig.store.admitNext(limits, now);

    const queued = async (sheet: string, priority: JobRecord['priority']): Promise<JobRecord> => {
      const job = await rig.create(sheet, rowsOf(1), { priority });
      return rig.when(job.id, ({ state, sequence }) => state === 'queued' && sequence > 0);
    };
    const low = await queued('low', 'low');
    const normal = await queued('normal', 'normal');
    const ahead = () => Promise.all([low, normal].map(async ({ id }) => (await rig.store.queueStanding(TENANT, id, limits, now))!.ahead));
    expect(await ahead()).toEqual([1, 0]);
    await env.sleep(HOUR + 60_000);
    now = await env.currentTimeMs();
    expect(await ahead()).toEqual([0, 1]);
    await createQueue({ store: rig.store, client: env.client, limits, log: pino({ level: 'silent' }), now: () => now }).leave(occupant, 1);
    const [first, second] = [await rig.ended(low.id), await rig.ended(normal.id)];
    expect([first.state, second.state]).toEqual(['completed', 'completed']);
    expect(first.completedAt! <= second.startedAt!).toBe(true);
  } finally {
    await rig.close();
  }
});

test("a running job's pages are dispatched as normal once its low priority has aged", async () => {
  const env = await timeSkippingEnv();
  const stage = await openStage(env);
  try {
    const start = await env.currentTimeMs();
    let refusals = 8; // after each the job waits twice as long, up to half a minute
    const job = await stage.start(2, 1, (before) => ({
      admit: async (input) => ({ ...(await before.admit(input)), agesAt: start + 60_000 }),
      async processPage(input) {
        if (refusals-- > 0) throw ApplicationFailure.nonRetryable('The store does not answer.', 'store_unavailable');
        return before.processPage(input);
      },
    }), { priority: 'low' });
    expect(await job.result()).toMatchObject({ state: 'completed' });
    const keys = await prioritiesOf(env, job, 'processPage');
    await replay(await historiesOf(env.client, job.handle.workflowId, job.firstRun));
    expect(keys).toEqual(keys.toSorted().toReversed());
    expect(new Set(keys)).toEqual(new Set([4, 3]));
  } finally {
    await stage.stop();
    await env.teardown();
  }
});

// On the real server: the other one skips no time while an activity stands in its queue.
test('work of low priority that no worker took is offered again as normal once it has aged', async () => {
  const real = await realEnv();
  const stage = await openStage(real, { rowsLater: true });
  try {
    const job = await stage.start(1, 1, (before) => ({ admit: async (input) => ({ ...(await before.admit(input)), agesAt: Date.now() + 1_000 }) }), { priority: 'low' });
    await eventually(async () => (await prioritiesOf(real, job, 'openSheet')).length === 2);
    stage.startRows();
    expect(await job.result()).toMatchObject({ state: 'completed' });
    expect(await prioritiesOf(real, job, 'openSheet')).toEqual([4, 3]);
    await replay(await historiesOf(real.client, job.handle.workflowId, job.firstRun));
  } finally {
    await stage.stop();
    await real.teardown();
  }
});

/** Temporal's priority keys with which an activity of the job was scheduled, one by one. */
async function prioritiesOf({ client }: TestWorkflowEnvironment, job: FakeJob, activity: string): Promise<(number | null | undefined)[]> {
  const histories = await historiesOf(client, job.handle.workflowId, job.firstRun);
  return histories.flatMap(({ history }) => history.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
    (scheduled?.activityType?.name === activity ? [scheduled.priority?.priorityKey] : []));
}
