/** What every store does with jobs, idempotency keys and lanes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { JobRecord } from '../../src/contracts/job.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aLane, walk } from './store-samples.ts';

/** Two stores open on the same place, as two processes have them. */
export function jobsConformance(stores: () => { store: Store; other: Store }): void {
  const ids = (jobs: JobRecord[]): string[] => jobs.map((job) => job.id);

  describe('job records', () => {
    it('gives a job back as it was written, also to another instance and not to another tenant', async () => {
      const { store, other } = stores();
      const job = aJob('j1', { tags: ['a', 'b'], manifest: {
        rows: 3, pages: 1, bytes: 9, columns: [{ name: 'שם', header: 'שם', letter: 'A' }], fingerprint: 'f', reading: 'r', generation: 1, base: null, contentHash: 'c',
        keyColumns: ['שם'], duplicates: 0, warnings: [{ code: 'w', message: 'm', row: 2 }],
      } });
      expect(await store.createJob(job)).toEqual({ job, created: true });
      expect(await other.getJob('acme', 'j1')).toEqual(job);
      expect(await other.getJob('globex', 'j1')).toBeNull();
      expect(await store.getJob('acme', 'j2')).toBeNull();
    });

    it('takes a repeated creation for what it is', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1'));
      await store.advanceJob('acme', 'j1', { attempt: 1, sequence: 1 }, { state: 'running' });
      const again = await store.createJob(aJob('j1'));
      expect(again.created).toBe(false);
      expect(again.job.state).toBe('running');
    });

    it('gives the same id to two tenants without mixing them', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1'));
      await store.createJob(aJob('j1', { tenant: 'globex', owner: 'bob' }));
      await store.advanceJob('globex', 'j1', { attempt: 1, sequence: 1 }, { state: 'running' });
      expect((await store.getJob('acme', 'j1'))?.state).toBe('queued');
      expect((await store.getJob('globex', 'j1'))?.owner).toBe('bob');
      expect(await store.changeJob('initech', 'j1', 0, { priority: 'low' })).toBeNull();
      expect(await store.advanceJob('initech', 'j1', { attempt: 1, sequence: 9 }, { state: 'failed' })).toBe(false);
      expect(await store.removeJob('initech', 'j1')).toBe(true);
      expect(await store.getJob('acme', 'j1')).not.toBeNull();
    });
  });

  describe('idempotency keys', () => {
    it('answers the first job to a repeated key and refuses another request under it', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('j1'), { key: 'k', requestHash: 'h' });
      const again = await other.createJob(aJob('j2'), { key: 'k', requestHash: 'h' });
      expect(again).toMatchObject({ created: false, job: { id: 'j1' } });
      expect(await store.getJob('acme', 'j2')).toBeNull();
      await expect(other.createJob(aJob('j3'), { key: 'k', requestHash: 'other' })).rejects.toMatchObject({ code: 'idempotency_conflict' });
      expect(await store.getJob('acme', 'j3')).toBeNull();
      expect((await store.createJob(aJob('j4', { tenant: 'globex' }), { key: 'k', requestHash: 'other' })).created).toBe(true);
    });

    it('gives a key that two instances claim at once to one of them', async () => {
      const { store, other } = stores();
      await Promise.all(Array.from({ length: 20 }, async (_, n) => {
        const idempotency = { key: `k${n}`, requestHash: 'h' };
        const answers = await Promise.all([
          store.createJob(aJob(`a${n}`), idempotency), other.createJob(aJob(`b${n}`), idempotency),
        ]);
        expect(answers.filter(({ created }) => created)).toHaveLength(1);
        expect(answers[0].job.id).toBe(answers[1].job.id);
      }));
      expect(await walk((page) => store.listJobs('acme', {}, page), 7)).toHaveLength(20);
    });

    it('frees the key when its job is removed', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1'), { key: 'k', requestHash: 'h' });
      while (!(await store.removeJob('acme', 'j1')));
      expect((await store.createJob(aJob('j2'), { key: 'k', requestHash: 'other' })).created).toBe(true);
    });
  });

  describe('lists of jobs', () => {
    it('puts the newest first and gives each once, whatever the page size', async () => {
      const { store } = stores();
      const times = ['10:00', '09:00', '11:00', '10:00', '10:00', '12:00'];
      for (const [n, time] of times.entries()) await store.createJob(aJob(`j${n}`, { createdAt: `2026-11-01T${time}:00.000Z` }));
      for (const limit of [1, 2, 3, 6, 100]) {
        expect(ids(await walk((page) => store.listJobs('acme', {}, page), limit))).toEqual(['j5', 'j2', 'j4', 'j3', 'j0', 'j1']);
      }
      expect((await store.listJobs('globex', {}, { limit: 10 })).items).toEqual([]);
    });

    it('filters by states, kind, source and tag, alone and together', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', { state: 'running', tags: ['x', 'y'] }));
      await store.createJob(aJob('j2', { state: 'failed', source: 'orders', tags: ['y'] }));
      await store.createJob(aJob('j3', { state: 'completed', tags: ['"x'] }));
      const list = async (filter: Parameters<Store['listJobs']>[1]) => ids((await store.listJobs('acme', filter, { limit: 10 })).items).sort();
      expect(await list({ state: ['running', 'failed'] })).toEqual(['j1', 'j2']);
      expect(await list({ source: 'orders' })).toEqual(['j2']);
      expect(await list({ kind: 'sheet' })).toEqual(['j1', 'j2', 'j3']);
      expect(await list({ kind: 'document' })).toEqual([]);
      expect(await list({ tag: 'x' })).toEqual(['j1']);
      expect(await list({ tag: 'y', state: ['failed'] })).toEqual(['j2']);
      expect(await list({ tag: '%' })).toEqual([]);
    });

    it('lists open jobs of every tenant: those that have not ended, and those to be deleted', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', { state: 'completed' }));
      await store.createJob(aJob('j2', { state: 'completed', desired: 'deleted' }));
      await store.createJob(aJob('j3', { state: 'paused' }));
      await store.createJob(aJob('j4', { tenant: 'globex' }));
      await store.createJob(aJob('j5', { state: 'failed', desired: 'paused' }));
      const open = await walk((page) => store.openJobs(page), 1);
      expect(open.map((job) => `${job.tenant}/${job.id}`)).toEqual(['acme/j2', 'acme/j3', 'globex/j4']);
    });

    it('refuses every cursor that it has not given', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1'));
      await fc.assert(fc.asyncProperty(fc.oneof(fc.string(), fc.base64String(), fc.json().filter((json) => !json.startsWith('[')).map((json) => Buffer.from(json).toString('base64url'))), async (cursor) => {
        for (const list of [
          () => store.listFailedRows('acme', 'j1', {}, { limit: 1, cursor }), () => store.listPages('acme', 'j1', { limit: 1, cursor }),
          () => store.listEvents('acme', 'j1', { limit: 1, cursor }), () => store.listJobs('acme', {}, { limit: 1, cursor }),
          () => store.openJobs({ limit: 1, cursor }),
        ]) await expect(list()).rejects.toMatchObject({ code: 'invalid_cursor' });
      }), { numRuns: 50, examples: [[''], ['W10'], ['eyJhIjoxfQ'], ['WzFd '], ['WzEuNV0'], ['Wy0w']] });
    });
  });

  describe('changes of a job', () => {
    it('changes what is desired only on the expected revision', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('j1'));
      const changed = await store.changeJob('acme', 'j1', 0, { desired: 'paused', priority: 'urgent', concurrency: 7 });
      expect(changed).toMatchObject({ desired: 'paused', priority: 'urgent', revision: 1, state: 'queued' });
      expect(changed?.request).toEqual({ ...aJob('j1').request, concurrency: 7 });
      expect(await other.changeJob('acme', 'j1', 0, { desired: 'cancelled' })).toBeNull();
      expect(await other.getJob('acme', 'j1')).toEqual(changed);
      expect(await other.changeJob('acme', 'j1', 1, { desired: null, concurrency: null })).toMatchObject({
        desired: null, priority: 'urgent', revision: 2, request: { concurrency: null },
      });
    });

    it('lets one of two instances win a revision', async () => {
      const { store, other } = stores();
      await store.createJob(aJob('j1'));
      const answers = await Promise.all([
        store.changeJob('acme', 'j1', 0, { priority: 'low' }), other.changeJob('acme', 'j1', 0, { priority: 'high' }),
      ]);
      expect(answers.filter((job) => job !== null)).toHaveLength(1);
    });

    it('advances only above (attempt, sequence), whatever order writers come in', async () => {
      const { store } = stores();
      const at = fc.record({ attempt: fc.integer({ min: 1, max: 3 }), sequence: fc.integer({ min: 0, max: 5 }) });
      let run = 0;
      await fc.assert(fc.asyncProperty(fc.array(at, { maxLength: 12 }), async (writes) => {
        const id = `j${run++}`;
        await store.createJob(aJob(id));
        let [attempt, sequence, revision] = [1, 0, 0];
        for (const write of writes) {
          const later = write.attempt > attempt || (write.attempt === attempt && write.sequence > sequence);
          if (later) ({ attempt, sequence } = write);
          revision += later ? 1 : 0;
          expect(await store.advanceJob('acme', id, write, { reason: `${write.attempt}.${write.sequence}` })).toBe(later);
        }
        const reason = revision === 0 ? null : `${attempt}.${sequence}`;
        expect(await store.getJob('acme', id)).toMatchObject({ attempt, sequence, revision, reason });
      }), { numRuns: 30 });
    });

    it('leaves what a patch does not name', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', { desired: 'paused', startedAt: 'then' }));
      await store.advanceJob('acme', 'j1', { attempt: 1, sequence: 4 }, { state: 'waiting', cause: 'dependency' });
      expect(await store.getJob('acme', 'j1')).toMatchObject({ state: 'waiting', cause: 'dependency', desired: 'paused', startedAt: 'then' });
    });

    it('queues an ended job again as a new attempt, and no other', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', {
        state: 'failed', sequence: 9, revision: 5, error: { code: 'x', message: 'm' }, reason: 'r', completedAt: 'then', runningSince: 'then', startedAt: 'once',
      }));
      expect(await store.requeueJob('acme', 'j1', 4, { codes: null })).toBeNull();
      expect(await store.requeueJob('acme', 'j1', 5, { codes: ['x'] })).toMatchObject({
        state: 'queued', attempt: 2, sequence: 0, revision: 6, error: null, reason: null, completedAt: null, runningSince: null,
        startedAt: 'once', retry: { codes: ['x'] }, desired: null,
      });
      await expect(store.requeueJob('acme', 'j1', 6, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
      expect(await store.advanceJob('acme', 'j1', { attempt: 1, sequence: 99 }, { state: 'running' })).toBe(false);
      expect(await store.requeueJob('globex', 'j1', 6, { codes: null })).toBeNull();
    });

    it('does not queue a job again that is to be deleted', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1', { state: 'failed', desired: 'deleted' }));
      await expect(store.requeueJob('acme', 'j1', 0, { codes: null })).rejects.toMatchObject({ code: 'wrong_state' });
    });
  });

  describe('lanes', () => {
    it('belong to one job at a time, with a generation that grows at each admission', async () => {
      const { store, other } = stores();
      const lane = aLane();
      expect(await store.acquireLane(lane, 'j1', 1)).toEqual({ granted: true, generation: 1, holder: 'j1' });
      expect(await other.acquireLane(lane, 'j1', 1)).toEqual({ granted: true, generation: 1, holder: 'j1' });
      expect(await other.acquireLane(lane, 'j2', 1)).toEqual({ granted: false, generation: 1, holder: 'j1' });
      await other.leaveQueue(lane, 'j2', 1, 0);
      expect((await other.acquireLane(lane, 'j2', 1)).granted).toBe(false);
      await store.leaveQueue(lane, 'j1', 1, 0);
      expect(await other.acquireLane(lane, 'j2', 1)).toEqual({ granted: true, generation: 2, holder: 'j2' });
      await other.leaveQueue(lane, 'j2', 1, 0);
      expect(await store.acquireLane(lane, 'j1', 1)).toEqual({ granted: true, generation: 3, holder: 'j1' });
    });

    it('raise the generation for a new attempt of the holder and refuse an older attempt', async () => {
      const { store } = stores();
      await store.acquireLane(aLane(), 'j1', 1);
      expect(await store.acquireLane(aLane(), 'j1', 2)).toEqual({ granted: true, generation: 2, holder: 'j1' });
      expect((await store.acquireLane(aLane(), 'j1', 1)).granted).toBe(false);
    });

    it('are apart by tenant, source and lane', async () => {
      const { store } = stores();
      const lanes = [aLane(), aLane({ tenant: 'globex' }), aLane({ source: 'orders' }), aLane({ lane: 'scrape' })];
      for (const [n, lane] of lanes.entries()) expect(await store.acquireLane(lane, `j${n}`, 1)).toMatchObject({ granted: true, generation: 1 });
    });

    it('go to one of many instances that ask at once', async () => {
      const { store, other } = stores();
      const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => (n % 2 ? store : other).acquireLane(aLane(), `j${n}`, 1)));
      expect(answers.filter(({ granted }) => granted)).toHaveLength(1);
      expect(new Set(answers.map(({ holder }) => holder)).size).toBe(1);
    });

    it('are free again when the job that held them is removed', async () => {
      const { store } = stores();
      await store.createJob(aJob('j1'));
      await store.acquireLane(aLane(), 'j1', 1);
      while (!(await store.removeJob('acme', 'j1')));
      expect(await store.acquireLane(aLane(), 'j2', 1)).toEqual({ granted: true, generation: 2, holder: 'j2' });
    });
  });
}
