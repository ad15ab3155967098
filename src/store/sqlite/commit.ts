/** The bulk write of the ledger: sub-batches of rows, as many as wait, in one transaction. Runs in the thread of `ledger-writer.ts`. */
import { fingerprintOf } from '../../domain/fingerprint.ts';
import type { ItemWrite, RowsCommit } from '../ports/rows.ts';
import type { SqliteFile } from './database.ts';

/** A value a row, or the one that all rows have: most of what a sub-batch says of its rows is the same for each. */
type Column<T> = { each: T[] } | { all: T };

/**
 * A commit as it travels to the thread: columns instead of objects, and JSON as text already, so that it is neither
 * cloned deeply nor made twice.
 */
export interface FlatCommit {
  tenant: string;
  source: string;
  lane: string;
  job: string;
  /** JSON; null when there are none. */
  tags: string | null;
  fence: bigint;
  /** Rows of `items`. */
  count: number;
  items: { [Name in keyof FlatItem]: Column<FlatItem[Name]> };
  failed: { row: number; key: string | null; code: string; fingerprint: string; error: string; input: string }[];
  cleared: number[];
}

interface FlatItem extends Pick<ItemWrite, 'key' | 'row' | 'state' | 'inputHash' | 'handlerHash' | 'job' | 'attempt' | 'tries' | 'tokens' | 'cost' | 'latencyMs' | 'text'> {
  output: string | null;
  error: string | null;
  input: string;
}

const textOf = (value: unknown): string | null => (value === null ? null : JSON.stringify(value));

function column<T>(items: ItemWrite[], of: (item: ItemWrite) => T): Column<T> {
  const each = items.map(of);
  const all = each[0]!;
  return each.every((value) => value === all) ? { all } : { each };
}

const at = <T>(column: Column<T>, index: number): T => ('all' in column ? column.all : column.each[index]!);

export function flatten({ lane, job, tags, fence, items, failed, cleared }: RowsCommit): FlatCommit {
  return {
    ...lane, job, fence, cleared,
    tags: tags.length === 0 ? null : JSON.stringify(tags),
    count: items.length,
    items: {
      key: column(items, ({ key }) => key), row: column(items, ({ row }) => row), state: column(items, ({ state }) => state),
      inputHash: column(items, ({ inputHash }) => inputHash), handlerHash: column(items, ({ handlerHash }) => handlerHash),
      job: column(items, (item) => item.job), attempt: column(items, ({ attempt }) => attempt), tries: column(items, ({ tries }) => tries),
      tokens: column(items, ({ tokens }) => tokens), cost: column(items, ({ cost }) => cost), latencyMs: column(items, ({ latencyMs }) => latencyMs),
      output: column(items, ({ output }) => textOf(output)), error: column(items, ({ error }) => textOf(error)),
      input: column(items, ({ input }) => JSON.stringify(input)), text: column(items, ({ text }) => text),
    },
    failed: failed.map(({ row, key, error, input }) => ({ row, key, code: error.code, fingerprint: fingerprintOf(error), error: JSON.stringify(error), input: JSON.stringify(input) })),
  };
}

/** Commits all that it is given, or nothing. */
export function commitMethod(file: SqliteFile): (commits: readonly FlatCommit[]) => Promise<void> {
  const { db } = file;
  const selectLane = db.prepare<[string, string, string], number>('SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const insertLane = db.prepare<[string, string, string]>('INSERT INTO lanes (tenant, source, lane) VALUES (?, ?, ?)');
  const insertItem = db.prepare(`
    INSERT INTO items (lane, key, row, state, input_hash, handler_hash, job, attempt, tries, tokens, cost, latency_ms, output, error, input,
      fence, updated_at, tags)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`);
  const selectOld = db.prepare<[number, string], { id: number; input: string; output: string | null }>(
    'SELECT id, input, output FROM items WHERE lane = ? AND key = ?');
  const updateItem = db.prepare(`
    UPDATE items SET row = ?, state = ?, input_hash = ?, handler_hash = ?, job = ?, attempt = ?, tries = ?, tokens = ?,
      cost = ?, latency_ms = ?, output = ?, error = ?, input = ?, fence = ?, updated_at = ?, tags = ?, present = 1
    WHERE id = ? AND fence <= ?`);
  const insertText = db.prepare<[number | bigint, string]>('INSERT INTO item_text (rowid, text) VALUES (?, ?)');
  const replaceText = db.prepare<[number, string]>('INSERT OR REPLACE INTO item_text (rowid, text) VALUES (?, ?)');
  // A failed row whose item a later writer has already written is a late writer's and is left out. A duplicate's item is
  // another row's and says nothing about it.
  const upsertFailed = db.prepare(`
    INSERT INTO failed_rows (tenant, job, row, fence, key, code, fingerprint, error, input)
    SELECT :tenant, :job, :row, :fence, :key, :code, :fingerprint, :error, :input
    WHERE NOT EXISTS (SELECT 1 FROM items WHERE lane = :lane AND key = :key AND row = :row AND fence > :fence)
    ON CONFLICT DO UPDATE SET fence = excluded.fence, key = excluded.key, code = excluded.code, fingerprint = excluded.fingerprint, error = excluded.error,
      input = excluded.input
    WHERE excluded.fence >= fence`);
  const clearFailed = db.prepare<[string, string, number, bigint]>(
    'DELETE FROM failed_rows WHERE tenant = ? AND job = ? AND row = ? AND fence <= ?');

  const write = ({ tenant, source, lane, job, tags, fence, count, items, failed, cleared }: FlatCommit, now: number): void => {
    // Looked up each time, because another process may remove a lane.
    const id = selectLane.get(tenant, source, lane) ?? Number(insertLane.run(tenant, source, lane).lastInsertRowid);
    for (let index = 0; index < count; index++) {
      const key = at(items.key, index);
      const output = at(items.output, index);
      const input = at(items.input, index);
      const said = [
        at(items.row, index), at(items.state, index), at(items.inputHash, index), at(items.handlerHash, index), at(items.job, index), at(items.attempt, index),
        at(items.tries, index), at(items.tokens, index), at(items.cost, index), at(items.latencyMs, index), output, at(items.error, index), input, fence, now, tags,
      ];
      const inserted = insertItem.run(id, key, ...said);
      if (inserted.changes > 0) {
        insertText.run(inserted.lastInsertRowid, at(items.text, index));
        continue;
      }
      const old = selectOld.get(id, key);
      if (old === undefined) continue;
      const updated = updateItem.run(...said, old.id, fence);
      // The text is made of input and output: where they are the same, it is too.
      if (updated.changes > 0 && (old.input !== input || old.output !== output)) replaceText.run(old.id, at(items.text, index));
    }
    for (const row of failed) upsertFailed.run({ ...row, lane: id, tenant, job, fence });
    for (const row of cleared) clearFailed.run(tenant, job, row, fence);
  };

  return (commits) => file.write(() => {
    const now = Date.now();
    for (const commit of commits) write(commit, now);
  });
}
