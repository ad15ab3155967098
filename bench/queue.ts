/**
 * The queue: how long a job waits for a place that is free, how many small jobs a minute go through, and what one tenant's
 * hundred thousand rows do to another's ten.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import { isEnded } from '../src/contracts/job.ts';
import { median, percentile, seconds } from './median.ts';
import type { Figure, Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack, type BenchStack } from './stack.ts';

const ALONE = 20;
const SMALL_JOBS = 200;
const TENANTS = 10;
const LARGE_ROWS = 100_000;
const SMALL_ROWS = 10;
/** What another tenant's large job may cost a small one. */
const MOST_DELAY_S = 2;
/** Rows take their time, as those of a model do. */
const HANDLER = `export const concurrency = 50;
export default async (row, { signal }) => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  signal.throwIfAborted();
  return { seen: row.id };
};
`;

export async function queue({ folder, scale, say }: Setting): Promise<Measure> {
  const handler = path.join(folder, 'slow.mjs');
  await writeFile(handler, HANDLER);
  const small = { source: { path: await makeSheet(folder, SMALL_ROWS) }, keyColumns: ['id'] };
  const large = { source: { path: await makeSheet(folder, Math.round(LARGE_ROWS * scale)) }, keyColumns: ['id'], handler };
  const stack = await benchStack(folder, 'stack', folder);
  try {
    let run = 0;
    const smallJob = (tenant: string, more: object = {}) => ran(stack, tenant, { ...small, sourceId: `small-${run++}`, ...more });
    await smallJob('warm');

    const alone: JobAnswer[] = [];
    for (let job = 0; job < ALONE; job++) alone.push(await smallJob('alone'));
    const admission = alone.map(({ createdAt, startedAt }) => Date.parse(startedAt!) - Date.parse(createdAt));
    say(`admission: p50 ${percentile(admission, 50)} ms, p99 ${percentile(admission, 99)} ms`);

    const jobs = Math.max(TENANTS, Math.round(SMALL_JOBS * scale));
    const begun = performance.now();
    await Promise.all(Array.from({ length: jobs }, (_, job) => smallJob(`tenant-${job % TENANTS}`)));
    const perMinute = (jobs / (performance.now() - begun)) * 60_000;
    say(`${jobs} jobs of ${TENANTS} tenants: ${Math.round(perMinute)} a minute`);

    const slow = { handler };
    const without: number[] = [];
    for (let job = 0; job < ALONE; job++) without.push(took(await smallJob('small', slow)));
    const crowd = await Promise.all([1, 2, 3].map((n) => created(stack, 'large', { ...large, sourceId: `large-${n}` })));
    while (!(await Promise.all(crowd.map((job) => shown(stack, job)))).every(({ progress }) => progress.done > 0)) await pause();
    const beside: number[] = [];
    for (let job = 0; job < ALONE; job++) beside.push(took(await smallJob('small', slow)));
    const left = await Promise.all(crowd.map((job) => shown(stack, job)));
    const meaningful = left.every(({ state }) => state === 'running');
    for (const job of crowd) await stack.client.call('POST', `/jobs/${job.id}/cancel`, { headers: { 'x-sheaf-tenant': 'large' } });
    const delay = percentile(beside, 95) - median(without);

    const figures: Figure[] = [
      { what: 'from creation to the first step, with a place free, p99', measured: `${percentile(admission, 99)} ms (p50 ${percentile(admission, 50)} ms)`, budget: 'none', held: true },
      { what: `small jobs a minute through the queue, ${TENANTS} tenants, limits as they are by default`, measured: String(Math.round(perMinute)), budget: 'none', held: true },
      {
        what: `a ${SMALL_ROWS}-row job beside three of another tenant's ${large.source.path.match(/rows-(\d+)/)?.[1]} rows, p95, over its median alone (${seconds(median(without))})`,
        measured: `+ ${seconds(delay)} (ratio ${(percentile(beside, 95) / median(without)).toFixed(2)})`, budget: `≤ + ${MOST_DELAY_S} s`, held: meaningful && delay <= MOST_DELAY_S,
      },
    ];
    return { title: 'The queue', figures, details: { admission, perMinute, without, beside } };
  } finally {
    await stack.stop();
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));
const took = ({ createdAt, completedAt }: JobAnswer): number => (Date.parse(completedAt!) - Date.parse(createdAt)) / 1000;
const created = (stack: BenchStack, tenant: string, body: object): Promise<JobAnswer> =>
  stack.client.call<JobAnswer>('POST', '/jobs', { body, headers: { 'x-sheaf-tenant': tenant } });
const shown = (stack: BenchStack, { id, tenant }: JobAnswer): Promise<JobAnswer> =>
  stack.client.call<JobAnswer>('GET', `/jobs/${id}`, { headers: { 'x-sheaf-tenant': tenant } });

async function ran(stack: BenchStack, tenant: string, body: object): Promise<JobAnswer> {
  let job = await created(stack, tenant, body);
  while (!isEnded(job.state)) {
    await pause();
    job = await shown(stack, job);
  }
  if (job.state !== 'completed') throw new Error(`A job ended ${job.state}: ${job.error?.message ?? ''}`);
  return job;
}
