/** Rows that are workflows of their own, and the death of everything that runs them. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, rowKey, startCountedJob, until } from './kill-round.ts';

const ROWS = 240;
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

test('a job ends by itself after kill -9 of the worker, and of Temporal; no row is lost, only rows in flight run twice', TIMEOUT, async () => {
  const { id } = await startCountedJob(stack, counter.url, ROWS, FANNED);
  for (const [victim, afterRows] of [['worker', 60], ['temporal', 150]] as const) {
    await counter.answered(afterRows);
    await stack.kill(victim);
    await stack.start(victim);
  }
  const job = await ended(stack, id);
  expect(job, job.error?.message).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
  expect(await disagreements(stack, job, ROWS)).toEqual([]);
  expect(new Set(counter.byKey().keys())).toEqual(new Set(Array.from({ length: ROWS }, (_, index) => rowKey(index))));
  expect(counter.calls.length).toBeLessThanOrEqual(ROWS + 2 * CONCURRENCY);
});

test('terminated by an operator, the job is failed, its rows let go, and a retry does the rest', TIMEOUT, async () => {
  const { id } = await startCountedJob(stack, counter.url, ROWS, { ...FANNED, drainSeconds: 0 });
  await counter.answered(60);
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
