/** Ten thousand queued jobs: what they cost while they wait, and what they cost those who need not. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { JobAnswer } from '../src/contracts/api.ts';
import { jobWorkflowId } from '../src/temporal/workflow-ids.ts';
import { percentile } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const JOBS = 10_000;
const CREATORS = 16;
const CALLS = 200;
const IDLE_MS = 20_000;
/** Of a job that waits. */
const MOST_EVENTS = 40;
/** Never ends by itself: the tenant's places stay taken. */
const HANDLER = `export default (row, { signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));\n`;

export async function queuedJobs({ folder, scale, say }: Setting): Promise<Measure> {
  const jobs = Math.round(JOBS * scale);
  const handler = path.join(folder, 'endless.mjs');
  await writeFile(handler, HANDLER);
  const sheet = await makeSheet(folder, 10);
  const stack = await benchStack(folder, 'stack', folder);
  const connection = await Connection.connect({ address: stack.temporal });
  const client = new Client({ connection });
  try {
    const create = (tenant: string, sourceId: string, more: object = {}) => stack.client.call<JobAnswer>('POST', '/jobs', {
      body: { source: { path: sheet }, sourceId, keyColumns: ['id'], ...more }, headers: { 'x-sheaf-tenant': tenant },
    });
    const show = (tenant: string, id: string) => stack.client.call<JobAnswer>('GET', `/jobs/${id}`, { headers: { 'x-sheaf-tenant': tenant } });
    for (let n = 0; n < 3; n++) await create('crowd', `endless-${n}`, { handler });
    const ids: string[] = [];
    let next = 0;
    const begun = performance.now();
    await Promise.all(Array.from({ length: CREATORS }, async () => {
      while (next < jobs) ids.push((await create('crowd', `crowd-${next++}`)).id);
    }));
    say(`${jobs} created in ${Math.round((performance.now() - begun) / 1000)} s`);
    for (const id of ids) while ((await show('crowd', id)).queue === undefined) await sleep(100);
    say(`all in the queue after ${Math.round((performance.now() - begun) / 1000)} s`);

    const status: number[] = [];
    let last = 0;
    for (let call = 0; call < CALLS; call++) {
      const startedAt = performance.now();
      last = Math.max(last, (await show('crowd', ids[(call * 7919) % ids.length]!)).queue?.position ?? 0);
      status.push(performance.now() - startedAt);
    }
    const before = await cpuSeconds(stack.workerPid);
    await sleep(IDLE_MS);
    const cpu = ((await cpuSeconds(stack.workerPid)) - before) / (IDLE_MS / 1000);
    const events = await Promise.all([0, 0.5, 1].map(async (share) => {
      const id = ids[Math.floor(share * (ids.length - 1))]!;
      return (await client.workflow.getHandle(jobWorkflowId(id, 1)).describe()).historyLength;
    }));
    const admission: number[] = [];
    for (let n = 0; n < 10; n++) {
      let job = await create('other', `other-${n}`);
      while (job.completedAt === null) job = await show('other', job.id);
      admission.push(Date.parse(job.startedAt!) - Date.parse(job.createdAt));
    }
    const p99 = percentile(status, 99);
    return {
      title: `${jobs.toLocaleString('en')} queued jobs of one tenant`,
      figures: [
        { what: `status of a queued job with its position (the last is ${last}), p99`, measured: `${Math.round(p99)} ms`, budget: '≤ 100 ms', held: p99 <= 100 },
        { what: 'events in the history of a queued job', measured: String(Math.max(...events)), budget: `≤ ${MOST_EVENTS}`, held: Math.max(...events) <= MOST_EVENTS },
        { what: "worker's CPU while they wait, cores", measured: cpu.toFixed(2), budget: '≤ 0.5', held: cpu <= 0.5 },
        { what: "another tenant's job, from creation to its first step, p99", measured: `${percentile(admission, 99)} ms`, budget: '≤ 2,000 ms', held: percentile(admission, 99) <= 2_000 },
      ],
      details: { jobs, status, cpu, events, admission },
    };
  } finally {
    await connection.close();
    await stack.stop();
  }
}

/** User and system time of a process so far. Linux only; NaN elsewhere. */
async function cpuSeconds(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
