/**
 * Many small jobs of many tenants through the queue of two workers, while at random jobs are paused, resumed, cancelled and
 * given other priorities and processes are killed; and everything that must hold meanwhile and afterwards. Used by the tests and the soak.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { readConfig } from '../../src/config.ts';
import { openStore } from '../../src/container.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import { isEnded, PRIORITIES } from '../../src/contracts/job.ts';
import type { SheetJobResult } from '../../src/contracts/sheet-messages.ts';
import type { Store } from '../../src/store/store.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import type { RowCounter } from '../servers/counter.ts';
import { randomNumbers } from '../servers/random.ts';
import type { TestStack } from '../servers/stack.ts';
import { until } from './kill-round.ts';

/** What the stack of a soak gets. */
export const SOAK_LIMITS = { SHEAF_MAX_RUNNING_JOBS_PER_TENANT: '3', SHEAF_MAX_RUNNING_JOBS: '8' };
/** What is left when nobody steers any more must end within this. */
const END_PATIENCE_MS = 240_000;
const PER_TENANT = Number(SOAK_LIMITS.SHEAF_MAX_RUNNING_JOBS_PER_TENANT);
const ALL = Number(SOAK_LIMITS.SHEAF_MAX_RUNNING_JOBS);

export interface Soak {
  jobs: number;
  tenants: number;
  rows: number;
  seed: number;
  /** Killed in turn, so many jobs after one another have ended. */
  victims: readonly string[];
}

export interface SoakReport {
  seconds: number;
  states: Record<string, number>;
  acts: Record<string, number>;
  kills: string[];
  /** Most jobs that had a place at once: of all tenants, of one. */
  most: { all: number; tenant: number };
  rowsTwice: number;
  /** What did not hold; empty when all is well. */
  violations: string[];
}

interface Made {
  tenant: string;
  id: string;
  prefix: string;
}

export async function soakJobs(stack: TestStack, counter: RowCounter & { url: string }, soak: Soak): Promise<SoakReport> {
  const random = randomNumbers(soak.seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const begun = performance.now();
  const violations: string[] = [];
  const acts: Record<string, number> = {};
  const kills: string[] = [];
  const most = { all: 0, tenant: 0 };
  const store = await openStore(readConfig(stack.env));
  counter.clear();

  const made: Made[] = [];
  const open = new Map<string, Made>();
  let done = false;
  let acting = true;

  const create = async (number: number): Promise<void> => {
    const tenant = `tenant-${number % soak.tenants}`;
    const prefix = `j${String(number).padStart(4, '0')}`;
    const sheet = `id,name\n${Array.from({ length: soak.rows }, (_, row) => `${keyOf(prefix, row)},Name ${row}`).join('\n')}\n`;
    const upload = await until('an upload', () => stack.upload('soak.csv', sheet, tenant));
    const body = {
      source: { upload }, keyColumns: ['id'], concurrency: 4, priority: pick(PRIORITIES), drainSeconds: 5,
      handler: { name: 'module', options: { file: path.join(stack.folder, 'counted.mjs'), options: { url: counter.url } } },
      // Some share a lane: they take turns whatever else happens.
      ...(number % 10 < 2 && { sourceId: `shared-${tenant}` }),
    };
    const response = await until('a job to be created', async () => {
      const response = await fetch(`${stack.url}/api/v1/jobs`, {
        method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'x-sheaf-tenant': tenant, 'idempotency-key': `soak-${soak.seed}-${number}` },
      });
      return response.ok && ((await response.json()) as JobAnswer);
    });
    const job = { tenant, id: response.id, prefix };
    made.push(job);
    open.set(job.id, job);
  };

  const act = async (): Promise<void> => {
    const job = pick([...open.values()]);
    if (!job) return;
    const what = pick(['pause', 'pause', 'resume', 'resume', 'resume', 'priority', 'priority', 'cancel'] as const);
    try {
      if (what === 'priority') await stack.call('PATCH', `/jobs/${job.id}`, { priority: pick(PRIORITIES) }, job.tenant);
      else await stack.call('POST', `/jobs/${job.id}/${what}`, undefined, job.tenant);
      acts[what] = (acts[what] ?? 0) + 1;
    } catch {
      // It has ended since, or a process is away: asked in vain.
    }
  };

  const look = async (): Promise<void> => {
    const byTenant = Map.groupBy(await store.placesTaken(Date.now()), ({ tenant }) => tenant);
    const all = [...byTenant.values()].reduce((sum, places) => sum + places.length, 0);
    const tenant = Math.max(0, ...[...byTenant.values()].map(({ length }) => length));
    most.all = Math.max(most.all, all);
    most.tenant = Math.max(most.tenant, tenant);
    for (const job of open.values()) {
      const record = await store.getJob(job.tenant, job.id);
      if (record && isEnded(record.state)) open.delete(job.id);
    }
  };

  const looking = (async () => {
    while (!done) {
      await look();
      await sleep(50);
    }
  })();
  const steering = (async () => {
    while (acting && !done) {
      await act();
      await sleep(300 * random());
    }
  })();
  const killing = (async () => {
    const every = Math.floor(soak.jobs / (soak.victims.length + 1));
    for (const [index, victim] of soak.victims.entries()) {
      await until('jobs to end', async () => made.length - open.size >= every * (index + 1), 900_000);
      await stack.kill(victim);
      kills.push(victim);
      await stack.start(victim);
    }
  })();
  try {
    for (let number = 0; number < soak.jobs; number += 10) {
      await Promise.all(Array.from({ length: Math.min(10, soak.jobs - number) }, (_, index) => create(number + index)));
    }
    await killing;
    // What was paused last must not stay so.
    await until('all jobs to end', async () => {
      for (const { id, tenant } of open.values()) {
        const job = await stack.job(id, tenant);
        if (job.state === 'paused' || job.state === 'pausing') await stack.call('POST', `/jobs/${id}/resume`, undefined, tenant).catch(() => {});
      }
      if (made.length - open.size > soak.jobs * 0.8) acting = false; // the last ones are left alone
      return open.size === 0;
    }, END_PATIENCE_MS).catch(async () => {
      for (const { id, tenant } of open.values()) {
        const [job, standing] = await Promise.all([store.getJob(tenant, id), store.queueStanding(tenant, id, { perTenant: PER_TENANT, all: ALL, ageAfterMs: 0 }, Date.now())]);
        violations.push(`${id} (${tenant}) does not end: ${job?.state} since ${job?.updatedAt}, wished ${job?.desired}, in the queue ${JSON.stringify(standing)}`);
      }
    });
  } finally {
    done = true;
    await Promise.all([looking, steering]);
  }

  if (most.all > ALL) violations.push(`${most.all} jobs had a place at once`);
  if (most.tenant > PER_TENANT) violations.push(`${most.tenant} jobs of one tenant had a place at once`);
  const left = await until('the places to be given back', async () => {
    const places = await store.placesTaken(Date.now());
    return places.length === 0 && [];
  }, 30_000).catch(() => store.placesTaken(Date.now()));
  if (left.length > 0) violations.push(`places of ended jobs: ${left.map(({ jobId }) => jobId).join(', ')}`);
  violations.push(...crowds(counter), ...(await disagreementsOf(stack, store, made, soak.rows)));
  const states: Record<string, number> = {};
  for (const { tenant, id } of made) {
    const state = (await store.getJob(tenant, id))?.state ?? 'gone';
    states[state] = (states[state] ?? 0) + 1;
  }
  await store.close();
  return {
    seconds: (performance.now() - begun) / 1000, states, acts, kills, most, violations,
    rowsTwice: [...counter.byKey().values()].filter(({ length }) => length > 1).length,
  };
}

