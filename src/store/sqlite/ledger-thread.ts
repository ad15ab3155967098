/** The thread that writes the ledger: opens the file, commits what it is given, says when it is on the disk. */
import { parentPort, workerData } from 'node:worker_threads';
import { SheafError, type ErrorCode, type ErrorPlace } from '../../contracts/errors.ts';
import { commitMethod, type FlatCommit } from './commit.ts';
import { SqliteFile } from './database.ts';
import { LEDGER_MIGRATIONS } from './schema.ts';

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

port.on('message', (request: LedgerRequest) => {
  if (request === 'close') {
    ledger.close();
    port.close();
    return;
  }
  const answer = (error?: LedgerAnswer['error']): void => port.postMessage({ id: request.id, ...(error && { error }) } satisfies LedgerAnswer);
  commit(request.commit).then(
    () => answer(),
    (error: unknown) => answer(error instanceof SheafError
      ? { code: error.code, message: error.message, ...(error.remedy !== undefined && { remedy: error.remedy }), ...(error.place && { place: error.place }) }
      : { code: null, message: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
