/** What every store does with sources, their versions, and rows that are gone from their sheet. */
import { describe, expect, it } from 'vitest';
import type { SourceRecord, VersionRecord } from '../../src/contracts/source.ts';
import { searchTerms } from '../../src/domain/search-text.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aLane, anItem, RACES, walk } from './store-samples.ts';

export const aSource = (id: string, over: Partial<SourceRecord> = {}): SourceRecord => {
  const { tenant, owner, request, source, lane, priority, tags, runAt, dependsOn, onFailure } = aJob('j');
  return {
    tenant: 'acme', id, owner: 'ann', createdAt: '2026-11-01T10:00:00.000Z', updatedAt: '2026-11-01T10:00:00.000Z', revision: 0, scheduled: false, deleting: false,
    current: null, versions: 0, touched: [], fetched: null,
    definition: {
      name: 'לקוחות', description: null, versioning: 'content_hash', fetch: 'async', schedule: { every: 3600 }, enabled: true, deletes: { mode: 'mark', maxFraction: 0.2 }, keepVersions: 30,
      set: null, environment: null, job: { tenant, owner, request, source, lane, priority, tags, runAt, dependsOn, onFailure },
    },
    ...over,
  };
};

export const aVersion = (sequence: number, over: Partial<VersionRecord> = {}): VersionRecord => ({
  tenant: 'acme', source: 'customers', sequence, hash: `hash ${sequence}`, content: sequence, state: 'completed', job: `job ${sequence}`, lane: 'store', fetchedAt: '2026-11-01T10:00:00.000Z',
  endedAt: null, rows: 2, pages: 1, columns: [{ name: 'שם', header: 'שם', letter: 'A' }], keyColumns: ['שם'], base: null, counts: { added: 2, changed: 0, moved: 0, removed: 0 },
  newColumns: [], lostColumns: [], goneKeys: [], keptFiles: 0, asks: null, ...over,
});

