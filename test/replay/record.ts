/** Makes the committed histories: real jobs on the real server, one for each way that a job can go. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { isEnded, type JobRecord, type SheetJobRecord } from '../../src/contracts/job.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { NewJob } from '../../src/contracts/plans.ts';
import { createBatches } from '../../src/temporal/batches.ts';
import { createBulkActions } from '../../src/temporal/bulk.ts';
import { createJobSchedules } from '../../src/temporal/job-schedules.ts';
import { cleanupStarter } from '../../src/temporal/cleanup.ts';
import { batchWorkflowId, bulkWorkflowId, cleanUpWorkflowId, closeWorkflowId, deleteWorkflowId, jobWorkflowId, limitWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { door, openStage } from '../workflows/fakes.ts';
import { gateModule } from '../workflows/gate.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig({ namedLimits: JSON.stringify({ gate: { per: 4, perUser: 3 } }) });
  await rig.startWorkers();
});
afterEach(() => rig.gate.reset());
afterAll(() => rig.close());

async function commit(name: string, workflowId: string): Promise<void> {
  const { client } = rig.env;
  await eventually(async () => (await client.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING');
  await commitHistory(name, (await historiesOf(client, workflowId)).at(-1)!.history);
}
const control = (job: JobRecord, name: 'pause' | 'resume' | 'cancel') => rig.jobs.control(TENANT, job.id, name);
async function held(sheet: string): Promise<JobRecord> {
  rig.gate.hold = (key) => key === 'a3';
  const job = await rig.create(sheet, rowsOf(6), { request: { ...(await rig.gated()), drainSeconds: 0 } });
  await rig.gate.until(() => rig.gate.held === 1);
  return job;
}

test('completed', async () => {
  const job = await rig.ended((await rig.create('completed', rowsOf(12_000), { tags: ['sample'] })).id);
  await commit('completed', jobWorkflowId(job.id, 1));
});

test('paused, changed and resumed', async () => {
  const job = await held('paused');
  await control(job, 'pause');
  await rig.when(job.id, ({ state }) => state === 'paused');
  await rig.jobs.change(TENANT, job.id, { priority: 'high', concurrency: 2 });
  rig.gate.release();
  await control(job, 'resume');
  await rig.ended(job.id);
  await commit('paused-and-resumed', jobWorkflowId(job.id, 1));
});

test('resumed while rows drain', async () => {
  rig.gate.hold = (key) => key === 'a3';
  const job = await rig.create('resumed', rowsOf(40), { request: await rig.gated() });
  await rig.gate.until(() => rig.gate.held === 1);
  await control(job, 'pause');
  await rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).signal('resume');
  rig.gate.answerMs = 100;
  rig.gate.release();
  await rig.gate.until(() => rig.gate.started.length >= 15);
  rig.gate.answerMs = 0;
  await rig.ended(job.id);
  await commit('resumed-while-draining', jobWorkflowId(job.id, 1));
});

test('cancelled by the API, and by Temporal', async () => {
  const api = await held('cancelled');
  await control(api, 'cancel');
  await rig.ended(api.id);
  await commit('cancelled', jobWorkflowId(api.id, 1));
  rig.gate.reset();
  const temporal = await held('cancelled-by-temporal');
  await rig.env.client.workflow.getHandle(jobWorkflowId(temporal.id, 1)).cancel();
  await rig.ended(temporal.id);
  await commit('cancelled-by-temporal', jobWorkflowId(temporal.id, 1));
});

test('failed by the breaker, and its retry', async () => {
  rig.gate.fail = () => ({ code: 'down' });
  const breaker = { minRows: 3, maxFailedFraction: 0.3 };
  const job = await rig.ended((await rig.create('breaker', rowsOf(10), { request: { ...(await rig.gated()), breaker } })).id);
  expect(job.error?.code).toBe('circuit_breaker');
  await commit('failed-by-breaker', jobWorkflowId(job.id, 1));
  rig.gate.fail = () => null;
  await rig.jobs.retry(TENANT, job.id, { codes: null });
  await rig.when(job.id, ({ attempt, state }) => attempt === 2 && isEnded(state));
  await commit('retry', jobWorkflowId(job.id, 2));
});

test('waiting for a lane, and deleted in the end', async () => {
  const first = await held('lane');
  const second = await rig.create('lane', rowsOf(6), { request: await rig.gated() });
  await rig.when(second.id, ({ state }) => state === 'waiting');
  rig.gate.release();
  await rig.ended(second.id);
  await commit('waiting', jobWorkflowId(second.id, 1));
  await rig.jobs.remove(TENANT, first.id);
  await eventually(async () => (await rig.store.getJob(TENANT, first.id)) === null);
  await commit('delete-job', deleteWorkflowId(first.id));
});

test('waiting for a limit, whose broker goes on', async () => {
  const file = await gateModule(rig.folder, 'limited.mjs', "export const limits = ['gate'];");
  const job = await rig.ended((await rig.create('limited', rowsOf(5), { request: { ...(await rig.gated()), options: { file, options: { url: rig.gate.url } } } })).id);
  await commit('waiting-for-a-limit', jobWorkflowId(job.id, 1));
  await commitHistory('limit-broker', (await historiesOf(rig.env.client, limitWorkflowId('gate'))).at(-1)!.history);
});

test('waiting for its time and for another job; cancelled for that one', async () => {
  const runAt = new Date(Date.now() + 500).toISOString();
  const first = await held('plan-first');
  const second = await rig.create('plan-second', rowsOf(6), { runAt, dependsOn: [first.id] });
  await rig.when(second.id, ({ state, cause }) => state === 'waiting' && cause === 'dependency');
  const third = await rig.create('plan-third', rowsOf(6), { dependsOn: [first.id, second.id] });
  await rig.when(third.id, ({ state }) => state === 'waiting');
  rig.gate.release();
  await rig.ended(second.id);
  await commit('planned', jobWorkflowId(second.id, 1));
  await rig.ended(third.id);
  const failed = await rig.create('plan-failed', rowsOf(6), { request: { keyColumns: ['none'] } });
  const fourth = await rig.create('plan-fourth', rowsOf(6), { dependsOn: [failed.id] });
  await rig.ended(fourth.id);
  await commit('cancelled-for-a-dependency', jobWorkflowId(fourth.id, 1));
});

test('a run of a schedule, a batch, and an action on its jobs', async () => {
  const { job } = await scheduled();
  await rig.ended(job.id);
  await commit('scheduled-job', job.schedule!.workflow);
  const members = [1, 2, 3].map(() => JSON.stringify(newJob(job as SheetJobRecord)));
  await rig.blobs.put(blobKeys.batchJobs(TENANT, 'b', 'h'), Buffer.from(members.join('\n')));
  await createBatches(rig.store, rig.env.client).create({
    kind: 'batch', tenant: TENANT, id: 'b', owner: 'tester', name: null, size: 3, made: 0, held: false, desired: 'running', action: null,
    createdAt: new Date().toISOString(), revision: 0, open: true, requestHash: 'h',
  });
  await commit('make-batch', batchWorkflowId(TENANT, 'b'));
  const { bulk } = await createBulkActions(rig.store, rig.env.client).create({
    tenant: TENANT, owner: 'tester', action: 'cancel', filter: { batch: 'b' }, priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null,
  });
  await commit('bulk-action', bulkWorkflowId(TENANT, bulk.id));
});

const newJob = ({ owner, request }: SheetJobRecord): NewJob => ({
  tenant: TENANT, owner, request, source: null, lane: null, priority: 'normal', tags: [], runAt: null, dependsOn: [], onFailure: 'cancel',
});

/** The job that a schedule's run made. */
async function scheduled(): Promise<{ job: JobRecord }> {
  const sample = await rig.ended((await rig.create('scheduled', rowsOf(3))).id);
  const schedules = createJobSchedules(rig.store, rig.env.client);
  await schedules.create({
    kind: 'schedule', tenant: TENANT, id: 'recorded', owner: 'tester', createdAt: new Date().toISOString(), revision: 0, requestHash: 'h', open: false,
    cron: '0 6 * * *', timeZone: 'UTC', overlap: 'skip', job: newJob(sample as SheetJobRecord),
  }, false);
  const { job } = await schedules.trigger(TENANT, 'recorded');
  return { job: await eventually(() => rig.store.getJob(TENANT, job!)) };
}

