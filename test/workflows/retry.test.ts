/** Retry of ended jobs, and the circuit breaker. */
import { describe, expect, test } from 'vitest';
import type { BreakerOptions, JobRecord, JobRequest } from '../../src/contracts/job.ts';
import { rowsOf, TENANT, usualRig, type Rig } from './rig.ts';

let rig: Rig;
usualRig((opened) => { rig = opened; });

const failing = (codes: { [key: string]: string }) => (key: string) => (codes[key] === undefined ? null : { code: codes[key] });
const failedCodes = (id: string) => rig.store.countFailedRows(TENANT, id);
async function run(sheet: string, rows: number, request: Partial<JobRequest> = {}): Promise<JobRecord> {
  const job = await rig.create(sheet, rowsOf(rows), { request: { ...(await rig.gated()), ...request } });
  return rig.ended(job.id);
}
async function retry(job: JobRecord, codes: string[] | null): Promise<JobRecord> {
  rig.gate.forget();
  expect(await rig.jobs.retry(TENANT, job.id, { codes })).toMatchObject({ state: 'queued', attempt: job.attempt + 1, completedAt: null, error: null });
  return rig.when(job.id, ({ state, attempt }) => state !== 'queued' && attempt === job.attempt + 1 && ['completed', 'failed', 'cancelled'].includes(state));
}

describe('retry', () => {
  test('runs the failed rows again and no other, in the same record; what succeeds leaves the list of failed rows', async () => {
    rig.gate.fail = failing({ a2: 'down', a4: 'down', a5: 'wrong' });
    const job = await run('retry-all', 6);
    expect(await failedCodes(job.id)).toEqual([{ code: 'down', rows: 2 }, { code: 'wrong', rows: 1 }]);

    rig.gate.fail = failing({ a5: 'wrong' });
    const again = await retry(job, null);
    expect(again).toMatchObject({ id: job.id, state: 'completed', attempt: 2 });
    expect(rig.gate.started).toEqual(['a2', 'a4', 'a5']);
    expect(await rig.totals(job.id)).toEqual({ done: 5, unchanged: 0, failed: 1, skipped: 0, tried: 3, faults: 1 });
    expect((await rig.outcomes(job.id)).map(({ row, state }) => [row, state])).toEqual(
      [[2, 'done'], [3, 'done'], [4, 'done'], [5, 'done'], [6, 'failed'], [7, 'done']]);
    expect(await failedCodes(job.id)).toEqual([{ code: 'wrong', rows: 1 }]);
    expect(await rig.events(job.id)).toEqual(['created', 'running', 'snapshot', 'completed', 'retried', 'running', 'completed']);
  });

  test('of one code leaves failures with other codes as they are', async () => {
    rig.gate.fail = failing({ a1: 'down', a3: 'wrong' });
    const job = await run('retry-code', 4);
    rig.gate.fail = () => null;
    await retry(job, ['down']);
    expect(rig.gate.started).toEqual(['a1']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, failed: 1 });
    expect(await failedCodes(job.id)).toEqual([{ code: 'wrong', rows: 1 }]);
    await expect(rig.jobs.retry(TENANT, job.id, { codes: ['down'] })).rejects.toMatchObject({ code: 'wrong_state', remedy: expect.stringContaining('wrong (1)') });
  });

  test('of one group takes the rows whose failures have its cause, and no other of the same code', async () => {
    rig.gate.fail = (key) => (['a1', 'a3'].includes(key) ? { code: 'down', message: `Server ${key.slice(1)} is down` } : key === 'a2' ? { code: 'down', message: 'The disk is full' } : null);
    const job = await run('retry-group', 4);
    const [servers, disk] = await rig.store.groupFailedRows(TENANT, job.id, 9);
    expect([servers, disk]).toMatchObject([{ rows: 2, first: 2 }, { rows: 1, first: 3 }]);
    rig.gate.fail = () => null;
    rig.gate.forget();
    await expect(rig.jobs.retry(TENANT, job.id, { codes: null, fingerprints: ['nobody'] })).rejects.toMatchObject({ code: 'wrong_state' });
    await rig.jobs.retry(TENANT, job.id, { codes: null, fingerprints: [servers!.fingerprint] });
    await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    expect(rig.gate.started).toEqual(['a1', 'a3']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, failed: 1 });
  });

  test('takes the rows that a cancelled job did not reach, each once over both attempts', async () => {
    rig.gate.hold = (key) => key === 'a3';
    const job = await rig.create('retry-rest', rowsOf(8), { request: { ...(await rig.gated()), drainSeconds: 0 } });
    await rig.gate.until(() => rig.gate.held === 1);
    await rig.jobs.control(TENANT, job.id, 'cancel');
    const cancelled = await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 2, failed: 0 });
    rig.gate.release();
    await retry(cancelled, null);
    expect(rig.gate.started).toEqual(['a3', 'a4', 'a5', 'a6', 'a7', 'a8']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 8, unchanged: 0, failed: 0 });
  });

  test('of a job that failed before its sheet was read reads it then', async () => {
    const job = await run('retry-unread', 3, { keyColumns: ['nobody'] });
    expect(job).toMatchObject({ state: 'failed', error: { code: 'key_column_missing' }, manifest: null });
    expect(await retry(job, null)).toMatchObject({ state: 'failed', attempt: 2, error: { code: 'key_column_missing' } });
  });

  test('under force handles what failed, not what this job has done', async () => {
    await run('retry-force', 4);
    rig.gate.fail = failing({ a2: 'down' });
    const job = await run('retry-force', 4, { force: true });
    rig.gate.fail = () => null;
    await retry(job, null);
    expect(rig.gate.started).toEqual(['a2']);
    expect(await rig.totals(job.id)).toMatchObject({ done: 4, unchanged: 0 });
  });

  test('cancelled in the middle leaves what it did not reach, and the list of failed rows agrees with the counts', async () => {
    rig.gate.fail = failing({ a2: 'down', a4: 'down' });
    const job = await run('retry-cancelled', 5);
    rig.gate.fail = () => null;
    rig.gate.hold = (key) => key === 'a4';
    rig.gate.forget();
    await rig.jobs.retry(TENANT, job.id, { codes: null });
    await rig.gate.until(() => rig.gate.held === 1);
    // The drain limit is 30 s: the row in flight is let finish.
    await rig.jobs.control(TENANT, job.id, 'cancel');
    rig.gate.fail = failing({ a4: 'down' });
    rig.gate.release();
    await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 4, failed: 1 });
    expect(await failedCodes(job.id)).toEqual([{ code: 'down', rows: 1 }]);
  });

  test('aborted leaves rows in flight and not reached failed as they were, in the counts, the results and the list', async () => {
    rig.gate.fail = failing({ a2: 'down', a4: 'down' });
    const job = await run('retry-aborted', 5, { drainSeconds: 0 });
    rig.gate.fail = () => null;
    rig.gate.hold = () => true;
    rig.gate.forget();
    await rig.jobs.retry(TENANT, job.id, { codes: null });
    await rig.gate.until(() => rig.gate.held === 1);
    await rig.jobs.control(TENANT, job.id, 'cancel');
    await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, failed: 2 });
    expect((await rig.outcomes(job.id)).filter(({ state }) => state === 'failed').map(({ row }) => row)).toEqual([3, 5]);
    expect(await failedCodes(job.id)).toEqual([{ code: 'down', rows: 2 }]);
    rig.gate.release();
    expect(await retry(await rig.ended(job.id), null)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 5, failed: 0 });
  });
});