/** Two stores open on the same place, as two processes have them. */
export function sourcesConformance(stores: () => { store: Store; other: Store }): void {
  describe('sources', () => {
    const found = async (store: Store, query: string): Promise<string[]> =>
      (await store.search('acme', { terms: searchTerms(query), filter: {} }, { limit: 50 })).items.flatMap((hit) => (hit.kind === 'item' ? [hit.key] : [])).toSorted();
    const commit = (store: Store, fence: bigint, ...keys: string[]) =>
      store.commitRows({ lane: aLane(), job: 'j', tags: ['t'], fence, items: keys.map((key) => anItem(key, { word: 'fish' })), failed: [], cleared: [] });

    it('gives them back as they were written, by id, also to another instance and not to another tenant', async () => {
      const { store, other } = stores();
      for (const id of ['c', 'a', 'b']) expect(await store.createSource(aSource(id))).toEqual({ source: aSource(id), created: true });
      expect(await other.createSource(aSource('b', { versions: 9 }))).toEqual({ source: aSource('b'), created: false });
      expect(await other.getSource('acme', 'b')).toEqual(aSource('b'));
      expect(await other.getSource('globex', 'b')).toBeNull();
      expect((await walk((page) => other.listSources('acme', page), 2)).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
      expect((await other.listSources('globex', { limit: 9 })).items).toEqual([]);
      await expect(store.listSources('acme', { cursor: 'x', limit: 1 })).rejects.toMatchObject({ code: 'invalid_cursor' });
      expect(await store.tenants()).toContain('acme');
    });

    it('writes only over the revision that was read', async () => {
      const { store, other } = stores();
      await store.createSource(aSource('s'));
      expect(await store.changeSource(aSource('s', { versions: 1 }))).toMatchObject({ versions: 1, revision: 1 });
      expect(await other.changeSource(aSource('s', { versions: 9 }))).toBeNull();
      expect(await other.changeSource(aSource('gone'))).toBeNull();
      const raise = async (from: Store): Promise<void> => {
        for (;;) {
          const now = (await from.getSource('acme', 's'))!;
          if (await from.changeSource({ ...now, versions: now.versions + 1 })) return;
        }
      };
      await Promise.all(Array.from({ length: RACES }, (_, index) => raise(index % 2 ? store : other)));
      expect((await store.getSource('acme', 's'))!.versions).toBe(RACES + 1);
    });

    it('lists versions newest first, and replaces and removes them', async () => {
      const { store, other } = stores();
      for (const sequence of [1, 2, 11, 3]) await store.writeVersion(aVersion(sequence));
      await other.writeVersion(aVersion(2, { state: 'rejected' }));
      await store.writeVersion(aVersion(4, { source: 'others' }));
      expect(await store.getVersion('acme', 'customers', 2)).toEqual(aVersion(2, { state: 'rejected' }));
      expect(await store.getVersion('globex', 'customers', 2)).toBeNull();
      expect((await walk((page) => other.listVersions('acme', 'customers', page), 3)).map(({ sequence }) => sequence)).toEqual([11, 3, 2, 1]);
      await other.removeVersion('acme', 'customers', 3);
      await other.removeVersion('acme', 'customers', 99);
      expect((await walk((page) => store.listVersions('acme', 'customers', page), 9)).map(({ sequence }) => sequence)).toEqual([11, 2, 1]);
    });

    it('finds no hidden row, and finds it again when it is shown or written', async () => {
      const { store, other } = stores();
      await commit(store, 10n, 'a', 'b', 'c', 'd');
      await store.hideItems(aLane(), 20n, ['a', 'b', 'c', 'missing'], false);
      expect(await found(other, 'fish')).toEqual(['d']);
      // The ledger still knows what came of it.
      expect((await other.readItems(aLane(), ['a'])).get('a')).toMatchObject({ output: { seen: 'a' }, inputHash: 'input of a' });
      await other.showItems(aLane(), 20n, ['a', 'd']);
      await commit(other, 30n, 'b');
      expect(await found(store, 'fish')).toEqual(['a', 'b', 'd']);
    });

    it('forgets what was in a row that is wiped, and takes it as new when it comes back', async () => {
      const { store, other } = stores();
      await commit(store, 10n, 'a', 'b');
      await store.hideItems(aLane(), 20n, ['a'], true);
      expect(await found(other, 'fish')).toEqual(['b']);
      expect((await other.readItems(aLane(), ['a'])).get('a')).toMatchObject({ inputHash: '', handlerHash: '', output: null });
      await other.showItems(aLane(), 30n, ['a']);
      expect(await found(other, 'fish')).toEqual(['b']);
      await commit(store, 40n, 'a');
      expect(await found(other, 'fish')).toEqual(['a', 'b']);
    });

    it('lets no late writer bring a row back, and hides none that a newer one has written', async () => {
      const { store, other } = stores();
      await commit(store, 10n, 'a', 'b');
      await store.hideItems(aLane(), 20n, ['a'], false);
      await commit(other, 15n, 'a');
      await commit(other, 40n, 'b');
      await store.hideItems(aLane(), 20n, ['b'], false);
      expect(await found(store, 'fish')).toEqual(['b']);
    });

    it('removes a source with its rows and versions, and nothing else', async () => {
      const { store, other } = stores();
      await store.createSource(aSource('customers'));
      await store.createSource(aSource('others'));
      await store.writeVersion(aVersion(1));
      await store.writeVersion(aVersion(1, { source: 'others' }));
      await commit(store, 10n, 'a');
      await store.commitRows({ lane: aLane({ source: 'others' }), job: 'j', tags: [], fence: 1n, items: [anItem('kept', { word: 'fish' })], failed: [], cleared: [] });
      while (!(await other.removeSource('acme', 'customers')));
      while (!(await other.removeSource('acme', 'customers')));
      expect(await found(store, 'fish')).toEqual(['kept']);
      expect([await store.getSource('acme', 'customers'), await store.getVersion('acme', 'customers', 1)]).toEqual([null, null]);
      expect([(await store.getSource('acme', 'others'))?.id, (await store.getVersion('acme', 'others', 1))?.sequence]).toEqual(['others', 1]);
    });
  });
}
