/** The ledger: items and failed rows, written in bulk under their fence and read by id. */
import type { estypes } from '@elastic/elasticsearch';
import { SheafError } from '../../contracts/errors.ts';
import type { RowFailure } from '../../contracts/row.ts';
import { fingerprintOf } from '../../domain/fingerprint.ts';
import { listed, numberCursor, readCursor } from '../cursor.ts';
import type { FailedRow, Item, ItemWrite, LaneRef, RowsCommit, RowStore } from '../ports/rows.ts';
import { bulk, type BulkOutcome, type BulkWrite } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { documentId, readOf } from './documents.ts';
import { gathering } from './gathering.ts';
import type { Kind } from './schema.ts';

export interface ItemSource {
  tenant: string;
  source: string;
  lane: string;
  row: number;
  state: Item['state'];
  job: string;
  attempt: number;
  tags: string[];
  fence: string;
  updatedAt: number;
  tokens: number | null;
  cost: number | null;
  /** JSON of an `ItemBody`. */
  body: string;
  /** JSON of a `RowInput`. */
  input: string;
}

type ItemBody = Pick<Item, 'key' | 'inputHash' | 'handlerHash' | 'output' | 'error'>;

/** What an `Item` is made of. */
export const ITEM_FIELDS = ['tenant', 'row', 'state', 'job', 'attempt', 'tokens', 'cost', 'body'] satisfies (keyof ItemSource)[];

/** A commit whose items are on their way. */
type WaitingCommit = Omit<RowsCommit, 'items'>;

/** Why Elasticsearch will never take a document as it is. */
interface Refusal {
  error: RowFailure;
  /** JSON of the document. */
  source: string;
}
type Refusals = ReadonlyMap<number, Refusal>;

interface FailedRowSource {
  tenant: string;
  body: string;
}

const AT_ONCE = 1_000;

const failedRowId = (tenant: string, job: string, row: number): string => documentId(tenant, job, row);

export function itemOf({ row, state, job, attempt, tokens, cost, body }: ItemSource): Item {
  const { key, inputHash, handlerHash, output, error } = JSON.parse(body) as ItemBody;
  return { key, row, inputHash, handlerHash, state, output, error, job, attempt, tokens, cost };
}

export const itemId = ({ tenant, source, lane }: LaneRef, key: string): string => documentId(tenant, source, lane, key);

/** What the items of a commit have in common. */
const sharedSource = ({ lane, tags, fence }: Pick<RowsCommit, 'lane' | 'tags' | 'fence'>, updatedAt: number) => ({ ...lane, tags, fence: String(fence), updatedAt });

function ownSource({ key, inputHash, handlerHash, output, error, row, state, job, attempt, tries, tokens, cost, latencyMs, text, input }: ItemWrite) {
  const head: Omit<ItemBody, 'output'> = { key, inputHash, handlerHash, error };
  return { row, state, job, attempt, tries, tokens, cost, latencyMs, text, body: `${JSON.stringify(head).slice(0, -1)},"output":${output}}`, input };
}

/** The text of an item's document, of a commit whose items have `shared` in common: that is put into words once a commit. */
const itemText = (shared: string, item: ItemWrite): string => `${shared.slice(0, -1)},${JSON.stringify(ownSource(item)).slice(1)}`;

/** The document of an item: an `ItemSource`, and what is kept for people and reports. */
export const itemSource = (commit: Pick<RowsCommit, 'lane' | 'tags' | 'fence'>, item: ItemWrite, updatedAt: number): ItemSource & Pick<ItemWrite, 'tries' | 'tokens' | 'cost' | 'latencyMs' | 'text'> =>
  ({ ...sharedSource(commit, updatedAt), ...ownSource(item) });

function itemWrites(commit: WaitingCommit, items: ItemWrite[], updatedAt: number): BulkWrite[] {
  const shared = JSON.stringify(sharedSource(commit, updatedAt));
  const { lane, fence } = commit;
  return items.map((item) => ({ kind: 'items', tenant: lane.tenant, id: itemId(lane, item.key), fence, source: itemText(shared, item) }));
}

