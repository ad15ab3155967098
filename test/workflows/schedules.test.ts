/** Schedules on the real server, run by trigger and backfill: their jobs, their overlaps, and what becomes of them without a record. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobRecord, JobRequest } from '../../src/contracts/job.ts';
import type { Overlap, ScheduleRecord } from '../../src/contracts/plans.ts';
import { createJobSchedules, type JobSchedules } from '../../src/temporal/job-schedules.ts';
import { scheduledWorkflowId, scheduleId } from '../../src/temporal/workflow-ids.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

/** A run waits for the one before it, on a machine that may be busy. */
const TIMEOUT = { timeout: 180_000 };

let rig: Rig;
let schedules: JobSchedules;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
  schedules = createJobSchedules(rig.store, rig.env.client);
});
afterEach(() => rig.gate.reset());
afterAll(async () => {
  for (const { workflowId } of runs) await replay(await historiesOf(rig.env.client, workflowId));
  await rig.close();
});
const runs: { workflowId: string }[] = [];

/** Due at six in the morning, in a zone that has no other time in summer. */
async function schedule(id: string, overlap: Overlap = 'skip', request: Partial<JobRequest> = {}, cron = '0 6 * * *'): Promise<ScheduleRecord> {
  const file = path.join(rig.folder, 'sheets', `${id}.csv`);
  await writeFile(file, rowsOf(3));
  const { schedule: made } = await schedules.create({
    kind: 'schedule', tenant: TENANT, id, owner: 'tester', createdAt: new Date().toISOString(), revision: 0, requestHash: id, open: false, cron, timeZone: 'Asia/Kolkata', overlap,
    job: {
      tenant: TENANT, owner: 'tester', source: null, lane: null, priority: 'high', tags: ['by-clock'], runAt: null, dependsOn: [], onFailure: 'cancel',
      request: {
        location: { path: file }, fileName: `${id}.csv`, handler: 'store', options: {}, keyColumns: [], onDuplicateKey: 'fail',
        force: false, concurrency: null, breaker: null, drainSeconds: 0, ...request,
      },
    },
  }, false);
  return made.record;
}
const jobsOf = async (id: string): Promise<JobRecord[]> =>
  (await rig.store.listJobs(TENANT, { tag: 'by-clock' }, { limit: 500 })).items.filter((job) => job.schedule?.id === id).toSorted((a, b) => (a.schedule!.at < b.schedule!.at ? -1 : 1));
const jobCount = (id: string, count: number) => eventually(async () => (await jobsOf(id)).length === count);
/** The end of a job that is about to be made. */
const made = async (id: string): Promise<JobRecord> => rig.ended((await eventually(() => rig.store.getJob(TENANT, id))).id);
/** As it is shown; a look that the server was too slow for is taken again. */
const clockOf = (id: string) => eventually(async () => (await schedules.show(TENANT, id)).clock);
const runOf = (job: JobRecord) => rig.env.client.workflow.getHandle(job.schedule!.workflow);

test('a trigger makes one job, as the schedule says, and its run lasts as long as the job', async () => {
  rig.gate.hold = () => true;
  await schedule('triggered', 'skip', await rig.gated());
  const { job: id } = await schedules.trigger(TENANT, 'triggered');
  const job = await eventually(() => rig.store.getJob(TENANT, id!));
  expect(job).toMatchObject({ owner: 'tester', priority: 'high', tags: ['by-clock'], schedule: { id: 'triggered' }, request: { fileName: 'triggered.csv' } });
  await rig.gate.until(() => rig.gate.held === 1);
  expect((await runOf(job).describe()).status.name).toBe('RUNNING');
  rig.gate.release();
  await rig.ended(id!);
  expect(await runOf(job).result()).toEqual({ job: id, end: 'completed' });
  runs.push({ workflowId: job.schedule!.workflow });
  expect(await clockOf('triggered')).toMatchObject({ state: 'active', recent: [{ job: id }], counts: { started: 1 } });
});

test('a backfill makes a job for each time that was due, one after the other, in the zone of the schedule; done again it makes none', TIMEOUT, async () => {
  await schedule('backfilled');
  const fill = () => schedules.backfill(TENANT, 'backfilled', new Date('2026-03-01T00:00:00Z'), new Date('2026-03-04T00:00:00Z'));
  await fill();
  await jobCount('backfilled', 3);
  const jobs = await Promise.all((await jobsOf('backfilled')).map(({ id }) => rig.ended(id)));
  expect(jobs.map((job) => job.schedule!.at)).toEqual(['2026-03-01T00:30:00.000Z', '2026-03-02T00:30:00.000Z', '2026-03-03T00:30:00.000Z']);
  for (const [index, job] of jobs.entries()) if (index > 0) expect(job.createdAt >= jobs[index - 1]!.completedAt!).toBe(true);
  await fill();
  await eventually(async () => (await schedules.show(TENANT, 'backfilled')).clock?.counts.started === 6);
  const { job: last } = await schedules.trigger(TENANT, 'backfilled');
  await made(last!);
  expect(await jobsOf('backfilled')).toHaveLength(4);
});

test('pauses and resumes, and says when it is due next', async () => {
  await schedule('paused');
  expect((await schedules.pause(TENANT, 'paused', 'holidays')).clock).toMatchObject({ state: 'paused', note: 'holidays', next: [] });
  const { clock } = await schedules.resume(TENANT, 'paused');
  expect(clock).toMatchObject({ state: 'active', note: null, next: expect.arrayContaining([expect.stringMatching(/T00:30:00/)]) });
});

