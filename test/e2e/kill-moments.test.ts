/** Kills at the moments that are easily forgotten: while the sheet is read, a pause or cancel drains, a retry runs, … */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import Sqlite from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { JobState } from '../../src/contracts/job.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { PARTS, startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, MOST_IN_FLIGHT, rowKey, sheetOf, startCountedJob, until } from './kill-round.ts';

const ROWS = 3_000;
const ANSWER_MS = 20;
/** No row is asked for so long: none will be. */
const QUIET_MS = 1_500;
const TIMEOUT = { timeout: 120_000 };

let stack: TestStack;
let counter: RowCounter & { url: string };

beforeAll(async () => {
  [stack, counter] = await Promise.all([startTestStack(), startRowCounter(ANSWER_MS)]);
  await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
});
afterAll(async () => {
  await Promise.all([stack?.stop(), counter?.close()]);
});
beforeEach(() => {
  counter.clear();
  onTestFailed(async () => console.log(await stack.logs()));
});
afterEach(async () => {
  counter.release();
  counter.refuse(new Set());
  await stack.startMissing();
});

const job = (rows = ROWS, more = {}): Promise<JobAnswer> => startCountedJob(stack, counter.url, rows, more);
const control = (id: string, wish: string, body?: object): Promise<JobAnswer> => stack.call('POST', `/jobs/${id}/${wish}`, body);
const inState = (id: string, state: JobState): Promise<JobAnswer> =>
  until(`job ${id} to be ${state}`, async () => {
    const now = await stack.job(id);
    return now.state === state && now;
  });

async function restart(part: 'worker' | 'api' | 'temporal'): Promise<void> {
  await stack.kill(part);
  await stack.start(part);
}

/** The job has come to this end, everything that tells of it agrees, and only rows in flight were handled twice. */
async function expectEnd(id: string, state: JobState, counts: Partial<JobAnswer['progress']>, rows = ROWS): Promise<void> {
  const now = await ended(stack, id);
  expect(now, now.error?.message).toMatchObject({ state, progress: counts });
  expect(await disagreements(stack, now, rows)).toEqual([]);
  expectFewTwice();
}

function expectFewTwice(): void {
  const twice = [...counter.byKey().values()].filter(({ length }) => length > 1);
  expect(twice.length).toBeLessThanOrEqual(MOST_IN_FLIGHT);
  expect(twice.filter(({ length }) => length > 2)).toEqual([]);
}

test('killed while the sheet is read, the worker reads it again', TIMEOUT, async () => {
  const rows = 20_000;
  const upload = await stack.upload('wide.csv', sheetOf(rows, 'x'.repeat(2_000)));
  const { id } = await stack.create({ source: { upload }, keyColumns: ['id'], handler: 'store' });
  await until('the sheet to be read', async () => (await stack.job(id)).progress.stage === 'snapshot');
  await stack.kill('worker');
  expect((await stack.job(id)).manifest).toBeUndefined();
  await stack.start('worker');
  const now = await ended(stack, id);
  expect(now).toMatchObject({ state: 'completed', progress: { total: rows, done: rows } });
  expect((await stack.results(id)).map(({ key }) => key)).toEqual(Array.from({ length: rows }, (_, index) => rowKey(index)));
});

test('paused, a job outlives the death of everything, stays paused, and goes on when it is resumed', TIMEOUT, async () => {
  const { id } = await job();
  await counter.answered(500);
  await control(id, 'pause');
  await inState(id, 'paused');
  const asked = counter.calls.length;

  await Promise.all(PARTS.map((part) => stack.kill(part)));
  await stack.startMissing();
  // Another job goes all the way through: everything works again, and this one could have moved.
  const { id: other } = await stack.create({ source: { upload: await stack.upload('other.csv', sheetOf(10)) }, handler: 'store' });
  expect((await ended(stack, other)).state).toBe('completed');
  expect(await stack.job(id)).toMatchObject({ state: 'paused' });
  expect(counter.calls.length).toBe(asked);

  await control(id, 'resume');
  await expectEnd(id, 'completed', { done: ROWS });
  expect(counter.calls.length, 'a drained pause leaves nothing to repeat').toBe(ROWS);
});

