/** Removing what has been kept long enough: what goes, what stays, and what is said about it. */
import { describe, expect, it } from 'vitest';
import type { JobRecord, SheetJobRecord } from '../../src/contracts/job.ts';
import type { CleanupReport, Sweep, Tally } from '../../src/contracts/system.ts';
import type { Store } from '../../src/store/store.ts';
import type { SweepAsked } from '../../src/store/ports/cleanup.ts';
import { aSummary } from './store-figures.ts';
import { aBatch, aBulk, aSchedule } from './store-plans.ts';
import { aJob, aLane, anItem, walk } from './store-samples.ts';

const LONG_AGO = '2026-10-01T00:00:00.000Z';
const BEFORE = '2026-11-01T00:00:00.000Z';
const SINCE = '2026-11-02T00:00:00.000Z';

const ended = (id: string, completedAt: string, over: Partial<SheetJobRecord> = {}): JobRecord => aJob(id, { state: 'completed', completedAt, ...over });

/** Walks a sweep to its end; answers what went, by tenant. */
async function sweep(step: (asked: SweepAsked) => Promise<Sweep>, before: string, dryRun = false): Promise<Record<string, number>> {
  const gone: Record<string, number> = {};
  for (let cursor: string | null = null; ;) {
    const found: Sweep = await step({ before, cursor, dryRun });
    for (const { tenant, count, bytes } of found.gone) {
      expect(bytes).toBeGreaterThan(0);
      gone[tenant] = (gone[tenant] ?? 0) + count;
    }
    if (found.next === null) return gone;
    cursor = found.next;
  }
}

const aReport = (id: string, over: Partial<CleanupReport> = {}): CleanupReport => ({
  id, dryRun: false, state: 'running', startedAt: '2026-11-10T12:00:00.000Z', updatedAt: '2026-11-10T12:00:00.000Z', endedAt: null,
  before: { outputs: null, events: null, jobs: BEFORE, batches: BEFORE, summaries: null, answers: null, web_pages: null }, step: 0, position: null, gone: [], ...over,
});

