/** What the API takes for creating a job, telling its status, pausing and cancelling, while 100 jobs run. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import { percentile } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const JOBS = 100;
const STATUS_CALLS = 1_000;
const CONTROLLED = 50;

/** Each row takes a moment, so that every job is still running when the last is asked about. */
const SLOW_HANDLER = `export const concurrency = 5;
export default async (row, { signal }) => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  signal.throwIfAborted();
  return { seen: row.id };
};
`;

export async function latency({ folder, scale, say }: Setting): Promise<Measure> {
  const jobs = Math.max(2, Math.round(JOBS * scale));
  const sheet = await makeSheet(folder, 5_000);
  const handler = path.join(folder, 'slow.mjs');
  await writeFile(handler, SLOW_HANDLER);
  const stack = await benchStack(folder, 'stack', folder, { SHEAF_MAX_RUNNING_JOBS: String(jobs), SHEAF_MAX_RUNNING_JOBS_PER_TENANT: String(jobs) });
  const times: Record<'create' | 'status' | 'pause' | 'paused' | 'cancel', number[]> = { create: [], status: [], pause: [], paused: [], cancel: [] };
  const timed = async <T>(into: number[], call: () => Promise<T>): Promise<T> => {
    const startedAt = performance.now();
    const answer = await call();
    into.push(performance.now() - startedAt);
    return answer;
  };
  const read = (id: string): Promise<JobAnswer> => stack.client.call<JobAnswer>('GET', `/jobs/${id}`);
  try {
    const ids: string[] = [];
    for (let index = 0; index < jobs; index++) {
      const job = await timed(times.create, () => stack.client.call<JobAnswer>('POST', '/jobs', {
        body: { source: { path: sheet }, sourceId: `bench-${index}`, handler, keyColumns: ['id'] },
      }));
      ids.push(job.id);
    }
    for (const id of ids) {
      while (!['running'].includes((await read(id)).state)) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    say(`${jobs} jobs run`);
    for (let call = 0; call < STATUS_CALLS; call++) await timed(times.status, () => read(ids[call % ids.length]!));
    for (const id of ids.slice(0, CONTROLLED)) {
      const startedAt = performance.now();
      let job = await timed(times.pause, () => stack.client.call<JobAnswer>('POST', `/jobs/${id}/pause`));
      while (job.state !== 'paused') job = await read(id);
      times.paused.push(performance.now() - startedAt);
    }
    for (const id of ids.slice(CONTROLLED)) await timed(times.cancel, () => stack.client.call('POST', `/jobs/${id}/cancel`));
    for (const id of ids.slice(0, CONTROLLED)) await stack.client.call('POST', `/jobs/${id}/cancel`);
  } finally {
    await stack.stop();
  }
  const p99 = (name: keyof typeof times, what: string, budget: number) => {
    const value = percentile(times[name], 99);
    return { what: `${what}, p99 (p50 ${Math.round(percentile(times[name], 50))} ms)`, measured: `${Math.round(value)} ms`, budget: `≤ ${budget} ms`, held: value <= budget };
  };
  return {
    title: `Latency with ${jobs} jobs running`,
    figures: [
      p99('create', 'job creation', 200), p99('status', 'status', 100),
      p99('pause', 'pause, until the answer', 2_000), p99('paused', 'pause, until no row is in flight', 2_000), p99('cancel', 'cancel, until the answer', 2_000),
    ],
    details: { times },
  };
}
