/** What every store does with schedules, batches and actions on many jobs, and with what jobs depend on. */
import { describe, expect, it } from 'vitest';
import type { BatchRecord, BulkRecord, PlanRecord, ScheduleRecord } from '../../src/contracts/plans.ts';
import { NO_BULK_COUNTS } from '../../src/contracts/plans.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aPage, RACES, walk } from './store-samples.ts';

const planned = { tenant: 'acme', owner: 'ann', createdAt: '2026-11-01T10:00:00.000Z', revision: 0, requestHash: 'h', open: false };
export const aBatch = (id: string, over: Partial<BatchRecord> = {}): BatchRecord =>
  ({ ...planned, kind: 'batch', id, name: null, size: 2, made: 0, held: false, desired: 'running', action: null, ...over });
export const aBulk = (id: string, over: Partial<BulkRecord> = {}): BulkRecord => ({
  ...planned, kind: 'bulk', id, action: 'pause', filter: { state: ['running'], tag: 't' }, priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null,
  state: 'running', counts: { ...NO_BULK_COUNTS }, chunks: 0, cursor: null, exhausted: false, completedAt: null, ...over,
});
export const aSchedule = (id: string, over: Partial<ScheduleRecord> = {}): ScheduleRecord => {
  const { tenant, owner, request, source, lane, priority, tags, runAt, dependsOn, onFailure } = aJob('j');
  return {
    ...planned, kind: 'schedule', id, cron: '0 6 * * *', timeZone: 'Europe/Berlin', overlap: 'skip',
    job: { tenant, owner, request, source, lane, priority, tags, runAt, dependsOn, onFailure }, ...over,
  };
};

