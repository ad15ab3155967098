/** Documents in the control file; their passages are items of the ledger file, visible once published. */
import type { DocumentRecord } from '../../contracts/document.ts';
import { SheafError } from '../../contracts/errors.ts';
import { advanced } from '../../domain/document-record.ts';
import { jobCursor, listed, numberCursor, readCursor } from '../cursor.ts';
import { PASSAGE_SOURCES, passageLane, passageLanes, passageOf, passagesCommit, passageSource, setOfLane } from '../passages.ts';
import type { Store } from '../store.ts';
import type { DocumentStore, DocumentUsage, PassageSet } from '../ports/documents.ts';
import type { SqliteFile } from './database.ts';
import { ITEM_COLUMNS, type ItemRow, toItem } from './rows.ts';

/** Passages removed in one transaction. */
const STEP = 2_000;

interface PublishedRow {
  lane: string;
  version: number;
  generation: number;
}

export function documentMethods(control: SqliteFile, ledger: SqliteFile, commitRows: Store['commitRows']): DocumentStore {
  const insert = control.db.prepare<[string, string, string]>('INSERT INTO documents (tenant, id, record) VALUES (?, ?, ?)');
  const update = control.db.prepare<[string, string, string]>('UPDATE documents SET record = ? WHERE tenant = ? AND id = ?');
  const select = control.db.prepare<[string, string], string>('SELECT record FROM documents WHERE tenant = ? AND id = ?').pluck();
  const nextVersion = control.db.prepare<[string, string], number>(`
    INSERT INTO document_keys (tenant, document_key, versions) VALUES (?, ?, 1)
    ON CONFLICT DO UPDATE SET versions = versions + 1 RETURNING versions`).pluck();
  // Each filter is off when its value is NULL; content and key, asked with every upload, have an index of their own.
  const newest = (by: '' | 'AND sha256 = :sha256' | 'AND document_key = :documentKey') => control.db.prepare<[Record<string, string | number | null>], string>(`
    SELECT record FROM documents
    WHERE tenant = :tenant ${by}
      AND (:createdAt IS NULL OR (created_at, id) < (:createdAt, :id))
      AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
      AND (:type IS NULL OR type = :type) AND (:owner IS NULL OR owner = :owner)
      AND (:sha256 IS NULL OR sha256 = :sha256) AND (:documentKey IS NULL OR document_key = :documentKey)
      AND (:since IS NULL OR created_at >= :since) AND (:before IS NULL OR created_at < :before)
      AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))
    ORDER BY created_at DESC, id DESC LIMIT :limit`).pluck();
  const newestOfAll = newest('');
  const newestBySha256 = newest('AND sha256 = :sha256');
  const newestByKey = newest('AND document_key = :documentKey');
  const removeBands = control.db.prepare<[string, string]>('DELETE FROM document_bands WHERE tenant = ? AND document = ?');
  const insertBands = control.db.prepare<[string, string, string]>('INSERT OR IGNORE INTO document_bands (tenant, band, document) SELECT ?, value, ? FROM json_each(?)');
  const selectSimilar = control.db.prepare<[string, string, string, number], string>(`
    SELECT record FROM documents WHERE tenant = ? AND state = 'completed'
      AND id IN (SELECT document FROM document_bands WHERE tenant = ? AND band IN (SELECT value FROM json_each(?)))
    ORDER BY created_at DESC, id DESC LIMIT ?`).pluck();
  const usage = control.db.prepare<[string], DocumentUsage>('SELECT count(*) AS documents, coalesce(sum(size), 0) AS bytes FROM documents WHERE tenant = ?');
  const remove = control.db.prepare<[string, string]>('DELETE FROM documents WHERE tenant = ? AND id = ?');
  const removeKey = control.db.prepare<[string, string]>(`
    DELETE FROM document_keys WHERE tenant = ? AND document_key = ?
      AND NOT EXISTS (SELECT 1 FROM documents WHERE documents.tenant = document_keys.tenant AND documents.document_key = document_keys.document_key)`);

  const removeLane = control.db.prepare<[string, string]>('DELETE FROM lanes WHERE tenant = ? AND source = ?');

  const selectPublished = ledger.db.prepare<[string, string], PublishedRow>('SELECT lane, version, generation FROM published WHERE tenant = ? AND source = ?');
  const publish = ledger.db.prepare<[string, string, string, string, number, number]>(`
    INSERT INTO published (tenant, source, lane, document, version, generation) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET lane = excluded.lane, document = excluded.document, version = excluded.version, generation = excluded.generation`);
  const unpublish = ledger.db.prepare<[string, string, string]>('DELETE FROM published WHERE tenant = ? AND source = ? AND document = ?');
  const selectPassages = ledger.db.prepare<[string, string, string, number, number], ItemRow & { input: string }>(`
    SELECT ${ITEM_COLUMNS}, items.input FROM lanes JOIN items ON items.lane = lanes.id
    WHERE lanes.tenant = ? AND lanes.source = ? AND lanes.lane = ? AND items.row > ? ORDER BY items.row LIMIT ?`);
  const selectLanes = ledger.db.prepare<[string, string], { id: number; lane: string }>('SELECT id, lane FROM lanes WHERE tenant = ? AND source = ?');
  const countSets = ledger.db.prepare<[string], { source: string; lane: string; passages: number; published: number }>(`
    SELECT lanes.source, lanes.lane, count(items.id) AS passages, published.lane IS NOT NULL AS published
    FROM lanes LEFT JOIN items ON items.lane = lanes.id
      LEFT JOIN published ON published.tenant = lanes.tenant AND published.source = lanes.source AND published.lane = lanes.lane
    WHERE lanes.tenant = ? AND lanes.source GLOB '${PASSAGE_SOURCES}*' GROUP BY lanes.id ORDER BY lanes.source, lanes.lane LIMIT 10000`);
  const selectItems = ledger.db.prepare<[number, number], number>('SELECT id FROM items WHERE lane = ? LIMIT ?').pluck();
  const deleteItem = ledger.db.prepare<[number]>('DELETE FROM items WHERE id = ?');
  const deleteText = ledger.db.prepare<[number]>('DELETE FROM item_text WHERE rowid = ?');
  const deleteLane = ledger.db.prepare<[number]>('DELETE FROM lanes WHERE id = ?');

  const find = (tenant: string, id: string): DocumentRecord | null => {
    const record = select.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as DocumentRecord);
  };

  /** Removes passages of the source's lanes that `stale` names, at most a step; false while there is more. */
  const removeLanes = (tenant: string, source: string, stale: (lane: string) => boolean): boolean => {
    let room = STEP;
    for (const { id } of selectLanes.all(tenant, source).filter(({ lane }) => stale(lane))) {
      const items = selectItems.all(id, room);
      for (const item of items) {
        deleteText.run(item);
        deleteItem.run(item);
      }
      room -= items.length;
      if (room === 0) return false;
      deleteLane.run(id);
    }
    return true;
  };

  return {
    createDocument: (document) => control.write(() => {
      const existing = find(document.tenant, document.id);
      if (existing !== null) return { document: existing, created: false };
      const numbered = { ...document, version: nextVersion.get(document.tenant, document.documentKey)! };
      insert.run(document.tenant, document.id, JSON.stringify(numbered));
      return { document: numbered, created: true };
    }),

    getDocument: (tenant, id) => control.read(() => find(tenant, id)),

    listDocuments: async (tenant, filter, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const statement = filter.sha256 !== undefined ? newestBySha256 : filter.documentKey !== undefined ? newestByKey : newestOfAll;
      const found = await control.read(() => statement.all({
        tenant, createdAt: after?.[0] ?? null, id: after?.[1] ?? null,
        states: filter.state ? JSON.stringify(filter.state) : null, type: filter.type ?? null, owner: filter.owner ?? null, tag: filter.tag ?? null,
        sha256: filter.sha256 ?? null, documentKey: filter.documentKey ?? null, since: filter.since ?? null, before: filter.before ?? null,
        limit: page.limit + 1,
      }));
      return listed(found.map((record) => JSON.parse(record) as DocumentRecord), page.limit, (document) => [document.createdAt, document.id]);
    },

    advanceDocument: (tenant, id, by, patch) => control.write(() => {
      const document = find(tenant, id);
      const next = document && advanced(document, by, patch);
      if (next === null) return false;
      if (patch.similarity !== undefined) {
        removeBands.run(tenant, id);
        insertBands.run(tenant, id, JSON.stringify(patch.similarity?.bands ?? []));
      }
      update.run(JSON.stringify(next), tenant, id);
      return true;
    }),

    findSimilar: (tenant, bands, limit) => control.read(() =>
      selectSimilar.all(tenant, tenant, JSON.stringify(bands), limit).map((record) => JSON.parse(record) as DocumentRecord)),

    documentUsage: (tenant) => control.read(() => usage.get(tenant)!),

    removeDocument: async (tenant, id) => {
      const document = await control.read(() => find(tenant, id));
      if (document === null) return true;
      const source = passageSource(document.documentKey);
      const emptied = await ledger.write(() => {
        unpublish.run(tenant, source, id);
        return removeLanes(tenant, source, (lane) => lane.startsWith(passageLanes(id)));
      });
      if (!emptied) return false;
      return control.write(() => {
        removeBands.run(tenant, id);
        remove.run(tenant, id);
        if (removeKey.run(tenant, document.documentKey).changes > 0) removeLane.run(tenant, source);
        return true;
      });
    },

    writePassages: async (write) => {
      const [refused] = (await commitRows(passagesCommit(write))).values();
      if (refused) throw new SheafError('store_refused', refused.message);
    },

    publishPassages: (set: PassageSet) => ledger.write(() => {
      const source = passageSource(set.documentKey);
      const there = selectPublished.get(set.tenant, source);
      const newer = there && (there.version > set.version || (there.version === set.version && there.generation > set.generation));
      if (!newer) publish.run(set.tenant, source, passageLane(set), set.document, set.version, set.generation);
      return !newer;
    }),

    listPassages: async (tenant, id, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [0];
      const document = await control.read(() => find(tenant, id));
      if (document === null) return { items: [], nextCursor: null };
      const source = passageSource(document.documentKey);
      const found = await ledger.read(() => {
        const published = selectPublished.get(tenant, source);
        if (!published?.lane.startsWith(passageLanes(id))) return [];
        return selectPassages.all(tenant, source, published.lane, after, page.limit + 1);
      });
      const passages = found.map(({ input, ...row }) => passageOf({ ...toItem(row), input: JSON.parse(input) as { text: string } }));
      return listed(passages, page.limit, ({ number }) => [number]);
    },

    listPassageSets: (tenant) => ledger.read(() => countSets.all(tenant).map(({ source, lane, passages, published }) =>
      ({ documentKey: source.slice(PASSAGE_SOURCES.length), ...setOfLane(lane), passages, published: published === 1 }))),

    removeStalePassages: (tenant, documentKey, keep) => ledger.write(() => {
      const source = passageSource(documentKey);
      const kept = new Set([selectPublished.get(tenant, source)?.lane, keep === null ? undefined : passageLane(keep)]);
      return removeLanes(tenant, source, (lane) => !kept.has(lane));
    }),
  };
}
