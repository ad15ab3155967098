/** Figures over all jobs, summaries of ended ones, and what workers say of themselves. */
import { describe, expect, it } from 'vitest';
import type { JobState } from '../../src/contracts/job.ts';
import type { Analytics, JobSummary, StageTimes } from '../../src/contracts/summary.ts';
import type { WorkerRecord } from '../../src/contracts/system.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob } from './store-samples.ts';

const stages = (over: Partial<StageTimes> = {}): StageTimes => ({ queued: 0, snapshot: 0, rows: 0, waiting: 0, paused: 0, ...over });

export const aSummary = (job: string, over: Partial<JobSummary> = {}): JobSummary => ({
  tenant: 'acme', job, attempt: 1, sequence: 5, handler: 'store', state: 'completed', endedAt: '2026-11-10T12:00:00.000Z',
  stages: stages({ rows: 60_000 }), counts: { done: 90, unchanged: 0, failed: 10, skipped: 0 }, tokens: null, cost: null,
  errors: [{ code: 'handler_error', rows: 10 }], ...over,
});

const aWorker = (id: string, over: Partial<WorkerRecord> = {}): WorkerRecord => ({
  id, host: 'one', pid: 7, startedAt: '2026-11-10T12:00:00.000Z', seenAt: '2026-11-10T12:00:00.000Z', versions: { sheaf: '1', node: '24', temporal: '1' },
  slots: [{ queue: 'sheaf-rows', used: 1, total: 8 }], throttled: false, cachedWorkflows: 3, cpu: 0.5, cores: 2, memory: { used: 1, hostFree: 2, hostTotal: 3 }, ...over,
});

const ALL_TIME = { since: '2026-01-01T00:00:00.000Z', until: '2027-01-01T00:00:00.000Z' };

/** Percentiles may be off by 2 %; all else is exact. */
function close(analytics: Analytics): unknown {
  const rounded = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (name, one: unknown) =>
    (typeof one === 'number' && (name === 'p50' || name === 'p95') ? Number(one.toPrecision(1)) : one));
  return rounded(analytics);
}

