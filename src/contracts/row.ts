/** What a sheet is made of, from the cell up. Plain JSON all the way: it crosses threads, files and stores. */
import type { ErrorBody } from './errors.ts';

/** A cell as read. Empty cells, missing cells and error cells are `null`; dates are ISO 8601 text. */
export type Cell = string | number | boolean | null;

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** A row as handlers see it: column name → cell. Every column of the sheet is present. */
export type RowInput = Record<string, Cell>;

/** A row's outcome in a job. `remaining` is never written down: it is what has no other outcome. */
export type Outcome = 'done' | 'unchanged' | 'failed' | 'skipped';
export type OutcomeOrRemaining = Outcome | 'remaining';

export interface Column {
  /** Unique within the sheet; what results, handlers and key columns call it. */
  name: string;
  /** The header cell as it stands in the sheet; null where it is empty or the sheet has no header. */
  header: string | null;
  /** 0 for the sheet's column A. */
  index: number;
  /** 'A', 'B', …, 'AA'. */
  letter: string;
}

/** Something a person should know about a sheet that was read all the same. */
export interface SheetWarning {
  code: string;
  message: string;
  row?: number;
  column?: string;
}

/** Why a row failed. `code` is stable; `retryable` says whether the same row may succeed unchanged. */
export interface RowFailure {
  code: string;
  message: string;
  retryable: boolean;
  column?: string;
  /** The failure was stored by an earlier job and not tried again. */
  carried?: boolean;
  /** What is wrong is the row itself (validation, duplicate key): no circuit breaker counts it. */
  input?: boolean;
  /** What was answered and could not be used, its beginning. */
  raw?: string;
}

/** What was paid for a row; left out: nobody knows. `cost` null: nobody knows it. `cached`: asked before, and nothing was paid. */
export interface Paid {
  tokens?: number;
  cost?: number | null;
  cached?: true;
}

/** What became of one row: an output, or why there is none. */
export type HandledOutcome = Paid & (
  | { output: Json }
  /** `retryAfterSeconds`: a server said to hold back for so long; nobody calls under the handler's limits meanwhile. */
  | { error: RowFailure; retryAfterSeconds?: number }
  | { unpaid: Unpaid }
  /** It is not the row that is at fault, and no row can be handled: it stays undone, and the job ends as failed. */
  | { halt: ErrorBody }
  /** A service has taken it, and answers later (`PreparedHandler.later`). `remoteId`: what the service calls it. */
  | { submitted: { remoteId: string | null } }
);
export type FinishedOutcome = Exclude<HandledOutcome, { unpaid: Unpaid } | { halt: ErrorBody } | { submitted: object }>;

/** What a row would take; null: nobody can tell. */
export interface Foreseen extends Spent {
  /** The same was asked before: nothing would be paid. */
  known: boolean;
  /** That would be sent, to whomever; a share of one where rows are asked about together. Left out: nobody can tell. */
  requests?: number;
  /** The one of them that is for a web page. */
  visit?: PageVisit;
}

/** A web page that would be asked for. */
export interface PageVisit {
  /** Rows with the same one have it from one request; null: each has one of its own. */
  address: string | null;
  host: string;
  /** Most pages of the host, in each worker. */
  perSecond: number;
  /** Named limits that the host has. */
  limits: readonly string[];
}

/** Nobody pays now: what there is to pay for stays undone, and its job waits until somebody says to go on. */
export interface Unpaid {
  /** One sentence for people. */
  reason: string;
  /** ISO 8601: from then on there is money again; null: nobody knows. */
  until: string | null;
}

/** One row of a snapshot page. `row` is the 1-based row number that a spreadsheet program shows. */
export interface PageRow {
  row: number;
  /** What names the row in the ledger; null for a row without identity (blank). */
  key: string | null;
  /** 128 bits, base64url, over the whole row as read. */
  rowHash: string;
  /** In the order of the manifest's columns; trailing nulls may be left out. */
  cells: Cell[];
}

/** One line of a page result: what became of a row in this job. Key and input are the page's. */
export interface RowResult {
  row: number;
  state: Outcome;
  output: Json;
  error?: RowFailure;
  /** Answered without being paid for: the same was asked before. */
  cached?: true;
  /** The whole as its line in the result file, where that is known; `output` is then null. */
  line?: string;
}

/** What handlers paid for rows; null: unknown, or nothing. */
export interface Spent {
  tokens: number | null;
  /** In the currency of the price table. */
  cost: number | null;
  /** Rows that nothing was paid for, because the same was asked before; left out: none. The ledger has them with 0 tokens. */
  cached?: number;
}

/** A page's result: all outcomes that its rows have so far, and who found them. */
export interface PageResult {
  /** The job's attempt that wrote it. */
  attempt: number;
  /** Rows that this attempt's handler calls have finished, and those of them that count as faults. */
  tried: number;
  faults: number;
  /** By this job for the page's rows, all attempts; left out where nothing is known. */
  spent?: Spent;
  /** Of the handler that the rows were done with. */
  handlerHash: string;
  rows: RowResult[];
}
