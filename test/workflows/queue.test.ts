/** The queue with real workflows: who runs, who waits and why, and what frees a place. */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { queueAnswer } from '../../src/api/job-queue.ts';
import { readConfig } from '../../src/config.ts';
import { createQueue } from '../../src/temporal/queue.ts';
import { isEnded, PRIORITY_KEYS, type JobRecord } from '../../src/contracts/job.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

const LIMITS = { perTenant: 2, all: 3, ageAfterMs: 900_000 };
const config = readConfig({ SHEAF_MAX_RUNNING_JOBS_PER_TENANT: '2', SHEAF_MAX_RUNNING_JOBS: '3' });

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ limits: LIMITS });
  await rig.startWorkers();
});
afterEach(async () => {
  rig.gate.reset();
  // The next test begins with an empty queue.
  await eventually(async () => (await rig.store.openJobs({ limit: 1 })).items.length === 0 && (await rig.store.placesTaken(Date.now())).length === 0);
  await rig.replayAll();
});
afterAll(() => rig.close());

let sheets = 0;
type Asked = Parameters<Rig['create']>[2];
/** A job on a sheet of its own whose rows are held while the gate is closed; when it is stopped they are not waited for. */
const create = async (asked: Asked = {}): Promise<JobRecord> => rig.create(`queue-${sheets++}`, rowsOf(2), { ...asked, request: { drainSeconds: 0, ...(await rig.gated()), ...asked.request } });
const close = (): void => { rig.gate.hold = () => true; };
const running = (id: string) => rig.when(id, ({ state }) => state === 'running');
/** It has entered the queue and waits there. */
const queued = (id: string) => rig.when(id, ({ state, sequence }) => state === 'queued' && sequence > 0);
const shown = async (id: string) => queueAnswer(rig.store, config, await rig.job(id));
const control = (id: string, name: 'pause' | 'resume' | 'cancel') => rig.jobs.control(TENANT, id, name);

/** Two jobs that run, which is all that the tenant may. */
async function full(asked: Asked = {}): Promise<JobRecord[]> {
  close();
  const jobs = [await create(asked), await create(asked)];
  for (const { id } of jobs) await running(id);
  return jobs;
}

