/**
 * Commits to the ledger in a thread of their own. Half of a bulk job's work is SQLite's (items and full text), and its calls
 * block: beside it, the worker's thread reads, hashes and handles the next rows on another core, and its heart beats on.
 */
import { Worker } from 'node:worker_threads';
import { SheafError } from '../../contracts/errors.ts';
import type { RowFailure } from '../../contracts/row.ts';
import type { RowsCommit } from '../ports/rows.ts';
import { flatten } from './commit.ts';
import type { LedgerAnswer, LedgerRequest, LedgerThreadData } from './ledger-thread.ts';

export interface LedgerWriter {
  /** Resolves when it is on the disk. SQLite takes every row. */
  commitRows(commit: RowsCommit): Promise<ReadonlyMap<number, RowFailure>>;
  /** After the commits that are under way. */
  close(): Promise<void>;
}

/** A row that SQLite cannot take is none of the row's making. */
const NONE_REFUSED: ReadonlyMap<number, RowFailure> = new Map();

interface Pending {
  resolve: (refused: ReadonlyMap<number, RowFailure>) => void;
  reject: (error: Error) => void;
}

/** The thread begins with the first commit: a process that only reads has none. */
export function ledgerWriter(data: LedgerThreadData): LedgerWriter {
  const pending = new Map<number, Pending>();
  let thread: Worker | undefined;
  let closed = false;
  let last = 0;

  const settle = ({ id, error }: LedgerAnswer): void => {
    const waiting = pending.get(id);
    pending.delete(id);
    if (pending.size === 0) thread?.unref(); // an idle thread keeps no process alive
    if (!error) waiting?.resolve(NONE_REFUSED);
    else if (error.code === null) waiting?.reject(new Error(error.message));
    else waiting?.reject(new SheafError(error.code, error.message, error));
  };

  const start = (): Worker => {
    const started = new Worker(new URL('ledger-thread.ts', import.meta.url), { workerData: data, resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    const ended = (cause: unknown): void => {
      if (thread === started) thread = undefined;
      for (const [id, { reject }] of pending) {
        pending.delete(id);
        reject(new SheafError('store_unavailable', 'The thread that writes the ledger ended.', { remedy: 'What it had not acknowledged is written again.', cause }));
      }
    };
    started.on('message', settle);
    started.on('error', ended);
    started.on('exit', ended);
    return started;
  };

  return {
    commitRows(commit) {
      if (closed) return Promise.reject(new SheafError('store_unavailable', 'The store was closed because the process is stopping.', { remedy: 'Start Sheaf again.' }));
      thread ??= start();
      const id = ++last;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        thread!.ref();
        const flat = flatten(commit);
        thread!.postMessage({ id, commit: flat } satisfies LedgerRequest, flat.texts.map(({ buffer }) => buffer));
      });
    },

    async close() {
      closed = true;
      const closing = thread;
      if (!closing) return;
      closing.ref();
      const gone = new Promise((resolve) => closing.once('exit', resolve));
      closing.postMessage('close' satisfies LedgerRequest);
      await gone;
    },
  };
}
