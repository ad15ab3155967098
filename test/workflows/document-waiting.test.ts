/** Waits of a document's job that take hours, and runs that continue others, in skipped time, with activities that a test makes up. */
import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TASK_QUEUES, WORKFLOWS, type JobActivities, type RecordStateInput } from '../../src/contracts/messages.ts';
import type { DocumentActivities, DocumentJobInput, DocumentJobResult } from '../../src/contracts/document-messages.ts';
import type { RowActivities } from '../../src/contracts/sheet-messages.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { timeSkippingEnv } from '../servers/temporal.ts';
import { historiesOf, replay } from './replay.ts';

let env: TestWorkflowEnvironment;
let process: DocumentActivities['processDocument'];
let records: RecordStateInput[];
let asked: number;
let stop: () => Promise<void>;

beforeAll(async () => {
  env = await timeSkippingEnv();
  const shared = { connection: env.nativeConnection, namespace: env.namespace ?? 'default' };
  const workers = await Promise.all([
    Worker.create({
      ...shared, taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: await bundleWorkflows() },
      activities: {
        admit: async () => ({ granted: true, generation: 1, agesAt: 0, state: 'queued', cause: null, reason: null }),
        recordState: async (input) => void records.push(input),
        finishJob: async () => ({ counts: { done: 0, unchanged: 0, failed: 0, skipped: 0 } }),
      } satisfies JobActivities,
    }),
    Worker.create({ ...shared, taskQueue: TASK_QUEUES.documents, activities: { processDocument: (input) => process(input) } satisfies DocumentActivities }),
    Worker.create({ ...shared, taskQueue: TASK_QUEUES.rows, activities: { checkStores: async () => void asked++ } satisfies Pick<RowActivities, 'checkStores'> }),
  ]);
  const running = Promise.all(workers.map((worker) => worker.run()));
  stop = async () => {
    for (const worker of workers) worker.shutdown();
    await running;
  };
});
afterAll(async () => {
  await stop();
  await env.teardown();
});

async function start() {
  records = [];
  asked = 0;
  const jobId = `job_${randomUUID()}`;
  const input: DocumentJobInput = { tenant: 'default', jobId, attempt: 1, sequence: 0, priority: 'normal', concurrency: null };
  return env.client.workflow.start(WORKFLOWS.documentJob, { workflowId: `${jobId}/1`, taskQueue: TASK_QUEUES.jobs, args: [input] });
}
const refusal = (code: string): ApplicationFailure =>
  ApplicationFailure.create({ type: code, message: 'Away.', nonRetryable: false, details: [{ code, message: 'Away.' }] });
const replayed = async (workflowId: string, first: string) => {
  const histories = await historiesOf(env.client, workflowId, first);
  await replay(histories);
  return histories;
};

test('a document waits for a scanner that is away for hours, asks less and less often, and goes on', async () => {
  let tries = 0;
  process = async () => {
    if (++tries <= 40) throw refusal('scanner_unavailable');
    return { done: true };
  };
  const handle = await start();
  expect(await handle.result()).toEqual({ state: 'completed' } satisfies DocumentJobResult);
  expect(tries).toBe(41);
  expect(asked).toBe(40);
  expect(records.map(({ state }) => state)).toEqual([...Array.from({ length: 40 }, () => ['running', 'waiting']).flat(), 'running']);
  expect(records[1]).toMatchObject({ state: 'waiting', cause: 'capacity', reason: 'Away.' });
  await replayed(handle.workflowId, handle.firstExecutionRunId);
});

test('a failure that is worth another try is tried six times, one that is not ends the job at once, with its code', async () => {
  let tries = 0;
  process = async () => {
    tries++;
    throw refusal('checksum_mismatch');
  };
  const handle = await start();
  await expect(handle.result()).rejects.toMatchObject({ cause: { type: 'checksum_mismatch' } });
  expect(tries).toBe(6);
  process = async () => {
    tries++;
    throw ApplicationFailure.create({ type: 'corrupt_file', message: 'Damaged.', nonRetryable: true, details: [{ code: 'corrupt_file', message: 'Damaged.' }] });
  };
  const broken = await start();
  await expect(broken.result()).rejects.toMatchObject({ cause: { type: 'corrupt_file' } });
  expect(tries).toBe(7);
  await replayed(broken.workflowId, broken.firstExecutionRunId);
});

test('a wait of weeks continues as new, with what the run knows', async () => {
  let tries = 0;
  const dispatches: number[] = [];
  process = async ({ dispatch }) => {
    dispatches.push(dispatch);
    if (++tries <= 120) throw refusal('scanner_unavailable');
    return { done: true };
  };
  const handle = await start();
  await env.client.workflow.getHandle(handle.workflowId).signal('setPriority', 'high');
  expect(await handle.result()).toEqual({ state: 'completed' });
  const histories = await replayed(handle.workflowId, handle.firstExecutionRunId);
  expect(histories.length).toBeGreaterThan(1);
  for (const { history } of histories) expect(history.events!.length).toBeLessThan(MAX_HISTORY_EVENTS + 100);
  // What stages write is ordered by it, over all runs.
  expect(dispatches).toEqual(dispatches.toSorted((a, b) => a - b));
  expect(new Set(dispatches).size).toBe(121);
  const priorities = histories.at(-1)!.history.events!.flatMap(({ activityTaskScheduledEventAttributes }) => activityTaskScheduledEventAttributes?.priority?.priorityKey ?? []);
  expect(new Set(priorities)).toEqual(new Set([2]));
});
