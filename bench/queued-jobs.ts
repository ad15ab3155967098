/** Ten thousand queued jobs: what they cost while they wait, and what they cost those who need not. */
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import type { SystemAnswer } from '../src/contracts/system-api.ts';
import { jobWorkflowId } from '../src/temporal/workflow-ids.ts';
import { percentile } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const JOBS = 10_000;
const CREATORS = 16;
const CALLS = 200;
const IDLE_MS = 20_000;
/** Of a tenant, by default. */
const PLACES = 3;
/** Jobs of which the order is looked at: one after the other, since the tenant's other places stay taken. */
const IN_ORDER = 30;
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
    let endless = '';
    for (let n = 0; n < PLACES; n++) endless = (await create('crowd', `endless-${n}`, { handler: { name: handler, options: { timeoutSeconds: 3_600 } } })).id;
    const system = async () => {
      const { queue, workers } = await stack.client.call<SystemAnswer>('GET', '/system/status');
      return { length: queue.ok ? queue.length : 0, slots: workers.ok ? workers.items.flatMap(({ slots }) => slots) : [] };
    };
    const crowd: JobAnswer[] = [];
    let next = 0;
    const begun = performance.now();
    await Promise.all(Array.from({ length: CREATORS }, async () => {
      while (next < jobs) crowd.push(await create('crowd', `crowd-${next++}`));
    }));
    say(`${jobs} created in ${Math.round((performance.now() - begun) / 1000)} s`);
    while ((await system()).length < jobs) await sleep(1_000);
    say(`all in the queue after ${Math.round((performance.now() - begun) / 1000)} s`);

    const ids = crowd.map(({ id }) => id);
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
    const used = (await system()).slots.filter(({ queue }) => queue !== 'sheaf-maintenance').reduce((sum, slot) => sum + slot.used, 0);
    const admission: number[] = [];
    for (let n = 0; n < 10; n++) {
      let job = await create('other', `other-${n}`);
      while (job.completedAt === null) job = await show('other', job.id);
      admission.push(Date.parse(job.startedAt!) - Date.parse(job.createdAt));
    }
    say(`status p99 ${Math.round(percentile(status, 99))} ms, ${cpu.toFixed(2)} cores, another's admission p99 ${percentile(admission, 99)} ms`);
    // The last one is made urgent, and a place becomes free: it comes first, then those that came first.
    const first = crowd.toSorted((a, b) => (`${a.createdAt} ${a.id}` < `${b.createdAt} ${b.id}` ? -1 : 1)).map(({ id }) => id);
    const urgent = first.at(-1)!;
    const due = [urgent, ...first.slice(0, IN_ORDER - 1)];
    await stack.client.call('PATCH', `/jobs/${urgent}`, { body: { priority: 'urgent' }, headers: { 'x-sheaf-tenant': 'crowd' } });
    await stack.client.call('POST', `/jobs/${endless}/cancel`, { headers: { 'x-sheaf-tenant': 'crowd' } });
    const started = new Map<string, string>();
    while (started.size < IN_ORDER) {
      for (const id of due) {
        const { startedAt } = await show('crowd', id);
        if (startedAt) started.set(id, startedAt);
      }
    }
    const asBegun = due.toSorted((a, b) => (started.get(a)! < started.get(b)! ? -1 : 1));
    const ordered = asBegun.every((id, place) => id === due[place]);
    say(`the first ${IN_ORDER} began ${ordered ? 'in order' : `out of order: ${asBegun.map((id) => due.indexOf(id)).join(' ')}`}`);
    const p99 = percentile(status, 99);
    return {
      title: `${jobs.toLocaleString('en')} queued jobs of one tenant`,
      figures: [
        { what: `status of a queued job with its position (the last is ${last}), p99`, measured: `${Math.round(p99)} ms`, budget: '≤ 100 ms', held: p99 <= 100 },
        { what: 'events in the history of a queued job', measured: String(Math.max(...events)), budget: `≤ ${MOST_EVENTS}`, held: Math.max(...events) <= MOST_EVENTS },
        { what: `the ${IN_ORDER} that begin when a place is free`, measured: ordered ? 'the urgent one, then as they came' : 'out of order', budget: 'in order', held: ordered },
        { what: 'slots of the worker in use while they wait', measured: String(used), budget: `≤ ${PLACES}`, held: used <= PLACES },
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