export function cleanupConformance(opened: () => { store: Store }): void {
  describe('cleanup', () => {
    it('finds the jobs of all tenants that ended before, and neither open ones nor those being deleted', async () => {
      const { store } = opened();
      await store.createJob(ended('old', LONG_AGO));
      await store.createJob(ended('other', LONG_AGO, { tenant: 'other', state: 'failed' }));
      await store.createJob(ended('edge', BEFORE));
      await store.createJob(ended('young', SINCE));
      await store.createJob(aJob('open', { state: 'paused' }));
      await store.createJob(ended('going', LONG_AGO, { desired: 'deleted' }));
      await store.createJob(ended('again', LONG_AGO));
      await store.requeueJob('acme', 'again', 0, { codes: null });
      const found = await walk((page) => store.endedJobs(BEFORE, page), 1);
      expect(found.map(({ tenant, id }) => `${tenant} ${id}`).sort()).toEqual(['acme old', 'other other']);
    });

    it('finds batches and actions that were made before and are done with, and no schedule', async () => {
      const { store } = opened();
      await store.createPlan(aBatch('old', { createdAt: LONG_AGO }));
      await store.createPlan(aBulk('old', { createdAt: LONG_AGO, tenant: 'other' }));
      await store.createPlan(aBatch('edge', { createdAt: BEFORE }));
      await store.createPlan(aBulk('young', { createdAt: SINCE }));
      await store.createPlan(aBatch('open', { createdAt: LONG_AGO, open: true }));
      await store.createPlan(aSchedule('schedule', { createdAt: LONG_AGO }));
      const found = await walk((page) => store.closedPlans(BEFORE, page), 1);
      expect(found.map(({ tenant, kind, id }) => `${tenant} ${kind} ${id}`)).toEqual(['acme batch old', 'other bulk old']);
    });

    it('drops the events of jobs that ended before, and counts the same in a dry run', async () => {
      const { store } = opened();
      await store.createJob(ended('old', LONG_AGO));
      await store.createJob(ended('old', LONG_AGO, { tenant: 'other' }));
      await store.createJob(ended('young', SINCE));
      await store.createJob(aJob('open'));
      for (const [tenant, job] of [['acme', 'old'], ['acme', 'young'], ['acme', 'open'], ['other', 'old']] as const) {
        for (const dedupe of ['1', '2']) await store.appendEvent(tenant, job, { at: LONG_AGO, type: 'running', message: 'Started.', dedupe });
      }
      const left = async (tenant: string, job: string): Promise<number> => (await store.listEvents(tenant, job, { limit: 10 })).items.length;
      expect(await sweep(store.sweepEvents, BEFORE, true)).toEqual({ acme: 2, other: 2 });
      expect(await left('acme', 'old')).toBe(2);
      expect(await sweep(store.sweepEvents, BEFORE)).toEqual({ acme: 2, other: 2 });
      expect([await left('acme', 'old'), await left('other', 'old'), await left('acme', 'young'), await left('acme', 'open')]).toEqual([0, 0, 2, 2]);
      expect(await sweep(store.sweepEvents, BEFORE)).toEqual({});
      expect(await store.getJob('acme', 'old')).not.toBeNull();
    });

    it('drops outputs of ended jobs, and leaves all that decides whether a row is handled again', async () => {
      const { store } = opened();
      await store.createJob(ended('old', LONG_AGO));
      await store.createJob(aJob('open', { state: 'paused' }));
      const error = { code: 'handler_error', message: 'no', retryable: false };
      const items = [
        anItem('a', { name: 'apple' }, { job: 'old', output: { kind: 'fruit' } }),
        anItem('b', { name: 'pear' }, { job: 'old', row: 3, state: 'failed', output: null, error }),
        anItem('c', { name: 'plum' }, { job: 'open', row: 4, output: { kind: 'fruit' } }),
        anItem('d', { name: 'leek' }, { job: 'gone', row: 5, output: { kind: 'vegetable' } }),
      ];
      await store.commitRows({ lane: aLane(), job: 'old', tags: [], fence: 5n, items, failed: [], cleared: [] });
      await store.commitRows({ lane: aLane({ tenant: 'other' }), job: 'gone', tags: [], fence: 5n, items: [anItem('a', { name: 'apple' }, { job: 'gone' })], failed: [], cleared: [] });
      const keys = ['a', 'b', 'c', 'd'];
      const before = await store.readItems(aLane(), keys);
      const later = new Date(Date.now() + 60_000).toISOString();
      expect(await sweep(store.sweepOutputs, LONG_AGO)).toEqual({});
      expect(await sweep(store.sweepOutputs, later, true)).toEqual({ acme: 2, other: 1 });
      expect(await store.readItems(aLane(), keys)).toEqual(before);
      expect(await sweep(store.sweepOutputs, later)).toEqual({ acme: 2, other: 1 });
      expect(await sweep(store.sweepOutputs, later)).toEqual({});

      const after = await store.readItems(aLane(), keys);
      for (const key of ['a', 'd']) expect(after.get(key)).toEqual({ ...before.get(key), output: null });
      for (const key of ['b', 'c']) expect(after.get(key)).toEqual(before.get(key));
      const found = async (word: string): Promise<string[]> =>
        (await store.search('acme', { terms: { all: [[[word]]], none: [] }, filter: {} }, { limit: 10 })).items.map(({ key }) => key).sort();
      expect([await found('apple'), await found('fruit'), await found('vegetable')]).toEqual([['a'], ['c'], []]);

      // A later writer finds the row as it would have been.
      await store.commitRows({ lane: aLane(), job: 'old', tags: [], fence: 4n, items: [anItem('a', { name: 'late' })], failed: [], cleared: [] });
      expect((await store.readItems(aLane(), ['a'])).get('a')).toEqual(after.get('a'));
      await store.commitRows({ lane: aLane(), job: 'new', tags: [], fence: 6n, items: [anItem('a', { name: 'apple' }, { output: { kind: 'fruit' } })], failed: [], cleared: [] });
      expect(await found('fruit')).toEqual(['a', 'c']);
    });

    it('drops summaries of jobs that ended before', async () => {
      const { store } = opened();
      await store.writeSummary(aSummary('a', { endedAt: LONG_AGO }));
      await store.writeSummary(aSummary('b', { endedAt: SINCE }));
      await store.writeSummary(aSummary('c', { endedAt: LONG_AGO, tenant: 'other' }));
      expect(await sweep(store.sweepSummaries, BEFORE, true)).toEqual({ acme: 1, other: 1 });
      expect(await sweep(store.sweepSummaries, BEFORE)).toEqual({ acme: 1, other: 1 });
      expect(await sweep(store.sweepSummaries, BEFORE)).toEqual({});
      expect((await store.analyse(null, { since: LONG_AGO, until: '2027-01-01T00:00:00.000Z' })).all.jobs).toBe(1);
    });

    it('goes through thousands of items in bounded steps', async () => {
      const { store } = opened();
      const items = Array.from({ length: 2_100 }, (_, index) => anItem(`key ${index}`, { n: index }, { row: index, job: 'gone' }));
      await store.commitRows({ lane: aLane(), job: 'gone', tags: [], fence: 1n, items, failed: [], cleared: [] });
      const later = new Date(Date.now() + 60_000).toISOString();
      const first = await store.sweepOutputs({ before: later, cursor: null, dryRun: true });
      const counted = first.gone.reduce((sum, { count }: Tally) => sum + count, 0);
      expect(counted).toBeGreaterThan(0);
      expect(counted).toBeLessThan(2_100);
      expect(await sweep(store.sweepOutputs, later, true)).toEqual({ acme: 2_100 });
      expect(await sweep(store.sweepOutputs, later)).toEqual({ acme: 2_100 });
    });

    it('keeps reports, the newest first, and none of fewer steps in place of one of more', async () => {
      const { store } = opened();
      const [first, second] = [aReport('a'), aReport('b', { startedAt: '2026-11-11T12:00:00.000Z' })];
      await store.writeCleanup(first);
      await store.writeCleanup(second);
      const gone = [{ tenant: 'acme', kind: 'jobs' as const, count: 1, bytes: 10 }];
      await store.writeCleanup({ ...first, step: 2, gone });
      await store.writeCleanup({ ...first, step: 1 });
      await store.writeCleanup({ ...first, step: 2, gone: [] });
      expect(await store.getCleanup('a')).toEqual({ ...first, step: 2, gone });
      expect(await store.getCleanup('none')).toBeNull();
      expect((await store.listCleanups()).map(({ id }) => id)).toEqual(['b', 'a']);
    });
  });
}
