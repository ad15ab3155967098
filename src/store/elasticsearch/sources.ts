/** Sources and their versions: small documents by id. And which items are found: documents of the ledger, written again under their fence. */
import type { SourceRecord, VersionRecord } from '../../contracts/source.ts';
import { listed, numberCursor, readCursor, singleCursor } from '../cursor.ts';
import type { SourceStore } from '../ports/sources.ts';
import type { LaneRef } from '../ports/rows.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';
import { removeMatching } from './removal.ts';
import { itemId, type ItemSource } from './rows.ts';

interface RecordSource {
  tenant: string;
  id: string;
  record: string;
}

interface VersionSource {
  tenant: string;
  source: string;
  sequence: number;
  record: string;
}

type StoredItem = ItemSource & { text: string; present?: boolean };

const MAX_LISTED = 1_000;
const AT_ONCE = 500;

const sourceId = (tenant: string, id: string): string => documentId(tenant, id);
const versionId = (tenant: string, source: string, sequence: number): string => documentId(tenant, source, sequence);

export function sourceMethods(cluster: Cluster): SourceStore {
  const sources = new Documents<RecordSource>(cluster, 'sources');
  const versions = new Documents<VersionSource>(cluster, 'versions');
  const items = new Documents<StoredItem>(cluster, 'items');

  const find = async (tenant: string, id: string): Promise<SourceRecord | null> => {
    const found = await sources.read(tenant, sourceId(tenant, id));
    return found === null ? null : (JSON.parse(found.record) as SourceRecord);
  };

  /** Writes what `change` makes of the items that are there, where no newer writer was. */
  const rewrite = async (lane: LaneRef, fence: bigint, keys: string[], change: (item: StoredItem) => StoredItem | null): Promise<void> => {
    for (let from = 0; from < keys.length; from += AT_ONCE) {
      const ids = keys.slice(from, from + AT_ONCE).map((key) => itemId(lane, key));
      const found = await items.readAll(lane.tenant, ids);
      await bulk(cluster, found.flatMap((item, index) => {
        const changed = item === null ? null : change(item);
        return changed === null ? [] : [{ kind: 'items' as const, tenant: lane.tenant, id: ids[index]!, fence, source: JSON.stringify({ ...changed, fence: String(fence) }) }];
      }));
    }
  };

  return {
    async createSource(source) {
      for (;;) {
        if (await sources.create(sourceId(source.tenant, source.id), { tenant: source.tenant, id: source.id, record: JSON.stringify(source) })) return { source, created: true };
        const existing = await find(source.tenant, source.id);
        if (existing) return { source: existing, created: false };
      }
    },

    getSource: find,

    async listSources(tenant, page) {
      const after = readCursor(page.cursor, singleCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const { hits } = await cluster.search<RecordSource>('sources', tenant, {
        query: { bool: { filter: [{ term: { tenant } }] } }, sort: [{ id: 'asc' }], size: limit + 1, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
      });
      return listed(hits.hits.flatMap(({ _source }) => (_source ? [JSON.parse(_source.record) as SourceRecord] : [])), limit, ({ id }) => [id]);
    },

    changeSource: (source) => sources.change<SourceRecord | null>(source.tenant, sourceId(source.tenant, source.id), (found) => {
      if (found === null || (JSON.parse(found.record) as SourceRecord).revision !== source.revision) return { answer: null };
      const saved = { ...source, revision: source.revision + 1 };
      return { write: { ...found, record: JSON.stringify(saved) }, answer: saved };
    }),

    async removeSource(tenant, id) {
      for (const kind of ['items', 'versions', 'intents'] as const) {
        if (!(await removeMatching(cluster, kind, tenant, { filter: [{ term: { tenant } }, { term: { source: id } }] }))) return false;
      }
      await sources.change(tenant, sourceId(tenant, id), () => ({ write: null, answer: undefined }));
      return true;
    },

    writeVersion: (version) => versions.change(version.tenant, versionId(version.tenant, version.source, version.sequence), () => ({
      write: { tenant: version.tenant, source: version.source, sequence: version.sequence, record: JSON.stringify(version) }, answer: undefined,
    })),

    async getVersion(tenant, source, sequence) {
      const found = await versions.read(tenant, versionId(tenant, source, sequence));
      return found === null ? null : (JSON.parse(found.record) as VersionRecord);
    },

    async listVersions(tenant, source, page) {
      const before = readCursor(page.cursor, numberCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const { hits } = await cluster.search<VersionSource>('versions', tenant, {
        query: { bool: { filter: [{ term: { tenant } }, { term: { source } }] } }, sort: [{ sequence: 'desc' }], size: limit + 1, _source: ['record'], track_total_hits: false,
        ...(before !== null && { search_after: [...before] }),
      });
      return listed(hits.hits.flatMap(({ _source }) => (_source ? [JSON.parse(_source.record) as VersionRecord] : [])), limit, ({ sequence }) => [sequence]);
    },

    removeVersion: (tenant, source, sequence) => versions.change(tenant, versionId(tenant, source, sequence), () => ({ write: null, answer: undefined })),

    hideItems: (lane, fence, keys, wipe) => rewrite(lane, fence, keys, (item) => (wipe
      ? { ...item, present: false, tags: [], text: '', input: '{}', body: JSON.stringify({ ...(JSON.parse(item.body) as object), inputHash: '', handlerHash: '', output: null, error: null }) }
      : { ...item, present: false })),

    showItems: (lane, fence, keys) => rewrite(lane, fence, keys, (item) =>
      (item.present === false && (JSON.parse(item.body) as { handlerHash: string }).handlerHash !== '' ? { ...item, present: true } : null)),
  };
}
