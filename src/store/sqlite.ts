/**
 * The embedded store: three SQLite files that API and workers open at once. `control.db` holds jobs, lanes, the queue, pages and
 * events; `ledger.db` items, their full text and failed rows; `answers.db` what models were paid for. One writer at a time a file, so a worker that writes rows
 * never keeps a status waiting. What a method has acknowledged is on the disk.
 */
import path from 'node:path';
import { answerMethods } from './sqlite/answers.ts';
import { Analyst } from './sqlite/analyst.ts';
import { budgetMethods } from './sqlite/budgets.ts';
import { cleanupMethods } from './sqlite/cleanup.ts';
import { deliveryMethods } from './sqlite/deliveries.ts';
import { SqliteFile } from './sqlite/database.ts';
import { figureMethods } from './sqlite/figures.ts';
import { documentMethods } from './sqlite/documents.ts';
import { intentMethods } from './sqlite/intents.ts';
import { jobMethods } from './sqlite/jobs.ts';
import { ledgerWriter } from './sqlite/ledger-writer.ts';
import { pageMethods } from './sqlite/pages.ts';
import { planMethods } from './sqlite/plans.ts';
import { queueMethods } from './sqlite/queue.ts';
import { removal } from './sqlite/removal.ts';
import { rowMethods } from './sqlite/rows.ts';
import { Searcher } from './sqlite/search.ts';
import { workerMethods } from './sqlite/workers.ts';
import { ANSWER_MIGRATIONS } from './sqlite/answers-schema.ts';
import { LEDGER_MIGRATIONS } from './sqlite/ledger-schema.ts';
import { CONTROL_MIGRATIONS } from './sqlite/control-schema.ts';
import { sourceMethods } from './sqlite/sources.ts';
import { uploadMethods } from './sqlite/uploads.ts';
import type { Store } from './store.ts';

const CONTROL_CACHE_KIB = 8 * 1024;
const ANSWERS_CACHE_KIB = 2 * 1024;
const READING_CACHE_KIB = 8 * 1024;
const WRITING_CACHE_KIB = 4 * 1024;

/** Makes the folder and the files where they are not there. Rejects with `schema_too_new`, `store_unavailable`. */
export async function openSqliteStore({ folder }: { folder: string }): Promise<Store> {
  const controlFile = path.join(folder, 'control.db');
  const control = await SqliteFile.open(controlFile, CONTROL_MIGRATIONS, CONTROL_CACHE_KIB);
  const ledgerFile = path.join(folder, 'ledger.db');
  let ledger: SqliteFile;
  try {
    ledger = await SqliteFile.open(ledgerFile, LEDGER_MIGRATIONS, READING_CACHE_KIB);
  } catch (error) {
    control.close();
    throw error;
  }
  let answers: SqliteFile;
  try {
    answers = await SqliteFile.open(path.join(folder, 'answers.db'), ANSWER_MIGRATIONS, ANSWERS_CACHE_KIB);
  } catch (error) {
    control.close();
    ledger.close();
    throw error;
  }
  const writer = ledgerWriter({ file: ledgerFile, cacheKib: WRITING_CACHE_KIB });
  const searcher = new Searcher(ledgerFile);
  const analyst = new Analyst(controlFile);
  const tenants = control.db.prepare<[], string>('SELECT tenant FROM jobs UNION SELECT tenant FROM documents UNION SELECT tenant FROM sources ORDER BY tenant').pluck();
  return {
    ...jobMethods(control),
    ...queueMethods(control),
    ...pageMethods(control),
    ...uploadMethods(control),
    ...deliveryMethods(control),
    ...intentMethods(control),
    ...sourceMethods(control, ledger),
    ...rowMethods(ledger),
    ...figureMethods(control),
    ...workerMethods(control),
    ...cleanupMethods(control, ledger),
    ...planMethods(control),
    ...answerMethods(answers),
    ...budgetMethods(control),
    ...documentMethods(control, ledger, writer.commitRows),
    commitRows: writer.commitRows,
    maxUncommittedChars: 600_000,
    removeJob: removal(control, ledger),
    search: searcher.search,
    analyse: analyst.analyse,

    tenants: () => control.read(() => tenants.all()),

    check: async () => {
      await control.check();
      await ledger.check();
    },
    close: async () => {
      await writer.close();
      await searcher.close();
      await analyst.close();
      control.close();
      ledger.close();
      answers.close();
    },
  };
}
