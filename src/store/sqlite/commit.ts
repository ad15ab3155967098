/** The bulk write of the ledger: sub-batches of rows, as many as wait, in one transaction. Runs in the thread of `ledger-writer.ts`. */
import { fingerprintOf } from '../../domain/fingerprint.ts';
import type { ItemWrite, RowsCommit } from '../ports/rows.ts';
import type { SqliteFile } from './database.ts';

/** Rows in one statement: half of what a row costs is the way from JavaScript into SQLite and back. */
const MANY = 50;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** A value a row, or the one that all rows have: most of what a sub-batch says of its rows is the same for each. */
type Column<T> = { each: T[] } | { all: T };

/**
 * A commit as it travels to the thread: columns instead of objects, and what is long of all rows in one text, so that few things are copied.
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
  /** Of each `MANY` rows their inputs, then their outputs, then their words, a line each: JSON and normalised words hold no line break. UTF-8, which is outside of both heaps while it waits. */
  texts: Uint8Array<ArrayBuffer>[];
  failed: { row: number; key: string | null; code: string; fingerprint: string; error: string; input: string }[];
  cleared: number[];
}

type FlatItem = Pick<ItemWrite, 'key' | 'row' | 'state' | 'inputHash' | 'handlerHash' | 'job' | 'attempt' | 'tries' | 'tokens' | 'cost' | 'latencyMs'> & { error: string | null };

function column<T>(items: ItemWrite[], of: (item: ItemWrite) => T): Column<T> {
  const [first] = items;
  const all = first && of(first);
  return all !== undefined && items.every((item) => of(item) === all) ? { all } : { each: items.map(of) };
}

const at = <T>(column: Column<T>, index: number): T => ('all' in column ? column.all : column.each[index]!);

function textsOf(items: ItemWrite[]): FlatCommit['texts'] {
  const texts: FlatCommit['texts'] = [];
  for (let from = 0; from < items.length; from += MANY) {
    const some = items.slice(from, from + MANY);
    texts.push(encoder.encode([...some.map(({ input }) => input), ...some.map(({ output }) => output), ...some.map(({ text }) => text)].join('\n')));
  }
  return texts;
}

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
      error: column(items, ({ error }) => (error === null ? null : JSON.stringify(error))),
    },
    texts: textsOf(items),
    failed: failed.map(({ row, key, error, input }) => ({ row, key, code: error.code, fingerprint: fingerprintOf(error), error: JSON.stringify(error), input: JSON.stringify(input) })),
  };
}

/**
 * What the rows have in common comes first, then what is of each, row by row. A row that is there already is left out. `OR ROLLBACK`, as whoever
 * writes does anyway: else SQLite would keep a copy of each page that a statement of many rows touches, half of all that it writes.
 */
const insertItems = (rows: number): string => `
  INSERT OR ROLLBACK INTO items (lane, handler_hash, job, attempt, fence, updated_at, tags, state, tries, tokens, cost, error, key, row, input_hash, latency_ms, output, input)
  SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, each.* FROM (VALUES ${Array<string>(rows).fill('(?, ?, ?, ?, ?, ?)').join()}) AS each WHERE true ON CONFLICT DO NOTHING`;

/** Commits all that it is given, or nothing. */
export function commitMethod(file: SqliteFile): (commits: readonly FlatCommit[]) => Promise<void> {
  const { db } = file;
  const selectLane = db.prepare<[string, string, string], number>('SELECT id FROM lanes WHERE tenant = ? AND source = ? AND lane = ?').pluck();
  const insertLane = db.prepare<[string, string, string]>('INSERT INTO lanes (tenant, source, lane) VALUES (?, ?, ?)');
  const insertItem = db.prepare(insertItems(1));
  const insertMany = db.prepare(insertItems(MANY));
  // One by one: a statement of many makes FTS5 write what it has gathered, for it to be rolled back by itself.
  const insertText = db.prepare<[number, string]>('INSERT INTO item_text (rowid, text) VALUES (?, ?)');
  const selectOld = db.prepare<[number, string], { id: number; input: string; output: string | null }>(
    'SELECT id, input, output FROM items WHERE lane = ? AND key = ?');
  const updateItem = db.prepare(`
    UPDATE items SET handler_hash = ?, job = ?, attempt = ?, fence = ?, updated_at = ?, tags = ?, state = ?, tries = ?, tokens = ?, cost = ?, error = ?,
      row = ?, input_hash = ?, latency_ms = ?, output = ?, input = ?, present = 1
    WHERE id = ? AND fence <= ?`);
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

  const write = ({ tenant, source, lane, job, tags, fence, count, items, texts, failed, cleared }: FlatCommit, now: number): void => {
    // Looked up each time, because another process may remove a lane.
    const id = selectLane.get(tenant, source, lane) ?? Number(insertLane.run(tenant, source, lane).lastInsertRowid);
    const { key, row, inputHash, latencyMs, ...common } = items;
    const alike = Object.values(common).every((column) => 'all' in column);
    const commonOf = (index: number): unknown[] => [
      at(common.handlerHash, index), at(common.job, index), at(common.attempt, index), fence, now, tags,
      at(common.state, index), at(common.tries, index), at(common.tokens, index), at(common.cost, index), at(common.error, index),
    ];

    for (let from = 0; from < count; from += MANY) {
      const some = Math.min(MANY, count - from);
      const lines = decoder.decode(texts[from / MANY]).split('\n');
      if (lines.length !== 3 * some) throw new Error('A text of a row has a line break.');
      const inputOf = (index: number): string => lines[index - from]!;
      const outputOf = (index: number): string | null => (lines[index - from + some] === 'null' ? null : lines[index - from + some]!);
      const textOf = (index: number): string => lines[index - from + 2 * some]!;
      const addOwn = (values: unknown[], index: number): unknown =>
        values.push(at(row, index), at(inputHash, index), at(latencyMs, index), outputOf(index), inputOf(index));

      /** A row that was there before. */
      const update = (index: number, old: { id: number; input: string; output: string | null }): void => {
        const values = commonOf(index);
        addOwn(values, index);
        const updated = updateItem.run(...values, old.id, fence);
        // The text is made of input and output: where they are the same, it is too.
        if (updated.changes > 0 && (old.input !== inputOf(index) || old.output !== outputOf(index))) replaceText.run(old.id, textOf(index));
      };

      const together = alike && some === MANY ? MANY : 1;
      for (let first = from; first < from + some; first += together) {
        const values = [id, ...commonOf(first)];
        for (let index = first; index < first + together; index++) {
          values.push(at(key, index));
          addOwn(values, index);
        }
        const { changes, lastInsertRowid } = (together === 1 ? insertItem : insertMany).run(...values);
        // Ids grow by one: those of the new rows are the last, in their order.
        const end = Number(lastInsertRowid) + 1;
        let next = end - changes;
        for (let index = first; index < first + together; index++) {
          const found = changes === together ? undefined : selectOld.get(id, at(key, index));
          if (changes === together || (found?.id === next && next < end)) insertText.run(next++, textOf(index));
          else if (found) update(index, found);
        }
      }
    }
    for (const row of failed) upsertFailed.run({ ...row, lane: id, tenant, job, fence });
    for (const row of cleared) clearFailed.run(tenant, job, row, fence);
  };

  return (commits) => file.write(() => {
    const now = Date.now();
    for (const commit of commits) write(commit, now);
  });
}
