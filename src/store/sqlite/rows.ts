/** The ledger: items with their full text, and the failed rows of jobs, in the ledger file. `search.ts` searches it. */
import type { Json, RowFailure, RowInput } from '../../contracts/row.ts';
import { listed, numberCursor, readCursor } from '../cursor.ts';
import type { FailedRow, Item, LaneRef, Store } from '../store.ts';
import type { SqliteFile } from './database.ts';

type RowMethods = Pick<Store, 'readItems' | 'commitRows' | 'listFailedRows' | 'countFailedRows'>;

export interface ItemRow extends Omit<Item, 'output' | 'error'> {
  output: string | null;
  error: string | null;
}

interface StoredFailedRow extends Pick<FailedRow, 'row' | 'key'> {
  error: string;
  input: string;
}

export const toItem = (row: ItemRow): Item => ({
  ...row,
  output: row.output === null ? null : (JSON.parse(row.output) as Json),
  error: row.error === null ? null : (JSON.parse(row.error) as RowFailure),
});

/** A row that SQLite cannot take is none of the row's making. */
const NONE_REFUSED: ReadonlyMap<number, RowFailure> = new Map();

export const ITEM_COLUMNS = `items.key, items.row, items.input_hash AS inputHash, items.handler_hash AS handlerHash, items.state,
  items.output, items.error, items.job, items.attempt`;

export function rowMethods(file: SqliteFile): RowMethods {
  const { db } = file;
  const selectLane = db.prepare<[string, string, string], number>(
    'SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const insertLane = db.prepare<[string, string, string]>('INSERT INTO lanes (tenant, source, lane) VALUES (?, ?, ?)');
  const selectItems = db.prepare<[string, number], ItemRow>(
    `SELECT ${ITEM_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN items ON items.lane = ? AND items.key = wanted.value`);
  const insertItem = db.prepare(`
    INSERT INTO items (lane, key, row, fence, state, input_hash, handler_hash, job, attempt, tries, tokens, cost, latency_ms,
      updated_at, output, error, input, tags)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const selectOld = db.prepare<[number, string], { id: number; input: string; output: string | null }>(
    'SELECT id, input, output FROM items WHERE lane = ? AND key = ?');
  const updateItem = db.prepare(`
    UPDATE items SET row = ?, fence = ?, state = ?, input_hash = ?, handler_hash = ?, job = ?, attempt = ?, tries = ?, tokens = ?,
      cost = ?, latency_ms = ?, updated_at = ?, output = ?, error = ?, input = ?, tags = ?
    WHERE id = ? AND fence <= ?`);
  const insertText = db.prepare<[number | bigint, string]>('INSERT INTO item_text (rowid, text) VALUES (?, ?)');
  const replaceText = db.prepare<[number, string]>('INSERT OR REPLACE INTO item_text (rowid, text) VALUES (?, ?)');
  // A failed row whose item a later writer has already written is a late writer's and is left out. A duplicate's item is
  // another row's and says nothing about it.
  const upsertFailed = db.prepare(`
    INSERT INTO failed_rows (tenant, job, row, fence, key, code, error, input)
    SELECT :tenant, :job, :row, :fence, :key, :code, :error, :input
    WHERE NOT EXISTS (SELECT 1 FROM items WHERE lane = :lane AND key = :key AND row = :row AND fence > :fence)
    ON CONFLICT DO UPDATE SET fence = excluded.fence, key = excluded.key, code = excluded.code, error = excluded.error,
      input = excluded.input
    WHERE excluded.fence >= fence`);
  const clearFailed = db.prepare<[string, string, number, bigint]>(
    'DELETE FROM failed_rows WHERE tenant = ? AND job = ? AND row = ? AND fence <= ?');
  const failedColumns = 'row, key, error, input';
  const selectFailed = db.prepare<[string, string, number, number], StoredFailedRow>(
    `SELECT ${failedColumns} FROM failed_rows WHERE tenant = ? AND job = ? AND row > ? ORDER BY row LIMIT ?`);
  const selectFailedByCode = db.prepare<[string, string, string, number, number], StoredFailedRow>(
    `SELECT ${failedColumns} FROM failed_rows WHERE tenant = ? AND job = ? AND code = ? AND row > ? ORDER BY row LIMIT ?`);
  const countFailed = db.prepare<[string, string], { code: string; rows: number }>(
    'SELECT code, rows FROM failed_codes WHERE tenant = ? AND job = ? ORDER BY rows DESC, code');

  /** The lane's number; looked up each time, because another process may remove a lane. */
  const laneId = ({ tenant, source, lane }: LaneRef): number =>
    selectLane.get(tenant, source, lane) ?? Number(insertLane.run(tenant, source, lane).lastInsertRowid);

  return {
    readItems: (lane, keys) => file.read(() => {
      const items = new Map<string, Item>();
      const id = selectLane.get(lane.tenant, lane.source, lane.lane);
      if (id === undefined) return items;
      for (const row of selectItems.all(JSON.stringify(keys), id)) items.set(row.key, toItem(row));
      return items;
    }),

    commitRows: ({ lane, job, tags, fence, items, failed, cleared }) => file.write(() => {
      const id = laneId(lane);
      const now = Date.now();
      const tagList = tags.length === 0 ? null : JSON.stringify(tags);
      for (const item of items) {
        const input = JSON.stringify(item.input);
        const output = item.output === null ? null : JSON.stringify(item.output);
        const error = item.error === null ? null : JSON.stringify(item.error);
        const inserted = insertItem.run(id, item.key, item.row, fence, item.state, item.inputHash, item.handlerHash, item.job,
          item.attempt, item.tries, item.tokens, item.cost, item.latencyMs, now, output, error, input, tagList);
        if (inserted.changes > 0) {
          insertText.run(inserted.lastInsertRowid, item.text);
          continue;
        }
        const old = selectOld.get(id, item.key);
        if (old === undefined) continue;
        const updated = updateItem.run(item.row, fence, item.state, item.inputHash, item.handlerHash, item.job, item.attempt,
          item.tries, item.tokens, item.cost, item.latencyMs, now, output, error, input, tagList, old.id, fence);
        // The text is made of input and output: where they are the same, it is too.
        if (updated.changes > 0 && (old.input !== input || old.output !== output)) replaceText.run(old.id, item.text);
      }
      for (const row of failed) {
        upsertFailed.run({
          lane: id, tenant: lane.tenant, job, row: row.row, fence, key: row.key, code: row.error.code,
          error: JSON.stringify(row.error), input: JSON.stringify(row.input),
        });
      }
      for (const row of cleared) clearFailed.run(lane.tenant, job, row, fence);
      return NONE_REFUSED;
    }),

    listFailedRows: async (tenant, job, filter, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [-1];
      const found = await file.read(() => filter.code === undefined
        ? selectFailed.all(tenant, job, after, page.limit + 1)
        : selectFailedByCode.all(tenant, job, filter.code, after, page.limit + 1));
      const rows = found.map(({ row, key, error, input }): FailedRow =>
        ({ row, key, error: JSON.parse(error) as RowFailure, input: JSON.parse(input) as RowInput }));
      return listed(rows, page.limit, (row) => [row.row]);
    },

    countFailedRows: (tenant, job) => file.read(() => countFailed.all(tenant, job)),
  };
}
