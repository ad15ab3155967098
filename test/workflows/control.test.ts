/** Pause, resume, cancel, priority and concurrency of jobs that run, wait or stand still. */
import { WorkflowFailedError } from '@temporalio/client';
import { describe, expect, test } from 'vitest';
import type { JobRecord, JobRequest } from '../../src/contracts/job.ts';
import type { Control } from '../../src/contracts/messages.ts';
import type { JobStatus } from '../../src/contracts/sheet-messages.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { eventually, rowsOf, TENANT, usualRig, type Rig } from './rig.ts';

let rig: Rig;
usualRig((opened) => { rig = opened; });

const keys = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, index) => `a${from + index}`);
const workflow = (job: JobRecord) => rig.env.client.workflow.getHandle(jobWorkflowId(job.id, job.attempt));
const control = (job: JobRecord, name: Control) => rig.jobs.control(TENANT, job.id, name);

/** Lets held rows go; those after them take so long that what was asked comes in the middle. */
function goOnSlowly(): void {
  rig.gate.answerMs = 100;
  rig.gate.release();
}

/** A job that stands in the middle of its page: rows before `from` are done, `concurrency` rows are held. */
async function midway(sheet: string, from: number, asked: Partial<JobRequest> & { rows?: number } = {}): Promise<JobRecord> {
  const { rows = 50, ...request } = asked;
  const concurrency = asked.concurrency ?? 1;
  rig.gate.hold = (key) => Number(key.slice(1)) >= from;
  const job = await rig.create(sheet, rowsOf(rows), { request: { ...(await rig.gated(concurrency)), ...request } });
  await rig.gate.until(() => rig.gate.held === concurrency && rig.gate.finished.length === from - 1);
  return job;
}

describe('pause', () => {
  test('lets rows in flight finish, starts no other, and resume goes on at the next undone row: each row once', async () => {
    const job = await midway('pause', 4, { concurrency: 2 });
    const pausing = await control(job, 'pause');
    expect(pausing).toMatchObject({ applied: true, job: { state: 'pausing', desired: null } });

    goOnSlowly();
    const paused = await rig.when(job.id, ({ state }) => state === 'paused');
    expect(paused.runningSince).toBeNull();
    const started = [...rig.gate.started];
    expect(rig.gate.finished.toSorted()).toEqual(started.toSorted());
    expect(started.length).toBeLessThan(50);
    expect(await rig.totals(job.id)).toMatchObject({ done: started.length, failed: 0 });

    // Another job runs from beginning to end meanwhile; of this one no row starts.
    await rig.ended((await rig.create('meanwhile', rowsOf(20))).id);
    expect(rig.gate.started).toEqual(started);

    rig.gate.answerMs = 0;
    expect(await control(job, 'resume')).toMatchObject({ applied: true, job: { state: 'running' } });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started).toHaveLength(50);
    expect(rig.gate.started.toSorted()).toEqual(keys(1, 50).toSorted());
    expect(await rig.totals(job.id)).toMatchObject({ done: 50, unchanged: 0 });
    expect(await rig.events(job.id)).toEqual(['created', 'running', 'snapshot', 'pausing', 'paused', 'running', 'completed']);
  });

  test('by Signal, as an operator sends it, does the same and the record follows', async () => {
    const job = await midway('pause-signal', 3);
    await workflow(job).signal('pause');
    await rig.when(job.id, ({ state }) => state === 'pausing');
    goOnSlowly();
    await rig.when(job.id, ({ state }) => state === 'paused');
    rig.gate.answerMs = 0;
    const started = rig.gate.started.length;
    await workflow(job).signal('resume');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(started).toBeLessThan(50);
    expect(rig.gate.started).toHaveLength(50);
  });

  test('a resume while rows still drain takes the pause back', async () => {
    const job = await midway('pause-back', 3);
    await control(job, 'pause');
    const resumed = control(job, 'resume');
    rig.gate.release();
    expect((await resumed).applied).toBe(true);
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started.toSorted()).toEqual(keys(1, 50).toSorted());
  });

  test('a row that does not end within the drain limit is aborted and handled again after the resume', async () => {
    const job = await midway('pause-abort', 3, { drainSeconds: 0 });
    await control(job, 'pause');
    await rig.when(job.id, ({ state }) => state === 'paused');
    expect(await rig.totals(job.id)).toMatchObject({ done: 2 });
    rig.gate.release();
    await control(job, 'resume');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(rig.gate.started).toEqual(['a1', 'a2', 'a3', ...keys(3, 50)]);
    expect(await rig.totals(job.id)).toMatchObject({ done: 50, failed: 0 });
  });

  test('of a paused job is a repetition, which is fine', async () => {
    const job = await midway('pause-twice', 3);
    await control(job, 'pause');
    goOnSlowly();
    await rig.when(job.id, ({ state }) => state === 'paused');
    rig.gate.answerMs = 0;
    expect(await control(job, 'pause')).toMatchObject({ applied: true, job: { state: 'paused' } });
    await control(job, 'cancel');
    await rig.ended(job.id);
  });
});

