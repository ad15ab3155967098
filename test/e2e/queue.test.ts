/** The queue of two workers on the real server: its limits hold, and nothing is lost or admitted twice, whatever is killed. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { SOAK_LIMITS, soakJobs } from './job-soak.ts';
import { sheetOf, until } from './kill-round.ts';

const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Math.random() * 1e9));
console.log(`What happens to the jobs comes from SOAK_SEED=${seed}`);

let stack: TestStack;
let counter: RowCounter & { url: string };
beforeAll(async () => {
  [stack, counter] = await Promise.all([startTestStack({ workers: 2, env: SOAK_LIMITS }), startRowCounter(20)]);
  await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
});
afterAll(async () => {
  await Promise.all([stack?.stop(), counter?.close()]);
});

test('50 small jobs of 10 tenants, paused, resumed, cancelled and reprioritised at random while a worker, the API and Temporal are killed: no limit is exceeded, and record, results, ledger and workflow of every job agree', { timeout: 400_000 }, async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  const report = await soakJobs(stack, counter, { jobs: 50, tenants: 10, rows: 20, seed, victims: ['worker', 'api', 'temporal'] });
  console.log(JSON.stringify(report));
  expect(report.violations).toEqual([]);
});

test("a tenant's ten rows are done while another's three large jobs still have rows left", { timeout: 300_000 }, async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  await stack.startMissing();
  const large = path.join(stack.folder, 'large.csv');
  await writeFile(large, sheetOf(33_000));
  const handler = { name: 'module', options: { file: path.join(stack.folder, 'counted.mjs'), options: { url: counter.url } } };
  const jobs = await Promise.all([1, 2, 3].map((n) => stack.create({ source: { path: large }, sourceId: `large-${n}`, keyColumns: ['id'], concurrency: 20, handler }, 'large')));
  await until('all of them to run', async () => (await Promise.all(jobs.map(({ id }) => stack.job(id, 'large')))).every(({ progress }) => progress.done > 0));
  const upload = await stack.upload('small.csv', sheetOf(10), 'small');
  const small = await stack.create({ source: { upload }, keyColumns: ['id'], handler }, 'small');
  expect(await until('the small job to end', async () => {
    const job = await stack.job(small.id, 'small');
    return job.completedAt !== null && job;
  })).toMatchObject({ state: 'completed', progress: { done: 10 } });
  for (const { id } of jobs) {
    const { state, progress } = await stack.job(id, 'large');
    expect({ state, left: (progress.remaining ?? 0) > 0 }).toEqual({ state: 'running', left: true });
  }
  await Promise.all(jobs.map(({ id }) => stack.call('POST', `/jobs/${id}/cancel`, undefined, 'large')));
});
