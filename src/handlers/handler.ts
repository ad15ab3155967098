/** The port to handlers: what is done to a row. A handler is prepared once per job and process, then called with rows. */
import type { z } from 'zod';
import type { AnswerTerms } from '../contracts/intent.ts';
import type { FinishedOutcome, Foreseen, HandledOutcome, Json, RowInput } from '../contracts/row.ts';
import type { RowModels } from '../models/questions.ts';
import type { Pages } from '../pages/page.ts';
import type { Web } from '../web/web.ts';

export type { HandledOutcome } from '../contracts/row.ts';

export interface HandlerLog {
  debug(message: string, data?: object): void;
  info(message: string, data?: object): void;
  warn(message: string, data?: object): void;
  error(message: string, data?: object): void;
}

/** What a handler may use of the outside; made by the container. */
export interface HandlerContext {
  tenant: string;
  jobId: string;
  /** The sheet's column names. */
  columns: string[];
  log: HandlerLog;
  /** Folders that handler modules may be loaded from; absolute. */
  handlerDirs: string[];
  models: RowModels;
  /** Calls what users name; nothing else may. */
  web: Web;
  pages: Pages;
  /** `host`: where it is sent, as in an address; null: it signs. Throws `secret_unknown`, `secret_not_allowed`. */
  secret(name: string, host: string | null): string;
}

export interface HandledRow {
  row: number;
  key: string;
  input: RowInput;
  /** Of what the handler reads of it. */
  inputHash: string;
  /** Names the call for a server, the same however often it is repeated; only where the handler asks for it. */
  callKey?: string;
  /** Address at which the service is to say what became of it; null: nothing that it says there would be believed. Only where it may answer later. */
  callback?: string | null;
}

/** What a handler whose service may answer later (outcome `submitted`) knows of those answers. One row at a time. */
export interface LaterAnswers {
  terms: AnswerTerms;
  /** How long an answer is waited for. */
  deadlineMs: number;
  /** What became of the row, by an answer that is the last. */
  take(answer: Json): FinishedOutcome;
  /** Null: the service is not asked, it calls back. */
  ask: {
    everyMs: number;
    /** Null: it said nothing that could be used. Rejects only with the signal's reason. */
    answer(remoteId: string, signal: AbortSignal): Promise<Json | null>;
  } | null;
}

export interface PreparedHandler {
  /** Columns that it reads, which make the input hash; null: all. */
  reads: string[] | null;
  /** What, beside its name and version, changes its output; goes into the handler hash. Canonical: same meaning, same JSON. */
  identity: Json;
  /** Rows in one call of `handle`. */
  batchSize: number;
  /** Calls at once, unless the job says otherwise. */
  concurrency: number;
  /** Named limits: each call of `handle` takes one call of every one of them, or waits. */
  limits?: readonly string[];
  /** Rows come with their `callKey`. */
  namesCalls?: true;
  later?: LaterAnswers;
  /** What handling rows will cost is known beforehand or told with every row; false: nobody will know, so that no budget can hold it. */
  priced?: boolean;
  /** What handling the rows would take, as far as that can be told without paying for it: for budgets, and for plans. */
  foresee?(rows: HandledRow[]): Promise<Foreseen[]>;
  /**
   * One outcome for each row, in order. A rejection is a failure of the call, not of a row: it is sorted as
   * `handler_error` for every row of the call, unless the signal is aborted (then the rows stay undone), or what Sheaf stands on
   * is away (a `SheafError` that is worth another try: the rows stay undone, and the job waits).
   */
  handle(rows: HandledRow[], signal: AbortSignal): Promise<HandledOutcome[]>;
  close(): Promise<void>;
}

export type Work = 'cheap' | 'costly';

export interface Handler<Options = unknown> {
  name: string;
  /** Raised when the same options would give another output. */
  version: number;
  /** One sentence for the API's and CLI's lists. */
  summary: string;
  /** Strict; its descriptions become documentation. */
  options: z.ZodType<Options>;
  /** `cheap`: pages of up to 5,000 rows, committed by the 250. `costly` (slow or paid): pages of 1,000, committed by 25 rows or 250 ms. */
  work: Work | ((options: { [name: string]: Json }) => Work);
  /** Whether rows may be answered later (`submitted`); left out: none are. */
  parks?(options: Options): boolean;
  /** Rejects with `column_missing`, `handler_not_found`, `handler_invalid`, … before any row is touched. */
  prepare(options: Options, context: HandlerContext): Promise<PreparedHandler>;
}
