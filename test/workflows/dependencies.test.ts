/** Jobs that wait for their time, or for other jobs: they hold nothing, can be steered, and are woken. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { JobRecord, OnFailure } from '../../src/contracts/job.ts';
import { DEPENDENCY_ENDED } from '../../src/contracts/plans.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(async () => {
  rig.gate.reset();
  await rig.startWorkers();
  await rig.replayAll();
});
afterAll(() => rig.close());

/** A job whose first row is held. */
async function busy(sheet: string): Promise<JobRecord> {
  const before = rig.gate.held;
  rig.gate.hold = () => true;
  const job = await rig.create(sheet, rowsOf(3), { request: await rig.gated() });
  await rig.gate.until(() => rig.gate.held === before + 1);
  return job;
}
const after = (sheet: string, dependsOn: JobRecord[], onFailure: OnFailure = 'cancel') =>
  rig.create(sheet, rowsOf(3), { dependsOn: dependsOn.map(({ id }) => id), onFailure });
const waits = (id: string) => rig.when(id, ({ state, cause }) => state === 'waiting' && cause === 'dependency');
const later = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

describe('a job with a time', () => {
  test('is queued until then, says so, and runs after it', async () => {
    const runAt = later(2);
    const { id } = await rig.create('at', rowsOf(3), { runAt });
    expect(await rig.when(id, ({ until }) => until !== null)).toMatchObject({ state: 'queued', until: runAt, reason: expect.stringContaining('time'), startedAt: null });
    const done = await rig.ended(id);
    expect(done).toMatchObject({ state: 'completed', until: null, reason: null });
    expect(done.startedAt! >= runAt).toBe(true);
  });

  test('that has passed runs at once', async () => {
    const { id } = await rig.create('past', rowsOf(3), { runAt: later(-60) });
    expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
    expect(await rig.events(id)).toEqual(['created', 'running', 'snapshot', 'completed']);
  });

  test('can be paused, resumed and cancelled, and its lane is free meanwhile', async () => {
    const { id } = await rig.create('far', rowsOf(3), { runAt: later(86_400 * 90) });
    await rig.when(id, ({ until }) => until !== null);
    expect(await rig.jobs.control(TENANT, id, 'pause')).toMatchObject({ applied: true, job: { state: 'paused', until: null } });
    expect(await rig.jobs.control(TENANT, id, 'resume')).toMatchObject({ applied: true, job: { state: 'queued' } });
    await rig.jobs.change(TENANT, id, { priority: 'high' });
    const other = await rig.create('far', rowsOf(3));
    expect(await rig.ended(other.id)).toMatchObject({ state: 'completed' });
    await rig.jobs.control(TENANT, id, 'cancel');
    expect(await rig.ended(id)).toMatchObject({ state: 'cancelled', startedAt: null });
  });
});

