/**
 * Commits what has finished of a page, in sub-batches: items and failed rows first, then the page's counts, then a
 * heartbeat. A row counts only once it is committed.
 */
import { resultLine } from '../blobs/pages.ts';
import type { BreakerOptions, Counts } from '../contracts/job.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import type { PageRow, RowFailure, RowResult, Spent } from '../contracts/row.ts';
import { breakerError, breakerTripped } from '../domain/breaker.ts';
import { countOutcomes, isFault, type PagePlan } from '../domain/page-plan.ts';
import { ifKnown, plus, spentOn } from '../domain/spent.ts';
import { searchText } from '../domain/search-text.ts';
import type { Store } from '../store/store.ts';
import type { FailedRow, ItemWrite, LaneRef } from '../store/ports/rows.ts';
import type { FinishedRow } from './row-runner.ts';

export interface PageIdentity {
  lane: LaneRef;
  jobId: string;
  tags: string[];
  page: number;
  attempt: number;
  fence: bigint;
  handlerHash: string;
  /** The rows may be on the list of failed rows by this very attempt: somebody has asked to try them again. */
  again?: boolean;
}

/** A costly row is committed at the latest so long after its answer. */
const MAX_WAIT_MS = 250;

export class PageCommits {
  /** The page's result so far: a line a row, by row. Text, so that thousands of outputs cost the collector nothing. */
  readonly lines = new Map<number, string>();
  /** Rows that wait for the answer of a service. */
  readonly submitted = new Set<number>();
  /** Set when the circuit breaker tripped. */
  tripped: ErrorBody | null = null;
  #tried: number;
  #faults: number;
  #spent: Spent;
  #counts: Counts;
  /** The whole attempt, all pages, as of the last commit and with the rows that have finished here since. */
  #attempt = { tried: 0, faults: 0 };
  #waiting: FinishedRow[] = [];
  /** Rows waiting, and those in commits that are under way; and those of them that a breaker counts. */
  #uncommitted = 0;
  #uncommittedFaults = 0;
  #timer: NodeJS.Timeout | undefined;
  #submitting: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();
  /** Counts are written one after the other, so that the newest stand. */
  #counting: Promise<void> = Promise.resolve();
  #failure: unknown;

  readonly #store: Store;
  readonly #page: PageIdentity;
  readonly #hashes: ReadonlyMap<number, string>;
  readonly #breaker: BreakerOptions | null;
  readonly #batchRows: number;
  readonly #maxUncommitted: number;
  /** Null: the page's counts are written by somebody else. */
  readonly #countsEveryMs: number | null;
  #countsWrittenAt = -Infinity;
  readonly #heartbeat: () => void;
  readonly #stop: () => void;

