/** What every store does with documents and their passages. */
import { describe, expect, it } from 'vitest';
import type { DocumentRecord, Passage } from '../../src/contracts/document.ts';
import { DEFAULT_DOCUMENT_OPTIONS, NO_DOCUMENT_COUNTS, NO_METADATA } from '../../src/contracts/document.ts';
import { passageText } from '../../src/domain/search-text.ts';
import type { SearchFilter } from '../../src/contracts/search.ts';
import type { Store } from '../../src/store/store.ts';
import type { PassageSet } from '../../src/store/ports/documents.ts';
import { hitsOf } from './store-hits.ts';
import { aLane, anItem, walk } from './store-samples.ts';

export const aDocument = (id: string, over: Partial<DocumentRecord> = {}): DocumentRecord => ({
  tenant: 'acme', id, owner: 'ann', job: `job of ${id}`, fileName: `${id}.txt`, contentType: null, declaredType: null, type: null, size: 10, sha256: `sha of ${id}`,
  documentKey: id, version: 0, tags: [], options: { ...DEFAULT_DOCUMENT_OPTIONS }, state: 'queued', cause: null, until: null, reason: null, error: null,
  attempt: 1, sequence: 0, dispatch: 0, generation: 0, stage: 'upload', stagePercent: 100, stages: {}, workedMs: 0, partial: false, warnings: [], unscanned: false, quarantined: false,
  counts: { ...NO_DOCUMENT_COUNTS }, metadata: { ...NO_METADATA }, similarity: null, similarTo: [],
  blobs: { original: `acme/documents/${id}/original/x`, text: null, blocks: null, extraction: null, chunks: null }, published: null,
  createdAt: '2026-11-01T10:00:00.000Z', startedAt: null, completedAt: null, updatedAt: '2026-11-01T10:00:00.000Z', ...over,
});

export const aPassage = (number: number, text: string, over: Partial<Passage> = {}): Passage & { words: string } =>
  ({ number, text, start: 0, end: text.length, tokens: 3, pages: [number, number + 1], headings: ['Chapter', 'Part'], tableHeader: null, words: passageText(text, null), ...over });

export const aSet = (document: DocumentRecord, generation = 1): PassageSet =>
  ({ tenant: document.tenant, documentKey: document.documentKey, document: document.id, version: document.version, generation });

