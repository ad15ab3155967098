/**
 * The thread that writes the ledger: opens the file, commits what it is given, says when it is on the disk. What came while
 * it wrote is committed as one: a transaction costs a wait for the disk, and pages of the file that many rows share.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { SheafError, type ErrorCode, type ErrorPlace } from '../../contracts/errors.ts';
import { giveBack } from '../../domain/give-back.ts';
import { commitMethod, type FlatCommit } from './commit.ts';
import { SqliteFile } from './database.ts';
import { LEDGER_MIGRATIONS } from './ledger-schema.ts';

export interface LedgerThreadData {
  file: string;
  cacheKib: number;
}

export type LedgerRequest = { id: number; commit: FlatCommit } | 'close';

/** Errors lose their class on the way; this is what is made of them again. */
export interface LedgerAnswer {
  id: number;
  error?: { code: ErrorCode | null; message: string; remedy?: string; place?: ErrorPlace };
}

const port = parentPort!;
const { file, cacheKib } = workerData as LedgerThreadData;
const ledger = await SqliteFile.open(file, LEDGER_MIGRATIONS, cacheKib);
const commit = commitMethod(ledger);

/** Rows in one transaction at most, so that nobody waits for long. */
const MAX_ROWS = 10_000;

const waiting: { id: number; commit: FlatCommit }[] = [];
let closing = false;
let draining = false;

async function drain(): Promise<void> {
  draining = true;
  while (waiting.length > 0) {
    let rows = 0;
    const until = waiting.findIndex(({ commit }, index) => (rows += commit.count) > MAX_ROWS && index > 0);
    await commitTogether(waiting.splice(0, until < 0 ? waiting.length : until));
    await new Promise(setImmediate); // what has come meanwhile
  }
  draining = false;
  if (closing) {
    ledger.close();
    port.close();
  }
}

async function commitTogether(group: typeof waiting): Promise<void> {
  try {
    await commit(group.map((request) => request.commit));
    for (const { id, commit: { texts } } of group) {
      texts.forEach(giveBack);
      answer(id);
    }
  } catch (error) {
    // The file refuses everybody; anything else is about one of them, and the others are committed without it.
    if (group.length === 1 || error instanceof SheafError) for (const { id } of group) answer(id, error);
    else for (const request of group) await commitTogether([request]);
  }
}

function answer(id: number, error?: unknown): void {
  if (error === undefined) return port.postMessage({ id } satisfies LedgerAnswer);
  port.postMessage({
    id,
    error: error instanceof SheafError
      ? { code: error.code, message: error.message, ...(error.remedy !== undefined && { remedy: error.remedy }), ...(error.place && { place: error.place }) }
      : { code: null, message: error instanceof Error ? (error.stack ?? error.message) : String(error) },
  } satisfies LedgerAnswer);
}

port.on('message', (request: LedgerRequest) => {
  if (request === 'close') closing = true;
  else waiting.push(request);
  if (!draining) void drain();
});
