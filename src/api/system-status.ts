/** The sections of the system's status. Each is had by itself and in time, so that none keeps the others back. */
import type { z } from 'zod';
import type { systemSections } from '../contracts/system-api.ts';
import { SheafError } from '../contracts/errors.ts';
import { isEnded, type JobState } from '../contracts/job.ts';
import { WORKER_LOST_MS } from '../contracts/system.ts';
import { progressOf } from '../domain/progress.ts';
import type { Store } from '../store/store.ts';
import type { ApiContext } from './context.ts';

/** A part that has not answered for so long counts as down. */
const PATIENCE_MS = 2_000;

/** Never rejects: that it cannot be had is what the caller wants to tell. */
export async function inTime<T>(ask: () => Promise<T>): Promise<T | { ok: false; message: string }> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<{ ok: false; message: string }>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, message: `no answer within ${PATIENCE_MS / 1000} s` }), PATIENCE_MS);
  });
  const answered = ask().catch((error: unknown) => ({ ok: false as const, message: error instanceof SheafError ? error.message : 'not reachable' }));
  return Promise.race([answered, tooLate]).finally(() => clearTimeout(timer));
}

type Sections = { [Name in keyof typeof systemSections]: z.input<(typeof systemSections)[Name]> };
type Had<Name extends keyof Sections> = Extract<Sections[Name], { ok: true }>;

export async function sectionsOf({ store, taskQueues, limits }: ApiContext): Promise<Sections> {
  const [jobs, queue, workers, queues, limited, throughput] = await Promise.all([
    inTime(() => jobsSection(store)),
    inTime(() => queueSection(store)),
    inTime(() => workersSection(store)),
    inTime(async () => ({ ok: true as const, items: await taskQueues() })),
    inTime(() => limitsSection(limits)),
    inTime(() => throughputSection(store)),
  ]);
  return { jobs, queue, workers, taskQueues: queues, limits: limited, throughput };
}

const MOST_TENANTS = 100;

async function jobsSection(store: Store): Promise<Had<'jobs'>> {
  const states: Partial<Record<JobState, number>> = {};
  const tenants = new Map<string, { states: Partial<Record<JobState, number>>; open: number }>();
  for (const { tenant, state, jobs } of await store.countJobs()) {
    states[state] = (states[state] ?? 0) + jobs;
    let of = tenants.get(tenant);
    if (!of) tenants.set(tenant, (of = { states: {}, open: 0 }));
    of.states[state] = jobs;
    if (!isEnded(state)) of.open += jobs;
  }
  const busiest = [...tenants].sort(([one, a], [other, b]) => b.open - a.open || (one < other ? -1 : 1)).slice(0, MOST_TENANTS);
  return { ok: true, states, tenants: busiest.map(([tenant, of]) => ({ tenant, states: of.states })) };
}

/** Who waits for a place: jobs are `queued` until they are admitted. */
export async function queueSection(store: Store): Promise<Had<'queue'>> {
  const [counts, [oldest]] = await Promise.all([store.countJobs(), store.jobsIn(['queued'], 1)]);
  const length = counts.reduce((sum, { state, jobs }) => (state === 'queued' ? sum + jobs : sum), 0);
  if (oldest === undefined) return { ok: true, length, oldestSeconds: null };
  // A job that is tried again waits since it was asked for, not since it was made.
  const since = oldest.attempt === 1 ? oldest.createdAt : oldest.updatedAt;
  return { ok: true, length, oldestSeconds: Math.max(0, Date.now() - Date.parse(since)) / 1000 };
}

export async function workersSection(store: Store): Promise<Had<'workers'>> {
  const lost = Date.now() - WORKER_LOST_MS;
  const items = (await store.listWorkers()).map((worker) => ({ ...worker, state: Date.parse(worker.seenAt) < lost ? 'lost' as const : 'running' as const }));
  return { ok: true, items: items.sort((a, b) => (a.host === b.host ? a.pid - b.pid : a.host < b.host ? -1 : 1)) };
}

async function limitsSection(known: ApiContext['limits']): Promise<Had<'limits'>> {
  const items = (await known()).map(({ name, status: { project, users, waiting, backOffMs } }) => ({
    name, waiting,
    used: project?.used ?? users.reduce((sum, { used }) => sum + used, 0),
    most: project?.most ?? null,
    backOffSeconds: backOffMs > 0 ? backOffMs / 1000 : null,
  }));
  return { ok: true, items };
}

const MOST_RUNNING = 100;
const HOUR_MS = 3_600_000;

async function throughputSection(store: Store): Promise<Had<'throughput'>> {
  const now = Date.now();
  const [counts, running, { all }] = await Promise.all([
    store.countJobs(),
    store.jobsIn(['running'], MOST_RUNNING),
    store.analyse(null, { since: new Date(now - HOUR_MS).toISOString(), until: new Date(now).toISOString() }),
  ]);
  const rates = await Promise.all(running.map(async (job) => progressOf(job, await store.jobTotals(job.tenant, job.id, job.attempt), now).itemsPerSecond ?? 0));
  return {
    ok: true,
    runningJobs: counts.reduce((sum, { state, jobs }) => (state === 'running' ? sum + jobs : sum), 0),
    rowsPerMinute: rates.reduce((sum, rate) => sum + rate, 0) * 60,
    lastHour: { jobs: all.jobs, failedJobs: all.failed, rows: all.rows, failedRows: all.failedRows, errorRate: all.errorRate, p95Seconds: all.total.p95 === null ? null : all.total.p95 / 1000 },
  };
}
