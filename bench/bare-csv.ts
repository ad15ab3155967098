/**
 * The bare script that Sheaf is measured against: one process that streams a CSV into the same table and the same full
 * text, with the same parser, typed cells and searchable text, prepared statements and large transactions; no Temporal,
 * no pages, no hashes, no results. Usage: bare-csv.ts FILE DATABASE
 */
import { createReadStream } from 'node:fs';
import Sqlite from 'better-sqlite3';
import { parse } from 'csv-parse';
import { searchText } from '../src/domain/search-text.ts';
import { LEDGER_MIGRATIONS } from '../src/store/sqlite/ledger-schema.ts';
import { bareRow } from './bare-row.ts';

const ROWS_IN_TRANSACTION = 5_000;

const [file, database] = process.argv.slice(2);
if (!file || !database) throw new Error('Usage: bare-csv.ts FILE DATABASE');

const db = new Sqlite(database);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = NORMAL');
db.pragma('cache_size = -65536');
for (const migration of LEDGER_MIGRATIONS) db.exec(migration);
db.prepare("INSERT INTO lanes (id, tenant, source, lane) VALUES (1, 'default', 'bench', 'store')").run();
const insertItem = db.prepare(`
  INSERT INTO items (lane, key, row, fence, state, input_hash, handler_hash, job, attempt, tries, latency_ms, updated_at, output, input)
  VALUES (1, ?, ?, 1, 'done', '', '', 'bench', 1, 1, 0, ?, ?, ?)`);
const insertText = db.prepare('INSERT INTO item_text (rowid, text) VALUES (?, ?)');
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');

let columns: string[] | undefined;
let row = 0;
begin.run();
for await (const cells of createReadStream(file, { highWaterMark: 1 << 20 }).pipe(parse({ columns: false })) as AsyncIterable<string[]>) {
  row++;
  if (!columns) {
    columns = cells;
    continue;
  }
  const { input, output } = bareRow(columns, cells);
  const { lastInsertRowid } = insertItem.run(cells[0], row, Date.now(), JSON.stringify(output), JSON.stringify(input));
  insertText.run(lastInsertRowid, searchText(input, output));
  if (row % ROWS_IN_TRANSACTION === 0) {
    commit.run();
    begin.run();
  }
}
commit.run();
db.close();