  /** `stop` is called when no further row must start: the breaker tripped, or a commit failed. */
  constructor(given: {
    store: Store; page: PageIdentity; plan: PagePlan; inputHashes: ReadonlyMap<number, string>;
    breaker: BreakerOptions | null; batchRows: number; maxUncommitted: number; countsEveryMs: number | null; heartbeat: () => void; stop: () => void;
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

  /** Rows that are done now may be on the list of failed rows. */
  get #mayBeListed(): boolean {
    return this.#page.attempt > 1 || this.#page.again === true;
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
    const cleared = this.#mayBeListed
      ? [...settled.values()].filter(({ state }) => state !== 'failed').map(({ row }) => row)
      : [];
    if (failed.length > 0 || cleared.length > 0) await this.#writeRows([], failed, cleared);
    if (open.length > 0) await this.#writeCounts(); // else the page's result follows at once, and has them
  }

  /** The page's counts say so soon. */
  submit(row: number): void {
    if (this.submitted.has(row)) return;
    this.submitted.add(row);
    this.#submitting ??= setTimeout(() => {
      this.#submitting = undefined;
      this.#track(this.#writeCounts());
    }, MAX_WAIT_MS);
  }

  /** Pending while too many rows are not committed: a kill costs those and the rows in flight. Rejects when a commit failed. */
  async add(rows: FinishedRow[]): Promise<void> {
    this.#waiting.push(...rows);
    const faults = faultsOf(rows);
    this.#uncommitted += rows.length;
    this.#uncommittedFaults += faults;
    this.#attempt.tried += rows.length;
    this.#attempt.faults += faults;
    // Checked with every row, so that the overshoot is what is in flight and no more.
    this.#checkBreaker(this.#attempt);
    if (this.#waiting.length >= this.#batchRows) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), MAX_WAIT_MS);
    while (this.#uncommitted >= this.#maxUncommitted && this.#failure === undefined && this.#underWay.size > 0) await Promise.race(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Commits all that waits. Rejects when any commit of this page has failed. */
  async close(): Promise<void> {
    clearTimeout(this.#submitting);
    this.#flush();
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      this.#track(this.#commit(this.#waiting.splice(0, this.#batchRows)));
    }
  }

  #track(write: Promise<void>): void {
    const tracked = write
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.#stop();
      })
      .finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  /** What waits for the disk is text: rows, inputs and outputs die young, before the collector copies them. */
  #commit(batch: FinishedRow[]): Promise<void> {
    const items: ItemWrite[] = [];
    const failed: FailedRow[] = [];
    const cleared: number[] = [];
    const results: FinishedLine[] = [];
    for (const finished of batch) {
      const { row, outcome } = finished;
      const error = 'error' in outcome ? outcome.error : null;
      items.push(this.#item(finished));
      if (error) failed.push({ row: row.row, key: row.key, error, input: row.input });
      else if (this.#mayBeListed) cleared.push(row.row);
      results.push({
        row: row.row, error, spent: spentOn(outcome),
        line: resultLine('output' in outcome ? { row: row.row, state: 'done', output: outcome.output, ...(outcome.cached && { cached: true }) } : failedResult(row.row, outcome.error)),
      });
    }
    return this.#settle(results, faultsOf(batch), this.#writeRows(items, failed, cleared));
  }

  async #settle(results: FinishedLine[], faults: number, written: ReturnType<Store['commitRows']>): Promise<void> {
    const refused = await written;
    this.#uncommitted -= results.length;
    this.#uncommittedFaults -= faults;
    for (const { row, line, error: own, spent } of results) {
      const refusal = refused.get(row);
      const error = refusal ?? own;
      this.submitted.delete(row);
      this.lines.set(row, refusal ? resultLine(failedResult(row, refusal)) : line);
      this.#counts[error === null ? 'done' : 'failed']++;
      this.#tried++;
      if (spent.tokens !== null || spent.cost !== null) this.#spent = plus(this.#spent, spent);
      if (error !== null && isFault(error)) this.#faults++;
    }
    if (this.#countsEveryMs !== null && performance.now() - this.#countsWrittenAt >= this.#countsEveryMs) await this.#writeCounts();
    else this.#heartbeat();
  }

  #item({ row, outcome, tries, latencyMs }: FinishedRow): ItemWrite {
    const output = 'error' in outcome ? null : outcome.output;
    const { tokens, cost } = spentOn(outcome);
    return {
      key: row.key, row: row.row, input: row.input, output,
      inputHash: this.#hashes.get(row.row)!, handlerHash: this.#page.handlerHash,
      state: 'error' in outcome ? 'failed' : 'done',
      error: 'error' in outcome ? outcome.error : null,
      job: this.#page.jobId, attempt: this.#page.attempt, text: searchText(row.input, output),
      tries, tokens, cost, latencyMs,
    };
  }

  #writeRows(items: ItemWrite[], failed: FailedRow[], cleared: number[]): ReturnType<Store['commitRows']> {
    const { lane, jobId, tags, fence } = this.#page;
    return this.#store.commitRows({ lane, job: jobId, tags, fence, items, failed, cleared });
  }

  #writeCounts(): Promise<void> {
    return (this.#counting = this.#counting.then(async () => {
      const { lane, jobId, page, attempt, fence } = this.#page;
      this.#countsWrittenAt = performance.now();
      const written = this.tally;
      const mine = await this.#store.writePage(lane.tenant, jobId, {
        page, attempt, fence, counts: this.counts, ...written, complete: false, result: null, ...(this.submitted.size > 0 && { submitted: this.submitted.size }),
      });
      if (!mine) throw new Error(`Page ${page} is in other hands: a newer try has taken it over.`);
      this.#heartbeat();
      if (!this.#breaker) return;
      const totals = await this.#store.jobTotals(lane.tenant, jobId, attempt);
      this.#attempt = {
        tried: totals.tried + this.#tried - written.tried + this.#uncommitted,
        faults: totals.faults + this.#faults - written.faults + this.#uncommittedFaults,
      };
      this.#checkBreaker(this.#attempt);
    }));
  }

  #checkBreaker(totals: { tried: number; faults: number }): void {
    if (this.tripped || !this.#breaker || !breakerTripped(this.#breaker, totals)) return;
    this.tripped = breakerError(this.#breaker, totals);
    this.#stop();
  }
}

const faultsOf = (rows: readonly FinishedRow[]): number =>
  rows.reduce((faults, { outcome }) => faults + ('error' in outcome && isFault(outcome.error) ? 1 : 0), 0);

/** A row on its way to the store, as its line in the page's result. */
interface FinishedLine {
  row: number;
  line: string;
  error: RowFailure | null;
  spent: Spent;
}

const failedResult = (row: number, error: RowFailure): RowResult => ({ row, state: 'failed', output: null, error });