describe('due while a job of it has not ended', () => {
  const cases: [Overlap, 'SKIP' | 'BUFFER_ONE' | 'ALLOW_ALL', number][] = [['skip', 'SKIP', 1], ['buffer_one', 'BUFFER_ONE', 2], ['allow_all', 'ALLOW_ALL', 2]];
  test.each(cases)('%s', TIMEOUT, async (overlap, policy, jobs) => {
    rig.gate.hold = () => true;
    await schedule(`overlap-${overlap}`, overlap, await rig.gated());
    const handle = rig.env.client.schedule.getHandle(scheduleId(TENANT, `overlap-${overlap}`));
    await handle.trigger(policy); // without it a trigger runs always, and is no overlap for others
    await rig.gate.until(() => rig.gate.held === 1);
    // Its workflow's name has the second in it.
    const [first] = await jobsOf(`overlap-${overlap}`);
    await eventually(async () => Date.now() - Date.parse(first!.schedule!.at) > 1_100);
    expect((await handle.describe()).policies.overlap).toBe(policy);
    await handle.trigger(policy);
    const counts = () => handle.describe().then(({ info }) => info);
    await eventually(async () => overlap === 'skip' ? (await counts()).numActionsSkippedOverlap === 1 : overlap === 'buffer_one' || (await counts()).numActionsTaken === 2);
    rig.gate.release();
    await jobCount(`overlap-${overlap}`, jobs);
    for (const { id } of await jobsOf(`overlap-${overlap}`)) expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
  });

  test('cancel_other: the older job is cancelled first', TIMEOUT, async () => {
    rig.gate.hold = () => true;
    await schedule('overlap-cancel', 'cancel_other', await rig.gated());
    const handle = rig.env.client.schedule.getHandle(scheduleId(TENANT, 'overlap-cancel'));
    await handle.trigger('CANCEL_OTHER');
    await rig.gate.until(() => rig.gate.held === 1);
    const [first] = await jobsOf('overlap-cancel');
    await eventually(async () => Date.now() - Date.parse(first!.schedule!.at) > 1_100);
    await handle.trigger('CANCEL_OTHER');
    expect(await rig.ended(first!.id)).toMatchObject({ state: 'cancelled' });
    rig.gate.release();
    await jobCount('overlap-cancel', 2);
    expect(await rig.ended((await jobsOf('overlap-cancel'))[1]!.id)).toMatchObject({ state: 'completed' });
    runs.push({ workflowId: first!.schedule!.workflow });
  });
});

describe('a deleted schedule', () => {
  test('is gone from both, and its jobs stay', async () => {
    await schedule('deleted');
    const { job } = await schedules.trigger(TENANT, 'deleted');
    await made(job!);
    await schedules.remove(TENANT, 'deleted');
    await expect(schedules.show(TENANT, 'deleted')).rejects.toMatchObject({ code: 'schedule_not_found' });
    await expect(rig.env.client.schedule.getHandle(scheduleId(TENANT, 'deleted')).describe()).rejects.toThrow();
    expect(await rig.job(job!)).toMatchObject({ state: 'completed' });
  });

  test('of which Temporal was not told makes no job when it is due', async () => {
    const { createdAt } = await schedule('ghost');
    await rig.store.removePlan(TENANT, 'schedule', 'ghost');
    const handle = rig.env.client.schedule.getHandle(scheduleId(TENANT, 'ghost'));
    await handle.trigger();
    const [run] = await eventually(async () => { const { info } = await handle.describe(); return info.recentActions.length > 0 && info.recentActions; });
    expect(run!.action.workflow.workflowId).toContain(scheduledWorkflowId(TENANT, 'ghost', createdAt));
    expect(await rig.env.client.workflow.getHandle(run!.action.workflow.workflowId).result()).toEqual({ job: null, end: null });
    expect(await jobsOf('ghost')).toEqual([]);
  });

  test('that only Temporal has lost is shown as missing, and resuming makes it again', async () => {
    await schedule('lost');
    await rig.env.client.schedule.getHandle(scheduleId(TENANT, 'lost')).delete();
    expect(await clockOf('lost')).toMatchObject({ state: 'missing' });
    await expect(schedules.trigger(TENANT, 'lost')).rejects.toMatchObject({ code: 'schedule_not_found' });
    expect((await schedules.resume(TENANT, 'lost')).clock).toMatchObject({ state: 'active' });
  });
});

test('a cron or a time zone that Temporal does not know is refused, and leaves nothing', async () => {
  await expect(schedule('wrong', 'skip', {}, '61 * * * *')).rejects.toMatchObject({ code: 'invalid_schedule' });
  expect(await rig.store.getPlan(TENANT, 'schedule', 'wrong')).toBeNull();
});

test('the same request again is the same schedule; another one under its name is refused and changes nothing', async () => {
  const record = await schedule('twice');
  expect(await schedules.create({ ...record, createdAt: '2030-01-01T00:00:00.000Z' }, false)).toMatchObject({ created: false, schedule: { record } });
  await expect(schedules.create({ ...record, cron: '0 7 * * *', requestHash: 'other' }, false)).rejects.toMatchObject({ code: 'idempotency_conflict' });
  expect((await clockOf('twice')).next[0]).toMatch(/T00:30:00/);
});