/** The item of a document that was refused, as it is written down without its content. */
function emptied({ error, source }: Refusal): ItemWrite {
  const document = JSON.parse(source) as ItemSource & Pick<ItemWrite, 'tries' | 'latencyMs'>;
  return {
    ...itemOf(document), tries: document.tries, latencyMs: document.latencyMs, state: 'failed', error, output: 'null', input: '{}', text: '',
    // What was paid stays known, unless it may be what the mapping does not take.
    ...(error.code === 'row_refused' && { tokens: null, cost: null }),
  };
}

function failedRowWrite({ lane: { tenant }, job, fence }: WaitingCommit, { row, key, error, input }: FailedRow): BulkWrite {
  return {
    kind: 'failed-rows', tenant, id: failedRowId(tenant, job, row), fence,
    source: JSON.stringify({ tenant, job, row, code: error.code, fingerprint: fingerprintOf(error), fence: String(fence), body: JSON.stringify({ row, key, error, input }) }),
  };
}

export function rowMethods(cluster: Cluster): RowStore {
  const { client, names } = cluster;
  const gather = gathering(cluster);

  /** Those that are there, by id. Read where they are written, so that nothing acknowledged is missed. */
  const readByIds = async <Source extends { tenant: string }>(kind: Kind, tenant: string, ids: string[], fields: (keyof Source & string)[]): Promise<Map<string, Source>> => {
    const found = new Map<string, Source>();
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      const { docs } = await cluster.call(() => client.mget<Source>({
        index: names.read(kind), routing: tenant, ids: ids.slice(from, from + AT_ONCE), _source_includes: fields,
      }));
      for (const doc of docs) {
        const source = readOf(doc, tenant)?._source;
        if (source !== undefined) found.set(doc._id, source);
      }
    }
    return found;
  };

  /**
   * A late writer may bring back a failed row that a newer one has cleared. Items are written before failed rows, by
   * everybody; so whoever looks at the items after it has written finds out, and takes its row back.
   */
  const takeBackLate = async (commit: WaitingCommit): Promise<void> => {
    const { lane, job, fence, failed } = commit;
    const ids = new Map(failed.flatMap((row) => (row.key === null ? [] : [[itemId(lane, row.key), row] as const])));
    const items = await readByIds<ItemSource>('items', lane.tenant, [...ids.keys()], ['tenant', 'row', 'fence']);
    // A duplicate's item is another row's and says nothing about it.
    const late = [...ids].filter(([id, { row }]) => items.get(id)?.row === row && BigInt(items.get(id)?.fence ?? 0) > fence);
    await bulk(cluster, late.map(([, { row }]) => ({ kind: 'failed-rows', tenant: lane.tenant, id: failedRowId(lane.tenant, job, row), fence, source: null })));
  };

  /** What is refused is written down without its content. Rejects with `store_refused` where even that is. */
  const writeRefused = async (commit: WaitingCommit, items: Refusals, failures: Refusals, now: number): Promise<void> => {
    const written = [...items.values()].map(emptied);
    const failed = [
      ...written.map(({ row, key, error }): FailedRow => ({ row, key, error: error!, input: {} })),
      ...commit.failed.filter(({ row }) => failures.has(row) && !items.has(row)).map((row): FailedRow => ({ ...row, input: {} })),
    ];
    const outcomes = await bulk(cluster, [...itemWrites(commit, written, now), ...failed.map((row) => failedRowWrite(commit, row))]);
    const [row] = refusalsOf(outcomes, [...written, ...failed].map(({ row }) => row)).keys();
    if (row !== undefined) throw new SheafError('store_refused', 'Elasticsearch refuses a row, even without its content.', { place: { row } });
  };

  /** After the items, of which it is given the rows' numbers alone: what waits here is copied by the collector. */
  const written = async (commit: WaitingCommit, failed: BulkWrite[], rows: number[], items: Promise<BulkOutcome[]>, now: number): Promise<ReadonlyMap<number, RowFailure>> => {
    const { lane: { tenant }, job, fence } = commit;
    const refused = refusalsOf(await items, rows);
    const refusedFailures = refusalsOf(await bulk(cluster, failed), commit.failed.map(({ row }) => row));
    if (failed.length > 0) await takeBackLate(commit);
    if (refused.size + refusedFailures.size > 0) await writeRefused(commit, refused, refusedFailures, now);
    // Most were never among the failed rows: those are not worth a delete.
    const cleared = commit.cleared.filter((row) => !refused.has(row)).map((row) => failedRowId(tenant, job, row));
    const listed = await readByIds<FailedRowSource>('failed-rows', tenant, cleared, ['tenant']);
    await bulk(cluster, [...listed.keys()].map((id) => ({ kind: 'failed-rows', tenant, id, fence, source: null })));
    return new Map([...refused].map(([row, { error }]) => [row, error]));
  };

  return {
    readItems: async (lane, keys) => {
      const ids = keys.map((key) => itemId(lane, key));
      const found = await readByIds<ItemSource>('items', lane.tenant, ids, ITEM_FIELDS);
      return new Map(keys.flatMap((key, index) => {
        const source = found.get(ids[index]!);
        return source === undefined ? [] : [[key, itemOf(source)] as const];
      }));
    },

    // Far away: requests of three pages are under way, or gathered for the next.
    maxUncommittedChars: 1_000_000,
    commitRows: async ({ items, ...commit }) => {
      const now = Date.now();
      // All is put into words first: a row that cannot be stops the whole commit.
      const failed = commit.failed.map((row) => failedRowWrite(commit, row));
      return written(commit, failed, items.map(({ row }) => row), gather(itemWrites(commit, items, now)), now);
    },

    listFailedRows: async (tenant, job, filter, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [-1];
      const limit = Math.min(page.limit, AT_ONCE);
      const terms: estypes.QueryDslQueryContainer[] = [{ term: { tenant } }, { term: { job } }];
      if ('code' in filter) terms.push({ term: { code: filter.code } });
      if ('fingerprint' in filter) terms.push({ term: { fingerprint: filter.fingerprint } });
      const { hits } = await cluster.search<FailedRowSource>('failed-rows', tenant, {
        query: { bool: { filter: terms } }, sort: [{ row: 'asc' }], search_after: [after], size: limit + 1, _source: ['body'], track_total_hits: false,
      });
      return listed(hits.hits.flatMap(({ _source }) => (_source ? [JSON.parse(_source.body) as FailedRow] : [])), limit, (row) => [row.row]);
    },

    countFailedRows: async (tenant, job) => {
      // A tenant's documents are in one shard, so the counts are exact.
      const { aggregations } = await cluster.search('failed-rows', tenant, {
        query: { bool: { filter: [{ term: { tenant } }, { term: { job } }] } }, size: 0, track_total_hits: false,
        aggregations: { codes: { terms: { field: 'code', size: 10_000 } } },
      });
      const codes = aggregations?.['codes'] as estypes.AggregationsStringTermsAggregate | undefined;
      return (codes?.buckets as estypes.AggregationsStringTermsBucket[] | undefined ?? []).map(({ key, doc_count }) => ({ code: String(key), rows: doc_count }));
    },

    groupFailedRows: async (tenant, job, limit) => {
      const { aggregations } = await cluster.search('failed-rows', tenant, {
        query: { bool: { filter: [{ term: { tenant } }, { term: { job } }] } }, size: 0, track_total_hits: false,
        aggregations: { groups: { terms: { field: 'fingerprint', size: limit, order: [{ _count: 'desc' }, { first: 'asc' }] }, aggregations: { first: { min: { field: 'row' } } } } },
      });
      const groups = aggregations?.['groups'] as { buckets: { key: string; doc_count: number; first: { value: number } }[] } | undefined;
      return (groups?.buckets ?? []).map(({ key, doc_count, first }) => ({ fingerprint: key, rows: doc_count, first: first.value }));
    },
  };
}

/** By row. */
function refusalsOf(outcomes: BulkOutcome[], rows: number[]): Refusals {
  const refused = new Map<number, Refusal>();
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.outcome !== 'refused') continue;
    const tooLarge = outcome.status === 413;
    refused.set(rows[index]!, {
      error: {
        code: tooLarge ? 'row_too_large' : 'row_refused', retryable: false,
        message: tooLarge ? 'The row and its output are too large for the store.' : `The store does not take the row (${outcome.type}).`,
      },
      source: outcome.source,
    });
  }
  return refused;
}
