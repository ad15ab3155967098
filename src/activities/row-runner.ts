/** Runs one page's open rows through a handler: bounded concurrency, retries of rows, a stop that drains. */
import type { Limits } from '../limits/limits.ts';
import type { HandledOutcome, HandledRow, PreparedHandler } from '../handlers/handler.ts';

export interface FinishedRow {
  row: HandledRow;
  outcome: HandledOutcome;
  /** Calls made for the row in this run. */
  tries: number;
  latencyMs: number;
}

export interface RowRun {
  handler: PreparedHandler;
  limits: Limits;
  /** Rows under one key share their places, over all pages of the job in this process. */
  limitKey: string;
  concurrency: number;
  /** Aborted: no new row starts; rows in flight may finish for `drainMs`, then the handler is aborted. */
  stop: AbortSignal;
  drainMs: number;
  /** Waits before the second, third, … try of a row whose error is retryable. */
  retryDelaysMs: readonly number[];
  /** Takes what has finished. A pending promise holds new rows back. */
  finished(rows: FinishedRow[]): Promise<void>;
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

/** Rows are asked for when their turn comes. Resolves when every row is finished, or nothing is in flight after a stop; rows not reported are untouched or unfinished. */
export async function runRows(rows: Iterable<HandledRow>, run: RowRun): Promise<void> {
  const untried = rows[Symbol.iterator]();
  const abort = new AbortController();
  const inFlight = new Set<Promise<void>>();
  const again: Waiting[] = [];
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

  const call = async (batch: Waiting[]): Promise<void> => {
    const startedAt = performance.now();
    let outcomes: HandledOutcome[];
    try {
      outcomes = await run.handler.handle(batch.map(({ row }) => row), abort.signal);
      if (outcomes.length !== batch.length) throw new Error(`The handler gave ${outcomes.length} outcomes for ${batch.length} rows.`);
    } catch (error) {
      if (abort.signal.aborted) return; // left undone
      const message = error instanceof Error ? error.message : String(error);
      outcomes = batch.map(() => ({ error: { code: 'handler_error', message, retryable: false } }));
    }
    const latencyMs = (performance.now() - startedAt) / batch.length;
    const finished: FinishedRow[] = [];
    batch.forEach(({ row, tries }, index) => {
      const outcome = outcomes[index]!;
      const delay = run.retryDelaysMs[tries];
      if ('error' in outcome && outcome.error.retryable && delay !== undefined) {
        again.push({ row, tries: tries + 1, readyAt: Date.now() + delay });
      } else {
        finished.push({ row, outcome, tries: tries + 1, latencyMs });
      }
    });
    if (finished.length > 0) await run.finished(finished);
  };

  const launch = async (batch: Waiting[]): Promise<boolean> => {
    let lease;
    try {
      lease = await run.limits.take(run.limitKey, run.concurrency, run.stop);
    } catch {
      return false; // stopped while waiting for a place
    }
    const running = call(batch)
      .catch((error: unknown) => {
        failure ??= error;
        // What cannot be kept must not be paid for: the places that this page leaves would go to the job's other pages, which are about to find out as well.
        run.limits.penalise(run.limitKey, FAILED_HOLD_MS);
      })
      .finally(() => {
        run.limits.settle(lease);
        inFlight.delete(running);
        wake();
      });
    inFlight.add(running);
    return true;
  };

  /** Until something finishes, a row's wait is over, or the stop comes. */
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      const readyAt = Math.min(...again.map((entry) => entry.readyAt));
      const timer = Number.isFinite(readyAt) ? setTimeout(done, Math.max(0, readyAt - Date.now())) : undefined;
      run.stop.addEventListener('abort', done, { once: true });
      wake = done;
      function done(): void {
        clearTimeout(timer);
        run.stop.removeEventListener('abort', done);
        resolve();
      }
    });

  while (!run.stop.aborted && failure === undefined) {
    if (inFlight.size < run.concurrency) {
      const batch = takeBatch();
      if (batch.length > 0) {
        if (!(await launch(batch))) break;
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
}
