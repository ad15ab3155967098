/** Rows as workflows of their own: one window, one outcome a row, controls of the job and of a single row. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createItems, type Items } from '../../src/temporal/items.ts';
import { itemWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import type { ItemJobStatus } from '../../src/contracts/items.ts';
import type { JobRecord, JobRequest, SheetJobRecord } from '../../src/contracts/job.ts';
import { startMeteredApi, writeLimitedHandler, type MeteredApi } from '../servers/metered-api.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';
import { historiesOf, replay } from './replay.ts';

const LIMITS = JSON.stringify({ narrow: { per: 8, perUser: 4, perProject: { capacity: 100, refill: 20 } } });

let rig: Rig;
let items: Items;
let api: MeteredApi;
beforeAll(async () => {
  [rig, api] = await Promise.all([openRig({ namedLimits: LIMITS }), startMeteredApi()]);
  items = createItems(rig.env.client, rig.jobs);
  await writeLimitedHandler(path.join(rig.folder, 'narrow.mjs'), ['narrow']);
  await rig.startWorkers();
});
afterEach(async () => {
  rig.gate.reset();
  rig.gate.forget();
  await rig.replayAll();
});
afterAll(async () => {
  await rig?.close();
  await api?.close();
});

const item = (job: JobRecord, row: number) => rig.env.client.workflow.getHandle(itemWorkflowId(job.id, job.attempt, row));
const statusOf = (job: JobRecord, row: number) => item(job, row).query<ItemJobStatus>('status');
const ended = async (job: JobRecord) => (await rig.ended(job.id)) as SheetJobRecord;
const fanned = async (sheet: string, rows: number, concurrency: number, more: Partial<JobRequest> = {}): Promise<SheetJobRecord> =>
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

test('one row is paused and holds no place, another is cancelled, and the others go on; what is left waits for whoever paused it', async () => {
  rig.gate.hold = (key) => key === 'a1' || key === 'a2';
  const job = await fanned('single', 10, 3, { drainSeconds: 0 });
  await rig.gate.until(() => rig.gate.held === 2 && rig.gate.finished.length === 8);
  expect(await items.look(await rig.job(job.id), 2)).toMatchObject({ status: 'in_progress' });
  await items.ask(job, 2, 1, { control: 'pause' });
  await expect(items.ask(job, 4, 1, { control: 'pause' })).rejects.toMatchObject({ code: 'wrong_state', message: 'Row 4 has ended.' });
  expect(await items.look(job, 100)).toBeNull();
  await item(job, 3).signal('cancel');
  await eventually(async () => (await statusOf(job, 2)).status === 'paused');
  await eventually(async () => (await statusOf(job, 3)).status === 'cancelled');
  expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'approval', until: null });
  rig.gate.release();
  await items.ask(job, 2, 1, { control: 'resume' });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 9, failed: 1 });
  expect((await rig.outcomes(job.id)).find(({ row }) => row === 3)).toMatchObject({ state: 'failed', error: { code: 'row_cancelled' } });
  expect((await statusOf(job, 2)).events.map(({ status }) => status)).toEqual(['queued', 'dispatched', 'paused', 'dispatched', 'completed']);
  await replay((await Promise.all([2, 3].map((row) => historiesOf(rig.env.client, item(job, row).workflowId)))).flat());
});

test('rows that have not begun take priority, pause and cancel; a paused one lets others pass', async () => {
  rig.gate.hold = (key) => key === 'a1';
  const job = await fanned('ahead', 8, 1);
  await rig.gate.until(() => rig.gate.held === 1);
  await items.ask(job, 8, 1, { priority: 'urgent' });
  await items.ask(job, 3, 1, { priority: 'low' });
  await items.ask(job, 4, 1, { control: 'cancel' });
  await items.ask(job, 5, 1, { control: 'pause' });
  expect(await items.asked(job, 5)).toEqual({ status: 'paused', priority: 'normal' });
  expect(await items.asked(job, 6)).toBeNull();
  rig.gate.release();
  expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'approval' });
  expect(rig.gate.started).toEqual(['a1', 'a7', 'a5', 'a6', 'a8', 'a2']);
  expect(await statusOf(job, 4)).toMatchObject({ status: 'cancelled' });
  await items.ask(job, 5, 1, { control: 'resume' });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 7, failed: 1 });
});

test('a row that failed is tried again while its job runs, and when it has ended, and no other row is', async () => {
  rig.gate.fail = (key) => (key === 'a2' || key === 'a3' ? { code: 'bad_row' } : null);
  rig.gate.hold = (key) => key === 'a5';
  const job = await fanned('again', 5, 2);
  await rig.gate.until(() => rig.gate.held === 1 && rig.gate.finished.length === 4);
  await eventually(async () => (await statusOf(job, 3)).status === 'failed');
  await eventually(() => items.ask(job, 3, 1, { control: 'retry' }).then(() => true, () => false));
  await rig.gate.until(() => rig.gate.started.length === 6);
  await eventually(async () => (await rig.totals(job.id)).failed === 2);
  rig.gate.fail = (key) => (key === 'a3' ? { code: 'bad_row' } : null);
  await eventually(() => items.ask(job, 3, 1, { control: 'retry' }).then(() => true, () => false));
  await rig.gate.until(() => rig.gate.started.length === 7);
  rig.gate.release();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', attempt: 1 });
  expect(rig.gate.started.toSorted()).toEqual(['a1', 'a2', 'a2', 'a2', 'a3', 'a4', 'a5']);
  expect(await rig.totals(job.id)).toMatchObject({ done: 4, failed: 1 });
  expect(await rig.store.countFailedRows(TENANT, job.id)).toEqual([{ code: 'bad_row', rows: 1 }]);

  rig.gate.fail = () => null;
  await items.ask(await ended(job), 4, 1, { control: 'retry' });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', attempt: 2 });
  expect(rig.gate.started.slice(7)).toEqual(['a3']);
  expect(await rig.totals(job.id)).toMatchObject({ done: 5, failed: 0 });
});

test('rows that need no handler become no workflows: unchanged, duplicate, without a key, blank', async () => {
  const before = await rig.ended((await rig.create('few', rowsOf(3), { request: await rig.gated() })).id);
  expect(before.state).toBe('completed');
  const job = await rig.create('few', `${rowsOf(4)},\na1,9\n,7\n`, { request: { ...(await rig.gated(4)), fanOut: 'workflow' } });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 1, unchanged: 3, failed: 2, skipped: 1 });
  expect(rig.gate.started).toEqual(['a1', 'a2', 'a3', 'a4']);
  expect(await items.look(job, 5)).toMatchObject({ status: 'completed' });
  for (const row of [2, 3, 4, 6, 7, 8]) expect(await items.look(job, row)).toBeNull();
});

test('rows that wait for a limit say so, and so does their job when none of them can go on', async () => {
  const job = await rig.create('limited', rowsOf(6), {
    request: { handler: 'module', keyColumns: ['name'], concurrency: 6, fanOut: 'workflow', options: { file: path.join(rig.folder, 'narrow.mjs'), options: { url: api.url, user: 'tester' } } },
  });
  const waiting = await rig.when(job.id, ({ state }) => state === 'waiting');
  expect(waiting).toMatchObject({ cause: 'rate_limit', reason: 'Limit narrow has no call left for now.' });
  expect(Date.parse(waiting.until!)).toBeGreaterThan(Date.parse(waiting.updatedAt));
  const statuses = await Promise.all([2, 3, 4, 5, 6, 7].map(async (row) => (await statusOf(job, row)).status));
  expect(statuses.toSorted()).toEqual(['completed', 'completed', 'completed', 'completed', 'rate_limited', 'rate_limited']);
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', cause: null });
  expect(api.arrivals).toHaveLength(6);
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

test('a row whose workflow is terminated fails as one that was cancelled, unless the ledger has it', async () => {
  rig.gate.hold = (key) => key === 'a1';
  const job = await fanned('terminated', 3, 1, { drainSeconds: 0 });
  await rig.gate.until(() => rig.gate.held === 1);
  await item(job, 2).terminate('a test');
  await rig.jobs.control(TENANT, job.id, 'pause');
  await rig.when(job.id, ({ state }) => state === 'paused');
  await rig.jobs.control(TENANT, job.id, 'resume');
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 2, failed: 1 });
  expect(await rig.store.countFailedRows(TENANT, job.id)).toEqual([{ code: 'row_cancelled', rows: 1 }]);
});

test('the window slides over runs that continue as new; items live on, also one that is slow', { timeout: 180_000 }, async () => {
  rig.gate.hold = (key) => key === 'a1';
  const job = await fanned('long', 280, 10);
  await rig.gate.until(() => rig.gate.finished.length === 279);
  rig.gate.release();
  expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
  expect(await rig.totals(job.id)).toMatchObject({ done: 280 });
  expect(rig.gate.started).toHaveLength(280);
  const histories = await historiesOf(rig.env.client, jobWorkflowId(job.id, 1));
  expect(histories.length).toBeGreaterThan(1);
  for (const { history } of histories) expect(history.events!.length).toBeLessThan(2_000);
});
