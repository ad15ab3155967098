/**
 * Decides, before any handler is called, which rows of a page have an outcome already and which are to be handled.
 * Pure: the activity reads the page, the page's earlier result and the ledger, and asks here.
 */
import type { Counts, RetryFilter } from '../contracts/job.ts';
import type { Json, Outcome, PageResult, PageRow, RowFailure, RowResult, Spent } from '../contracts/row.ts';
import { fingerprintOf } from './fingerprint.ts';
import { NOTHING_SPENT, plus, wasCached } from './spent.ts';

export interface PageFacts {
  jobId: string;
  attempt: number;
  /** What a retry asked for; null in a first attempt. */
  retry: RetryFilter | null;
  /** Losers among rows with the same key → the row that won. */
  duplicates: ReadonlyMap<number, number>;
  onDuplicateKey: 'fail' | 'first' | 'last';
  /** The page's newest result in this job. */
  earlier: PageResult | null;
  /** What is wrong with a row that its format does not allow; left out: nothing is checked. */
  check?: ((row: PageRow) => RowFailure | null) | undefined;
}

export interface PagePlan {
  /** Outcomes that stand, by row. */
  settled: Map<number, RowResult>;
  /** Failures among `settled` that the list of failed rows does not have yet. */
  newFailures: PageRow[];
  /** Positions of rows without an outcome: from `planPage` for the ledger to answer, from `planFromLedger` for the handler. */
  open: number[];
  /** Rows that failed before and were asked for again. */
  asked: Set<number>;
  tried: number;
  faults: number;
  /** By this job so far. */
  spent: Spent;
}

/** Whether a circuit breaker counts the failure. */
export const isFault = (error: RowFailure): boolean => error.input !== true && error.carried !== true && error.code !== 'row_cancelled';

/** A page's rows, of which few are made at a time: an array, or what reads them from a file. */
export interface PageRows {
  readonly length: number;
  at(index: number): PageRow | undefined;
}

/** What can be told from the page itself and its earlier result. */
export function planPage(rows: PageRows, facts: PageFacts): PagePlan {
  const { earlier, attempt } = facts;
  const sameAttempt = earlier?.attempt === attempt;
  const plan: PagePlan = {
    settled: new Map(), newFailures: [], open: [], asked: new Set(),
    tried: sameAttempt ? earlier.tried : 0, faults: sameAttempt ? earlier.faults : 0, spent: earlier?.spent ?? NOTHING_SPENT,
  };
  const before = new Map(earlier?.rows.map((result) => [result.row, result]));
  const fail = (row: PageRow, error: RowFailure): void => {
    plan.settled.set(row.row, { row: row.row, state: 'failed', output: null, error });
    plan.newFailures.push(row);
  };

  for (let index = 0; index < rows.length; index++) {
    const row = rows.at(index)!;
    const known = before.get(row.row);
    if (known && (sameAttempt || !wasAskedFor(known, facts.retry))) {
      plan.settled.set(row.row, known);
      continue;
    }
    if (known) plan.asked.add(row.row);
    const winner = facts.duplicates.get(row.row);
    if (row.key === null && row.cells.every((cell) => cell === null)) {
      plan.settled.set(row.row, { row: row.row, state: 'skipped', output: null });
    } else if (row.key === null) {
      fail(row, { code: 'missing_key', message: 'The key columns of this row are empty. Fill them in, or choose other key columns.', retryable: false, input: true });
    } else if (winner === undefined) {
      const unfit = facts.check?.(row);
      if (unfit) fail(row, unfit);
      else plan.open.push(index);
    } else if (facts.onDuplicateKey === 'fail') {
      fail(row, { code: 'duplicate_key', message: `Row ${winner} has the same key. Make the keys unique, or ask for the first or last of such rows with onDuplicateKey.`, retryable: false, input: true });
    } else {
      plan.settled.set(row.row, { row: row.row, state: 'skipped', output: null });
    }
  }
  return plan;
}

/** Whether a row that an earlier attempt left so is handled again. */
export const wasAskedFor = (result: Pick<RowResult, 'row' | 'state' | 'error'>, retry: RetryFilter | null): boolean =>
  result.state === 'failed' && retry !== null && (retry.codes === null || retry.codes.includes(result.error?.code ?? '')) &&
  (retry.fingerprints === undefined || (result.error !== undefined && retry.fingerprints.includes(fingerprintOf(result.error)))) &&
  (retry.rows === undefined || retry.rows.includes(result.row));

