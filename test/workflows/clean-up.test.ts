/** Cleanup on the real server: what goes, what stays, and that no row is paid for twice because of it. */
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { CleanupReport } from '../../src/contracts/system.ts';
import { WORKFLOWS, TASK_QUEUES } from '../../src/contracts/messages.ts';
import { cleanupStarter } from '../../src/temporal/cleanup.ts';
import { keepSchedules } from '../../src/temporal/schedules.ts';
import { cleanUpWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { historiesOf, replay } from './replay.ts';
import { blobsOf, eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
});
afterAll(() => rig.close());
afterEach(() => {
  Object.assign(rig.keep, { outputs: null, events: null, jobs: null, summaries: null, web_pages: null });
  rig.gate.reset();
});

/** Runs one to its end and replays it. */
async function cleanUp(dryRun = false): Promise<CleanupReport> {
  const { id } = await cleanupStarter(rig.store, rig.env.client)(dryRun);
  const report = await eventually(async () => {
    const found = await rig.store.getCleanup(id);
    return found?.state === 'completed' && found;
  });
  await rig.env.client.workflow.getHandle(cleanUpWorkflowId(id)).result();
  await replay(await historiesOf(rig.env.client, cleanUpWorkflowId(id)));
  return report;
}

const counts = ({ gone }: CleanupReport): Record<string, number> => Object.fromEntries(gone.map(({ kind, tenant, count }) => [`${tenant} ${kind}`, count]));
const calls = (): number => rig.gate.started.length;
const analysed = async (): Promise<number> =>
  (await rig.store.analyse(TENANT, { since: '2000-01-01T00:00:00.000Z', until: '2100-01-01T00:00:00.000Z' })).all.jobs;