describe('cancel', () => {
  const ways: [string, (job: JobRecord) => Promise<unknown>, string][] = [
    ['the API', (job) => control(job, 'cancel'), 'COMPLETED'],
    ['Signal', (job) => workflow(job).signal('cancel'), 'COMPLETED'],
    ['`temporal workflow cancel`', (job) => workflow(job).cancel(), 'CANCELLED'],
  ];
  test.each(ways)('by %s drains, keeps what is done and says cancelling until then', async (way, cancel, status) => {
    const sheet = `cancel-${way.replaceAll(/\W/g, '')}`;
    const job = await midway(sheet, 4);
    await cancel(job);
    await rig.when(job.id, ({ state }) => state === 'cancelling');
    // Asked again in the meantime, it is still true; nothing else is possible.
    expect(await control(job, 'cancel')).toMatchObject({ applied: true, job: { state: 'cancelling' } });
    await expect(control(job, 'resume')).rejects.toMatchObject({ code: 'wrong_state' });
    goOnSlowly();

    expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled', error: null });
    const done = rig.gate.finished.length;
    expect(done).toBeLessThan(50);
    expect(await rig.totals(job.id)).toMatchObject({ done, failed: 0 });
    expect(await rig.outcomes(job.id)).toHaveLength(done);
    const result = await workflow(job).result().catch((error: unknown) => error);
    expect(result).toEqual(status === 'CANCELLED'
      ? expect.any(WorkflowFailedError)
      : { state: 'cancelled', total: 50, counts: { done, unchanged: 0, failed: 0, skipped: 0 }, remaining: 50 - done });
    expect((await workflow(job).describe()).status.name).toBe(status);

    // The lane is free, and nothing that was done is done again.
    rig.gate.answerMs = 0;
    const next = await rig.create(sheet, rowsOf(50), { request: await rig.gated() });
    await rig.ended(next.id);
    expect(await rig.totals(next.id)).toMatchObject({ unchanged: done, done: 50 - done });
    expect(rig.gate.started.toSorted()).toEqual(keys(1, 50).toSorted());
  });

  test('of a paused job ends it with what it had', async () => {
    const job = await midway('cancel-paused', 4);
    await control(job, 'pause');
    goOnSlowly();
    await rig.when(job.id, ({ state }) => state === 'paused');
    rig.gate.answerMs = 0;
    const done = rig.gate.finished.length;
    expect(await control(job, 'cancel')).toMatchObject({ applied: true });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled' });
    expect(await rig.totals(job.id)).toMatchObject({ done });
  });

  test('while the sheet is read stops the reading', async () => {
    const job = await rig.create('cancel-reading', rowsOf(300_000));
    await rig.when(job.id, ({ state }) => state === 'running');
    await control(job, 'cancel');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled', manifest: null });
  });
});