describe('the circuit breaker', () => {
  const breaker: BreakerOptions = { minRows: 20, maxFailedFraction: 0.3 };
  const odd = (key: string) => (Number(key.slice(1)) % 2 === 1 ? { code: 'down' } : null);

  test('ends the job failed once enough rows failed, says why, keeps what is done, and overshoots by the rows in flight at most', async () => {
    rig.gate.fail = odd;
    const job = await run('breaker', 100, { breaker, concurrency: 3 });
    expect(job).toMatchObject({
      state: 'failed',
      error: { code: 'circuit_breaker', message: expect.stringMatching(/\d+ of the \d+ rows tried failed/), remedy: expect.stringContaining('retry') },
    });
    const totals = await rig.totals(job.id);
    expect(totals.tried).toBeGreaterThanOrEqual(20);
    expect(totals.tried).toBeLessThanOrEqual(20 + 3);
    expect(rig.gate.started).toHaveLength(totals.tried);
    expect(totals.done + totals.failed).toBe(totals.tried);

    // Mended, a retry goes on with the failed and remaining rows.
    rig.gate.fail = () => null;
    expect(await retry(job, null)).toMatchObject({ state: 'completed', error: null });
    expect(rig.gate.started).toHaveLength(100 - totals.done);
    expect(await rig.totals(job.id)).toMatchObject({ done: 100, failed: 0 });
  });

  test('does not trip below its share, below its number of rows, or when it is off', async () => {
    rig.gate.fail = (key) => (Number(key.slice(1)) % 4 === 0 ? { code: 'down' } : null);
    expect(await run('breaker-share', 40, { breaker })).toMatchObject({ state: 'completed' });
    rig.gate.fail = () => ({ code: 'down' });
    expect(await run('breaker-few', 19, { breaker })).toMatchObject({ state: 'completed' });
    expect(await run('breaker-off', 40, { breaker: null })).toMatchObject({ state: 'completed' });
  });

  test('counts neither duplicates, nor missing keys, nor failures carried from an earlier job', async () => {
    const strict: BreakerOptions = { minRows: 1, maxFailedFraction: 0 };
    const request = { ...(await rig.gated()), breaker: strict };
    const csv = `name,n\n${Array.from({ length: 10 }, () => 'same,1\n,2').join('\n')}\n`;
    const keys = await rig.create('breaker-keys', csv, { request });
    expect(await rig.ended(keys.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(keys.id)).toMatchObject({ done: 1, failed: 19, tried: 1, faults: 0 });

    rig.gate.fail = (key) => (key === 'a1' ? null : { code: 'down' });
    await run('breaker-carried', 10, { breaker: null });
    const carried = await run('breaker-carried', 10, { breaker: strict });
    expect(carried).toMatchObject({ state: 'completed' });
    expect(await rig.totals(carried.id)).toMatchObject({ unchanged: 1, failed: 9, tried: 0 });
  });

  test('of a retry counts the rows of that attempt alone', async () => {
    rig.gate.fail = () => ({ code: 'down' });
    const job = await run('breaker-attempt', 30, { breaker: { minRows: 35, maxFailedFraction: 0.3 } });
    expect(job).toMatchObject({ state: 'completed' });
    rig.gate.fail = odd;
    const again = await retry(job, null);
    expect(again.state).toBe('completed');
    expect(await rig.totals(job.id)).toMatchObject({ done: 15, failed: 15, tried: 30, faults: 15 });
  });
});