/** What became of a page's rows in the job before, on the same sheet with the same handler, nobody having worked on the lane since. */
export type BaseRows = ReadonlyMap<number, { state: Outcome; line: string }>;

/**
 * Settles what the job before had finished, as the ledger would: done rows are unchanged, permanent failures stand.
 * `read` tells a line's failure, `unchanged` makes its line one of an unchanged row. Changes `plan`.
 */
export function planFromBase(plan: PagePlan, rows: PageRows, base: BaseRows, read: (line: string) => RowFailure | undefined, unchanged: (line: string) => string): void {
  plan.open = plan.open.filter((index) => {
    const row = rows.at(index)!;
    const before = base.get(row.row);
    if (before?.state === 'done' || before?.state === 'unchanged') {
      plan.settled.set(row.row, { row: row.row, state: 'unchanged', output: null, line: unchanged(before.line) });
      return false;
    }
    const error = before?.state === 'failed' ? read(before.line) : undefined;
    if (!error || error.retryable) return true;
    plan.settled.set(row.row, { row: row.row, state: 'failed', output: null, error: { ...error, carried: true } });
    plan.newFailures.push(row);
    return false;
  });
}

/** The part of a ledger item that decides. */
export interface KnownItem extends Spent {
  inputHash: string;
  handlerHash: string;
  state: 'done' | 'failed';
  output: Json;
  error: RowFailure | null;
  job: string;
  attempt: number;
}

export interface LedgerFacts {
  jobId: string;
  attempt: number;
  force: boolean;
  /** The job ends: rows that failed before and were asked for again, but not reached, stay failed. */
  ending: boolean;
  handlerHash: string;
  inputHash: (row: PageRow) => string;
}

/** Settles what the ledger answers: this job's own finished rows always, other jobs' unless forced. Changes `plan`. */
export function planFromLedger(plan: PagePlan, rows: PageRows, ledger: ReadonlyMap<string, KnownItem>, facts: LedgerFacts): void {
  if (ledger.size === 0) return;
  const open: number[] = [];
  for (const index of plan.open) {
    const row = rows.at(index)!;
    const item = ledger.get(row.key!);
    const settled = item && item.handlerHash === facts.handlerHash && item.inputHash === facts.inputHash(row)
      ? fromItem(row, item, plan.asked.has(row.row), facts)
      : null;
    if (!settled) {
      open.push(index);
      continue;
    }
    plan.settled.set(row.row, settled);
    if (settled.state === 'failed') plan.newFailures.push(row);
    // What an earlier attempt paid for a row that was asked for again is in the page's earlier result.
    const own = item!.job === facts.jobId;
    if (own && (item!.attempt === facts.attempt || !plan.asked.has(row.row))) plan.spent = plus(plan.spent, { ...item!, ...(wasCached(item!) && { cached: 1 }) });
    if (own && item!.attempt === facts.attempt) {
      plan.tried++;
      if (settled.error && isFault(settled.error)) plan.faults++;
    }
  }
  plan.open = open;
}

function fromItem(row: PageRow, item: KnownItem, asked: boolean, facts: LedgerFacts): RowResult | null {
  const own = item.job === facts.jobId;
  if (item.state === 'done') {
    if (!own && facts.force) return null;
    return { row: row.row, state: own ? 'done' : 'unchanged', output: item.output, ...(own && wasCached(item) && { cached: true }) };
  }
  const error = item.error ?? { code: 'handler_error', message: 'The row failed.', retryable: true };
  if (own && (item.attempt === facts.attempt || facts.ending)) return { row: row.row, state: 'failed', output: null, error };
  // A permanent failure of another job stands until the row or the handler changes, or somebody asks.
  if (own || (asked && !facts.ending) || facts.force || error.retryable) return null;
  return { row: row.row, state: 'failed', output: null, error: { ...error, carried: true } };
}

export function countOutcomes(results: Iterable<{ state: Outcome }>): Counts {
  const counts: Counts = { done: 0, unchanged: 0, failed: 0, skipped: 0 };
  for (const { state } of results) counts[state]++;
  return counts;
}