describe('admission', () => {
  test('as many jobs run as a tenant may; the next are queued, say where they stand and what they wait for', async () => {
    const [one] = await full();
    const third = await create();
    const fourth = await create({ priority: 'high' });
    for (const { id } of [third, fourth]) expect(await queued(id)).toMatchObject({ startedAt: null, manifest: null, cause: null });
    expect(await shown(third.id)).toMatchObject({
      reason: '2 jobs of this tenant run, the most allowed; 1 is before it.',
      queue: { position: 2, positionInTenant: 2, waitsFor: 'tenant', running: 2, maxRunning: 3, runningInTenant: 2, maxRunningInTenant: 2, since: third.createdAt },
    });
    expect((await shown(fourth.id)).reason).toBe('2 jobs of this tenant run, the most allowed; it is the next.');
    expect(await shown(one!.id)).toEqual({});
    // Another tenant has the third place; its second job waits for all.
    await create({ tenant: 'other' });
    await eventually(async () => (await rig.store.placesTaken(Date.now())).length === 3);
    const { id } = await create({ tenant: 'other' });
    await eventually(async () => (await rig.store.queueEntry('other', id))?.state === 'waiting');
    const last = (await rig.store.getJob('other', id))!;
    expect((await queueAnswer(rig.store, config, last)).queue).toMatchObject({ waitsFor: 'deployment', position: 3, positionInTenant: 1 });
    await control(one!.id, 'cancel');
    await running(fourth.id);
    expect(await rig.job(third.id)).toMatchObject({ state: 'queued' });
    rig.gate.release();
    for (const job of [third, fourth]) expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  });

  test('a queued job whose priority is raised passes those before it', async () => {
    const [one, two] = await full();
    const waiting = [await create(), await create(), await create()];
    for (const { id } of waiting) await queued(id);
    const last = waiting[2]!;
    expect(await rig.jobs.change(TENANT, last.id, { priority: 'urgent' })).toMatchObject({ applied: true, job: { priority: 'urgent' } });
    await eventually(async () => (await rig.store.queueEntry(TENANT, last.id))?.priority === PRIORITY_KEYS.urgent);
    expect((await shown(last.id)).queue?.position).toBe(1);
    await control(one!.id, 'cancel');
    await running(last.id);
    for (const { id } of waiting.slice(0, 2)) expect(await rig.job(id)).toMatchObject({ state: 'queued' });
    rig.gate.release();
    await rig.ended(two!.id);
  });

  test('a queued job can be paused, resumed and cancelled, and touches nothing', async () => {
    const [one] = await full();
    const third = await create();
    const fourth = await create();
    for (const { id } of [third, fourth]) await queued(id);
    expect(await control(third.id, 'pause')).toMatchObject({ applied: true, job: { state: 'paused' } });
    await control(one!.id, 'cancel');
    await running(fourth.id); // it passed the paused one
    expect(await control(third.id, 'resume')).toMatchObject({ applied: true, job: { state: 'queued' } });
    expect(await control(third.id, 'cancel')).toMatchObject({ applied: true });
    expect(await rig.ended(third.id)).toMatchObject({ state: 'cancelled', manifest: null });
    rig.gate.release();
  });

  test('a paused job gives its place back and has it again in its old turn', async () => {
    const [one, two] = await full();
    await control(one!.id, 'pause');
    rig.gate.release();
    await rig.when(one!.id, ({ state }) => state === 'paused');
    await rig.ended(two!.id);
    const [three, four] = await full();
    const fifth = await create();
    await queued(fifth.id);
    expect(await control(one!.id, 'resume')).toMatchObject({ job: { state: 'queued' } });
    expect((await shown(one!.id)).queue?.position).toBe(1); // before the fifth, which came later
    await control(three!.id, 'cancel');
    await running(one!.id);
    expect(await rig.job(fifth.id)).toMatchObject({ state: 'queued' });
    rig.gate.release();
    expect(await rig.ended(one!.id)).toMatchObject({ state: 'completed' });
    await rig.ended(four!.id);
  });

  test('a job whose lane is taken costs no place, and is told when the lane is free', async () => {
    close();
    const first = await rig.create('one-lane', rowsOf(2), { request: await rig.gated() });
    await running(first.id);
    const second = await rig.create('one-lane', rowsOf(2), { request: await rig.gated() });
    expect(await rig.when(second.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'dependency', reason: expect.stringContaining(first.id) });
    expect((await shown(second.id)).queue?.waitsFor).toBe('lane');
    const third = await create();
    await running(third.id);
    await control(first.id, 'cancel');
    await running(second.id);
    rig.gate.release();
    for (const { id } of [second, third]) expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
  });

  test('a retry is a new attempt that queues again', async () => {
    rig.gate.fail = () => ({ code: 'down' });
    const failed = await rig.ended((await create()).id);
    rig.gate.fail = () => null;
    const [one] = await full();
    const earlier = await create();
    await queued(earlier.id);
    await rig.jobs.retry(TENANT, failed.id, { codes: null });
    expect(await queued(failed.id)).toMatchObject({ attempt: 2 });
    expect((await shown(failed.id)).queue?.position).toBe(2);
    await control(one!.id, 'cancel');
    await running(earlier.id);
    rig.gate.release();
    expect(await rig.ended(failed.id)).toMatchObject({ state: 'completed', attempt: 2 });
  });
});

describe('a place is free again when its job', () => {
  const ends: [string, (job: JobRecord) => Promise<unknown>][] = [
    ['completes', async (job) => {
      rig.gate.release();
      await rig.ended(job.id);
    }],
    ['is cancelled', (job) => control(job.id, 'cancel')],
    ['is terminated by an operator', (job) => rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).terminate()],
    ['is deleted', (job) => rig.jobs.remove(TENANT, job.id)],
  ];
  test.each(ends)('%s', async (_how, end) => {
    const [one, two] = await full({ request: { drainSeconds: 0 } });
    const third = await create();
    await queued(third.id);
    await rig.withReconciler(async () => {
      await end(one!);
      await rig.when(third.id, ({ startedAt }) => startedAt !== null);
      await eventually(async () => isEnded((await rig.store.getJob(TENANT, one!.id))?.state ?? 'completed'));
    });
    rig.gate.release();
    expect(await rig.ended(third.id)).toMatchObject({ state: 'completed' });
    expect(await rig.ended(two!.id)).toMatchObject({ state: 'completed' });
  });

  test('fails', async () => {
    close();
    rig.gate.fail = () => ({ code: 'down' });
    const breaker = { minRows: 1, maxFailedFraction: 0 };
    const one = await create({ request: { breaker } });
    const two = await create({ request: { breaker } });
    for (const { id } of [one, two]) await running(id);
    const third = await create({ request: { breaker } });
    await queued(third.id);
    rig.gate.release();
    for (const { id } of [one, two, third]) expect(await rig.ended(id)).toMatchObject({ state: 'failed', error: { code: 'circuit_breaker' } });
  });

  test('is terminated while it is queued: those behind it are not held up', async () => {
    const [one] = await full();
    const third = await create();
    const fourth = await create();
    for (const { id } of [third, fourth]) await queued(id);
    await rig.env.client.workflow.getHandle(jobWorkflowId(third.id, 1)).terminate();
    await rig.withReconciler(async () => {
      expect(await rig.ended(third.id)).toMatchObject({ state: 'failed', error: { code: 'workflow_terminated' } });
      await control(one!.id, 'cancel');
      await running(fourth.id);
    });
    rig.gate.release();
  });
});

