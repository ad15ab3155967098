/** One job at a time on a source and lane; deletion of jobs in every state. */
import { describe, expect, test } from 'vitest';
import type { JobRecord } from '../../src/contracts/job.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { blobsOf, eventually, rowsOf, TENANT, usualRig, type Rig } from './rig.ts';

let rig: Rig;
usualRig((opened) => { rig = opened; });

/** A job whose first row is held. */
async function busy(sheet: string, lane: string | null = null): Promise<JobRecord> {
  const before = rig.gate.held;
  rig.gate.hold = () => true;
  const job = await rig.create(sheet, rowsOf(4), { request: await rig.gated(), lane });
  await rig.gate.until(() => rig.gate.held === before + 1);
  return job;
}
const waits = (id: string) => rig.when(id, ({ state }) => state === 'waiting');

describe('two jobs on one source and lane', () => {
  test('the second waits, cause dependency, names the first, and runs when that has ended', async () => {
    const first = await busy('queue');
    const second = await rig.create('queue', rowsOf(4), { request: await rig.gated() });
    expect(await waits(second.id)).toMatchObject({ cause: 'dependency', reason: expect.stringContaining(first.id), startedAt: null, manifest: null });
    expect(rig.gate.started).toEqual(['a1']);
    rig.gate.release();
    const [one, two] = await Promise.all([rig.ended(first.id), rig.ended(second.id)]);
    expect(two).toMatchObject({ state: 'completed', cause: null, reason: null });
    expect(two.startedAt! >= one.completedAt!).toBe(true);
    expect(await rig.totals(second.id)).toMatchObject({ unchanged: 4, done: 0 });
  });

  test('the second runs at once on another lane', async () => {
    const first = await busy('side-by-side');
    const second = await rig.create('side-by-side', rowsOf(4), { lane: 'other' });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
    expect(await rig.job(first.id)).toMatchObject({ state: 'running' });
    rig.gate.release();
    await rig.ended(first.id);
  });

  test('a waiting job can be paused, resumed and cancelled, and touches nothing', async () => {
    const first = await busy('queue-cancel');
    const second = await rig.create('queue-cancel', rowsOf(4), { request: await rig.gated() });
    await waits(second.id);
    expect(await rig.jobs.control(TENANT, second.id, 'pause')).toMatchObject({ applied: true, job: { state: 'paused', cause: null } });
    expect(await rig.jobs.control(TENANT, second.id, 'resume')).toMatchObject({ applied: true, job: { state: 'waiting', cause: 'dependency' } });
    expect(await rig.jobs.control(TENANT, second.id, 'cancel')).toMatchObject({ applied: true });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'cancelled', manifest: null });
    rig.gate.release();
    expect(await rig.ended(first.id)).toMatchObject({ state: 'completed' });
  });

  test('a paused job keeps its lane', async () => {
    const first = await busy('queue-paused');
    await rig.jobs.control(TENANT, first.id, 'pause');
    rig.gate.release();
    await rig.when(first.id, ({ state }) => state === 'paused');
    const second = await rig.create('queue-paused', rowsOf(4), { request: await rig.gated() });
    await waits(second.id);
    await rig.jobs.control(TENANT, first.id, 'cancel');
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(second.id)).toMatchObject({ failed: 0, skipped: 0 });
  });
});

describe('delete', () => {
  const gone = (id: string) => eventually(async () => (await rig.store.getJob(TENANT, id)) === null);
  const prepare: [string, (sheet: string) => Promise<JobRecord>][] = [
    ['running', (sheet) => busy(sheet)],
    ['paused', async (sheet) => {
      const job = await busy(sheet);
      await rig.jobs.control(TENANT, job.id, 'pause');
      rig.gate.release();
      return rig.when(job.id, ({ state }) => state === 'paused');
    }],
    ['waiting', async (sheet) => {
      await busy(sheet);
      return waits((await rig.create(sheet, rowsOf(4), { request: await rig.gated() })).id);
    }],
    ['completed', async (sheet) => rig.ended((await rig.create(sheet, rowsOf(4))).id)],
    ['failed', async (sheet) => rig.ended((await rig.create(sheet, rowsOf(4), { request: { keyColumns: ['none'] } })).id)],
  ];
  test.each(prepare)('of a %s job ends it and removes its record, events, pages and blobs', async (state, make) => {
    const job = await make(`delete-${state}`);
    expect(await rig.jobs.remove(TENANT, job.id)).toMatchObject({ desired: 'deleted' });
    await expect(rig.jobs.control(TENANT, job.id, 'pause')).rejects.toMatchObject({ code: expect.stringMatching(/wrong_state|job_not_found/) });
    rig.gate.release();
    await gone(job.id);
    expect(await blobsOf(rig, job.id)).toEqual([]);
    expect(await rig.events(job.id)).toEqual([]);
    expect((await rig.store.listPages(TENANT, job.id, { limit: 10 })).items).toEqual([]);
    expect((await rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).describe()).status.name).not.toBe('RUNNING');
    await expect(rig.jobs.remove(TENANT, job.id)).rejects.toMatchObject({ code: 'job_not_found' });

    // What the ledger knows stays, and the lane is free.
    const next = await rig.create(`delete-${state}`, rowsOf(4), { request: await rig.gated() });
    expect(await rig.ended(next.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started.every((key, index) => rig.gate.started.indexOf(key) === index)).toBe(true);
  });

  test('asked twice is one deletion', async () => {
    const job = await rig.ended((await rig.create('delete-twice', rowsOf(4))).id);
    await Promise.all([rig.jobs.remove(TENANT, job.id), rig.jobs.remove(TENANT, job.id)]);
    await gone(job.id);
  });
});
