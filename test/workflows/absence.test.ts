/** Workers, Temporal and the store, each away for a while: what was asked is kept, said and done in the end. */
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TASK_QUEUES } from '../../src/contracts/messages.ts';
import { createJobs, type Jobs } from '../../src/temporal/jobs.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { blobsOf, eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
/** As the API has them while Temporal is down. */
let offline: { jobs: Jobs; connection: Connection };
beforeAll(async () => {
  rig = await openRig();
  const connection = Connection.lazy({ address: `127.0.0.1:${await freePort()}` });
  offline = { connection, jobs: createJobs(rig.store, new Client({ connection })) };
});
afterEach(async () => {
  rig.gate.reset();
  rig.refuse.clear();
  await rig.replayAll();
});
afterAll(async () => {
  await offline.connection.close();
  await rig.close();
});

describe('while no worker runs', () => {
  test('pause and cancel are taken, answered as not applied, and applied when a worker comes', async () => {
    await rig.stopWorkers();
    const paused = await rig.create('absent-pause', rowsOf(4), { request: await rig.gated() });
    const cancelled = await rig.create('absent-cancel', rowsOf(4), { request: await rig.gated() });
    const [pause, cancel] = await Promise.all([
      rig.jobs.control(TENANT, paused.id, 'pause'), rig.jobs.control(TENANT, cancelled.id, 'cancel'),
    ]);
    expect([pause.applied, pause.job.state, cancel.applied, cancel.job.state]).toEqual([false, 'queued', false, 'queued']);

    await rig.startWorkers();
    await rig.when(paused.id, ({ state }) => state === 'paused');
    expect(await rig.ended(cancelled.id)).toMatchObject({ state: 'cancelled' });
    expect(rig.gate.started).toEqual([]);
    await rig.jobs.control(TENANT, paused.id, 'resume');
    expect(await rig.ended(paused.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started).toHaveLength(4);
  });

  test('a worker that stops in the middle of a page drains, and the next goes on at the next undone row', async () => {
    await rig.startWorkers();
    rig.gate.hold = (key) => key === 'a3';
    const job = await rig.create('handover', rowsOf(6), { request: await rig.gated() });
    await rig.gate.until(() => rig.gate.held === 1);
    const stopped = rig.stopWorkers();
    rig.gate.release();
    await stopped;
    await rig.startWorkers();
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 6, unchanged: 0 });
  });
});

test('while the tasks of its workflow fail, a pause is taken, answered as not applied, and applied when they succeed again', async () => {
  await rig.stopWorkers();
  const worker = await Worker.create({
    connection: rig.env.nativeConnection, namespace: rig.env.namespace ?? 'default', taskQueue: TASK_QUEUES.jobs,
    workflowsPath: fileURLToPath(new URL('failing-workflows.ts', import.meta.url)),
  });
  const { applied, job } = await worker.runUntil(async () => {
    const created = await rig.create('failing-tasks', rowsOf(4), { request: await rig.gated() });
    const handle = rig.env.client.workflow.getHandle(jobWorkflowId(created.id, 1));
    await eventually(async () => ((await handle.describe()).raw.pendingWorkflowTask?.attempt ?? 0) >= 3);
    return rig.jobs.control(TENANT, created.id, 'pause');
  });
  expect([applied, job.state]).toEqual([false, 'queued']);

  await rig.startWorkers();
  await rig.when(job.id, ({ state }) => state === 'paused');
  await rig.jobs.control(TENANT, job.id, 'resume');
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
});

describe('while Temporal is away', () => {
  test('a job is accepted and started later; a pause is kept and delivered', async () => {
    await rig.startWorkers();
    const like = await rig.create('offline', rowsOf(3)); // makes the file, too
    await rig.ended(like.id);
    const { job } = await offline.jobs.create({ ...like, source: 'offline', lane: 'offline' });
    expect(job).toMatchObject({ state: 'queued' });
    expect(await offline.jobs.control(TENANT, job.id, 'pause')).toMatchObject({ applied: false, job: { state: 'queued', desired: 'paused' } });

    await rig.withReconciler(async () => {
      expect(await rig.when(job.id, ({ state }) => state === 'paused')).toMatchObject({ manifest: null });
      await rig.when(job.id, ({ desired }) => desired === null);
      await rig.jobs.control(TENANT, job.id, 'resume');
      expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    });
    expect(await rig.totals(job.id)).toMatchObject({ done: 3 });
  });

  test('a job that is deleted meanwhile is gone when it is back', async () => {
    await rig.startWorkers();
    const job = await rig.ended((await rig.create('offline-delete', rowsOf(3))).id);
    expect(await offline.jobs.remove(TENANT, job.id)).toMatchObject({ desired: 'deleted', state: 'completed' });
    await rig.withReconciler(() => eventually(async () => (await rig.store.getJob(TENANT, job.id)) === null));
    expect(await blobsOf(rig, job.id)).toEqual([]);
  });
});

describe('an operator', () => {
  test('who terminates a workflow gets a record that says so, with the rows that were done', async () => {
    await rig.startWorkers();
    rig.gate.hold = (key) => key === 'a4';
    const job = await rig.create('terminated', rowsOf(8), { request: { ...(await rig.gated()), drainSeconds: 0 } });
    await rig.gate.until(() => rig.gate.held === 1);
    await eventually(async () => (await rig.totals(job.id)).done === 3);
    await rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).terminate('by an operator');

    await rig.withReconciler(() => rig.ended(job.id));
    rig.gate.release();
    expect(await rig.job(job.id)).toMatchObject({ state: 'failed', error: { code: 'workflow_terminated', remedy: expect.stringContaining('retry') } });
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, failed: 0 });
    expect((await rig.outcomes(job.id)).map(({ row, state }) => [row, state])).toEqual([[2, 'done'], [3, 'done'], [4, 'done']]);

    rig.gate.forget();
    await rig.jobs.retry(TENANT, job.id, { codes: null });
    expect(await rig.when(job.id, ({ state, attempt }) => attempt === 2 && state === 'completed')).toMatchObject({ error: null });
    expect(rig.gate.started).toEqual(['a4', 'a5', 'a6', 'a7', 'a8']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 8 });
  });
});

describe('while the store refuses', () => {
  test('records wait for it: a job that cannot be admitted is admitted when it is back', async () => {
    await rig.startWorkers();
    rig.refuse.add('enqueue');
    const job = await rig.create('store-away', rowsOf(3));
    const handle = rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1));
    await eventually(async () => ((await handle.describe()).raw.pendingActivities?.[0]?.attempt ?? 0) > 1);
    expect(await rig.job(job.id)).toMatchObject({ state: 'queued' });
    rig.refuse.clear();
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  });

  test('a page is tried again; what was committed is not handled again', async () => {
    await rig.startWorkers();
    rig.gate.hold = (key) => key === 'a3';
    const job = await rig.create('store-away-page', rowsOf(6), { request: await rig.gated() });
    await eventually(async () => (await rig.totals(job.id)).done === 2);
    rig.refuse.add('readItems');
    rig.refuse.add('commitRows');
    rig.gate.release();
    expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'capacity' });
    rig.refuse.clear();
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 6, unchanged: 0, failed: 0 });
    expect(rig.gate.started.slice(0, 2)).toEqual(['a1', 'a2']);
    // The first two were committed; of the rest, what had no commit yet is handled again.
    expect(rig.gate.started.filter((key) => key === 'a1' || key === 'a2')).toHaveLength(2);
  });
});