/** Two stores open on the same place, as two processes have them. */
export function documentsConformance(stores: () => { store: Store; other: Store }): void {
  const created = async (store: Store, id: string, over: Partial<DocumentRecord> = {}): Promise<DocumentRecord> => (await store.createDocument(aDocument(id, over))).document;
  const write = (store: Store, set: PassageSet, texts: string[], from = 1): Promise<void> =>
    store.writePassages({ set, job: 'job', tags: ['t'], fileName: 'f.txt', title: 'T', passages: texts.map((text, index) => aPassage(from + index, text)) });
  const found = async (store: Store, query: string, tenant = 'acme'): Promise<string[]> =>
    (await hitsOf(store, query, { tenant })).map((hit) => (hit.kind === 'passage' ? hit.passage.text : hit.key)).toSorted();
  const drained = async (step: () => Promise<boolean>): Promise<void> => {
    while (!(await step()));
  };

  describe('documents', () => {
    it('come back as they were written, to another instance and to no other tenant, and are created once', async () => {
      const { store, other } = stores();
      const { document, created: first } = await store.createDocument(aDocument('d1', { tags: ['a'] }));
      expect([first, document]).toEqual([true, aDocument('d1', { tags: ['a'], version: 1 })]);
      expect(await other.getDocument('acme', 'd1')).toEqual(document);
      expect(await other.getDocument('globex', 'd1')).toBeNull();
      await store.advanceDocument('acme', 'd1', { attempt: 1, sequence: 1 }, { state: 'running' });
      expect(await other.createDocument(aDocument('d1'))).toMatchObject({ created: false, document: { state: 'running', version: 1 } });
    });

    it('of one key are numbered in order, also where two instances create at once, and no number is given twice', async () => {
      const { store, other } = stores();
      await Promise.all(Array.from({ length: 10 }, (_, n) => created(n % 2 ? store : other, `v${n}`, { documentKey: 'plan' })));
      const versions = (await store.listDocuments('acme', { documentKey: 'plan' }, { limit: 100 })).items.map(({ version }) => version);
      expect(versions.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      const last = (await store.listDocuments('acme', { documentKey: 'plan' }, { limit: 100 })).items.find(({ version }) => version === 10)!;
      await drained(() => store.removeDocument('acme', last.id));
      expect((await created(store, 'v10', { documentKey: 'plan' })).version).toBe(11);
      expect((await created(store, 'v10', { tenant: 'globex', documentKey: 'plan' })).version).toBe(1);
    });

    it('take writes in order: states by the sequence, stages by their dispatch, neither keeps the other out', async () => {
      const { store, other } = stores();
      await created(store, 'd1');
      const advance = (by: Parameters<Store['advanceDocument']>[2], patch: Parameters<Store['advanceDocument']>[3]) => other.advanceDocument('acme', 'd1', by, patch);
      expect(await advance({ attempt: 1, dispatch: 257 }, { stage: 'scan' })).toBe(true);
      expect(await advance({ attempt: 1, sequence: 3 }, { state: 'pausing' })).toBe(true);
      expect(await advance({ attempt: 1, dispatch: 257 }, { stage: 'extraction' })).toBe(true);
      expect(await advance({ attempt: 1, dispatch: 256 }, { stage: 'upload' })).toBe(false);
      expect(await advance({ attempt: 1, sequence: 2 }, { state: 'running' })).toBe(false);
      expect(await advance({ attempt: 2, sequence: 0 }, { state: 'queued' })).toBe(true);
      expect(await advance({ attempt: 1, dispatch: 9_999 }, { stage: 'upload' })).toBe(false);
      expect(await store.getDocument('acme', 'd1')).toMatchObject({ state: 'queued', stage: 'extraction', attempt: 2, sequence: 0, dispatch: 0 });
      expect(await store.advanceDocument('acme', 'nobody', { attempt: 1, sequence: 1 }, {})).toBe(false);
      expect(await store.advanceDocument('globex', 'd1', { attempt: 9, sequence: 9 }, { state: 'failed' })).toBe(false);
    });

    it('are listed newest first by every filter, in pages that neither repeat nor lose one', async () => {
      const { store } = stores();
      for (let n = 0; n < 7; n++) {
        await created(store, `d${n}`, { createdAt: `2026-11-01T10:00:0${n}.000Z`, owner: n % 2 ? 'ann' : 'bob', tags: n < 3 ? ['old'] : [], sha256: n < 2 ? 'same' : `sha ${n}` });
      }
      await store.advanceDocument('acme', 'd4', { attempt: 1, sequence: 1 }, { state: 'failed', type: 'pdf' });
      const ids = async (filter: Parameters<Store['listDocuments']>[1]) => (await walk((page) => store.listDocuments('acme', filter, page), 2)).map(({ id }) => id);
      expect(await ids({})).toEqual(['d6', 'd5', 'd4', 'd3', 'd2', 'd1', 'd0']);
      expect(await ids({ owner: 'ann' })).toEqual(['d5', 'd3', 'd1']);
      expect(await ids({ tag: 'old' })).toEqual(['d2', 'd1', 'd0']);
      expect(await ids({ sha256: 'same' })).toEqual(['d1', 'd0']);
      expect(await ids({ sha256: 'same', owner: 'bob' })).toEqual(['d0']);
      expect(await ids({ state: ['failed'], type: 'pdf' })).toEqual(['d4']);
      expect(await ids({ since: '2026-11-01T10:00:02.000Z', before: '2026-11-01T10:00:04.000Z' })).toEqual(['d3', 'd2']);
      expect(await store.documentUsage('acme')).toEqual({ documents: 7, bytes: 70 });
      expect(await store.documentUsage('globex')).toEqual({ documents: 0, bytes: 0 });
      await expect(store.listDocuments('acme', {}, { limit: 2, cursor: 'nonsense' })).rejects.toMatchObject({ code: 'invalid_cursor' });
    });

    it('with nearly the same text are found by a band that they share', async () => {
      const { store } = stores();
      for (const [id, bands] of [['d1', ['a', 'b']], ['d2', ['b', 'c']], ['d3', ['x']]] as const) {
        await created(store, id);
        await store.advanceDocument('acme', id, { attempt: 1, dispatch: 1 }, { state: 'completed', similarity: { minhash: id, bands: [...bands] } });
      }
      const ids = async (bands: string[]) => (await store.findSimilar('acme', bands, 10)).map(({ id }) => id).toSorted();
      expect(await ids(['b'])).toEqual(['d1', 'd2']);
      expect(await ids(['q'])).toEqual([]);
      await store.advanceDocument('acme', 'd1', { attempt: 1, dispatch: 2 }, { similarity: { minhash: 'd1', bands: ['q'] } });
      expect(await ids(['b'])).toEqual(['d2']);
      await drained(() => store.removeDocument('acme', 'd2'));
      expect(await ids(['b', 'q'])).toEqual(['d1']);
    });
  });

  describe('passages', () => {
    it('are seen by nobody before they are published, and then by everybody of the tenant, with all that is known of them', async () => {
      const { store, other } = stores();
      const document = await created(store, 'd1');
      await write(store, aSet(document), ['a barley field', 'a wheat field']);
      expect(await found(other, 'field')).toEqual([]);
      expect(await other.listPassages('acme', 'd1', { limit: 10 })).toEqual({ items: [], nextCursor: null });
      expect(await store.publishPassages(aSet(document))).toBe(true);
      expect(await found(other, 'field')).toEqual(['a barley field', 'a wheat field']);
      expect(await found(other, 'field', 'globex')).toEqual([]);
      expect(await hitsOf(other, 'barley')).toEqual([{
        kind: 'passage', document: 'd1', source: 'document:d1', lane: 'd1/1', key: '1', job: 'job', fileName: 'f.txt', title: 'T', tags: ['t'], updatedAt: expect.any(String),
        passage: { number: 1, text: 'a barley field', start: 0, end: 14, tokens: 3, pages: [1, 2], headings: ['Chapter', 'Part'], tableHeader: null },
      }]);
    });

    it('are written once, however often', async () => {
      const { store, other } = stores();
      const document = await created(store, 'd1');
      for (const one of [store, other, store]) await write(one, aSet(document), ['a barley field', 'a wheat field']);
      await store.publishPassages(aSet(document));
      expect(await found(store, 'field')).toEqual(['a barley field', 'a wheat field']);
    });

    it('are listed by number, in pages', async () => {
      const { store } = stores();
      const document = await created(store, 'd1');
      await write(store, aSet(document), Array.from({ length: 12 }, (_, n) => `passage ${n + 1}`));
      await store.publishPassages(aSet(document));
      expect((await walk((page) => store.listPassages('acme', 'd1', page), 5)).map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    });

    it('of a new version take the place of the old in one step; those of an older version or generation do not', async () => {
      const { store, other } = stores();
      const one = await created(store, 'd1', { documentKey: 'plan' });
      const two = await created(store, 'd2', { documentKey: 'plan' });
      await write(store, aSet(one, 1), ['edition one']);
      await store.publishPassages(aSet(one, 1));
      await write(store, aSet(two, 2), ['edition two']);
      expect(await found(other, 'edition')).toEqual(['edition one']);
      expect(await store.publishPassages(aSet(two, 2))).toBe(true);
      expect(await found(other, 'edition')).toEqual(['edition two']);
      expect(await other.listPassages('acme', 'd1', { limit: 5 })).toEqual({ items: [], nextCursor: null });

      await write(store, aSet(one, 3), ['edition one again']);
      expect(await store.publishPassages(aSet(one, 3))).toBe(false);
      await write(store, aSet(two, 4), ['edition two again']);
      expect(await store.publishPassages(aSet(two, 4))).toBe(true);
      expect(await store.publishPassages(aSet(two, 2))).toBe(false);
      expect(await found(other, 'edition')).toEqual(['edition two again']);
    });

    it('that are stale are removed; the published ones and those being written stay', async () => {
      const { store } = stores();
      const document = await created(store, 'd1');
      for (const generation of [1, 2, 3]) await write(store, aSet(document, generation), [`try ${generation}`]);
      await store.publishPassages(aSet(document, 2));
      await drained(() => store.removeStalePassages('acme', 'd1', aSet(document, 3)));
      expect(await found(store, 'try')).toEqual(['try 2']);
      await store.publishPassages(aSet(document, 3));
      expect(await found(store, 'try')).toEqual(['try 3']);
      await store.publishPassages(aSet(document, 4));
      expect(await found(store, 'try')).toEqual([]);
    });

    it('go with their document, in steps, and nobody else\'s', async () => {
      const { store, other } = stores();
      const one = await created(store, 'd1');
      const two = await created(store, 'd10');
      for (const document of [one, two]) {
        await write(store, aSet(document), [`words of ${document.id}`]);
        await store.publishPassages(aSet(document));
      }
      await write(store, aSet(one, 2), ['unpublished words']);
      await drained(() => other.removeDocument('acme', 'd1'));
      expect(await store.getDocument('acme', 'd1')).toBeNull();
      expect(await found(store, 'words')).toEqual(['words of d10']);
      expect(await store.removeDocument('acme', 'd1')).toBe(true);
    });

    it('are found beside rows, by the same words, or alone', async () => {
      const { store } = stores();
      const document = await created(store, 'd1');
      await write(store, aSet(document), ['הבית הלבן', '我在北京大学']);
      await store.publishPassages(aSet(document));
      expect(await found(store, 'בית')).toEqual(['הבית הלבן']);
      expect(await found(store, '北京')).toEqual(['我在北京大学']);
      await store.commitRows({ lane: aLane(), job: 'j', tags: [], fence: 1n, items: [anItem('row', { name: 'הבית הלבן' })], failed: [], cleared: [] });
      const kinds = async (filter: SearchFilter): Promise<string[]> => (await hitsOf(store, 'בית', { filter })).map(({ kind }) => kind).toSorted();
      expect([await kinds({}), await kinds({ kind: 'item' }), await kinds({ kind: 'passage' })]).toEqual([['item', 'passage'], ['item'], ['passage']]);
    });
  });
}
