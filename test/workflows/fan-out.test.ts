/** Rows as workflows of their own: one window, one outcome a row, controls of the job and of a single row. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createItems } from '../../src/temporal/items.ts';
import { itemWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import type { ItemJobStatus } from '../../src/contracts/items.ts';
import type { JobRecord, JobRequest } from '../../src/contracts/job.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';
import { historiesOf, replay } from './replay.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterEach(async () => {
  rig.gate.reset();
  rig.gate.forget();
  await rig.replayAll();
});
afterAll(() => rig.close());

const item = (job: JobRecord, row: number) => rig.env.client.workflow.getHandle(itemWorkflowId(job.id, job.attempt, row));
const statusOf = (job: JobRecord, row: number) => item(job, row).query<ItemJobStatus>('status');
const fanned = async (sheet: string, rows: number, concurrency: number, more: Partial<JobRequest> = {}): Promise<JobRecord> =>
  rig.create(sheet, rowsOf(rows), { request: { ...(await rig.gated(concurrency)), fanOut: 'workflow', ...more } });

test('every row is handled once, the window is never exceeded, and a row that fails stays one failed row', async () => {
  let most = 0;
  rig.gate.fail = (key) => {
    most = Math.max(most, rig.gate.started.length - rig.gate.finished.length);
    return key === 'a7' ? { code: 'bad_row' } : null;
  };
  rig.gate.answerMs = 5;
  const job = await fanned('fan', 30, 4);
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 29, failed: 1 });
  expect(new Set(rig.gate.started).size).toBe(30);
  expect(rig.gate.started).toHaveLength(30);
  expect(most).toBeLessThanOrEqual(4);
  expect(await statusOf(job, 2)).toMatchObject({ status: 'completed' });
  expect(await statusOf(job, 8)).toMatchObject({ status: 'failed' });
  await replay(await historiesOf(rig.env.client, item(job, 2).workflowId));

  // A retry takes up the failed row alone.
  rig.gate.reset();
  rig.gate.forget();
  await rig.jobs.retry(TENANT, job.id, { codes: null });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', attempt: 2 });
  expect(rig.gate.started).toEqual(['a7']);
  expect(await rig.totals(job.id)).toMatchObject({ done: 30, failed: 0 });
});

test('one row is paused and resumed, another cancelled, and the others go on', async () => {
  rig.gate.hold = (key) => key === 'a1' || key === 'a2';
  const job = await fanned('single', 10, 3, { drainSeconds: 0 });
  await rig.gate.until(() => rig.gate.held === 2 && rig.gate.finished.length === 8);
  const items = createItems(rig.env.client);
  expect(await items.look(await rig.job(job.id), 2)).toMatchObject({ status: 'in_progress' });
  expect(await items.control(job, 2, 'pause')).toBe(true);
  expect(await items.control(job, 4, 'pause')).toBe(false);
  expect(await items.look(job, 100)).toBeNull();
  await item(job, 3).signal('cancel');
  await eventually(async () => (await statusOf(job, 2)).status === 'paused');
  await eventually(async () => (await statusOf(job, 3)).status === 'cancelled');
  rig.gate.release();
  await item(job, 2).signal('resume');
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 9, failed: 1 });
  expect((await rig.outcomes(job.id)).find(({ row }) => row === 3)).toMatchObject({ state: 'failed', error: { code: 'row_cancelled' } });
});

test('a pause of the job stops all rows, a resume goes on with them, and a cancel ends them', async () => {
  rig.gate.hold = (key) => Number(key.slice(1)) >= 5;
  const job = await fanned('all', 20, 4, { drainSeconds: 0 });
  await rig.gate.until(() => rig.gate.held === 4);
  await rig.jobs.control(TENANT, job.id, 'pause');
  await rig.when(job.id, ({ state }) => state === 'paused');
  expect(await rig.totals(job.id)).toMatchObject({ done: 4 });
  for (const row of [6, 7, 8, 9]) expect((await item(job, row).describe()).status.name).toBe('COMPLETED');

  rig.gate.release();
  rig.gate.hold = (key) => Number(key.slice(1)) >= 12;
  await rig.jobs.control(TENANT, job.id, 'resume');
  await rig.gate.until(() => rig.gate.held === 4);
  await rig.jobs.control(TENANT, job.id, 'cancel');
  expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 11, failed: 0 });
});

test('the window slides over runs that continue as new; items live on, also one that is slow', async () => {
  rig.gate.hold = (key) => key === 'a1';
  const job = await fanned('long', 400, 10);
  await rig.gate.until(() => rig.gate.finished.length === 399);
  rig.gate.release();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 400 });
  expect(rig.gate.started).toHaveLength(400);
  const histories = await historiesOf(rig.env.client, jobWorkflowId(job.id, 1));
  expect(histories.length).toBeGreaterThan(1);
  for (const { history } of histories) expect(history.events!.length).toBeLessThan(2_000);
});
