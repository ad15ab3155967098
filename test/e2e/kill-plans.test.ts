/** Kills while something is planned: chains of jobs, batches being made, actions on many jobs, runs of schedules. Nothing is lost, nothing is made twice. */
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import { isEnded } from '../../src/contracts/job.ts';
import type { BatchAnswer, BulkAnswer, BulkResultAnswer, ScheduleAnswer } from '../../src/contracts/plans-api.ts';
import { PARTS, startTestStack, type TestStack } from '../servers/stack.ts';
import { batchWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { ended, sheetOf, until } from './kill-round.ts';

const TIMEOUT = { timeout: 300_000 };
/** More than are made before the first answer, on most machines. */
const MEMBERS = 150;

let stack: TestStack;
beforeAll(async () => { stack = await startTestStack(); });
afterAll(() => stack?.stop());
beforeEach(() => { onTestFailed(async () => console.log(await stack.logs())); });
afterEach(() => stack.startMissing());

async function sheet(name: string, rows = 5): Promise<{ path: string }> {
  const file = path.join(stack.folder, name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, sheetOf(rows));
  return { path: file };
}
const later = (): string => new Date(Date.now() + 86_400_000).toISOString();
const list = async <T>(address: string): Promise<T[]> => {
  const items: T[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const page: { items: T[]; nextCursor: string | null } = await stack.call('GET', `${address}${address.includes('?') ? '&' : '?'}limit=200${cursor && `&cursor=${cursor}`}`);
    items.push(...page.items);
    cursor = page.nextCursor;
  }
  return items;
};
const batch = (id: string): Promise<BatchAnswer> => stack.call('GET', `/batches/${id}`);

test('a chain runs to its end through the death of everything, each job after the one that it depends on', TIMEOUT, async () => {
  const source = await sheet('chain.csv');
  const runAt = new Date(Date.now() + 5_000).toISOString();
  const first = await stack.create({ source, lane: 'first', runAt });
  const second = await stack.create({ source, lane: 'second', dependsOn: [first.id] });
  const third = await stack.create({ source, lane: 'third', dependsOn: [second.id] });
  await until('the last to wait', async () => (await stack.job(third.id)).state === 'waiting');
  await Promise.all(PARTS.map((part) => stack.kill(part)));
  await stack.startMissing();
  const jobs = await Promise.all([first, second, third].map(({ id }) => ended(stack, id)));
  expect(jobs.map(({ state }) => state)).toEqual(['completed', 'completed', 'completed']);
  expect(jobs[0]!.startedAt! >= runAt).toBe(true);
  expect(jobs[1]!.startedAt! >= jobs[0]!.completedAt!).toBe(true);
  expect(jobs[2]!.startedAt! >= jobs[1]!.completedAt!).toBe(true);
});

test('a job whose dependency an operator terminates while no worker lives is cancelled for it', TIMEOUT, async () => {
  const source = await sheet('terminated.csv');
  const first = await stack.create({ source, lane: 'first', runAt: later() });
  const second = await stack.create({ source, lane: 'second', dependsOn: [first.id] });
  await until('it to wait', async () => (await stack.job(second.id)).state === 'waiting');
  await stack.kill('worker');
  await promisify(execFile)(stack.temporalCli, ['workflow', 'terminate', '--address', stack.temporal, '--workflow-id', `${first.id}/1`, '--reason', 'a test']);
  await stack.start('worker');
  expect(await ended(stack, second.id)).toMatchObject({ state: 'cancelled', error: { code: 'dependency_failed' } });
  expect(await stack.job(first.id)).toMatchObject({ state: 'failed', error: { code: 'workflow_terminated' } });
});

test.each(['worker', 'api', 'temporal'] as const)('a batch is made to its last job, each once, when the %s is killed meanwhile', TIMEOUT, async (victim) => {
  const source = await sheet(`batch-${victim}.csv`);
  const made = await stack.call<BatchAnswer>('POST', '/batches', { defaults: { source, runAt: later() }, jobs: Array.from({ length: MEMBERS }, (_, index) => ({ lane: `l${index}` })) });
  await stack.kill(victim);
  await stack.start(victim);
  await until('all to be made', async () => (await batch(made.id)).made === MEMBERS);
  const jobs = await list<JobAnswer>(`/jobs?batch=${made.id}`);
  expect(new Set(jobs.map(({ lane }) => lane)).size).toBe(MEMBERS);
  expect(jobs).toHaveLength(MEMBERS);

  // And cancelled as one, through another kill.
  await stack.call('POST', `/batches/${made.id}/cancel`);
  await stack.kill(victim);
  await stack.start(victim);
  await until('all to be cancelled', async () => (await batch(made.id)).jobs.cancelled === MEMBERS);
  const { action, state } = await batch(made.id);
  await until('the action to end', async () => (await stack.call<BulkAnswer>('GET', `/jobs/batch/${action!.id}`)).state === 'completed');
  expect(state).toBe('cancelled');
  const results = await list<BulkResultAnswer>(`/jobs/batch/${action!.id}/results`);
  expect(new Set(results.map(({ job }) => job)).size).toBe(MEMBERS);
  expect(results.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
});

test('a batch whose workflow an operator terminated is made all the same', TIMEOUT, async () => {
  const source = await sheet('batch-terminated.csv');
  const made = await stack.call<BatchAnswer>('POST', '/batches', { defaults: { source, runAt: later() }, jobs: Array.from({ length: MEMBERS }, (_, index) => ({ lane: `l${index}` })) });
  await promisify(execFile)(stack.temporalCli, ['workflow', 'terminate', '--address', stack.temporal, '--workflow-id', batchWorkflowId('default', made.id), '--reason', 'a test']);
  await until('all to be made', async () => (await batch(made.id)).made === MEMBERS);
  expect(await list<JobAnswer>(`/jobs?batch=${made.id}`)).toHaveLength(MEMBERS);
  await stack.call('POST', `/batches/${made.id}/cancel`);
  await until('all to be cancelled', async () => (await batch(made.id)).jobs.cancelled === MEMBERS);
});

test('runs of a schedule that were due while everything was dead are made up for, once each', TIMEOUT, async () => {
  const source = await sheet('clock.csv');
  const made = await stack.call<ScheduleAnswer>('POST', '/schedules', { id: 'clock', cron: '0 6 * * *', job: { source, tags: ['clock'] } });
  expect(made.state).toBe('active');
  await stack.call('POST', '/schedules/clock/backfill', { from: '2026-01-01T00:00:00Z', to: '2026-01-06T00:00:00Z' });
  await Promise.all([stack.kill('worker'), stack.kill('temporal')]);
  await stack.startMissing();
  await until('five jobs', async () => (await list<JobAnswer>('/jobs?tag=clock')).length === 5);
  await until('all to end', async () => (await list<JobAnswer>('/jobs?tag=clock')).every(({ state }) => isEnded(state)));
  const jobs = await list<JobAnswer>('/jobs?tag=clock');
  expect(jobs.map(({ schedule }) => schedule!.at).toSorted()).toEqual([1, 2, 3, 4, 5].map((day) => `2026-01-0${day}T06:00:00.000Z`));
  expect(jobs.every(({ state }) => state === 'completed')).toBe(true);
});