describe('a wrong moment', () => {
  test('pause, resume, cancel and change of an ended job are refused with wrong_state, by the API and by the workflow', async () => {
    const job = await rig.create('too-late', rowsOf(3));
    await rig.ended(job.id);
    for (const name of ['pause', 'resume', 'cancel'] as const) {
      await expect(control(job, name)).rejects.toMatchObject({ code: 'wrong_state', remedy: expect.any(String) });
    }
    await expect(rig.jobs.change(TENANT, job.id, { concurrency: 2 })).rejects.toMatchObject({ code: 'wrong_state' });
    expect(await rig.job(job.id)).toMatchObject({ state: 'completed', desired: null });
  });

  test('retry of a running job, and of one with nothing to retry', async () => {
    const running = await midway('retry-early', 2);
    await expect(rig.jobs.retry(TENANT, running.id, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
    rig.gate.release();
    await rig.ended(running.id);
    await expect(rig.jobs.retry(TENANT, running.id, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
  });

  test('an unknown job', async () => {
    await expect(rig.jobs.control(TENANT, 'job_none', 'pause')).rejects.toMatchObject({ code: 'job_not_found' });
    const job = await midway('other-tenant', 2);
    await expect(rig.jobs.control('somebody', job.id, 'cancel')).rejects.toMatchObject({ code: 'job_not_found' });
    rig.gate.release();
    await rig.ended(job.id);
  });
});

describe('priority and concurrency', () => {
  test('a change is in the record, in the status and in what starts next', async () => {
    const job = await midway('change', 3);
    expect(await rig.jobs.change(TENANT, job.id, { priority: 'urgent', concurrency: 3 }))
      .toMatchObject({ applied: true, job: { priority: 'urgent', request: { concurrency: 3 } } });
    expect(await workflow(job).query<JobStatus>('status')).toMatchObject({ priority: 'urgent', concurrency: 3 });

    await control(job, 'pause');
    goOnSlowly();
    await rig.when(job.id, ({ state }) => state === 'paused');
    rig.gate.answerMs = 0;
    rig.gate.hold = () => true;
    await control(job, 'resume');
    await rig.gate.until(() => rig.gate.held === 3);
    rig.gate.release();
    await rig.ended(job.id);

    const { events } = await workflow(job).fetchHistory();
    const pages = (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
      scheduled?.activityType?.name === 'processPage' ? [scheduled.priority] : []);
    expect(pages.map((priority) => [priority?.priorityKey, priority?.fairnessKey])).toEqual([[3, TENANT], [1, TENANT]]);
  });

  test('by Signal too; what is no priority or concurrency is ignored there and refused by the Update', async () => {
    const job = await midway('change-signal', 3);
    await workflow(job).signal('setPriority', 'low');
    await workflow(job).signal('setPriority', 'soon');
    await workflow(job).signal('setConcurrency', 7);
    await workflow(job).signal('setConcurrency', 0);
    expect(await workflow(job).query<JobStatus>('status')).toMatchObject({ priority: 'low', concurrency: 7 });
    await expect(rig.jobs.change(TENANT, job.id, { concurrency: 0 })).rejects.toMatchObject({ code: 'invalid_request' });
    rig.gate.release();
    await rig.ended(job.id);
  });
});

describe('what operators see', () => {
  test('the status query tells state, counts and pages, also after the end', async () => {
    const job = await midway('status', 3);
    expect(await workflow(job).query<JobStatus>('status')).toEqual({
      state: 'running', cause: null, until: null, reason: null, attempt: 1, priority: 'normal', concurrency: 1,
      total: 50, counts: { done: 0, unchanged: 0, failed: 0, skipped: 0 }, pagesInFlight: [1], pagesPending: 0,
    });
    rig.gate.release();
    await workflow(job).result();
    expect(await workflow(job).query<JobStatus>('status')).toMatchObject({ state: 'completed', counts: { done: 50 }, pagesInFlight: [] });
  });

  test('workflows are found by tenant, state, source and tag', async () => {
    const job = await midway('visible', 3);
    const { client } = rig.env;
    const byState = (state: string) => eventually(async () => {
      const query = `SheafTenant = "${TENANT}" AND SheafKind = "sheet" AND SheafSource = "${job.source}" AND SheafState = "${state}"`;
      for await (const { workflowId } of client.workflow.list({ query })) return workflowId;
      return null;
    });
    expect(await byState('running')).toBe(jobWorkflowId(job.id, 1));
    await control(job, 'pause');
    rig.gate.release();
    expect(await byState('paused')).toBe(jobWorkflowId(job.id, 1));
    await control(job, 'resume');
    expect(await byState('completed')).toBe(jobWorkflowId(job.id, 1));

    const tagged = await rig.create('tagged', rowsOf(1), { tags: ['spring', 'sale'] });
    await rig.ended(tagged.id);
    await eventually(async () => {
      for await (const { workflowId } of client.workflow.list({ query: 'SheafTags = "sale"' })) return workflowId === jobWorkflowId(tagged.id, 1);
      return false;
    });
  });
});
