/** What every store does with page counts, events and the removal of a job. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { hitsOf } from './store-hits.ts';
import { aFailedRow, aJob, aLane, anItem, aPage, walk, withoutFence } from './store-samples.ts';

export function pagesConformance(stores: () => { store: Store; other: Store }): void {
  const counts = (done: number, failed = 0) => ({ done, unchanged: 0, failed, skipped: 0 });

  describe('page counts', () => {
    it('keeps one record a page, that of the highest fence', async () => {
      const { store, other } = stores();
      const first = aPage(3, { counts: counts(10, 1), tried: 11, faults: 1, result: 'r1', complete: true, fence: 2n ** 62n + 1n });
      expect(await store.writePage('acme', 'j1', first)).toBe(true);
      expect(await other.writePage('acme', 'j1', aPage(3, { fence: 2n ** 62n }))).toBe(false);
      expect(await other.getPage('acme', 'j1', 3)).toEqual(withoutFence(first));
      const second = aPage(3, { attempt: 2, counts: counts(11), tried: 1, result: 'r2', complete: true, fence: 2n ** 62n + 2n });
      expect(await other.writePage('acme', 'j1', second)).toBe(true);
      expect(await store.getPage('acme', 'j1', 3)).toEqual(withoutFence(second));
    });

    it('keeps the result that is there when a write has none', async () => {
      const { store } = stores();
      await store.writePage('acme', 'j1', aPage(0, { result: 'r1', fence: 5n }));
      await store.writePage('acme', 'j1', aPage(0, { counts: counts(4), result: null, fence: 5n }));
      expect(await store.getPage('acme', 'j1', 0)).toMatchObject({ result: 'r1', counts: counts(4) });
    });

    it('sums all pages, and tries of one attempt only', async () => {
      const { store } = stores();
      expect(await store.jobTotals('acme', 'j1', 1)).toEqual({ ...counts(0), tried: 0, faults: 0 });
      await store.writePage('acme', 'j1', aPage(0, { counts: { done: 1, unchanged: 2, failed: 3, skipped: 4 }, tried: 4, faults: 3 }));
      await store.writePage('acme', 'j1', aPage(1, { attempt: 2, counts: counts(10), tried: 10, faults: 2, fence: 9n }));
      await store.writePage('acme', 'j2', aPage(0, { counts: counts(100) }));
      await store.writePage('globex', 'j1', aPage(0, { counts: counts(1000) }));
      expect(await store.jobTotals('acme', 'j1', 1)).toEqual({ done: 11, unchanged: 2, failed: 3, skipped: 4, tried: 4, faults: 3 });
      expect(await store.jobTotals('acme', 'j1', 2)).toMatchObject({ done: 11, tried: 10, faults: 2 });
    });

    it('sums what was paid where anything is known of it, and rows that nothing was paid for', async () => {
      const { store } = stores();
      const paid = [{ tokens: 10, cost: 0.25, cached: 2 }, { tokens: 5, cost: null }];
      await store.writePage('acme', 'j1', aPage(0, { spent: paid[0]! }));
      expect(await store.getPage('acme', 'j1', 0)).toMatchObject({ spent: paid[0] });
      await store.writePage('acme', 'j1', aPage(1, { attempt: 2, spent: paid[1]! }));
      await store.writePage('acme', 'j1', aPage(2));
      expect(await store.jobTotals('acme', 'j1', 2)).toMatchObject({ spent: { tokens: 15, cost: 0.25, cached: 2 } });
      expect(await store.jobSpent('acme', 'j1')).toEqual({ tokens: 15, cost: 0.25, cached: 2 });
    });

    it('lists pages by number, each once, whatever the page size', async () => {
      const { store } = stores();
      await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.nat(500), { maxLength: 20 }), fc.integer({ min: 1, max: 25 }), fc.uuid(), async (pages, limit, job) => {
        for (const page of pages) await store.writePage('acme', job, aPage(page));
        const found = await walk((at) => store.listPages('acme', job, at), limit);
        expect(found.map(({ page }) => page)).toEqual([...pages].sort((left, right) => left - right));
      }), { numRuns: 15 });
      await store.writePage('acme', 'j1', aPage(0));
      expect((await store.listPages('globex', 'j1', { limit: 5 })).items).toEqual([]);
      expect(await store.getPage('globex', 'j1', 0)).toBeNull();
    });
  });

  describe('events', () => {
    const event = (dedupe: string, message = dedupe) => ({ at: '2026-11-01T10:00:00.000Z', type: 'paused', message, dedupe });

    it('come back in order, once each, with their data', async () => {
      const { store, other } = stores();
      await store.appendEvent('acme', 'j1', { ...event('a'), data: { rows: 3, codes: ['x'] } });
      await other.appendEvent('acme', 'j1', event('b'));
      await other.appendEvent('acme', 'j1', event('a', 'repeated'));
      await other.appendEvent('acme', 'j2', event('a', 'of another job'));
      await other.appendEvent('globex', 'j1', event('a', 'of another tenant'));
      const found = await walk((page) => store.listEvents('acme', 'j1', page), 1);
      expect(found.map(({ message }) => message)).toEqual(['a', 'b']);
      expect(found[0]).toEqual({ seq: found[0]?.seq, at: '2026-11-01T10:00:00.000Z', type: 'paused', message: 'a', data: { rows: 3, codes: ['x'] } });
      expect(found[1]).not.toHaveProperty('data');
    });

    it('keep ascending numbers when instances append at once', async () => {
      const { store, other } = stores();
      await Promise.all(Array.from({ length: 40 }, (_, n) => (n % 2 ? store : other).appendEvent('acme', 'j1', event(`e${n}`))));
      const numbers = (await walk((page) => store.listEvents('acme', 'j1', page), 7)).map(({ seq }) => seq);
      expect(new Set(numbers).size).toBe(40);
      expect(numbers).toEqual([...numbers].sort((left, right) => left - right));
    });

    it('are bounded: the newest thousand of a job stay, and the numbers go on', async () => {
      const { store } = stores();
      for (let n = 0; n < 1_010; n++) await store.appendEvent('acme', 'j1', event(`e${n}`));
      const kept = await walk((page) => store.listEvents('acme', 'j1', page), 400);
      expect(kept.map(({ message }) => message)).toEqual(Array.from({ length: 1_000 }, (_, n) => `e${n + 10}`));
      const last = kept.at(-1)?.seq ?? 0;
      await store.appendEvent('acme', 'j1', event('one more'));
      expect((await store.listEvents('acme', 'j1', { limit: 1_001 })).items.at(-1)?.seq).toBeGreaterThan(last);
    });
  });

  describe('removal of a job', () => {
    const fill = async (store: Store, source: string) => {
      await store.createJob(aJob('j1', { source, state: 'completed', desired: 'deleted' }));
      const lane = aLane({ source });
      await store.acquireLane(lane, 'j1', 1);
      await store.commitRows({
        lane, job: 'j1', tags: [], fence: 1n, items: [anItem('k1', { word: 'hippopotamus' })], failed: [aFailedRow(9, 'bad')], cleared: [],
      });
      await store.writePage('acme', 'j1', aPage(0, { counts: counts(1) }));
      await store.appendEvent('acme', 'j1', { at: 'now', type: 'created', message: 'm', dedupe: 'd' });
      return lane;
    };
    const leftOf = async (store: Store) => [
      await store.getJob('acme', 'j1'), (await store.listPages('acme', 'j1', { limit: 1 })).items, (await store.listEvents('acme', 'j1', { limit: 1 })).items,
      (await store.listFailedRows('acme', 'j1', {}, { limit: 1 })).items, await store.countFailedRows('acme', 'j1'),
    ];
    const NOTHING = [null, [], [], [], []];

    it('takes all that only the job owns and leaves the items of its source', async () => {
      const { store } = stores();
      const lane = await fill(store, 'customers');
      while (!(await store.removeJob('acme', 'j1')));
      expect(await leftOf(store)).toEqual(NOTHING);
      expect((await store.readItems(lane, ['k1'])).size).toBe(1);
      expect(await hitsOf(store, 'hippopotamus')).toHaveLength(1);
      expect((await store.openJobs({ limit: 5 })).items).toEqual([]);
    });

    it('takes the items of a source that is the job itself, and nobody else\'s', async () => {
      const { store } = stores();
      const lane = await fill(store, 'job:j1');
      const others = [aLane({ tenant: 'globex', source: 'job:j1' }), aLane({ source: 'job:j10' })];
      for (const lane of others) {
        await store.commitRows({ lane, job: 'x', tags: [], fence: 1n, items: [anItem('k1', { word: 'hippopotamus' })], failed: [], cleared: [] });
      }
      while (!(await store.removeJob('acme', 'j1')));
      expect(await leftOf(store)).toEqual(NOTHING);
      expect((await store.readItems(lane, ['k1'])).size).toBe(0);
      expect((await hitsOf(store, 'hippopotamus')).map(({ source }) => source)).toEqual(['job:j10']);
      expect((await store.readItems(others[0]!, ['k1'])).size).toBe(1);
      expect(await store.removeJob('acme', 'j1')).toBe(true);
    });

    it('goes in steps, and another instance goes on where one stopped; the record answers until the end', async () => {
      const { store, other } = stores();
      const lane = aLane({ source: 'job:j1' });
      await store.createJob(aJob('j1', { source: 'job:j1' }));
      const keys = Array.from({ length: 12_000 }, (_, n) => `k${n}`);
      for (let from = 0; from < keys.length; from += 3_000) {
        await store.commitRows({
          lane, job: 'j1', tags: [], fence: 1n, cleared: [],
          items: keys.slice(from, from + 3_000).map((key, n) => anItem(key, { word: 'crocodile' }, { row: from + n })),
          failed: keys.slice(from, from + 3_000).map((_, n) => aFailedRow(from + n, 'bad')),
        });
      }
      let steps = 1;
      for (; !(await (steps % 2 ? store : other).removeJob('acme', 'j1')); steps++) {
        expect(await store.getJob('acme', 'j1')).not.toBeNull();
        expect(steps).toBeLessThan(100);
      }
      expect(steps).toBeGreaterThan(1);
      expect(await leftOf(store)).toEqual(NOTHING);
      expect((await other.readItems(lane, keys)).size).toBe(0);
      expect(await hitsOf(other, 'crocodile')).toEqual([]);
    });
  });
}
