/** What every store does with calls to services that answer later. */
import { describe, expect, it } from 'vitest';
import type { IntentRecord } from '../../src/contracts/intent.ts';
import { intentId } from '../../src/store/intents.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aLane, RACES, walk } from './store-samples.ts';

export const anIntent = (key: string, over: Partial<IntentRecord> = {}): IntentRecord => ({
  ...aLane(), key, work: 'w', callKey: `call-${key}`, round: 0, token: 't', job: 'j1', page: 1, row: 2, state: 'submitted', sentAt: '2026-11-30T00:00:00.000Z', remoteId: null, deadline: '2026-12-01T00:00:00.000Z',
  terms: { signing: 'video', state: '/status', done: ['done'], failed: ['failed'] }, answer: null, revision: 0, ...over,
});

/** Two stores open on the same place, as two processes have them. */
export function intentsConformance(stores: () => { store: Store; other: Store }): void {
  describe('intents', () => {
    it('gives an intent back by its item and by its id, to no other tenant and of no other lane', async () => {
      const { store, other } = stores();
      const written = await store.changeIntent(anIntent('k1', { answer: { status: 'done', url: 'u' } }));
      expect(written).toEqual({ ...anIntent('k1', { answer: { status: 'done', url: 'u' } }), revision: 1 });
      expect(await other.readIntents(aLane(), ['k0', 'k1'])).toEqual(new Map([['k1', written]]));
      const id = intentId(aLane(), 'k1');
      expect(await other.getIntent(aLane().tenant, id)).toEqual(written);
      expect(await other.getIntent('globex', id)).toBeNull();
      expect(await other.readIntents(aLane({ tenant: 'globex' }), ['k1'])).toEqual(new Map());
      expect(await other.readIntents(aLane({ lane: 'another' }), ['k1'])).toEqual(new Map());
    });

    it('writes only over the revision that was read', async () => {
      const { store, other } = stores();
      await store.changeIntent(anIntent('k1'));
      expect(await other.changeIntent(anIntent('k1'))).toBeNull();
      expect(await other.changeIntent(anIntent('gone', { revision: 3 }))).toBeNull();
      const answered = await Promise.all(Array.from({ length: RACES }, (_, index) => (index % 2 ? store : other).changeIntent(anIntent('k1', { revision: 1, state: 'answered', answer: index }))));
      expect(answered.filter((written) => written !== null)).toHaveLength(1);
    });

    it('lists those of a job in a state by page and row, in pages', async () => {
      const { store, other } = stores();
      for (const [page, row] of [[2, 9], [1, 3], [2, 4], [1, 2], [10, 1]] as const) await store.changeIntent(anIntent(`k${page}-${row}`, { page, row }));
      await store.changeIntent(anIntent('else', { job: 'j2' }));
      await store.changeIntent(anIntent('over', { state: 'settled' }));
      const tenant = aLane().tenant;
      expect((await walk((page) => other.listIntents(tenant, 'j1', { state: 'submitted' }, page), 2)).map(({ page, row }) => [page, row])).toEqual([[1, 2], [1, 3], [2, 4], [2, 9], [10, 1]]);
      expect((await other.listIntents(tenant, 'j1', { state: 'submitted', page: 2 }, { limit: 9 })).items.map(({ row }) => row)).toEqual([4, 9]);
      expect((await other.listIntents('globex', 'j1', { state: 'submitted' }, { limit: 9 })).items).toEqual([]);
      await expect(store.listIntents(tenant, 'j1', { state: 'submitted' }, { limit: 2, cursor: 'no' })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    it('says what a job has with services', async () => {
      const { store, other } = stores();
      const tenant = aLane().tenant;
      expect(await store.openIntents(tenant, 'j1')).toEqual({ answered: [], submitted: 0, deadline: null });
      await store.changeIntent(anIntent('a', { deadline: '2026-12-02T00:00:00.000Z' }));
      await store.changeIntent(anIntent('b', { deadline: '2026-12-01T06:00:00.000Z' }));
      for (const [key, page] of [['c', 10], ['d', 2], ['e', 2]] as const) await store.changeIntent(anIntent(key, { page, state: 'answered', deadline: '2026-11-01T00:00:00.000Z' }));
      await store.changeIntent(anIntent('f', { page: 3, state: 'settled' }));
      expect(await other.openIntents(tenant, 'j1')).toEqual({ answered: [2, 10], submitted: 2, deadline: '2026-12-01T06:00:00.000Z' });
    });

    it('removes them with the source, and with the job that owns it', async () => {
      const { store, other } = stores();
      const job = aJob('j9', { source: 'job:j9' });
      await store.createJob(job);
      await store.changeIntent(anIntent('mine', { tenant: job.tenant, source: 'job:j9', job: 'j9' }));
      await store.changeIntent(anIntent('theirs', { tenant: job.tenant, job: 'j9' }));
      while (!(await store.removeJob(job.tenant, 'j9')));
      expect((await other.listIntents(job.tenant, 'j9', { state: 'submitted' }, { limit: 9 })).items.map(({ key }) => key)).toEqual(['theirs']);
      while (!(await store.removeSource(job.tenant, aLane().source)));
      expect((await other.listIntents(job.tenant, 'j9', { state: 'submitted' }, { limit: 9 })).items).toEqual([]);
    });

    it('keeps how many rows of a page wait for a service', async () => {
      const { store, other } = stores();
      const page = { attempt: 1, fence: 5n, counts: { done: 1, unchanged: 0, failed: 0, skipped: 0 }, tried: 1, faults: 0, complete: false, result: null };
      await store.writePage('acme', 'j1', { ...page, page: 1, submitted: 3 });
      await store.writePage('acme', 'j1', { ...page, page: 70, submitted: 4 });
      expect(await other.getPage('acme', 'j1', 1)).toMatchObject({ submitted: 3 });
      expect(await other.jobTotals('acme', 'j1', 1)).toMatchObject({ done: 2, submitted: 7 });
      await other.writePage('acme', 'j1', { ...page, page: 1 });
      await other.writePage('acme', 'j1', { ...page, page: 70 });
      expect(await store.jobTotals('acme', 'j1', 1)).not.toHaveProperty('submitted');
    });
  });
}
