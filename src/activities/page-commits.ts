/**
 * Commits what has finished of a page, in sub-batches: items and failed rows first, then the page's counts, then a
 * heartbeat. A row counts only once it is committed.
 */
import { resultLine } from '../blobs/pages.ts';
import type { BreakerOptions, Counts } from '../contracts/job.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import type { PageRow, Spent } from '../contracts/row.ts';
import { breakerError, breakerTripped } from '../domain/breaker.ts';
import { countOutcomes, isFault, type PagePlan } from '../domain/page-plan.ts';
import { ifKnown, plus } from '../domain/spent.ts';
import { searchText } from '../domain/search-text.ts';
import type { FailedRow, ItemWrite, LaneRef, Store } from '../store/store.ts';
import type { FinishedRow } from './row-runner.ts';

export interface PageIdentity {
  lane: LaneRef;
  jobId: string;
  tags: string[];
  page: number;
  attempt: number;
  fence: bigint;
  handlerHash: string;
}

/** A costly row is committed at the latest so long after its answer. */
const MAX_WAIT_MS = 250;

export class PageCommits {
  /** The page's result so far: a line a row, by row. Text, so that thousands of outputs cost the collector nothing. */
  readonly lines = new Map<number, string>();
  /** Set when the circuit breaker tripped. */
  tripped: ErrorBody | null = null;
  #tried: number;
  #faults: number;
  #spent: Spent;
  #counts: Counts;
  /** The whole attempt, all pages, as of the last commit and with the rows that have finished here since. */
  #attempt = { tried: 0, faults: 0 };
  #waiting: FinishedRow[] = [];
  /** Those waiting, and those in the commit that is under way. */
  #uncommitted = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #failure: unknown;

  readonly #store: Store;
  readonly #page: PageIdentity;
  readonly #hashes: ReadonlyMap<number, string>;
  readonly #breaker: BreakerOptions | null;
  readonly #batchRows: number;
  readonly #maxUncommitted: number;
  readonly #countsEveryMs: number;
  #countsWrittenAt = -Infinity;
  readonly #heartbeat: () => void;
  readonly #stop: () => void;

  /** `stop` is called when no further row must start: the breaker tripped, or a commit failed. */
  constructor(given: {
    store: Store; page: PageIdentity; plan: PagePlan; inputHashes: ReadonlyMap<number, string>;
    breaker: BreakerOptions | null; batchRows: number; maxUncommitted: number; countsEveryMs: number; heartbeat: () => void; stop: () => void;
  }) {
    this.#store = given.store;
    this.#page = given.page;
    this.#hashes = given.inputHashes;
    this.#breaker = given.breaker;
    this.#batchRows = given.batchRows;
    this.#maxUncommitted = given.maxUncommitted;
    this.#countsEveryMs = given.countsEveryMs;
    this.#heartbeat = given.heartbeat;
    this.#stop = given.stop;
    for (const result of given.plan.settled.values()) this.lines.set(result.row, resultLine(result));
    this.#tried = given.plan.tried;
    this.#faults = given.plan.faults;
    this.#spent = given.plan.spent;
    this.#counts = countOutcomes(given.plan.settled.values());
  }