/** Two stores open on the same place, as two processes have them. */
export function plansConformance(stores: () => { store: Store; other: Store }): void {
  describe('plans', () => {
    it('gives each kind back as it was written, also to another instance and not to another tenant', async () => {
      const { store, other } = stores();
      for (const record of [aBatch('p'), aBulk('p'), aSchedule('p')] as PlanRecord[]) {
        expect(await store.createPlan(record)).toEqual({ record, created: true });
        expect(await other.getPlan('acme', record.kind, 'p')).toEqual(record);
        expect(await other.getPlan('globex', record.kind, 'p')).toBeNull();
      }
      expect(await store.getPlan('acme', 'batch', 'q')).toBeNull();
    });

    it('takes a repeated creation for what it is, and refuses another request under the same id', async () => {
      const { store, other } = stores();
      await store.createPlan(aBatch('b'));
      await store.changePlan(aBatch('b', { made: 1 }));
      expect(await other.createPlan(aBatch('b', { createdAt: '2026-11-02T10:00:00.000Z' }))).toMatchObject({ created: false, record: { made: 1, createdAt: planned.createdAt } });
      await expect(other.createPlan(aBatch('b', { requestHash: 'other' }))).rejects.toMatchObject({ code: 'idempotency_conflict' });
      expect((await other.createPlan(aBatch('b', { tenant: 'globex', requestHash: 'other' }))).created).toBe(true);
    });

    it('lets one of several creators make it', async () => {
      const { store, other } = stores();
      const made = await Promise.all(Array.from({ length: 6 }, (_, index) => (index % 2 ? store : other).createPlan(aBatch('raced'))));
      expect(made.filter(({ created }) => created)).toHaveLength(1);
    });

    it('writes only over the revision that was read', async () => {
      const { store, other } = stores();
      await store.createPlan(aBatch('b'));
      expect(await store.changePlan(aBatch('b', { made: 1 }))).toMatchObject({ made: 1, revision: 1 });
      expect(await other.changePlan(aBatch('b', { made: 9 }))).toBeNull();
      expect(await other.changePlan(aBatch('b', { tenant: 'globex' }))).toBeNull();
      expect(await other.changePlan(aBatch('gone'))).toBeNull();
      const raise = async (from: Store): Promise<void> => {
        for (;;) {
          const found = (await from.getPlan('acme', 'batch', 'b'))!;
          if (await from.changePlan({ ...found, made: found.made + 1 })) return;
        }
      };
      await Promise.all(Array.from({ length: RACES }, (_, index) => raise(index % 2 ? store : other)));
      expect(await store.getPlan('acme', 'batch', 'b')).toMatchObject({ made: 1 + RACES, revision: 1 + RACES });
    });

    it('lists the newest of a kind first, in pages', async () => {
      const { store, other } = stores();
      for (let index = 0; index < 7; index++) await store.createPlan(aBatch(`b${index}`, { createdAt: `2026-11-01T10:00:0${Math.floor(index / 2)}.000Z` }));
      await store.createPlan(aBulk('x'));
      await store.createPlan(aBatch('foreign', { tenant: 'globex' }));
      const listed = await walk((page) => other.listPlans('acme', 'batch', page), 2);
      expect(listed.map(({ id }) => id)).toEqual(['b6', 'b5', 'b4', 'b3', 'b2', 'b1', 'b0']);
      await expect(store.listPlans('acme', 'batch', { limit: 2, cursor: 'no' })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    it('lists the open ones of every tenant, until they are closed or removed', async () => {
      const { store, other } = stores();
      await store.createPlan(aBatch('b', { open: true }));
      await store.createPlan(aBulk('b', { open: true }));
      await store.createPlan(aBulk('b', { open: true, tenant: 'globex' }));
      await store.createPlan(aBulk('closed'));
      const names = async (): Promise<string[]> => (await walk((page) => other.openPlans(page), 1)).map(({ tenant, kind, id }) => `${tenant} ${kind} ${id}`);
      expect(await names()).toEqual(['acme batch b', 'acme bulk b', 'globex bulk b']);
      await store.changePlan(aBatch('b', { open: false }));
      await store.removePlan('acme', 'bulk', 'b');
      await store.removePlan('acme', 'bulk', 'b');
      expect(await names()).toEqual(['globex bulk b']);
      expect(await other.getPlan('acme', 'bulk', 'b')).toBeNull();
    });
  });

  describe('jobs that depend on others', () => {
    it('are found by what they depend on, also when that is gone, in pages and within the tenant', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('a'));
      for (let index = 0; index < 5; index++) await store.createJob(aJob(`d${index}`, { dependsOn: index === 3 ? ['b'] : ['a', 'b'] }));
      await store.createJob(aJob('foreign', { tenant: 'globex', dependsOn: ['a'] }));
      const of = async (id: string): Promise<string[]> => (await walk((page) => other.listDependents('acme', id, page), 2)).map((job) => job.id);
      expect(await of('a')).toEqual(['d0', 'd1', 'd2', 'd4']);
      expect(await of('d0')).toEqual([]);
      while (!(await store.removeJob('acme', 'a')));
      while (!(await store.removeJob('acme', 'd1')));
      expect(await of('a')).toEqual(['d0', 'd2', 'd4']);
      expect(await of('b')).toEqual(['d0', 'd2', 'd3', 'd4']);
    });

    it('are given as they are now', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('d', { dependsOn: ['a'] }));
      await store.advanceJob('acme', 'd', { attempt: 1, sequence: 1 }, { state: 'waiting' });
      expect((await other.listDependents('acme', 'a', { limit: 5 })).items).toMatchObject([{ id: 'd', state: 'waiting', dependsOn: ['a'] }]);
    });
  });

  describe('batches', () => {
    it('list their members, and sum them up', async () => {
      const { store, other } = stores();
      const manifest = { rows: 100, pages: 70, bytes: 9, columns: [], fingerprint: 'f', reading: 'r', generation: 1, base: null, contentHash: 'c', keyColumns: [], duplicates: 0, warnings: [] };
      await store.createJob(aJob('m1', { batch: 'b', state: 'completed', manifest }));
      await store.createJob(aJob('m2', { batch: 'b', state: 'running', manifest: { ...manifest, rows: 11 } }));
      await store.createJob(aJob('m3', { batch: 'b' }));
      await store.createJob(aJob('no member', { manifest }));
      await store.createJob(aJob('m4', { batch: 'b', tenant: 'globex', manifest }));
      for (const page of [1, 2, 70]) await store.writePage('acme', 'm1', aPage(page, { counts: { done: 3, unchanged: 2, failed: 1, skipped: 0 } }));
      await store.writePage('acme', 'm2', aPage(1, { attempt: 2, counts: { done: 1, unchanged: 0, failed: 0, skipped: 4 } }));
      await store.writePage('acme', 'no member', aPage(1, { counts: { done: 50, unchanged: 0, failed: 0, skipped: 0 } }));
      expect(await other.batchTotals('acme', 'b')).toEqual({
        jobs: { completed: 1, running: 1, queued: 1 }, rows: 111, unread: 1, done: 10, unchanged: 6, failed: 3, skipped: 4,
      });
      expect(await other.batchTotals('acme', 'none')).toEqual({ jobs: {}, rows: 0, unread: 0, done: 0, unchanged: 0, failed: 0, skipped: 0 });
      const members = await walk((page) => other.listJobs('acme', { batch: 'b' }, page), 2);
      expect(members.map(({ id }) => id)).toEqual(['m3', 'm2', 'm1']);
      expect((await other.listJobs('acme', { batch: 'b', state: ['queued'] }, { limit: 5 })).items.map(({ id }) => id)).toEqual(['m3']);
    });
  });
}
