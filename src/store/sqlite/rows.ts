/** Reading the ledger: items, and the failed rows of jobs. `commit.ts` writes them, `search.ts` searches them. */
import type { Json, RowFailure, RowInput } from '../../contracts/row.ts';
import { listed, numberCursor, readCursor } from '../cursor.ts';
import type { FailedRow, Item, RowStore } from '../ports/rows.ts';
import type { SqliteFile } from './database.ts';

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

export const ITEM_COLUMNS = `items.key, items.row, items.input_hash AS inputHash, items.handler_hash AS handlerHash, items.state,
  items.output, items.error, items.job, items.attempt, items.tokens, items.cost`;

export function rowMethods(file: SqliteFile): Omit<RowStore, 'commitRows' | 'maxUncommittedChars'> {
  const { db } = file;
  const selectLane = db.prepare<[string, string, string], number>(
    'SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const selectItems = db.prepare<[string, number], ItemRow>(
    `SELECT ${ITEM_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN items ON items.lane = ? AND items.key = wanted.value`);
  const failedColumns = 'row, key, error, input';
  const selectFailed = db.prepare<[string, string, number, number], StoredFailedRow>(
    `SELECT ${failedColumns} FROM failed_rows WHERE tenant = ? AND job = ? AND row > ? ORDER BY row LIMIT ?`);
  const selectFailedBy = (column: 'code' | 'fingerprint') => db.prepare<[string, string, string, number, number], StoredFailedRow>(
    `SELECT ${failedColumns} FROM failed_rows WHERE tenant = ? AND job = ? AND ${column} = ? AND row > ? ORDER BY row LIMIT ?`);
  const selectFailedByCode = selectFailedBy('code');
  const selectFailedByFingerprint = selectFailedBy('fingerprint');
  const groupFailed = db.prepare<[string, string, number], { fingerprint: string; rows: number; first: number }>(`
    SELECT fingerprint, count(*) AS rows, min(row) AS first FROM failed_rows WHERE tenant = ? AND job = ?
    GROUP BY fingerprint ORDER BY rows DESC, first LIMIT ?`);
  const countFailed = db.prepare<[string, string], { code: string; rows: number }>(
    'SELECT code, rows FROM failed_codes WHERE tenant = ? AND job = ? ORDER BY rows DESC, code');

  return {
    readItems: (lane, keys) => file.read(() => {
      const items = new Map<string, Item>();
      const id = selectLane.get(lane.tenant, lane.source, lane.lane);
      if (id === undefined) return items;
      for (const row of selectItems.all(JSON.stringify(keys), id)) items.set(row.key, toItem(row));
      return items;
    }),

    listFailedRows: async (tenant, job, filter, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [-1];
      const found = await file.read(() => {
        if ('fingerprint' in filter) return selectFailedByFingerprint.all(tenant, job, filter.fingerprint, after, page.limit + 1);
        if ('code' in filter) return selectFailedByCode.all(tenant, job, filter.code, after, page.limit + 1);
        return selectFailed.all(tenant, job, after, page.limit + 1);
      });
      const rows = found.map(({ row, key, error, input }): FailedRow =>
        ({ row, key, error: JSON.parse(error) as RowFailure, input: JSON.parse(input) as RowInput }));
      return listed(rows, page.limit, (row) => [row.row]);
    },

    countFailedRows: (tenant, job) => file.read(() => countFailed.all(tenant, job)),

    groupFailedRows: (tenant, job, limit) => file.read(() => groupFailed.all(tenant, job, limit)),
  };
}
