/** Workflows of plans that run for long: what continues them knows what they knew. Activities are made up, for thousands of steps in seconds. */
import { Worker } from '@temporalio/worker';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TASK_QUEUES } from '../../src/contracts/messages.ts';
import { JOB_ENDED, PLAN_WORKFLOWS, type BulkChunk, type PlanActivities } from '../../src/contracts/plans.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { realEnv } from '../servers/temporal.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually } from './rig.ts';

const CHUNKS = 160;
const TIMEOUT = { timeout: 180_000 };
let env: TestWorkflowEnvironment;
let start: () => Promise<void>;
let stop: () => Promise<void>;
const applied: number[] = [];
const finished: string[] = [];
let created = 0;
let ended = false;

beforeAll(async () => {
  env = await realEnv();
  const jobs: Partial<PlanActivities> = {
    bulkTurn: async () => 'begin',
    selectJobs: async () => applied.length < CHUNKS ? { chunk: applied.length, jobs: [{ id: 'job_x', attempt: 1 }], nextCursor: 'c' } satisfies BulkChunk : null,
    finishBulk: async ({ state }) => void finished.push(state),
    createScheduledJob: async () => ({ tenant: 'default', jobId: `job_${++created}` }),
    endOfJob: async () => (ended ? 'completed' : null),
  };
  const maintenance: Partial<PlanActivities> = { applyToJobs: async ({ chunk }) => { applied.push(chunk); return true; } };
  start = async () => {
    const workers = await Promise.all([
      Worker.create({ connection: env.nativeConnection, namespace: env.namespace ?? 'default', taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: await bundleWorkflows() }, activities: { ...jobs } }),
      Worker.create({ connection: env.nativeConnection, namespace: env.namespace ?? 'default', taskQueue: TASK_QUEUES.maintenance, activities: { ...maintenance } }),
    ]);
    const running = Promise.all(workers.map((worker) => worker.run()));
    stop = async () => {
      for (const worker of workers) worker.shutdown();
      await running;
    };
  };
  await start();
});
afterAll(async () => {
  await stop();
  await env.teardown();
});

test('an action on very many jobs applies each chunk once, in runs of bounded history', TIMEOUT, async () => {
  const workflowId = 'bulk/long';
  const handle = await env.client.workflow.start(PLAN_WORKFLOWS.bulkAction, { workflowId, taskQueue: TASK_QUEUES.jobs, args: [{ tenant: 'default', id: 'long' }] });
  await handle.result();
  expect(applied).toEqual(Array.from({ length: CHUNKS }, (_, index) => index));
  expect(finished).toEqual(['completed']);
  const histories = await historiesOf(env.client, workflowId);
  expect(histories.length).toBeGreaterThan(1);
  for (const { history } of histories) expect(history.events!.length).toBeLessThan(2_000);
  await replay(histories);
});

test("a schedule's run that is told again and again goes on with the same job", TIMEOUT, async () => {
  const workflowId = 'schedule/long';
  const handle = await env.client.workflow.start(PLAN_WORKFLOWS.scheduledJob, { workflowId, taskQueue: TASK_QUEUES.jobs, args: [{ tenant: 'default', id: 'long' }] });
  const { runId } = await handle.describe();
  const latest = env.client.workflow.getHandle(workflowId);
  await stop();
  for (let sent = 0; sent < MAX_HISTORY_EVENTS; sent += 100) await Promise.all(Array.from({ length: 100 }, () => latest.signal(JOB_ENDED)));
  await start();
  await eventually(async () => (await latest.describe()).runId !== runId);
  ended = true;
  await latest.signal(JOB_ENDED).catch(() => {}); // it has looked by itself
  expect(await latest.result()).toMatchObject({ end: 'completed' });
  await replay(await historiesOf(env.client, workflowId));
});
