/** What the author of a handler module needs; modules import it as `sheaf/handler`. */
import type { RowInput } from '../contracts/row.ts';
import type { HandlerLog } from './handler.ts';

/** Throw it to say why one row has no output; the job goes on with the others. */
export class RowError extends Error {
  override readonly name = 'RowError';
  /** Stable, short, without spaces: rows are counted, filtered and retried by it. */
  readonly code: string;
  /** Whether the same row may succeed unchanged, later. A row that may not is left alone until it or the handler changes. */
  readonly retryable: boolean;
  readonly column: string | undefined;
  /** A server said to leave it alone for so long (`Retry-After`): nobody calls it meanwhile, and the row is tried again then. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: string, message: string, more: { retryable?: boolean; column?: string; retryAfterSeconds?: number } = {}) {
    super(message);
    this.code = code;
    this.retryable = more.retryable ?? more.retryAfterSeconds !== undefined;
    this.column = more.column;
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
}

interface CallContext<Options> {
  /** Aborted when the job is cancelled or the call takes too long: pass it to `fetch` and the like. */
  signal: AbortSignal;
  /** Goes to the worker's log, with the row's number. */
  log: HandlerLog;
  /** What the job gave with `--option name=value`. */
  options: Options;
  /** The sheet's column names. */
  columns: string[];
  /** The class above, for modules that would rather not import it. */
  RowError: typeof RowError;
}

export interface HandlerModuleContext<Options = Record<string, unknown>> extends CallContext<Options> {
  /** The row's number in the sheet. */
  row: number;
  /** The row's key: the same whenever the row comes again. */
  key: string;
}

export interface BatchModuleContext<Options = Record<string, unknown>> extends CallContext<Options> {
  /** Number and key of each row, in the order of the rows. */
  rows: { row: number; key: string }[];
}

/** The default export of a module: one row in, anything that JSON can hold out (at most 1 MB). */
export type RowHandler<Options = Record<string, unknown>> =
  (row: RowInput, context: HandlerModuleContext<Options>) => unknown;

/** The default export of a module that exports `batchSize` too: an array as long as the rows, a `RowError` where a row failed. */
export type BatchHandler<Options = Record<string, unknown>> =
  (rows: RowInput[], context: BatchModuleContext<Options>) => unknown[] | Promise<unknown[]>;