test('clean-up', async () => {
  await rig.ended((await rig.create('cleaned', rowsOf(2))).id);
  Object.assign(rig.keep, { outputs: 0, events: 0, jobs: 0 });
  const { id } = await cleanupStarter(rig.store, rig.env.client)(false);
  await eventually(async () => (await rig.store.getCleanup(id))?.state === 'completed');
  await commit('clean-up', cleanUpWorkflowId(id));
});

test('terminated, and closed by the reconciler', async () => {
  const job = await held('terminated');
  await rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).terminate();
  await rig.withReconciler(() => rig.ended(job.id));
  await commit('close-job', closeWorkflowId(job.id, 1));
});

test('continued as new', async () => {
  await rig.stopWorkers();
  const stage = await openStage(rig.env);
  const boundary = door();
  const job = await stage.start(12, 2, (before) => ({
    async processPage(input) {
      if (input.page <= 2) await boundary.pass();
      return before.processPage(input);
    },
  }));
  await boundary.reached;
  while ((await job.handle.describe()).historyLength < MAX_HISTORY_EVENTS) {
    await Promise.all(Array.from({ length: 100 }, () => job.handle.signal('setPriority', 'normal')));
  }
  boundary.open();
  await job.result();
  await commit('continued-as-new', job.handle.workflowId);
  await stage.stop();
});

test('several pages in a task, one of which leaves some', async () => {
  await rig.stopWorkers();
  const stage = await openStage(rig.env);
  let left = false;
  const job = await stage.start(20, 2, (before) => ({
    openSheet: async () => ({ total: 20, window: 2, pagesInTask: 4, pending: [[1, 20]], counts: { done: 0, unchanged: 0, failed: 0, skipped: 0 } }),
    async processPage(input) {
      const answer = await before.processPage(input);
      if (left || input.lastPage === undefined) return answer;
      left = true;
      return { ...answer, complete: false, left: input.lastPage };
    },
  }));
  await job.result();
  await commit('pages-in-tasks', job.handle.workflowId);
  await stage.stop();
});