const keyOf = (prefix: string, row: number): string => `${prefix}-${String(row).padStart(3, '0')}`;

/** Moments at which rows of more jobs were being handled than may run: what the handlers' outside saw. */
function crowds(counter: RowCounter): string[] {
  const moments = counter.calls.flatMap(({ key, asked, answered }) => (answered === null ? [] : [{ at: asked, key, step: 1 }, { at: answered, key, step: -1 }]))
    .toSorted((a, b) => a.at - b.at || a.step - b.step);
  const rows = new Map<string, number>();
  let crowd = 0;
  for (const { key, step } of moments) {
    const job = key.split('-')[0] ?? '';
    const now = (rows.get(job) ?? 0) + step;
    if (now === 0) rows.delete(job);
    else rows.set(job, now);
    crowd = Math.max(crowd, rows.size);
  }
  return crowd > ALL ? [`rows of ${crowd} jobs were handled at once`] : [];
}

/** Where record, results, ledger and workflow of a job do not say the same. */
async function disagreementsOf(stack: TestStack, store: Store, made: Made[], rows: number): Promise<string[]> {
  const connection = await Connection.connect({ address: stack.temporal });
  const client = new Client({ connection });
  const found: string[] = [];
  try {
    for (const { tenant, id, prefix } of made) {
      const say = (what: string): void => void found.push(`${id} (${tenant}): ${what}`);
      const job = await stack.job(id, tenant);
      if (!isEnded(job.state)) say(`is ${job.state}`);
      if (job.state === 'failed') say(`failed: ${job.error?.message}`);
      const handle = client.workflow.getHandle(jobWorkflowId(id, job.attempt));
      const result = await handle.result().catch((error: unknown) => error) as SheetJobResult | Error;
      if (result instanceof Error) say(`its workflow ended with ${result.message}`);
      else if (result.state !== job.state) say(`its workflow says ${result.state}, its record ${job.state}`);
      else if (JSON.stringify(result.counts) !== JSON.stringify({ done: job.progress.done, unchanged: job.progress.unchanged, failed: job.progress.failed, skipped: job.progress.skipped })) {
        say(`its workflow counts ${JSON.stringify(result.counts)}, its record ${JSON.stringify(job.progress)}`);
      }
      if (job.state === 'completed' && job.progress.done !== rows) say(`${job.progress.done} of ${rows} rows are done`);
      if (!job.manifest) continue; // cancelled before its sheet was read
      const results = await stack.results(id, tenant);
      if (results.length !== rows) say(`${results.length} result lines`);
      for (const state of ['done', 'remaining'] as const) {
        const lines = results.filter((line) => line.state === state).length;
        if (lines !== job.progress[state]) say(`${lines} lines ${state}, the record says ${job.progress[state]}`);
      }
      const keys = Array.from({ length: rows }, (_, row) => keyOf(prefix, row));
      const items = await store.readItems({ tenant, source: job.source, lane: job.lane }, keys);
      const unlike = results.filter(({ key, state }) => (items.get(key ?? '')?.state ?? 'remaining') !== state);
      if (unlike.length > 0) say(`the ledger says something else of ${unlike.length} rows`);
    }
  } finally {
    await connection.close();
  }
  return found;
}
