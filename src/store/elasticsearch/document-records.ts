/** Records of uploaded documents, changed by compare-and-set; their passages are items, visible once their key's record says so. */
import type { estypes } from '@elastic/elasticsearch';
import type { DocumentRecord } from '../../contracts/document.ts';
import { SheafError } from '../../contracts/errors.ts';
import { advanced } from '../../domain/document-record.ts';
import { jobCursor, listed, numberCursor, readCursor } from '../cursor.ts';
import { PASSAGE_SOURCES, passageLane, passageLanes, passageOf, passagesCommit, passageSource, setOfLane } from '../passages.ts';
import type { Store } from '../store.ts';
import type { DocumentStore } from '../ports/documents.ts';
import type { Cluster } from './connection.ts';
import { type Decision, documentId, Documents } from './documents.ts';
import { removeMatching } from './removal.ts';
import { ITEM_FIELDS, itemOf, type ItemSource } from './rows.ts';

/** `record` is the whole DocumentRecord as JSON; the other fields are drawn from it, so that lists can filter. */
interface DocumentSource {
  tenant: string;
  id: string;
  createdAt: string;
  state: string;
  type: string | null;
  owner: string;
  documentKey: string;
  sha256: string;
  size: number;
  tags: string[];
  bands: string[];
  record: string;
}

/** Of one document key: how many versions were given, and whose passages search finds. `body` is JSON of a `KeyBody`. */
export interface DocumentKeySource {
  tenant: string;
  body: string;
}

interface KeyBody {
  versions: number;
  published: { lane: string; version: number; generation: number } | null;
}

/** Documents in one answer of a list; passages in one. */
const MAX_LISTED = 500;
const MAX_SETS = 10_000;

const sourceOf = (document: DocumentRecord): DocumentSource => {
  const { tenant, id, createdAt, state, type, owner, documentKey, sha256, size, tags } = document;
  return { tenant, id, createdAt, state, type, owner, documentKey, sha256, size, tags, bands: document.similarity?.bands ?? [], record: JSON.stringify(document) };
};
const recordOf = ({ record }: Pick<DocumentSource, 'record'>): DocumentRecord => JSON.parse(record) as DocumentRecord;
const bodyOf = (found: DocumentKeySource | null): KeyBody => (found === null ? { versions: 0, published: null } : (JSON.parse(found.body) as KeyBody));

/** By the source of the passages, which is what a hit knows. */
const keyId = (tenant: string, source: string): string => documentId(tenant, source);

/** The published lane of each source; null where none is. */
export async function publishedLanes(keys: Documents<DocumentKeySource>, tenant: string, sources: string[]): Promise<Map<string, string | null>> {
  const found = await keys.readAll(tenant, sources.map((source) => keyId(tenant, source)));
  return new Map(sources.map((source, index) => [source, bodyOf(found[index] ?? null).published?.lane ?? null]));
}

