/** What every store finds, and in which order. What the words of a row and of a query are is `domain/search-text.ts`'s. */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import type { Store } from '../../src/store/store.ts';
import type { RowsCommit } from '../../src/store/ports/rows.ts';
import { hitsOf, type Wanted } from './store-hits.ts';
import { aLane, anItem, walk } from './store-samples.ts';

export function searchConformance(stores: () => { store: Store; other: Store }): void {
  const commit = (store: Store, items: RowsCommit['items'], over: Partial<RowsCommit> = {}) =>
    store.commitRows({ lane: aLane(), job: 'job', tags: [], fence: 1n, items, failed: [], cleared: [], ...over });
  const found = async (store: Store, query: string, wanted?: Wanted) => (await hitsOf(store, query, wanted)).map(({ key }) => key);
  const foundSorted = async (store: Store, query: string, wanted?: Wanted) => (await found(store, query, wanted)).sort();
  const texts = (all: Record<string, string>) => Object.entries(all).map(([key, text]) => anItem(key, { text }));

  describe('search', () => {
    it('finds rows by all of the words, in cells and in outputs, and says where they belong', async () => {
      const { store, other } = stores();
      await commit(store, [
        anItem('k1', { name: 'Grand Hotel', city: 'Lisbon' }, { output: { category: 'travel' }, row: 7 }),
        anItem('k2', { name: 'Grand Piano', city: 'Vienna' }, { output: { category: 'music' } }),
      ], { lane: aLane({ source: 'places', lane: 'categorize' }), tags: ['eu', 'x'] });
      expect(await foundSorted(other, 'grand')).toEqual(['k1', 'k2']);
      expect(await found(other, 'GRAND lisbon')).toEqual(['k1']);
      expect(await found(other, 'music')).toEqual(['k2']);
      expect(await found(other, 'lisbon music')).toEqual([]);
      expect(await found(other, 'gran')).toEqual([]);
      expect(await hitsOf(other, 'lisbon')).toEqual([{
        kind: 'item', key: 'k1', row: 7, inputHash: 'input of k1', handlerHash: 'handler', state: 'done', output: { category: 'travel' }, error: null,
        job: 'job', attempt: 1, tokens: null, cost: null, source: 'places', lane: 'categorize', input: { name: 'Grand Hotel', city: 'Lisbon' }, tags: ['eu', 'x'],
        updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      }]);
    });

    it('sees one tenant only', async () => {
      const { store } = stores();
      await commit(store, [anItem('k1', { word: 'secret' })], { lane: aLane({ tenant: 'globex' }) });
      expect(await found(store, 'secret')).toEqual([]);
      expect(await found(store, 'secret', { tenant: 'globex' })).toEqual(['k1']);
    });

    it('finds the words of a phrase side by side and in order only', async () => {
      const { store } = stores();
      await commit(store, texts({
        right: 'the Grand, old Hotel', wrong: 'the old grand hotel', between: 'grand and old', zh: '我在北京大学', 'zh apart': '北京的大学', he: 'הבית הלבן', 'he apart': 'הבית של הלבן',
      }));
      expect(await found(store, '"grand old hotel"')).toEqual(['right']);
      expect(await foundSorted(store, 'old grand')).toEqual(['between', 'right', 'wrong']);
      expect(await found(store, '"old grand" hotel')).toEqual(['wrong']);
      expect(await found(store, '"北京大学"')).toEqual(['zh']);
      expect(await found(store, '"הבית הלבן"')).toEqual(['he']);
      // Prefixes are not taken off in phrases: what is left of two words must not look like neighbours.
      expect(await found(store, '"בית לבן"')).toEqual([]);
    });

    it('leaves out rows with a word or phrase after a minus', async () => {
      const { store } = stores();
      await commit(store, texts({ a: 'red wine', b: 'white wine', c: 'red and white wine', zh: '中国人', he: 'והבית' }));
      expect(await foundSorted(store, 'wine -white')).toEqual(['a']);
      expect(await foundSorted(store, 'wine -"white wine"')).toEqual(['a']);
      expect(await foundSorted(store, 'wine -"red wine" -absent')).toEqual(['b', 'c']);
      expect(await found(store, '中国 -中国人')).toEqual([]);
      expect(await found(store, 'והבית -הבית')).toEqual([]);
      expect(await found(store, 'wine -wine')).toEqual([]);
    });

    it('finds pointed, prefixed and abbreviated Hebrew', async () => {
      const { store } = stores();
      await commit(store, texts({ pointed: 'שָׁלוֹם עוֹלָם', prefixed: 'והחשבונית לירושלים', short: 'צה"ל ומע״מ' }));
      expect(await found(store, 'שלום')).toEqual(['pointed']);
      expect(await found(store, 'שָׁלוֹם')).toEqual(['pointed']);
      expect(await found(store, 'חשבונית ירושלים')).toEqual(['prefixed']);
      expect(await found(store, 'החשבונית')).toEqual(['prefixed']);
      expect(await found(store, 'מע"מ')).toEqual(['short']);
    });

    it('finds Chinese, Japanese and Korean by parts of a run', async () => {
      const { store } = stores();
      await commit(store, texts({ zh: '人人生而自由,在尊严和权利上一律平等', ja: '東京都2024年', ko: '모든 인간은 자유롭고' }));
      expect(await found(store, '自由')).toEqual(['zh']);
      expect(await found(store, '尊严和权利')).toEqual(['zh']);
      expect(await found(store, '由自')).toEqual([]);
      expect(await found(store, '京')).toEqual(['ja']);
      expect(await found(store, '2024 東京')).toEqual(['ja']);
      expect(await found(store, '인간')).toEqual(['ko']);
    });

    it('follows a row that changes, and only when the write counts', async () => {
      const { store } = stores();
      await commit(store, [anItem('k1', { word: 'before' })], { fence: 5n });
      await commit(store, [anItem('k1', { word: 'late' })], { fence: 4n, tags: ['late'] });
      expect([await found(store, 'before'), await found(store, 'late'), await found(store, 'before', { filter: { tags: ['late'] } })]).toEqual([['k1'], [], []]);
      await commit(store, [anItem('k1', { word: 'after' })], { fence: 6n, tags: ['new'] });
      expect([await found(store, 'before'), await found(store, 'after'), await found(store, 'after', { filter: { tags: ['new'] } })]).toEqual([[], ['k1'], ['k1']]);
    });

    it('narrows by source, lane, state, and by the job that wrote the row last and its tags', async () => {
      const { store } = stores();
      await commit(store, [anItem('a', { w: 'wine' }, { job: 'j1' }), anItem('b', { w: 'wine' }, { job: 'j1', state: 'failed', output: null })], { job: 'j1', tags: ['eu', 'q4'] });
      await commit(store, [anItem('c', { w: 'wine' }, { job: 'j2' })], { job: 'j2', tags: ['eu'], lane: aLane({ lane: 'scrape' }) });
      await commit(store, [anItem('d', { w: 'wine' }, { job: 'j3' })], { job: 'j3', lane: aLane({ source: 'products' }) });
      const by = (filter: Wanted['filter']) => foundSorted(store, 'wine', { filter: filter! });
      expect(await by({})).toEqual(['a', 'b', 'c', 'd']);
      expect(await by({ source: 'customers' })).toEqual(['a', 'b', 'c']);
      expect(await by({ source: 'customers', lane: 'scrape' })).toEqual(['c']);
      expect(await by({ job: 'j1' })).toEqual(['a', 'b']);
      expect(await by({ state: 'failed' })).toEqual(['b']);
      expect(await by({ tags: ['eu'] })).toEqual(['a', 'b', 'c']);
      expect(await by({ tags: ['q4', 'eu'] })).toEqual(['a', 'b']);
      expect(await by({ tags: ['q4'], state: 'done' })).toEqual(['a']);
      expect(await by({ source: 'absent' })).toEqual([]);
      expect(await by({ tags: ['e'] })).toEqual([]);
      await commit(store, [anItem('a', { w: 'wine' }, { job: 'j4' })], { job: 'j4', fence: 2n });
      expect([await by({ job: 'j1' }), await by({ tags: ['q4'] }), await by({ job: 'j4' })]).toEqual([['b'], ['b'], ['a']]);
    });

    it('narrows by the time of the last write: from since on, before until', async () => {
      const { store } = stores();
      await commit(store, [anItem('early', { w: 'wine' })]);
      await laterThan(store, 'early');
      await commit(store, [anItem('late', { w: 'wine' })]);
      const times = new Map((await hitsOf(store, 'wine')).map(({ key, updatedAt }) => [key, updatedAt]));
      const [early, late] = [times.get('early')!, times.get('late')!];
      expect(await found(store, 'wine', { filter: { since: late } })).toEqual(['late']);
      expect(await found(store, 'wine', { filter: { until: late } })).toEqual(['early']);
      expect(await foundSorted(store, 'wine', { filter: { since: early } })).toEqual(['early', 'late']);
      expect(await found(store, 'wine', { filter: { since: early, until: early } })).toEqual([]);
    });

    it('puts the row that says it most first, and of equal ones that which was written last', async () => {
      const { store } = stores();
      await commit(store, [
        anItem('once', { text: 'an invoice among many other words that are about something else altogether' }),
        anItem('thrice', { text: 'invoice invoice invoice' }),
        ...Array.from({ length: 20 }, (_, n) => anItem(`other ${n}`, { text: 'nothing of that kind' })),
      ]);
      expect(await found(store, 'invoice')).toEqual(['thrice', 'once']);
      // Equal in all that a rank is made of.
      for (const key of ['e2', 'e3', 'e1']) {
        await commit(store, [anItem(key, { text: 'equal' }, { output: null })]);
        await laterThan(store, key);
      }
      expect(await found(store, 'equal')).toEqual(['e1', 'e3', 'e2']);
    });

    it('gives every hit once over all pages, however many rank alike', async () => {
      const { store, other } = stores();
      await commit(store, Array.from({ length: 60 }, (_, n) => anItem(`k${n}`, { text: `wine ${'wine '.repeat(n % 3)}` }, { output: null })));
      const keys = Array.from({ length: 60 }, (_, n) => `k${n}`).sort();
      for (const limit of [1, 7, 20, 60]) expect(await foundSorted(other, 'wine', { limit })).toEqual(keys);
      expect(await found(other, 'wine', { limit: 7 })).toEqual(await found(other, 'wine', { limit: 100 }));
      expect(await foundSorted(other, 'wine', { limit: 7, filter: { source: 'customers' } })).toEqual(keys);
    });

    it('walks more hits than anybody ranks, each once', async () => {
      const { store } = stores();
      const keys = Array.from({ length: 10_500 }, (_, n) => `k${n}`);
      for (let from = 0; from < keys.length; from += 3_500) {
        await commit(store, keys.slice(from, from + 3_500).map((key) => anItem(key, { text: 'wine' }, { output: null })));
      }
      expect(await foundSorted(store, 'wine', { limit: 2_000 })).toEqual([...keys].sort());
    });

    it('refuses a cursor that it has not given', async () => {
      const { store } = stores();
      const search = (cursor: string) => store.search('acme', { terms: searchTerms('wine'), filter: {} }, { limit: 1, cursor });
      for (const cursor of ['', 'x', Buffer.from('["a"]').toString('base64url'), Buffer.from('null').toString('base64url')]) {
        await expect(search(cursor)).rejects.toMatchObject({ code: 'invalid_cursor' });
      }
    });

    it('takes whatever a user types as words, never as a search language', async () => {
      const { store } = stores();
      await commit(store, [anItem('k1', { text: 'near and or not text' })]);
      expect(await found(store, 'NEAR AND OR NOT')).toEqual(['k1']);
      expect(await found(store, 'text:missing')).toEqual([]);
      expect(await found(store, 'near* AND')).toEqual(['k1']);
      const typed = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom('"', 'a"b', 'a*', 'NEAR(a b, 2)', '{text}:a', "');--", '\0', '"a b', '-"a', '-a b'));
      await fc.assert(fc.asyncProperty(typed, typed, async (one, another) => {
        const query = { terms: searchTerms(`word ${one} ${another}`), filter: { source: one, tags: [another] } };
        expect(await walk((page) => store.search('acme', query, page), 3)).toBeInstanceOf(Array);
      }), { numRuns: 100 });
    });
  });

  /** Resolves when a write would have a later time than this item's. */
  async function laterThan(store: Store, key: string): Promise<void> {
    const [hit] = (await hitsOf(store, key === 'early' ? 'wine' : 'equal', {})).filter((one) => one.key === key);
    await vi.waitUntil(() => Date.now() > Date.parse(hit!.updatedAt), { interval: 1 });
  }
}