export function figuresConformance(opened: () => { store: Store }): void {
  describe('figures', () => {
    it('count jobs by tenant and state, and give those in a state, the oldest first', async () => {
      const { store } = opened();
      expect(await store.countJobs()).toEqual([]);
      const states: [string, string, JobState][] = [['acme', 'a', 'queued'], ['acme', 'b', 'queued'], ['acme', 'c', 'running'], ['other', 'd', 'completed']];
      for (const [index, [tenant, id, state]] of states.entries()) {
        await store.createJob(aJob(id, { tenant, state, createdAt: `2026-11-01T10:00:0${9 - index}.000Z` }));
      }
      const counts = (await store.countJobs()).map(({ tenant, state, jobs }) => `${tenant} ${state} ${jobs}`);
      expect(counts.sort()).toEqual(['acme queued 2', 'acme running 1', 'other completed 1']);
      await store.advanceJob('acme', 'a', { attempt: 1, sequence: 1 }, { state: 'running' });
      expect((await store.jobsIn(['running', 'completed'], 10)).map(({ id }) => id)).toEqual(['d', 'c', 'a']);
      expect((await store.jobsIn(['running'], 1)).map(({ id }) => id)).toEqual(['c']);
    });

    it('add up the summaries of a tenant: by handler, by day, by code', async () => {
      const { store } = opened();
      await store.writeSummary(aSummary('a', { stages: stages({ queued: 1_000, snapshot: 2_000, rows: 60_000 }), cost: 0.5, tokens: 100 }));
      await store.writeSummary(aSummary('b', { state: 'failed', stages: stages({ rows: 120_000, paused: 5_000 }), endedAt: '2026-11-11T00:00:00.000Z', counts: { done: 1, unchanged: 1, failed: 2, skipped: 6 }, errors: [{ code: 'timeout', rows: 2 }], cost: 0.25 }));
      await store.writeSummary(aSummary('c', { handler: 'categorize', endedAt: '2026-11-11T23:59:59.999Z', state: 'cancelled', counts: { done: 0, unchanged: 0, failed: 0, skipped: 0 }, errors: [], stages: stages() }));
      await store.writeSummary(aSummary('d', { tenant: 'other', stages: stages({ rows: 1 }) }));
      const found = await store.analyse('acme', ALL_TIME);
      expect(found.all).toMatchObject({ jobs: 3, completed: 1, failed: 1, cancelled: 1, rows: 110, failedRows: 12, errorRate: 12 / 104, tokens: 100, cost: 0.75 });
      expect(found.all.rowsPerMinute).toBeCloseTo(110 / 3, 6);
      expect(close(found)).toMatchObject({
        all: { total: { p50: 60_000, p95: 100_000 } },
        handlers: [
          { handler: 'store', jobs: 2, stages: { rows: { p50: 60_000, p95: 100_000 }, queued: { p50: 0, p95: 1_000 }, paused: { p50: 0, p95: 5_000 } } },
          { handler: 'categorize', jobs: 1, errorRate: null, rowsPerMinute: null, tokens: null, cost: null, total: { p50: 0, p95: 0 } },
        ],
        days: [{ day: '2026-11-10', jobs: 1, cost: 0.5 }, { day: '2026-11-11', jobs: 2, completed: 0 }],
        errors: [{ code: 'handler_error', rows: 10 }, { code: 'timeout', rows: 2 }],
      });
      expect((await store.analyse(null, ALL_TIME)).all.jobs).toBe(4);
      expect((await store.analyse('nobody', ALL_TIME)).all).toMatchObject({ jobs: 0, errorRate: null, rowsPerMinute: null, cost: null, total: { p50: null, p95: null } });
    });

    it('take the jobs of a time, its end not included, and of a handler', async () => {
      const { store } = opened();
      await store.writeSummary(aSummary('a', { endedAt: '2026-11-10T12:00:00.000Z' }));
      await store.writeSummary(aSummary('b', { endedAt: '2026-11-10T12:00:01.000Z', handler: 'categorize' }));
      const jobs = async (more: object): Promise<number> => (await store.analyse('acme', { ...ALL_TIME, ...more })).all.jobs;
      expect(await jobs({ since: '2026-11-10T12:00:00.001Z' })).toBe(1);
      expect(await jobs({ until: '2026-11-10T12:00:01.000Z' })).toBe(1);
      expect(await jobs({ handler: 'categorize' })).toBe(1);
      expect(await jobs({ handler: 'none' })).toBe(0);
    });

    it('replace the summary of a job with that of a later end only, and keep it when the job is removed', async () => {
      const { store } = opened();
      await store.createJob(aJob('a', { state: 'completed', completedAt: '2026-11-10T12:00:00.000Z' }));
      const failedRows = async (): Promise<number> => (await store.analyse('acme', ALL_TIME)).all.failedRows;
      await store.writeSummary(aSummary('a', { attempt: 2, sequence: 3, counts: { done: 0, unchanged: 0, failed: 7, skipped: 0 } }));
      await store.writeSummary(aSummary('a', { attempt: 1, sequence: 9 }));
      await store.writeSummary(aSummary('a', { attempt: 2, sequence: 2 }));
      expect(await failedRows()).toBe(7);
      await store.writeSummary(aSummary('a', { attempt: 2, sequence: 3, counts: { done: 0, unchanged: 0, failed: 8, skipped: 0 } }));
      expect(await failedRows()).toBe(8);
      expect(await store.removeJob('acme', 'a')).toBe(true);
      expect(await failedRows()).toBe(8);
    });
  });

  describe('workers', () => {
    it('are listed as they last said of themselves, until they are removed', async () => {
      const { store } = opened();
      await store.writeWorker(aWorker('a'));
      await store.writeWorker(aWorker('b', { host: 'two' }));
      await store.writeWorker(aWorker('a', { seenAt: '2026-11-10T12:00:05.000Z', cpu: 1.5 }));
      expect(await store.listWorkers()).toEqual([aWorker('a', { seenAt: '2026-11-10T12:00:05.000Z', cpu: 1.5 }), aWorker('b', { host: 'two' })]);
      await store.removeWorker('a');
      await store.removeWorker('a');
      expect((await store.listWorkers()).map(({ id }) => id)).toEqual(['b']);
    });
  });
}
