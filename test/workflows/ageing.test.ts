/** What waiting does to low priority, in skipped time. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { JobRecord } from '../../src/contracts/job.ts';
import { timeSkippingEnv } from '../servers/temporal.ts';
import { door, openStage, type FakeJob } from './fakes.ts';
import { historiesOf, replay } from './replay.ts';
import { openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let env: TestWorkflowEnvironment;
/** The server's time, as the queue is told it. */
let now = 0;
beforeAll(async () => {
  env = await timeSkippingEnv();
  now = await env.currentTimeMs();
});
afterAll(() => env.teardown());

const HOUR = 3_600_000;
async function pass(ms: number): Promise<void> {
  await env.sleep(ms);
  now = await env.currentTimeMs();
}

test('a queued job of low priority is before later normal ones once it has waited long enough', async () => {
  const rig: Rig = await openRig({ limits: { perTenant: 1, all: 1, ageAfterMs: HOUR }, env, now: () => now });
  try {
    await rig.startWorkers();
    rig.gate.hold = () => true;
    const create = async (sheet: string, priority: JobRecord['priority']): Promise<JobRecord> => rig.create(sheet, rowsOf(1), { priority, request: await rig.gated() });
    const queued = (job: JobRecord) => rig.when(job.id, ({ state, sequence }) => state === 'queued' && sequence > 0);
    const first = await create('first', 'normal');
    await rig.when(first.id, ({ state }) => state === 'running');
    const low = await create('low', 'low');
    await queued(low);
    const normal = await create('normal', 'normal');
    await queued(normal);
    const order = async () => {
      const [one, two] = await Promise.all([low, normal].map(({ id }) => rig.store.queueStanding(TENANT, id, { perTenant: 1, all: 1, ageAfterMs: HOUR }, now)));
      return [one!.ahead, two!.ahead];
    };
    expect(await order()).toEqual([1, 0]);
    await pass(HOUR + 60_000);
    expect(await order()).toEqual([0, 1]);
    rig.gate.release();
    const [a, b] = [await rig.ended(low.id), await rig.ended(normal.id)];
    expect([a.state, b.state]).toEqual(['completed', 'completed']);
    expect(a.completedAt! <= b.startedAt!).toBe(true);
  } finally {
    await rig.close({ keepEnv: true });
  }
});

test("a running job's pages are dispatched as normal once its low priority has aged", async () => {
  const stage = await openStage(env);
  try {
    const first = door();
    const start = await env.currentTimeMs();
    const job = await stage.start(3, 1, (before) => ({
      admit: async (input) => ({ ...(await before.admit(input)), agesAt: start + HOUR }),
      async processPage(input) {
        if (input.page === 1) await first.pass();
        return before.processPage(input);
      },
    }), { priority: 'low' });
    await first.reached;
    await env.sleep(2 * HOUR);
    first.open();
    expect(await job.result()).toMatchObject({ state: 'completed' });
    expect(await prioritiesOf(job, 'processPage')).toEqual([4, 3, 3]);
  } finally {
    await stage.stop();
  }
});

test('work of low priority that no worker took is offered again as normal once it has aged', async () => {
  const stage = await openStage(env, { rowsLater: true });
  try {
    const start = await env.currentTimeMs();
    const job = await stage.start(1, 1, (before) => ({ admit: async (input) => ({ ...(await before.admit(input)), agesAt: start + HOUR }) }), { priority: 'low' });
    await env.sleep(2 * HOUR);
    stage.startRows();
    expect(await job.result()).toMatchObject({ state: 'completed' });
    expect(await prioritiesOf(job, 'openSheet')).toEqual([4, 3]);
  } finally {
    await stage.stop();
  }
});

/** Temporal's priority keys with which an activity of the job was scheduled, one by one. */
async function prioritiesOf(job: FakeJob, activity: string): Promise<(number | null | undefined)[]> {
  const histories = await historiesOf(env.client, job.handle.workflowId, job.firstRun);
  await replay(histories);
  return histories.flatMap(({ history }) => history.events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
    (scheduled?.activityType?.name === activity ? [scheduled.priority?.priorityKey] : []));
}
