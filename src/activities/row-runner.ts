/** Runs one page's open rows through a handler: bounded concurrency, retries of rows, a stop that drains. */
import { setImmediate as breathe } from 'node:timers/promises';
import { SheafError } from '../contracts/errors.ts';
import type { LimitWait } from '../contracts/messages.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import type { FinishedOutcome, HandledOutcome, Unpaid } from '../contracts/row.ts';
import type { HandledRow, PreparedHandler } from '../handlers/handler.ts';
import type { Purse } from './purse.ts';
import { LimitReached, PATIENCE_MS, type Lease, type Limits } from '../limits/limits.ts';

export interface FinishedRow {
  row: HandledRow;
  outcome: FinishedOutcome;
  /** Calls made for the row in this run. */
  tries: number;
  latencyMs: number;
}

export interface RowRun {
  handler: PreparedHandler;
  limits: Limits;
  /** Rows under one key share their places, over all pages of the job in this process. */
  limitKey: string;
  /** Whose calls of the handler's named limits they are: `tenant/owner`. */
  user: string;
  concurrency: number;
  /** What calls are paid from; null, or left out: nothing limits that. */
  purse?: Purse | null;
  /** Aborted: no new row starts; rows in flight may finish for `drainMs`, then the handler is aborted. */
  stop: AbortSignal;
  drainMs: number;
  /** Waits before the second, third, … try of a row whose error is retryable. */
  retryDelaysMs: readonly number[];
  /** Rows that a server refuses for a while (`Retry-After`) fail, instead of being tried again. */
  lastTry: boolean;
  /** Takes what has finished. A pending promise holds new rows back. */
  finished(rows: FinishedRow[]): Promise<void>;
  /** No row can be handled any more; those in flight drain. */
  halted(error: ErrorBody): void;
  /** A service has taken the row and answers later: here it is over. */
  submitted(row: number): void;
}

/** How long a handler may ignore that it was aborted before it is left behind. */
const ABORT_GRACE_MS = 2_000;

/** Longer than the adapters' own tries differ from page to page. */
const FAILED_HOLD_MS = 3_000;

interface Waiting {
  row: HandledRow;
  tries: number;
  readyAt: number;
}

/** No row starts before `until`; when none is in flight the page ends, if that is far away or `leave` says so. */
interface Hold {
  until: number;
  leave: boolean;
  reason: string;
  refused: boolean;
}

/**
 * Rows are asked for when their turn comes. Resolves when every row is finished, or nothing is in flight after a stop, or a
 * limit has no calls for a while, with how long, or nobody pays; rows not reported are untouched, unfinished or submitted.
 */
