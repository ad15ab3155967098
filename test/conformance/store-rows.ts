/** What every store does with items and failed rows. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import type { Store } from '../../src/store/store.ts';
import type { Item, ItemWrite } from '../../src/store/ports/rows.ts';
import { aFailedRow, aLane, anItem, walk } from './store-samples.ts';

export function rowsConformance(stores: () => { store: Store; other: Store }): void {
  const commit = (store: Store, items: Parameters<Store['commitRows']>[0]['items'], over: Partial<Parameters<Store['commitRows']>[0]> = {}) =>
    store.commitRows({ lane: aLane(), job: 'job', tags: [], fence: 1n, items, failed: [], cleared: [], ...over });

  describe('items', () => {
    it('come back as they were written, done or failed, to every instance', async () => {
      const { store, other } = stores();
      const done = anItem('k1', { name: 'Zoë', amount: 1.5, active: true, none: null }, { output: { nested: [1, { שם: 'ערך' }], none: null }, tokens: 12, cost: 0.25 });
      const failed = anItem('k2', { name: '' }, { state: 'failed', output: null, error: { code: 'bad', message: 'm', retryable: true, column: 'name' } });
      await commit(store, [done, failed]);
      const expected = ({ key, row, inputHash, handlerHash, state, output, error, job, attempt, tokens, cost }: ItemWrite): Item =>
        ({ key, row, inputHash, handlerHash, state, output: JSON.parse(output), error, job, attempt, tokens, cost });
      expect(await other.readItems(aLane(), ['k2', 'absent', 'k1'])).toEqual(new Map([['k1', expected(done)], ['k2', expected(failed)]]));
      expect(await other.readItems(aLane(), [])).toEqual(new Map());
    });

    it('are named by tenant, source, lane and key, whatever characters these hold', async () => {
      const { store } = stores();
      const keys = ["it's", '"quoted"', '%_', 'ключ', 'מפתח', '🔑', ' spaced ', 'A', 'a', '1', '01', 'line\nbreak', 'x'.repeat(2_000)];
      const lanes = [aLane(), aLane({ tenant: 'globex' }), aLane({ source: "o'brien" }), aLane({ lane: 'scrape' })];
      for (const [n, lane] of lanes.entries()) {
        await commit(store, keys.map((key, k) => anItem(key, { key }, { output: `${n}.${k}` })), { lane });
      }
      for (const [n, lane] of lanes.entries()) {
        const found = await store.readItems(lane, keys);
        expect(keys.map((key) => found.get(key)?.output)).toEqual(keys.map((_, k) => `${n}.${k}`));
      }
      expect((await store.readItems(aLane({ tenant: 'initech' }), keys)).size).toBe(0);
    });

    it('can be read by the thousand at once', async () => {
      const { store } = stores();
      const keys = Array.from({ length: 5_000 }, (_, n) => `k${n}`);
      await commit(store, keys.map((key) => anItem(key, { key })));
      expect([...(await store.readItems(aLane(), keys)).keys()].sort()).toEqual([...keys].sort());
    });

    it('are each the newest when many are committed at once, new ones among known ones, and one twice', async () => {
      const { store } = stores();
      const keys = Array.from({ length: 130 }, (_, n) => `k${n}`);
      const known = keys.filter((_, n) => n % 7 === 0 || n > 100);
      await commit(store, known.map((key) => anItem(key, { word: 'older' }, { output: 1 })));
      await commit(store, [...keys, 'k4'].map((key, n) => anItem(key, { word: n < keys.length ? 'newer' : 'newest' }, { output: n, job: `job ${n}`, attempt: n + 1, handlerHash: `handler ${n}` })), { fence: 2n });
      const found = await store.readItems(aLane(), keys);
      expect(keys.map((key) => found.get(key))).toMatchObject(keys.map((_, at) => (at === 4 ? 130 : at)).map((n) => ({ output: n, job: `job ${n}`, attempt: n + 1, handlerHash: `handler ${n}` })));
      const have = async (word: string) => (await walk((page) => store.search('acme', { terms: searchTerms(word), filter: {} }, page), 50)).map(({ key }) => key).toSorted();
      await vi.waitFor(async () => expect(await have('newer')).toEqual(keys.filter((key) => key !== 'k4').toSorted()), { timeout: 10_000 });
      expect(await have('newest')).toEqual(['k4']);
      expect(await have('older')).toEqual([]);
    });

    it('are never overwritten by a lower fence, in any order of writers', async () => {
      const { store, other } = stores();
      const write = fc.record({
        // Far above 2^53: neighbours differ only where a number would have lost them.
        fence: fc.bigInt({ min: 2n ** 62n, max: 2n ** 62n + 4n }), keys: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      });
      let run = 0;
      await fc.assert(fc.asyncProperty(fc.array(write, { maxLength: 12 }), async (writes) => {
        const lane = aLane({ lane: `lane ${run++}` });
        const expected = new Map<string, { fence: bigint; by: number }>();
        for (const [by, { fence, keys }] of writes.entries()) {
          await commit(by % 2 ? store : other, keys.map((key) => anItem(key, { by }, { output: by })), { lane, fence });
          for (const key of keys) if (fence >= (expected.get(key)?.fence ?? 0n)) expected.set(key, { fence, by });
        }
        const found = await store.readItems(lane, ['a', 'b', 'c']);
        expect(Object.fromEntries([...found].map(([key, item]) => [key, item.output])))
          .toEqual(Object.fromEntries([...expected].map(([key, { by }]) => [key, by])));
      }), { numRuns: 40 });
    });

    it('are committed with the failed rows or not at all', async () => {
      const { store } = stores();
      const unstorable = { row: 3, key: 'k', error: { code: 'bad', message: 'm', retryable: false }, input: { big: 1n as unknown as number } };
      await expect(commit(store, [anItem('k1', {})], { failed: [aFailedRow(2, 'bad'), unstorable] })).rejects.toThrow();
      expect((await store.readItems(aLane(), ['k1'])).size).toBe(0);
      expect(await store.countFailedRows('acme', 'job')).toEqual([]);
    });

    it('survive closing and opening', async () => {
      const { store, other } = stores();
      await commit(store, [anItem('k1', { word: 'persistent' })]);
      await store.close();
      expect((await other.readItems(aLane(), ['k1'])).size).toBe(1);
    });
  });

  describe('failed rows', () => {
    const rowsOf = async (store: Store, code?: string) =>
      (await walk((page) => store.listFailedRows('acme', 'job', code === undefined ? {} : { code }, page), 2)).map(({ row }) => row);

    it('are listed by row, counted by code and filtered by it, with key and input', async () => {
      const { store, other } = stores();
      const blank = aFailedRow(3, 'missing_key', { key: null, input: { id: null } });
      await commit(store, [], { failed: [aFailedRow(12, 'bad'), blank, aFailedRow(5, 'bad'), aFailedRow(100, 'worse')] });
      await commit(store, [], { failed: [aFailedRow(4, 'bad')], lane: aLane({ tenant: 'globex' }) });
      await commit(store, [], { failed: [aFailedRow(4, 'bad')], job: 'another' });
      expect(await rowsOf(other)).toEqual([3, 5, 12, 100]);
      expect(await rowsOf(other, 'bad')).toEqual([5, 12]);
      expect(await rowsOf(other, 'none')).toEqual([]);
      expect((await other.listFailedRows('acme', 'job', {}, { limit: 1 })).items).toEqual([blank]);
      expect(await other.countFailedRows('acme', 'job')).toEqual([{ code: 'bad', rows: 2 }, { code: 'missing_key', rows: 1 }, { code: 'worse', rows: 1 }]);
    });

    it('are cleared when a later try succeeds, and take a later code', async () => {
      const { store } = stores();
      await commit(store, [], { failed: [aFailedRow(2, 'bad'), aFailedRow(3, 'bad'), aFailedRow(4, 'bad')] });
      await commit(store, [], { fence: 2n, failed: [aFailedRow(3, 'worse')], cleared: [2, 99] });
      expect(await rowsOf(store)).toEqual([3, 4]);
      expect(await store.countFailedRows('acme', 'job')).toEqual([{ code: 'bad', rows: 1 }, { code: 'worse', rows: 1 }]);
    });

    it('are left alone by a late writer: it neither clears, nor changes, nor brings back', async () => {
      const { store, other } = stores();
      const succeeded = anItem('key 2', { id: 2 }, { row: 2 });
      await commit(store, [{ ...succeeded, state: 'failed', output: 'null' }], { fence: 1n, failed: [aFailedRow(2, 'bad'), aFailedRow(3, 'bad')] });
      await commit(store, [succeeded], { fence: 7n, failed: [aFailedRow(3, 'worse')], cleared: [2] });
      await commit(other, [{ ...succeeded, state: 'failed', output: 'null' }], { fence: 3n, failed: [aFailedRow(2, 'late')], cleared: [3] });
      expect((await store.readItems(aLane(), ['key 2'])).get('key 2')?.state).toBe('done');
      expect(await store.countFailedRows('acme', 'job')).toEqual([{ code: 'worse', rows: 1 }]);
    });

    it('are counted as they are listed, whatever was written and cleared', async () => {
      const { store, other } = stores();
      const step = fc.record({
        fence: fc.bigInt({ min: 1n, max: 3n }), cleared: fc.array(fc.nat(5), { maxLength: 3 }),
        failed: fc.array(fc.tuple(fc.nat(5), fc.constantFrom('bad', 'worse', 'worst')), { maxLength: 4 }),
      });
      await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.uuid(), async (steps, job) => {
        for (const { fence, cleared, failed } of steps) {
          await commit(store, [], { job, fence, cleared, failed: failed.map(([row, code]) => aFailedRow(row, code)) });
        }
        const rows = await walk((page) => other.listFailedRows('acme', job, {}, page), 10);
        const counted: Record<string, number> = {};
        for (const { error } of rows) counted[error.code] = (counted[error.code] ?? 0) + 1;
        expect(Object.fromEntries((await other.countFailedRows('acme', job)).map(({ code, rows }) => [code, rows]))).toEqual(counted);
        expect((await other.countFailedRows('acme', job)).every(({ rows }) => rows > 0)).toBe(true);
      }), { numRuns: 40 });
    });

    it('keeps a duplicate, though the row that owns its key was written by a higher fence', async () => {
      const { store } = stores();
      await commit(store, [anItem('key 9', { id: 9 }, { row: 2 })], { fence: 7n });
      await commit(store, [], { fence: 3n, failed: [aFailedRow(9, 'duplicate_key')] });
      expect(await rowsOf(store)).toEqual([9]);
    });
  });
}