test('killed while a pause drains, the job is paused afterwards, and completes when it is resumed', TIMEOUT, async () => {
  const { id } = await job();
  await counter.answered(500);
  counter.hold();
  await control(id, 'pause');
  await inState(id, 'pausing');
  await restart('worker');
  counter.release();
  await inState(id, 'paused');
  await control(id, 'resume');
  await expectEnd(id, 'completed', { done: ROWS });
});

test('killed while a cancel drains, the job is cancelled, and a retry does the rest', TIMEOUT, async () => {
  const { id } = await job();
  await counter.answered(500);
  counter.hold();
  await control(id, 'cancel');
  await inState(id, 'cancelling');
  await restart('worker');
  counter.release();
  await expectEnd(id, 'cancelled', {});
  const { progress } = await stack.job(id);
  expect(progress.done).toBeGreaterThan(0);
  expect(progress.remaining).toBeGreaterThan(0);
  await control(id, 'retry', {});
  await expectEnd(id, 'completed', { done: ROWS });
});

test('killed in a retry, the failed rows are done once and the others are left alone', TIMEOUT, async () => {
  const failing = new Set(Array.from({ length: 1_000 }, (_, index) => rowKey(index * 3)));
  counter.refuse(failing);
  const { id } = await job(ROWS, { breaker: false });
  await expectEnd(id, 'completed', { done: 2_000, failed: 1_000 });
  counter.refuse(new Set());
  counter.clear();
  await control(id, 'retry', {});
  await counter.answered(300);
  await restart('worker');
  await expectEnd(id, 'completed', { done: ROWS, failed: 0 });
  expect(new Set(counter.byKey().keys())).toEqual(failing);
});

test('killed when the last page has just ended, the job ends all the same', TIMEOUT, async () => {
  const { id, tenant } = await job(1_000);
  const store = await openSqliteStore({ folder: path.join(stack.home, 'store') });
  await counter.answered(990);
  while (!(await store.getPage(tenant, id, 1))?.complete) await setImmediate();
  await stack.kill('worker');
  await store.close();
  await stack.start('worker');
  await expectEnd(id, 'completed', { done: 1_000 }, 1_000);
  expect(counter.calls.length).toBe(1_000);
});

test('terminated by an operator while no worker lives, the record says so once one is back, and a retry does the rest', TIMEOUT, async () => {
  const { id } = await job();
  await counter.answered(1_500);
  await stack.kill('worker');
  await promisify(execFile)(stack.temporalCli, [
    'workflow', 'terminate', '--address', stack.temporal, '--workflow-id', jobWorkflowId(id, 1), '--reason', 'a test',
  ]);
  await stack.start('worker');
  await expectEnd(id, 'failed', {});
  const { error, progress } = await stack.job(id);
  expect(error).toMatchObject({ code: 'workflow_terminated' });
  expect(progress.done).toBeGreaterThanOrEqual(1_500 - MOST_IN_FLIGHT);
  expect(progress.remaining).toBe(ROWS - progress.done);
  await control(id, 'retry', {});
  await expectEnd(id, 'completed', { done: ROWS });
});

test('accepted while Temporal was away, by an API that was killed then, a job is started and completes', TIMEOUT, async () => {
  await stack.kill('temporal');
  const { id, state } = await job(1_000);
  expect(state).toBe('queued');
  await stack.kill('api');
  await stack.startMissing();
  await expectEnd(id, 'completed', { done: 1_000 }, 1_000);
  expect(counter.calls.length).toBe(1_000);
});

test('rows that the store has not taken yet hold new ones back, so that a kill costs no more than the rows in flight', TIMEOUT, async () => {
  const { id } = await job();
  await counter.answered(500);
  const other = new Sqlite(path.join(stack.home, 'store', 'ledger.db'), { timeout: 10_000 });
  other.exec('BEGIN IMMEDIATE');
  try {
    await until('rows to stop', () => Promise.resolve(performance.now() - counter.calls.at(-1)!.asked > QUIET_MS));
    await stack.kill('worker');
  } finally {
    other.close();
  }
  await stack.start('worker');
  await expectEnd(id, 'completed', { done: ROWS });
});