  get tally(): { tried: number; faults: number; spent?: Spent } {
    return { tried: this.#tried, faults: this.#faults, ...ifKnown(this.#spent) };
  }

  get handlerHash(): string {
    return this.#page.handlerHash;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  /** What the plan settled without a handler: failures are listed, and the page's counts written. */
  async begin({ newFailures, settled, open }: PagePlan, input: (row: PageRow) => FailedRow['input']): Promise<void> {
    const failed = newFailures.map((row) => ({
      row: row.row, key: row.key, error: settled.get(row.row)!.error!, input: input(row),
    }));
    const cleared = this.#page.attempt > 1
      ? [...settled.values()].filter(({ state }) => state !== 'failed').map(({ row }) => row)
      : [];
    if (failed.length > 0 || cleared.length > 0) await this.#writeRows([], failed, cleared);
    if (open.length > 0) await this.#writeCounts(); // else the page's result follows at once, and has them
  }

  /** Pending while too many rows are not committed: a kill costs those and the rows in flight. Rejects when a commit failed. */
  async add(rows: FinishedRow[]): Promise<void> {
    this.#waiting.push(...rows);
    this.#uncommitted += rows.length;
    for (const { outcome } of rows) {
      if ('error' in outcome && isFault(outcome.error)) this.#attempt.faults++;
      this.#attempt.tried++;
    }
    // Checked with every row, so that the overshoot is what is in flight and no more.
    this.#checkBreaker(this.#attempt);
    if (this.#waiting.length >= this.#batchRows) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), MAX_WAIT_MS);
    if (this.#uncommitted >= this.#maxUncommitted) await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Commits all that waits. Rejects when any commit of this page has failed. */
  async close(): Promise<void> {
    await this.flush();
    if (this.#failure !== undefined) throw this.#failure;
  }

  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running = this.#running.then(() => this.#commit()).catch((error: unknown) => {
      this.#failure ??= error;
      this.#stop();
    });
    return this.#running;
  }

  async #commit(): Promise<void> {
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const batch = this.#waiting.splice(0, this.#batchRows);
      const items: ItemWrite[] = [];
      const failed: FailedRow[] = [];
      for (const finished of batch) {
        const { row, outcome } = finished;
        items.push(this.#item(finished));
        if ('error' in outcome) failed.push({ row: row.row, key: row.key, error: outcome.error, input: row.input });
      }
      const cleared = this.#page.attempt > 1 ? batch.filter(({ outcome }) => !('error' in outcome)).map(({ row }) => row.row) : [];
      const refused = await this.#writeRows(items, failed, cleared);
      this.#uncommitted -= batch.length;
      for (const { row, outcome } of batch) {
        const error = refused.get(row.row) ?? ('error' in outcome ? outcome.error : null);
        this.lines.set(row.row, resultLine(error === null && 'output' in outcome
          ? { row: row.row, state: 'done', output: outcome.output }
          : { row: row.row, state: 'failed', output: null, ...(error !== null && { error }) }));
        this.#counts[error === null ? 'done' : 'failed']++;
        this.#tried++;
        const { tokens = null, cost = null } = outcome;
        if (tokens !== null || cost !== null) this.#spent = plus(this.#spent, { tokens, cost });
        if (error !== null && isFault(error)) this.#faults++;
      }
      if (performance.now() - this.#countsWrittenAt >= this.#countsEveryMs) await this.#writeCounts();
      else this.#heartbeat();
    }
  }

  #item({ row, outcome, tries, latencyMs }: FinishedRow): ItemWrite {
    const output = 'error' in outcome ? null : outcome.output;
    return {
      key: row.key, row: row.row, input: row.input, output,
      inputHash: this.#hashes.get(row.row)!, handlerHash: this.#page.handlerHash,
      state: 'error' in outcome ? 'failed' : 'done',
      error: 'error' in outcome ? outcome.error : null,
      job: this.#page.jobId, attempt: this.#page.attempt, text: searchText(row.input, output),
      tries, tokens: outcome.tokens ?? null, cost: outcome.cost ?? null, latencyMs,
    };
  }

  #writeRows(items: ItemWrite[], failed: FailedRow[], cleared: number[]): ReturnType<Store['commitRows']> {
    const { lane, jobId, tags, fence } = this.#page;
    return this.#store.commitRows({ lane, job: jobId, tags, fence, items, failed, cleared });
  }

  async #writeCounts(): Promise<void> {
    const { lane, jobId, page, attempt, fence } = this.#page;
    this.#countsWrittenAt = performance.now();
    const mine = await this.#store.writePage(lane.tenant, jobId, {
      page, attempt, fence, counts: this.counts, ...this.tally, complete: false, result: null,
    });
    if (!mine) throw new Error(`Page ${page} is in other hands: a newer try has taken it over.`);
    this.#heartbeat();
    if (!this.#breaker) return;
    const totals = await this.#store.jobTotals(lane.tenant, jobId, attempt);
    const uncommitted = this.#waiting.reduce((sum, { outcome }) => ({
      tried: sum.tried + 1, faults: sum.faults + ('error' in outcome && isFault(outcome.error) ? 1 : 0),
    }), { tried: 0, faults: 0 });
    this.#attempt = { tried: totals.tried + uncommitted.tried, faults: totals.faults + uncommitted.faults };
    this.#checkBreaker(this.#attempt);
  }

  #checkBreaker(totals: { tried: number; faults: number }): void {
    if (this.tripped || !this.#breaker || !breakerTripped(this.#breaker, totals)) return;
    this.tripped = breakerError(this.#breaker, totals);
    this.#stop();
  }
}
