/** The bulk write of the ledger: a sub-batch of rows as one transaction. Runs in the thread of `ledger-writer.ts`. */
import type { RowsCommit } from '../store.ts';
import type { SqliteFile } from './database.ts';

/** A commit as it travels to the thread: JSON is text already, so that it is neither cloned deeply nor made twice. */
export interface FlatCommit {
  tenant: string;
  source: string;
  lane: string;
  job: string;
  /** JSON; null when there are none. */
  tags: string | null;
  fence: bigint;
  items: FlatItem[];
  failed: { row: number; key: string | null; code: string; error: string; input: string }[];
  cleared: number[];
}

/** In the order of the columns of `items`. */
type FlatItem = [
  key: string, row: number, state: string, inputHash: string, handlerHash: string, job: string, attempt: number, tries: number,
  tokens: number | null, cost: number | null, latencyMs: number, output: string | null, error: string | null, input: string, text: string,
];

const textOf = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

export function flatten({ lane, job, tags, fence, items, failed, cleared }: RowsCommit): FlatCommit {
  return {
    ...lane, job, fence, cleared,
    tags: tags.length === 0 ? null : JSON.stringify(tags),
    items: items.map((item) => [
      item.key, item.row, item.state, item.inputHash, item.handlerHash, item.job, item.attempt, item.tries,
      item.tokens, item.cost, item.latencyMs, textOf(item.output), textOf(item.error), JSON.stringify(item.input), item.text,
    ]),
    failed: failed.map(({ row, key, error, input }) => ({ row, key, code: error.code, error: JSON.stringify(error), input: JSON.stringify(input) })),
  };
}

export function commitMethod(file: SqliteFile): (commit: FlatCommit) => Promise<void> {
  const { db } = file;
  const selectLane = db.prepare<[string, string, string], number>('SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const insertLane = db.prepare<[string, string, string]>('INSERT INTO lanes (tenant, source, lane) VALUES (?, ?, ?)');
  const insertItem = db.prepare(`
    INSERT INTO items (lane, fence, updated_at, tags, key, row, state, input_hash, handler_hash, job, attempt, tries, tokens, cost, latency_ms,
      output, error, input)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const selectOld = db.prepare<[number, string], { id: number; input: string; output: string | null }>(
    'SELECT id, input, output FROM items WHERE lane = ? AND key = ?');
  const updateItem = db.prepare(`
    UPDATE items SET row = ?, state = ?, input_hash = ?, handler_hash = ?, job = ?, attempt = ?, tries = ?, tokens = ?,
      cost = ?, latency_ms = ?, output = ?, error = ?, input = ?, fence = ?, updated_at = ?, tags = ?
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

  return ({ tenant, source, lane, job, tags, fence, items, failed, cleared }) => file.write(() => {
    // Looked up each time, because another process may remove a lane.
    const id = selectLane.get(tenant, source, lane) ?? Number(insertLane.run(tenant, source, lane).lastInsertRowid);
    const now = Date.now();
    for (const item of items) {
      const [key, row, state, inputHash, handlerHash, itemJob, attempt, tries, tokens, cost, latencyMs, output, error, input, text] = item;
      const inserted = insertItem.run(id, fence, now, tags, key, row, state, inputHash, handlerHash, itemJob, attempt, tries, tokens, cost, latencyMs,
        output, error, input);
      if (inserted.changes > 0) {
        insertText.run(inserted.lastInsertRowid, text);
        continue;
      }
      const old = selectOld.get(id, key);
      if (old === undefined) continue;
      const updated = updateItem.run(row, state, inputHash, handlerHash, itemJob, attempt, tries, tokens, cost, latencyMs,
        output, error, input, fence, now, tags, old.id, fence);
      // The text is made of input and output: where they are the same, it is too.
      if (updated.changes > 0 && (old.input !== input || old.output !== output)) replaceText.run(old.id, text);
    }
    for (const row of failed) upsertFailed.run({ ...row, lane: id, tenant, job, fence });
    for (const row of cleared) clearFailed.run(tenant, job, row, fence);
  });
}