describe('cleanup', () => {
  test('goes as the dry run said, and afterwards an unchanged sheet is not handled again', async () => {
    const gated = await rig.gated(4);
    const first = await rig.create('paid', rowsOf(12), { request: gated });
    await rig.ended(first.id);
    expect(calls()).toBe(12);
    const finished = await analysed();
    Object.assign(rig.keep, { outputs: 0, events: 0, jobs: 0 });
    await eventually(async () => Date.now() > Date.parse((await rig.job(first.id)).completedAt!));

    const dry = await cleanUp(true);
    expect(counts(dry)).toEqual({ 'default outputs': 12, 'default events': (await rig.events(first.id)).length, 'default jobs': 1 });
    for (const { bytes } of dry.gone) expect(bytes).toBeGreaterThan(0);
    expect((await rig.outcomes(first.id)).every(({ output }) => output !== null)).toBe(true);

    const real = await cleanUp();
    expect(counts(real)).toEqual(counts(dry));
    expect(await rig.store.getJob(TENANT, first.id)).toBeNull();
    expect(await blobsOf(rig, first.id)).toEqual([]);
    expect((await rig.store.listPages(TENANT, first.id, { limit: 10 })).items).toEqual([]);
    expect(await analysed()).toBe(finished);
    expect(counts(await cleanUp())).toEqual({});

    // Twice: the second takes its pages from the first of these, whose results have no outputs.
    for (let again = 0; again < 2; again++) {
      const next = await rig.create('paid', rowsOf(12), { request: gated });
      await rig.ended(next.id);
      expect(await rig.totals(next.id)).toMatchObject({ unchanged: 12, done: 0, failed: 0 });
    }
    expect(calls()).toBe(12);

    rig.keep.summaries = 0;
    await cleanUp();
    expect(await analysed()).toBe(0);
  });

  test('takes pages of the web by their age, of all tenants, also those of whom nothing else is left, however many there are', async () => {
    const DAY_MS = 86_400_000;
    await rig.create('somebody', rowsOf(1)); // nothing else is known of globex
    const page = (tenant: string, name: string, days: number): string => blobKeys.webPage(blobKeys.webPageFolder(tenant, name), Date.now() - days * DAY_MS);
    const old = Array.from({ length: 205 }, (_, index) => page(TENANT, `old${index}`, 40));
    const young = [page(TENANT, 'young', 1), page('globex', 'young', 1)];
    for (const key of [...old, ...young, page('globex', 'old', 40)]) await rig.blobs.put(key, Buffer.from('page'));
    rig.keep.web_pages = 30 * DAY_MS;
    const dry = await cleanUp(true);
    expect(counts(dry)).toEqual({ 'default web_pages': 205, 'globex web_pages': 1 });
    expect(counts(await cleanUp())).toEqual(counts(dry));
    const left: string[] = [];
    for (const tenant of [TENANT, 'globex']) for await (const { key } of rig.blobs.list(blobKeys.webPages(tenant))) left.push(key);
    expect(left).toEqual(young);
  });

  test('takes actions on many jobs with their results, and batches of which no job is left', async () => {
    const at = new Date(Date.now() - 1_000).toISOString();
    const plan = { tenant: TENANT, owner: 'tester', createdAt: at, revision: 0, requestHash: 'h', open: false };
    const batch = (id: string) => rig.store.createPlan<'batch'>({ ...plan, kind: 'batch', id, name: null, size: 1, made: 1, held: false, desired: 'running', action: null });
    await Promise.all([batch('gone'), batch('kept')]);
    await rig.store.createPlan<'bulk'>({
      ...plan, kind: 'bulk', id: 'bulk_a', action: 'cancel', filter: {}, priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null,
      state: 'completed', counts: { done: 1, asked: 0, skipped: 0, failed: 0 }, chunks: 1, cursor: null, exhausted: true, completedAt: at,
    });
    const results = blobKeys.bulkResults(TENANT, 'bulk_a', 0);
    await rig.blobs.put(results, Buffer.from('{}\n'));
    rig.gate.hold = () => true;
    const job = await rig.create('member', rowsOf(1), { request: await rig.gated() });
    const record = await rig.job(job.id);
    await rig.store.createJob({ ...record, id: 'job_member', batch: 'kept', state: 'paused' });
    rig.keep.jobs = 0;
    expect(counts(await cleanUp(true))).toMatchObject({ 'default batches': 2 });
    expect(await rig.blobs.head(results)).not.toBeNull();
    expect(counts(await cleanUp())).toMatchObject({ 'default batches': 2 });
    expect(await rig.blobs.head(results)).toBeNull();
    expect(await rig.store.getPlan(TENANT, 'bulk', 'bulk_a')).toBeNull();
    expect(await rig.store.getPlan(TENANT, 'batch', 'gone')).toBeNull();
    expect(await rig.store.getPlan(TENANT, 'batch', 'kept')).not.toBeNull();
    while (!(await rig.store.removeJob(TENANT, 'job_member')));
    rig.gate.reset();
    await rig.ended(job.id);
  });

  test('leaves alone a job that has not ended, and the outputs that it may yet need', async () => {
    rig.gate.hold = (key) => key === 'p2';
    const job = await rig.create('open', rowsOf(4, 'p'), { request: await rig.gated(1) });
    await rig.gate.until(() => rig.gate.held === 1);
    await rig.jobs.control(TENANT, job.id, 'pause');
    rig.gate.release();
    await rig.when(job.id, ({ state }) => state === 'paused');
    const before = { events: await rig.events(job.id), totals: await rig.totals(job.id), outcomes: await rig.outcomes(job.id) };
    Object.assign(rig.keep, { outputs: 0, events: 0, jobs: 0, summaries: 0 });
    const report = await cleanUp();
    expect(counts(report)['default jobs']).not.toBe(0);
    expect({ events: await rig.events(job.id), totals: await rig.totals(job.id), outcomes: await rig.outcomes(job.id) }).toEqual(before);
    await rig.jobs.control(TENANT, job.id, 'resume');
    await rig.ended(job.id);
    expect((await rig.outcomes(job.id)).map(({ state, output }) => [state, output !== null])).toEqual(Array.from({ length: 4 }, () => ['done', true]));
    expect(calls()).toBe(4);
  });

  test('goes on where a worker left it, and counts nothing twice', async () => {
    for (const sheet of ['one', 'two', 'three']) await rig.ended((await rig.create(sheet, rowsOf(2))).id);
    Object.assign(rig.keep, { events: 0, jobs: 0 });
    rig.refuse.add('removeJob');
    const { id } = await cleanupStarter(rig.store, rig.env.client)(false);
    await eventually(async () => (await rig.store.getCleanup(id))?.position?.kind === 'jobs');
    await rig.stopWorkers();
    rig.refuse.delete('removeJob');
    await rig.startWorkers();
    const report = await eventually(async () => {
      const found = await rig.store.getCleanup(id);
      return found?.state === 'completed' && found;
    });
    const left = async () => (await rig.store.listJobs(TENANT, { state: ['completed'] }, { limit: 50 })).items;
    expect((await left()).filter(({ desired }) => desired !== 'deleted')).toEqual([]);
    // The one that was being removed when the store refused is the reconciler's.
    await rig.withReconciler(() => eventually(async () => (await left()).length === 0));
    expect(report.gone.filter(({ kind }) => kind === 'events')).toHaveLength(1);
  });

  test('is done by a schedule, by trigger and by backfill; where everything is kept it leaves no report', async () => {
    await keepSchedules({ client: rig.env.client, log: pino({ level: 'silent' }), storage: () => Promise.resolve('ours') });
    const schedule = rig.env.client.schedule.getHandle('sheaf-clean-up');
    const reports = (await rig.store.listCleanups()).length;
    await schedule.trigger();
    const [action] = await eventually(async () => {
      const { recentActions } = (await schedule.describe()).info;
      return recentActions.length > 0 && recentActions;
    });
    await rig.env.client.workflow.getHandle(action!.action.workflow.workflowId).result();
    expect(await rig.store.listCleanups()).toHaveLength(reports);

    await rig.ended((await rig.create('scheduled', rowsOf(2))).id);
    rig.keep.jobs = 0;
    const now = Date.now();
    await schedule.backfill({ start: new Date(now - 36 * 3_600_000), end: new Date(now), overlap: 'ALLOW_ALL' });
    const found = await eventually(async () => {
      const all = await rig.store.listCleanups();
      return all.length > reports && all.every(({ state }) => state === 'completed') && all;
    });
    expect(found[0]).toMatchObject({ dryRun: false, before: { outputs: null, jobs: expect.any(String) } });
  });

  test('one that is not there ends with an error and a code', async () => {
    const handle = await rig.env.client.workflow.start(WORKFLOWS.cleanUp, { workflowId: 'sheaf-clean-up/none', taskQueue: TASK_QUEUES.jobs, args: [{ id: 'none', dryRun: true, step: 2 }] });
    await expect(handle.result()).rejects.toMatchObject({ cause: { cause: { type: 'cleanup_not_found' } } });
  });
});