describe('a job that depends on others', () => {
  test('waits for them, names them, and runs when the last has completed: a diamond', async () => {
    const top = await busy('top');
    const [left, right] = await Promise.all([after('left', [top]), after('right', [top])]);
    const bottom = await after('bottom', [left, right]);
    for (const { id } of [left, right]) expect(await waits(id)).toMatchObject({ reason: expect.stringContaining(top.id), startedAt: null });
    await waits(bottom.id);
    rig.gate.release();
    const jobs = await Promise.all([top, left, right, bottom].map(({ id }) => rig.ended(id)));
    expect(jobs.map(({ state }) => state)).toEqual(Array(4).fill('completed'));
    const [one, two, three, four] = jobs as [JobRecord, JobRecord, JobRecord, JobRecord];
    for (const middle of [two, three]) {
      expect(middle.startedAt! >= one.completedAt!).toBe(true);
      expect(four.startedAt! >= middle.completedAt!).toBe(true);
    }
    expect(four).toMatchObject({ cause: null, reason: null });
  });

  test('is cancelled with them when one fails, down the whole chain', async () => {
    const first = await rig.create('failing', rowsOf(3), { request: { keyColumns: ['none'] } });
    const second = await after('second', [first]);
    const third = await after('third', [second]);
    expect(await rig.ended(third.id)).toMatchObject({ state: 'cancelled', error: { code: 'dependency_failed', message: expect.stringContaining(second.id) } });
    expect(await rig.job(second.id)).toMatchObject({ state: 'cancelled', error: { message: expect.stringContaining(`${first.id} failed`) }, startedAt: null });
    // Retried, it asks again; and goes, once the other has completed.
    await rig.jobs.retry(TENANT, second.id, { codes: null });
    expect(await rig.when(second.id, ({ attempt, state }) => attempt === 2 && state === 'cancelled')).toMatchObject({ error: { code: 'dependency_failed' } });
  });

  test('runs all the same where it was told to', async () => {
    const first = await busy('cancelled-first');
    const second = await after('all-the-same', [first], 'run');
    await waits(second.id);
    await rig.jobs.control(TENANT, first.id, 'cancel');
    rig.gate.release();
    expect(await rig.ended(first.id)).toMatchObject({ state: 'cancelled' });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
  });

  test('waits for a retry where it was told to', async () => {
    const first = await busy('to-be-retried');
    const second = await after('patient', [first], 'wait');
    await waits(second.id);
    await rig.jobs.control(TENANT, first.id, 'cancel');
    rig.gate.release();
    await rig.ended(first.id);
    expect(await rig.when(second.id, ({ reason }) => reason?.includes('retry') === true)).toMatchObject({ state: 'waiting', cause: 'dependency' });
    await rig.jobs.retry(TENANT, first.id, { codes: null });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
  });

  test('is cancelled when one is deleted', async () => {
    const first = await busy('deleted-first');
    const second = await after('orphan', [first], 'wait');
    await waits(second.id);
    await rig.jobs.remove(TENANT, first.id);
    // Else its last rows might end before it hears of it.
    await rig.when(first.id, ({ state }) => state === 'cancelling');
    rig.gate.release();
    expect(await rig.ended(second.id)).toMatchObject({ state: 'cancelled', error: { message: expect.stringContaining('was deleted') } });
  });

  test('keeps what was met, whatever becomes of it', async () => {
    const done = await rig.ended((await rig.create('met', rowsOf(3))).id);
    const open = await busy('open');
    const last = await after('both', [done, open]);
    expect(await waits(last.id)).toMatchObject({ reason: `It waits for job ${open.id}.` });
    await rig.jobs.remove(TENANT, done.id);
    await eventually(async () => (await rig.store.getJob(TENANT, done.id)) === null);
    rig.gate.release();
    expect(await rig.ended(last.id)).toMatchObject({ state: 'completed' });
  });

  test('can be paused, resumed and cancelled', async () => {
    const first = await busy('steered-first');
    const second = await after('steered', [first]);
    await waits(second.id);
    expect(await rig.jobs.control(TENANT, second.id, 'pause')).toMatchObject({ applied: true, job: { state: 'paused' } });
    expect(await rig.jobs.control(TENANT, second.id, 'resume')).toMatchObject({ applied: true, job: { state: 'waiting', cause: 'dependency' } });
    expect(await rig.jobs.control(TENANT, second.id, 'cancel')).toMatchObject({ applied: true, job: { state: 'cancelled' } });
    rig.gate.release();
    expect(await rig.ended(first.id)).toMatchObject({ state: 'completed' });
  });

  test('goes on waiting where a run that has seen much is continued by another', { timeout: 180_000 }, async () => {
    const first = await rig.create('long-first', rowsOf(3), { runAt: later(86_400) });
    const second = await after('long', [first], 'run');
    await waits(second.id);
    const handle = rig.env.client.workflow.getHandle(jobWorkflowId(second.id, 1));
    const { runId } = await handle.describe();
    await rig.stopWorkers();
    for (let sent = 0; sent < MAX_HISTORY_EVENTS; sent += 100) await Promise.all(Array.from({ length: 100 }, () => handle.signal(DEPENDENCY_ENDED)));
    await rig.startWorkers();
    await eventually(async () => (await handle.describe()).runId !== runId);
    expect(await handle.query('status')).toMatchObject({ state: 'waiting', cause: 'dependency' });
    await rig.jobs.control(TENANT, first.id, 'cancel');
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
  });

  test('is woken by the reconciler where nobody else told it', async () => {
    const first = await busy('untold-first');
    const second = await after('untold', [first]);
    await waits(second.id);
    // As an end that was written and not told: the workflow is gone, and so is the signal.
    await rig.env.client.workflow.getHandle(jobWorkflowId(first.id, 1)).terminate();
    await rig.store.advanceJob(TENANT, first.id, { attempt: 1, sequence: 1_000 }, { state: 'completed', completedAt: new Date().toISOString() });
    rig.gate.release();
    expect(await rig.withReconciler(() => rig.ended(second.id))).toMatchObject({ state: 'completed' });
  });
});