export async function runRows(rows: Iterable<HandledRow>, run: RowRun): Promise<LimitWait | null> {
  const untried = rows[Symbol.iterator]();
  const abort = new AbortController();
  const inFlight = new Set<Promise<void>>();
  const again: Waiting[] = [];
  const limits = run.handler.limits ?? [];
  let hold: Hold | null = null as Hold | null;
  let halted = false;
  let unpaid: Unpaid | null = null as Unpaid | null;
  /** Of a row, lately. */
  let usualCost = 0;
  let failure: unknown;
  let wake: () => void = () => {};

  const takeBatch = (): Waiting[] => {
    const now = Date.now();
    const batch = again.filter(({ readyAt }) => readyAt <= now).slice(0, run.handler.batchSize);
    for (const entry of batch) again.splice(again.indexOf(entry), 1);
    while (batch.length < run.handler.batchSize) {
      const next = untried.next();
      if (next.done) break;
      batch.push({ row: next.value, tries: 0, readyAt: 0 });
    }
    return batch;
  };

  /** The call, where there is money for it. Answers the tokens that it took, where they are known. */
  const pay = async (purse: Purse, batch: Waiting[]): Promise<number | undefined> => {
    let expected = await expectedCost(batch);
    if (expected === null) return call(batch);
    let hold: Awaited<ReturnType<Purse['hold']>> | null;
    for (;;) {
      hold = await purse.hold(expected, run.stop).catch((error: unknown) => {
        if (run.stop.aborted) return null;
        throw error;
      });
      if (hold === null) return undefined; // left undone
      if (!('unpaid' in hold)) break;
      // While it waited, others may have shown that rows cost less than was thought.
      const now = await expectedCost(batch);
      if (now === null) return call(batch);
      if (now >= expected) {
        unpaid ??= hold.unpaid;
        return undefined;
      }
      expected = now;
    }
    // What was aborted may have been paid.
    let cost = expected;
    try {
      if (!run.stop.aborted && unpaid === null) return await call(batch, (paid) => { cost = paid; });
      cost = 0;
      return undefined;
    } finally {
      purse.settle(hold, cost);
    }
  };

  /** As the handler foresees it, else as much as rows cost lately; null: nothing will be paid. */
  const expectedCost = async (batch: Waiting[]): Promise<number | null> => {
    const foreseen = await run.handler.foresee?.(batch.map(({ row }) => row));
    if (!foreseen) return usualCost * batch.length;
    return foreseen.every(({ known }) => known) ? null : foreseen.reduce((sum, { cost }) => sum + (cost ?? usualCost), 0);
  };

  /** Answers the tokens that it took, where they are known. `paid` is told what it cost. */
  const call = async (batch: Waiting[], paid: (cost: number) => void = () => {}): Promise<number | undefined> => {
    const startedAt = performance.now();
    let outcomes: HandledOutcome[];
    try {
      outcomes = await run.handler.handle(batch.map(({ row }) => row), abort.signal);
      if (outcomes.length !== batch.length) throw new Error(`The handler gave ${outcomes.length} outcomes for ${batch.length} rows.`);
    } catch (error) {
      if (abort.signal.aborted) return undefined; // left undone
      if (error instanceof SheafError && error.retryable) throw error; // what the job stands on is away
      const message = error instanceof Error ? error.message : String(error);
      outcomes = batch.map(() => ({ error: { code: 'handler_error', message, retryable: false } }));
    }
    const latencyMs = (performance.now() - startedAt) / batch.length;
    const cost = outcomes.reduce((sum, outcome) => sum + (outcome.cost ?? 0), 0);
    paid(cost);
    if (cost > 0) usualCost = cost / batch.length;
    const refusedMs = Math.max(...outcomes.map(refusedFor));
    if (refusedMs > 0) holdBack(refusedMs);
    const finished: FinishedRow[] = [];
    batch.forEach(({ row, tries }, index) => {
      const outcome = outcomes[index]!;
      if ('halt' in outcome) {
        halted = true;
        run.halted(outcome.halt);
        return;
      }
      if ('unpaid' in outcome) {
        unpaid ??= outcome.unpaid; // the row is left undone
        return;
      }
      if ('submitted' in outcome) {
        run.submitted(row.row);
        return;
      }
      const delay = run.lastTry && refusedFor(outcome) > 0 ? undefined : run.retryDelaysMs[tries];
      if ('error' in outcome && outcome.error.retryable && delay !== undefined) {
        again.push({ row, tries: tries + 1, readyAt: Date.now() + Math.max(delay, refusedFor(outcome)) });
      } else {
        finished.push({ row, outcome, tries: tries + 1, latencyMs });
      }
    });
    const tokens = outcomes.reduce((sum: number | undefined, outcome) => (outcome.tokens === undefined ? sum : (sum ?? 0) + outcome.tokens), undefined);
    return finished.length === 0 ? tokens : after(run.finished(finished), tokens);
  };

  const holdBack = (milliseconds: number): void => {
    run.limits.backOff(limits, milliseconds);
    const until = Date.now() + milliseconds;
    if (until > (hold?.until ?? 0)) hold = { until, leave: false, reason: 'The server that is called asked to be left alone for a while.', refused: true };
  };

  const launch = async (batch: Waiting[]): Promise<boolean> => {
    let lease: Lease;
    try {
      lease = await run.limits.take(run.limitKey, run.concurrency, run.stop, { keys: limits, user: run.user, room: run.concurrency - inFlight.size });
    } catch (error) {
      if (!(error instanceof LimitReached)) return false; // stopped while waiting for a place
      again.push(...batch);
      const until = Date.now() + error.waitMs;
      // Where a server has refused meanwhile, that is why.
      hold = hold?.refused ? { ...hold, until: Math.max(until, hold.until), leave: true } : { until, leave: true, reason: error.message, refused: false };
      return true;
    }
    // A server that nobody else knows of has refused while the place was waited for.
    if (hold && limits.length === 0) {
      run.limits.settle(lease);
      again.push(...batch);
      return true;
    }
    let tokens: number | undefined;
    const running = (run.purse ? pay(run.purse, batch) : call(batch))
      .then((taken) => { tokens = taken; })
      .catch((error: unknown) => {
        failure ??= error;
        // What cannot be kept must not be paid for: the places that this page leaves would go to the job's other pages, which are about to find out as well.
        run.limits.penalise(run.limitKey, FAILED_HOLD_MS);
      })
      .finally(() => {
        run.limits.settle(lease, tokens);
        inFlight.delete(running);
        wake();
      });
    inFlight.add(running);
    return true;
  };

  /** Until something finishes, a row's wait is over, or the stop comes. */
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const readyAt = hold?.until ?? Math.min(...again.map((entry) => entry.readyAt));
      const timer = Number.isFinite(readyAt) ? setTimeout(done, Math.max(0, readyAt - Date.now())) : undefined;
      run.stop.addEventListener('abort', done, { once: true });
      wake = done;
      function done(): void {
        clearTimeout(timer);
        run.stop.removeEventListener('abort', done);
        resolve();
      }
    });

  while (!run.stop.aborted && !halted && failure === undefined && unpaid === null) {
    if (hold) {
      if (inFlight.size === 0 && (hold.leave || hold.until - Date.now() > PATIENCE_MS)) break;
      if (hold.until <= Date.now()) hold = null;
    }
    if (!hold && inFlight.size < run.concurrency) {
      const batch = takeBatch();
      if (batch.length > 0) {
        if (!(await launch(batch))) break;
        // Cheap batches would follow each other without a turn of the event loop, and what servers are sent and answer would lie there.
        await breathe();
        continue;
      }
      if (inFlight.size === 0 && again.length === 0) break;
    }
    await pause();
  }

  if (inFlight.size > 0) {
    const drain = setTimeout(() => abort.abort(new Error('The time to drain is over.')), run.drainMs);
    const leave = new Promise<void>((resolve) => {
      abort.signal.addEventListener('abort', () => setTimeout(resolve, ABORT_GRACE_MS).unref(), { once: true });
    });
    await Promise.race([Promise.allSettled(inFlight), leave]);
    clearTimeout(drain);
  }
  if (failure !== undefined) throw failure;
  if (unpaid !== null) return { ms: 0, reason: unpaid.reason, refused: false, unpaidUntil: unpaid.until };
  return hold && { ms: Math.max(0, hold.until - Date.now()), reason: hold.reason, refused: hold.refused };
}

/** Waits where no rows are: a suspended function keeps what it was given, here for as long as the ledger is busy. */
const after = async <T>(done: Promise<void>, answer: T): Promise<T> => {
  await done;
  return answer;
};

const refusedFor = (outcome: HandledOutcome): number => ('error' in outcome ? (outcome.retryAfterSeconds ?? 0) * 1_000 : 0);
