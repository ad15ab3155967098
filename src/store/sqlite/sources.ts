/** Sources and their versions in the control file, and which items of the ledger are found. */
import type { SourceRecord, VersionRecord } from '../../contracts/source.ts';
import { listed, numberCursor, readCursor, singleCursor } from '../cursor.ts';
import type { SourceStore } from '../ports/sources.ts';
import type { SqliteFile } from './database.ts';
import { itemRemoval } from './removal.ts';

export function sourceMethods(control: SqliteFile, ledger: SqliteFile): SourceStore {
  const { db } = control;
  const insert = db.prepare<[string, string, string]>('INSERT INTO sources (tenant, id, record) VALUES (?, ?, ?)');
  const select = db.prepare<[string, string], string>('SELECT record FROM sources WHERE tenant = ? AND id = ?').pluck();
  const list = db.prepare<[string, string, number], string>('SELECT record FROM sources WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?').pluck();
  const update = db.prepare<[string, string, string]>('UPDATE sources SET record = ? WHERE tenant = ? AND id = ?');
  const remove = db.prepare<[string, string]>('DELETE FROM sources WHERE tenant = ? AND id = ?');
  const upsertVersion = db.prepare<[string, string, number, string]>(
    'INSERT INTO versions (tenant, source, sequence, record) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record');
  const selectVersion = db.prepare<[string, string, number], string>('SELECT record FROM versions WHERE tenant = ? AND source = ? AND sequence = ?').pluck();
  const newestVersions = db.prepare<[string, string, number, number], string>(
    'SELECT record FROM versions WHERE tenant = ? AND source = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?').pluck();
  const deleteVersion = db.prepare<[string, string, number]>('DELETE FROM versions WHERE tenant = ? AND source = ? AND sequence = ?');
  const deleteVersions = db.prepare<[string, string]>('DELETE FROM versions WHERE tenant = ? AND source = ?');
  const deleteIntents = db.prepare<[string, string]>('DELETE FROM intents WHERE tenant = ? AND source = ?');

  const removeItems = itemRemoval(ledger);
  const selectLane = ledger.db.prepare<[string, string, string], number>('SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const selectItem = ledger.db.prepare<[number, string, bigint], number>('SELECT id FROM items WHERE lane = ? AND key = ? AND fence <= ?').pluck();
  const hide = ledger.db.prepare<[bigint, number]>('UPDATE items SET present = 0, fence = ? WHERE id = ?');
  const wipeItem = ledger.db.prepare<[bigint, number]>(
    "UPDATE items SET present = 0, fence = ?, input = '{}', output = NULL, error = NULL, tags = NULL, input_hash = '', handler_hash = '' WHERE id = ?");
  const deleteText = ledger.db.prepare<[number]>('DELETE FROM item_text WHERE rowid = ?');
  const show = ledger.db.prepare<[bigint, number]>("UPDATE items SET present = 1, fence = ? WHERE id = ? AND present = 0 AND handler_hash <> ''");

  const find = (tenant: string, id: string): SourceRecord | null => {
    const record = select.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as SourceRecord);
  };
  const itemsOf = (lane: { tenant: string; source: string; lane: string }, fence: bigint, keys: string[]): number[] => {
    const id = selectLane.get(lane.tenant, lane.source, lane.lane);
    return id === undefined ? [] : keys.flatMap((key) => selectItem.get(id, key, fence) ?? []);
  };

  return {
    createSource: (source) => control.write(() => {
      const existing = find(source.tenant, source.id);
      if (existing) return { source: existing, created: false };
      insert.run(source.tenant, source.id, JSON.stringify(source));
      return { source, created: true };
    }),

    getSource: (tenant, id) => control.read(() => find(tenant, id)),

    listSources: async (tenant, page) => {
      const [after] = readCursor(page.cursor, singleCursor) ?? [''];
      const found = await control.read(() => list.all(tenant, after, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as SourceRecord), page.limit, ({ id }) => [id]);
    },

    changeSource: (source) => control.write(() => {
      if (find(source.tenant, source.id)?.revision !== source.revision) return null;
      const saved = { ...source, revision: source.revision + 1 };
      update.run(JSON.stringify(saved), source.tenant, source.id);
      return saved;
    }),

    removeSource: async (tenant, id) => {
      if (!(await ledger.write(() => removeItems(tenant, id)))) return false;
      return control.write(() => {
        deleteVersions.run(tenant, id);
        deleteIntents.run(tenant, id);
        remove.run(tenant, id);
        return true;
      });
    },

    writeVersion: (version) => control.write(() => void upsertVersion.run(version.tenant, version.source, version.sequence, JSON.stringify(version))),

    getVersion: (tenant, source, sequence) => control.read(() => {
      const record = selectVersion.get(tenant, source, sequence);
      return record === undefined ? null : (JSON.parse(record) as VersionRecord);
    }),

    listVersions: async (tenant, source, page) => {
      const [before] = readCursor(page.cursor, numberCursor) ?? [Number.MAX_SAFE_INTEGER];
      const found = await control.read(() => newestVersions.all(tenant, source, before, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as VersionRecord), page.limit, ({ sequence }) => [sequence]);
    },

    removeVersion: (tenant, source, sequence) => control.write(() => void deleteVersion.run(tenant, source, sequence)),

    hideItems: (lane, fence, keys, wipe) => ledger.write(() => {
      for (const id of itemsOf(lane, fence, keys)) {
        if (!wipe) {
          hide.run(fence, id);
          continue;
        }
        wipeItem.run(fence, id);
        deleteText.run(id);
      }
    }),

    showItems: (lane, fence, keys) => ledger.write(() => {
      for (const id of itemsOf(lane, fence, keys)) show.run(fence, id);
    }),
  };
}
