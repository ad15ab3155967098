/** Ten thousand rows that are workflows of their own: how fast they go through, what they leave in Temporal's histories, and what they do to another tenant. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import type { JobAnswer } from '../src/contracts/job-api.ts';
import { itemWorkflowId, jobWorkflowId } from '../src/temporal/workflow-ids.ts';
import { historiesOf } from '../test/workflows/replay.ts';
import { median, percentile } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { makeSheet } from './sheets.ts';
import { benchStack } from './stack.ts';

const ROWS = 10_000;
const CONCURRENCY = 50;
const MOST_EVENTS = 2_000;
const SMALL_JOBS = 10;
const HANDLER = `export default async (row) => {
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { seen: row.id };
};
`;

export async function fanOut({ folder, scale, say }: Setting): Promise<Measure> {
  const rows = Math.round(ROWS * scale);
  const handler = path.join(folder, 'slow.mjs');
  await writeFile(handler, HANDLER);
  const [sheet, small] = await Promise.all([makeSheet(folder, rows), makeSheet(folder, 10)]);
  const stack = await benchStack(folder, 'stack', folder);
  const connection = await Connection.connect({ address: stack.temporal });
  const client = new Client({ connection });
  try {
    const call = <T>(method: string, address: string, tenant: string, body?: object) =>
      stack.client.call<T>(method, address, { headers: { 'x-sheaf-tenant': tenant }, ...(body && { body }) });
    const ended = async (tenant: string, { id }: JobAnswer): Promise<JobAnswer> => {
      for (;;) {
        const job = await call<JobAnswer>('GET', `/jobs/${id}`, tenant);
        if (job.completedAt !== null) return job;
        await sleep(50);
      }
    };
    const smallJob = async (n: string): Promise<number> => {
      const job = await ended('small', await call<JobAnswer>('POST', '/jobs', 'small', { source: { path: small }, sourceId: `small-${n}`, keyColumns: ['id'] }));
      return (Date.parse(job.completedAt!) - Date.parse(job.createdAt)) / 1000;
    };
    const alone: number[] = [];
    for (let n = 0; n < SMALL_JOBS; n++) alone.push(await smallJob(`alone-${n}`));

    const large = await call<JobAnswer>('POST', '/jobs', 'large', { source: { path: sheet }, keyColumns: ['id'], handler, fanOut: 'workflow', concurrency: CONCURRENCY });
    while ((await call<JobAnswer>('GET', `/jobs/${large.id}`, 'large')).progress.done === 0) await sleep(50);
    const beside: number[] = [];
    for (let n = 0; n < SMALL_JOBS; n++) beside.push(await smallJob(`beside-${n}`));
    say(`a small job alone ${median(alone).toFixed(2)} s, beside ${median(beside).toFixed(2)} s`);
    const job = await ended('large', large);
    const took = (Date.parse(job.completedAt!) - Date.parse(job.startedAt!)) / 1000;
    say(`${job.progress.done} rows in ${took.toFixed(0)} s`);

    const runs = (await historiesOf(client, jobWorkflowId(job.id, 1))).map(({ history }) => history.events!.length);
    const item = Number((await client.workflow.getHandle(itemWorkflowId(job.id, 1, 2)).describe()).historyLength);
    const delay = percentile(beside, 95) - median(alone);
    return {
      title: `${rows.toLocaleString('en')} rows as workflows of their own, ${CONCURRENCY} at once, 200 ms each`,
      figures: [
        { what: 'rows done, each with a workflow', measured: String(job.progress.done), budget: String(rows), held: job.progress.done === rows },
        { what: 'rows a second', measured: `${(rows / took).toFixed(1)} (${took.toFixed(0)} s)`, budget: 'none', held: true },
        { what: `events in the longest of the job's ${runs.length} runs`, measured: String(Math.max(...runs)), budget: `≤ ${MOST_EVENTS}`, held: Math.max(...runs) <= MOST_EVENTS },
        { what: "events in a row's history", measured: String(item), budget: 'none', held: true },
        { what: `another tenant's 10-row job beside it, p95, over its median alone (${median(alone).toFixed(2)} s)`, measured: `+ ${delay.toFixed(2)} s`, budget: '≤ + 2 s', held: delay <= 2 },
      ],
      details: { rows, took, runs, item, alone, beside },
    };
  } finally {
    await connection.close();
    await stack.stop();
  }
}
