/** Rows that are workflows of their own, and the death of everything that runs them. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { itemWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, rowKey, startCountedJob, until } from './kill-round.ts';

const ROWS = 400;
const CONCURRENCY = 20;
const ANSWER_MS = 20;
const TIMEOUT = { timeout: 180_000 };
const FANNED = { fanOut: 'workflow', concurrency: CONCURRENCY };

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
  await stack.startMissing();
});

const terminate = (workflow: string) => promisify(execFile)(stack.temporalCli, [
  'workflow', 'terminate', '--address', stack.temporal, '--workflow-id', workflow, '--reason', 'a test',
]);

test('a job ends by itself after kill -9 of worker, Temporal and worker again; no row is lost, only rows in flight run twice', TIMEOUT, async () => {
  const { id } = await startCountedJob(stack, counter.url, ROWS, FANNED);
  for (const [victim, afterRows] of [['worker', 80], ['temporal', 160], ['worker', 240]] as const) {
    await counter.answered(afterRows);
    await stack.kill(victim);
    await stack.start(victim);
  }
  const job = await ended(stack, id);
  expect(job, job.error?.message).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
  expect(await disagreements(stack, job, ROWS)).toEqual([]);
  expect(new Set(counter.byKey().keys())).toEqual(new Set(Array.from({ length: ROWS }, (_, index) => rowKey(index))));
  expect(counter.calls.length).toBeLessThanOrEqual(ROWS + 3 * CONCURRENCY);
});

test('terminated by an operator, the job is failed, its rows let go, and a retry does the rest', TIMEOUT, async () => {
  const { id } = await startCountedJob(stack, counter.url, ROWS, { ...FANNED, drainSeconds: 0 });
  await counter.answered(100);
  counter.hold();
  const asked = counter.calls.length;
  await terminate(jobWorkflowId(id, 1));
  expect(await ended(stack, id)).toMatchObject({ state: 'failed', error: { code: 'workflow_terminated' } });
  // The rows that were in flight see that nobody wants them any more.
  await until('the rows to end', async () => {
    const { stdout } = await promisify(execFile)(stack.temporalCli, [
      'workflow', 'count', '--address', stack.temporal, '--query', `WorkflowType = 'itemJob' AND ExecutionStatus = 'Running'`, '--output', 'json',
    ]);
    return !/"count":\s*"?[1-9]/.test(stdout);
  });
  expect(counter.calls.length).toBeLessThanOrEqual(asked + CONCURRENCY);
  counter.release();
  await stack.call('POST', `/jobs/${id}/retry`, {});
  const job = await ended(stack, id);
  expect(job, job.error?.message).toMatchObject({ state: 'completed', attempt: 2, progress: { done: ROWS } });
  expect(await disagreements(stack, job, ROWS)).toEqual([]);
});

test('a row whose workflow is terminated fails as one that was cancelled, and is tried again when asked', TIMEOUT, async () => {
  const { id } = await startCountedJob(stack, counter.url, 3, { ...FANNED, concurrency: 1, drainSeconds: 0 });
  counter.hold();
  await until('a row to run', () => Promise.resolve(counter.calls.length > 0));
  const row = Number(counter.calls.at(-1)!.key.slice(4)) + 1;
  await terminate(itemWorkflowId(id, 1, row));
  counter.release();
  const job = await ended(stack, id);
  expect(job).toMatchObject({ state: 'completed', progress: { done: 2, failed: 1 } });
  expect(await stack.call('GET', `/jobs/${id}/items/${row}`)).toMatchObject({ status: 'cancelled', outcome: 'failed', error: { code: 'row_cancelled' } });
  await stack.call('POST', `/jobs/${id}/items/${row}/retry`);
  const again = await ended(stack, id);
  expect(again).toMatchObject({ state: 'completed', attempt: 2, progress: { done: 3, failed: 0 } });
});
