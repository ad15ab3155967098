/** What a job does while the store or the blobs refuse: it waits, says why, and goes on by itself. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(async () => {
  rig.refuse.clear();
  rig.refuseBlobs.clear();
  rig.gate.reset();
  await rig.replayAll();
});
afterAll(() => rig.close());

const statusOf = (id: string) => rig.env.client.workflow.getHandle(jobWorkflowId(id, 1)).query<{ state: string; cause: string | null }>('status');

test('rows that cannot be kept make the job wait, cause capacity, with the reason; it goes on by itself and loses nothing', async () => {
  rig.refuse.add('commitRows').add('check');
  const job = await rig.create('refused', rowsOf(20), { request: await rig.gated(4) });
  expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'capacity', reason: 'The store does not answer.' });
  rig.refuse.clear();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', cause: null, reason: null });
  expect(await rig.totals(job.id)).toMatchObject({ done: 20, failed: 0 });
});

test('no row is handled while the store is away', async () => {
  rig.gate.hold = () => true;
  const job = await rig.create('away', rowsOf(20), { request: await rig.gated(2) });
  await rig.gate.until(() => rig.gate.held === 2);
  rig.refuse.add('commitRows').add('check');
  rig.gate.release();
  await rig.when(job.id, ({ state }) => state === 'waiting');
  const handled = rig.gate.started.length;
  // Asked again and again meanwhile; each time it is the store that is asked, not a handler.
  const handle = rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1));
  await eventually(async () => (await handle.describe()).raw.pendingActivities?.some(({ activityType, attempt }) => activityType?.name === 'checkStores' && (attempt ?? 0) >= 2));
  expect(rig.gate.started).toHaveLength(handled);
  rig.refuse.clear();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
});

test('while not even its record can be written, the workflow says that it waits, and the record says so once it can', async () => {
  rig.refuse.add('commitRows').add('advanceJob').add('check');
  rig.gate.hold = () => true;
  const job = await rig.create('unwritable', rowsOf(3), { request: await rig.gated(3) });
  rig.refuse.delete('advanceJob');
  await rig.gate.until(() => rig.gate.held === 3);
  rig.refuse.add('advanceJob');
  rig.gate.release();
  await eventually(async () => (await statusOf(job.id)).cause === 'capacity');
  expect((await rig.store.getJob(TENANT, job.id))?.state).toBe('running');
  rig.refuse.delete('advanceJob');
  await rig.when(job.id, ({ state, cause }) => state === 'waiting' && cause === 'capacity');
  rig.refuse.clear();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
});

test('a job that waits can be paused, resumed and cancelled', async () => {
  rig.refuse.add('commitRows').add('check');
  const job = await rig.create('steered', rowsOf(5), { request: await rig.gated(2) });
  await rig.when(job.id, ({ state }) => state === 'waiting');
  await rig.jobs.control(TENANT, job.id, 'pause');
  await rig.when(job.id, ({ state }) => state === 'paused');
  await rig.jobs.control(TENANT, job.id, 'resume');
  await rig.when(job.id, ({ state }) => state === 'waiting');
  await rig.jobs.control(TENANT, job.id, 'cancel');
  expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled' });
});

test('blobs that are away while the sheet is read make the job wait as well', async () => {
  rig.refuseBlobs.add('put').add('check');
  const job = await rig.create('unread', rowsOf(3));
  expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'capacity', reason: 'The blobs do not answer.', manifest: null });
  rig.refuseBlobs.clear();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', manifest: { rows: 3 } });
});