export function documentMethods(cluster: Cluster, commitRows: Store['commitRows']): DocumentStore {
  const documents = new Documents<DocumentSource>(cluster, 'documents');
  const keys = new Documents<DocumentKeySource>(cluster, 'document-keys');
  const id = (tenant: string, document: string): string => documentId(tenant, document);

  const find = async (tenant: string, document: string): Promise<DocumentRecord | null> => {
    const found = await documents.read(tenant, id(tenant, document));
    return found === null ? null : recordOf(found);
  };

  /** `decide` answers the key's new body, or null to leave it. */
  const changeKey = <Answer>(tenant: string, source: string, decide: (body: KeyBody) => { body: KeyBody | null; answer: Answer }): Promise<Answer> =>
    keys.change(tenant, keyId(tenant, source), (found): Decision<DocumentKeySource, Answer> => {
      const { body, answer } = decide(bodyOf(found));
      return body === null ? { answer } : { write: { tenant, body: JSON.stringify(body) }, answer };
    });

  const terms = (fields: Record<string, string | undefined>): estypes.QueryDslQueryContainer[] =>
    Object.entries(fields).flatMap(([field, value]) => (value === undefined ? [] : [{ term: { [field]: value } }]));

  return {
    async createDocument(document) {
      const existing = await find(document.tenant, document.id);
      if (existing !== null) return { document: existing, created: false };
      // A version that is given and not used leaves a gap, and nothing else.
      const version = await changeKey(document.tenant, passageSource(document.documentKey), (body) =>
        ({ body: { ...body, versions: body.versions + 1 }, answer: body.versions + 1 }));
      const numbered = { ...document, version };
      if (await documents.create(id(document.tenant, document.id), sourceOf(numbered))) return { document: numbered, created: true };
      return { document: (await find(document.tenant, document.id)) ?? numbered, created: false };
    },

    getDocument: find,

    async listDocuments(tenant, { state, since, before, tag, ...fields }, page) {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const filter = terms({ tenant, ...fields, tags: tag });
      if (state) filter.push({ terms: { state } });
      if (since !== undefined || before !== undefined) filter.push({ range: { createdAt: { ...(since !== undefined && { gte: since }), ...(before !== undefined && { lt: before }) } } });
      const { hits } = await cluster.search<DocumentSource>('documents', tenant, {
        query: { bool: { filter } }, sort: [{ createdAt: 'desc' }, { id: 'desc' }], size: limit + 1, _source: ['record'], track_total_hits: false,
        ...(after !== null && { search_after: [...after] }),
      });
      return listed(hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : [])), limit, (document) => [document.createdAt, document.id]);
    },

    advanceDocument: (tenant, document, by, patch) => documents.change(tenant, id(tenant, document), (found): Decision<DocumentSource, boolean> => {
      const next = found && advanced(recordOf(found), by, patch);
      return next === null ? { answer: false } : { write: sourceOf(next), answer: true };
    }),

    async findSimilar(tenant, bands, limit) {
      const { hits } = await cluster.search<DocumentSource>('documents', tenant, {
        query: { bool: { filter: [...terms({ tenant, state: 'completed' }), { terms: { bands } }] } },
        sort: [{ createdAt: 'desc' }, { id: 'desc' }], size: limit, _source: ['record'], track_total_hits: false,
      });
      return hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : []));
    },

    async documentUsage(tenant) {
      const { hits, aggregations } = await cluster.search('documents', tenant, {
        query: { bool: { filter: terms({ tenant }) } }, size: 0, track_total_hits: true, aggregations: { bytes: { sum: { field: 'size' } } },
      });
      const bytes = aggregations?.['bytes'] as estypes.AggregationsSumAggregate | undefined;
      return { documents: typeof hits.total === 'number' ? hits.total : hits.total?.value ?? 0, bytes: bytes?.value ?? 0 };
    },

    async removeDocument(tenant, document) {
      const record = await find(tenant, document);
      if (record === null) return true;
      const source = passageSource(record.documentKey);
      await changeKey(tenant, source, (body) => ({ body: body.published?.lane.startsWith(passageLanes(document)) ? { ...body, published: null } : null, answer: undefined }));
      if (!(await removeMatching(cluster, 'items', tenant, { filter: [...terms({ tenant, source }), { prefix: { lane: passageLanes(document) } }] }))) return false;
      await documents.change(tenant, id(tenant, document), () => ({ write: null, answer: undefined }));
      // A key that is nobody's any more goes too; where somebody has just taken it, it has the next version.
      const others = await cluster.search('documents', tenant, { query: { bool: { filter: terms({ tenant, documentKey: record.documentKey }) } }, size: 1, _source: false, track_total_hits: false });
      if (others.hits.hits.length === 0) {
        const gone = await keys.change(tenant, keyId(tenant, source), (found) => (bodyOf(found).versions <= record.version ? { write: null, answer: true } : { answer: false }));
        if (gone) await removeMatching(cluster, 'lanes', tenant, { filter: terms({ tenant, source }) });
      }
      return true;
    },

    async writePassages(write) {
      const [refused] = (await commitRows(passagesCommit(write))).values();
      if (refused) throw new SheafError('store_refused', refused.message);
    },

    publishPassages: (set) => changeKey(set.tenant, passageSource(set.documentKey), (body) => {
      const there = body.published;
      const newer = there !== null && (there.version > set.version || (there.version === set.version && there.generation > set.generation));
      if (newer) return { body: null, answer: false };
      return { body: { ...body, published: { lane: passageLane(set), version: set.version, generation: set.generation } }, answer: true };
    }),

    async listPassages(tenant, document, page) {
      const [after] = readCursor(page.cursor, numberCursor) ?? [0];
      const limit = Math.min(page.limit, MAX_LISTED);
      const record = await find(tenant, document);
      if (record === null) return { items: [], nextCursor: null };
      const source = passageSource(record.documentKey);
      const lane = (await publishedLanes(keys, tenant, [source])).get(source) ?? null;
      if (!lane?.startsWith(passageLanes(document))) return { items: [], nextCursor: null };
      const { hits } = await cluster.search<ItemSource>('items', tenant, {
        query: { bool: { filter: terms({ tenant, source, lane }) } }, sort: [{ row: 'asc' }], search_after: [after], size: limit + 1, track_total_hits: false,
        _source: [...ITEM_FIELDS, 'input'],
      });
      const passages = hits.hits.flatMap(({ _source }) => (_source ? [passageOf({ ...itemOf(_source), input: JSON.parse(_source.input) as { text: string } })] : []));
      return listed(passages, limit, ({ number }) => [number]);
    },

    async listPassageSets(tenant) {
      const { aggregations } = await cluster.search('items', tenant, {
        query: { bool: { filter: [...terms({ tenant }), { prefix: { source: PASSAGE_SOURCES } }] } }, size: 0, track_total_hits: false,
        aggregations: { sets: { composite: { size: MAX_SETS, sources: [{ source: { terms: { field: 'source' } } }, { lane: { terms: { field: 'lane' } } }] } } },
      });
      const sets = aggregations?.['sets'] as estypes.AggregationsCompositeAggregate | undefined;
      const buckets = (sets?.buckets as estypes.AggregationsCompositeBucket[] | undefined ?? []).map(({ key, doc_count }) =>
        ({ source: String(key['source']), lane: String(key['lane']), passages: doc_count }));
      const published = await publishedLanes(keys, tenant, [...new Set(buckets.map(({ source }) => source))]);
      return buckets.map(({ source, lane, passages }) =>
        ({ documentKey: source.slice(PASSAGE_SOURCES.length), ...setOfLane(lane), passages, published: published.get(source) === lane }));
    },

    async removeStalePassages(tenant, documentKey, keep) {
      const source = passageSource(documentKey);
      const published = (await publishedLanes(keys, tenant, [source])).get(source) ?? null;
      const kept = [...(published === null ? [] : [published]), ...(keep === null ? [] : [passageLane(keep)])];
      return removeMatching(cluster, 'items', tenant, { filter: terms({ tenant, source }), must_not: [{ terms: { lane: kept } }] });
    },
  };
}