describe('after a crash', () => {
  test('a job that was given a place and never told is told by the reconciler', async () => {
    const [one] = await full();
    const third = await create();
    await queued(third.id);
    // As a worker does that is killed after the store's answer.
    const { tenant, source, lane } = one!;
    await rig.store.leaveQueue({ tenant, source, lane }, one!.id, 1, Date.now());
    expect(await rig.store.admitNext(LIMITS, Date.now())).toMatchObject([{ jobId: third.id, state: 'offered' }]);
    expect((await shown(third.id)).queue?.waitsFor).toBe('worker');
    await rig.withReconciler(() => running(third.id));
    rig.gate.release();
    await rig.ended(third.id);
  });

  test('a place that a job was told of and has not come for in 90 s goes to the next; when it comes, it has its old turn', async () => {
    const [one] = await full();
    const third = await create();
    const fourth = await create();
    for (const { id } of [third, fourth]) await queued(id);
    await rig.stopWorkers();
    const { tenant, source, lane } = one!;
    let now = Date.now();
    await rig.store.leaveQueue({ tenant, source, lane }, one!.id, 1, now);
    const queue = createQueue({ store: rig.store, client: rig.env.client, limits: LIMITS, log: pino({ level: 'silent' }), now: () => now });
    const states = async (): Promise<unknown[]> => Promise.all([third, fourth].map(async ({ id }) => (await rig.store.queueEntry(TENANT, id))?.state));
    await queue.putRight();
    expect(await states()).toEqual(['offered', 'waiting']);
    now += 90_000;
    await queue.putRight();
    expect(await states()).toEqual(['offered', 'waiting']);
    now += 1;
    await queue.putRight();
    expect(await states()).toEqual(['paused', 'offered']);
    expect(await shown(third.id)).toMatchObject({ queue: { waitsFor: 'worker' }, reason: expect.stringContaining('No worker') });
    await rig.startWorkers();
    await running(fourth.id);
    rig.gate.release();
    for (const { id } of [one!, third, fourth]) await rig.ended(id);
  });

  test('the place of a job that ended and did not give it back is freed', async () => {
    const [one] = await full();
    const third = await create();
    await queued(third.id);
    rig.refuse.add('leaveQueue'); // the activity cannot get that far
    rig.gate.release();
    await rig.when(one!.id, ({ state }) => isEnded(state));
    expect((await rig.store.placesTaken(Date.now())).map(({ jobId }) => jobId)).toContain(one!.id);
    await rig.withReconciler(() => rig.when(third.id, ({ startedAt }) => startedAt !== null));
    rig.refuse.clear();
    await rig.ended(third.id);
  });

  test('a job that the queue has lost enters it again', async () => {
    const [one] = await full();
    const third = await create();
    await queued(third.id);
    const { tenant, source, lane } = third;
    await rig.store.leaveQueue({ tenant, source, lane }, third.id, 1, Date.now());
    await control(one!.id, 'cancel');
    expect(await rig.job(third.id)).toMatchObject({ state: 'queued' });
    await rig.withReconciler(() => running(third.id));
    rig.gate.release();
    await rig.ended(third.id);
  });

  test('what is queued while no worker lives starts when one does', async () => {
    await rig.stopWorkers();
    close();
    const jobs = [await create(), await create(), await create()];
    await rig.startWorkers();
    await eventually(async () => (await Promise.all(jobs.map(({ id }) => rig.job(id)))).filter(({ state }) => state === 'running').length === 2);
    rig.gate.release();
    for (const { id } of jobs) expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
  });
});
