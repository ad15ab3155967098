/**
 * Commits what has finished of a page, in sub-batches: items and failed rows first, then the page's counts. A row counts
 * only once it is committed.
 */
import { lineOfOutcome } from '../blobs/pages.ts';
import { ResultLines } from '../blobs/result-lines.ts';
import type { BreakerOptions, Counts } from '../contracts/job.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import type { PageRow, Spent } from '../contracts/row.ts';
import { breakerError, breakerTripped } from '../domain/breaker.ts';
import { countOutcomes, isFault, type PagePlan } from '../domain/page-plan.ts';
import { ifKnown, NOTHING_SPENT, plus, spentOn } from '../domain/spent.ts';
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
  /** The page's result so far; it has rows that wait for their commit too, of which `close` makes sure. */
  readonly lines: ResultLines;
  /** Rows that wait for the answer of a service. */
  readonly submitted = new Set<number>();
  /** Set when the circuit breaker tripped. */
  tripped: ErrorBody | null = null;
  #tried: number;
  #faults: number;
  #spent: Spent;
  #counts: Counts;
  /** The whole attempt, all pages, when it was looked at last; and with the rows that have finished here since. */
  #seen = { tried: 0, faults: 0 };
  #attempt = { tried: 0, faults: 0 };
  #waiting = newBatch();
  /** Rows waiting, and those in commits that are under way; and those of them that a breaker counts. */
  #uncommitted = 0;
  #uncommittedChars = 0;
  #uncommittedFaults = 0;
  #timer: NodeJS.Timeout | undefined;
  #submitting: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<void>>();
  /** Resolves when the next of them is over. */
  #news = Promise.withResolvers<void>();
  /** Counts are written one after the other, so that the newest stand. */
  #counting: Promise<void> = Promise.resolve();
  #nextCounts: Promise<void> | undefined;
  #failure: unknown;

  readonly #store: Store;
  readonly #page: PageIdentity;
  readonly #breaker: BreakerOptions | null;
  readonly #batchRows: number;
  readonly #maxUncommitted: number;
  /** Null: the page's counts are written by somebody else. */
  readonly #countsEveryMs: number | null;
  #countsWrittenAt = -Infinity;
  readonly #stop: () => void;

  /** `stop` is called when no further row must start: the breaker tripped, or a commit failed. */
  constructor(given: {
    store: Store; page: PageIdentity; plan: PagePlan;
    breaker: BreakerOptions | null; batchRows: number; maxUncommitted: number; countsEveryMs: number | null; stop: () => void;
  }) {
    this.#store = given.store;
    this.#page = given.page;
    this.#breaker = given.breaker;
    this.#batchRows = given.batchRows;
    this.#maxUncommitted = given.maxUncommitted;
    this.#countsEveryMs = given.countsEveryMs;
    this.#stop = given.stop;
    this.lines = ResultLines.of(given.plan.settled.values());
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

  /** Rows with an outcome that is committed. */
  get committed(): number {
    const { done, unchanged, failed, skipped } = this.#counts;
    return done + unchanged + failed + skipped;
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
    this.#uncommitted += rows.length;
    this.#attempt.tried += rows.length;
    for (const row of rows) {
      this.#take(row);
      if (this.#waiting.items.length >= this.#batchRows) this.#flush();
    }
    // Checked with every call, so that the overshoot is what is in flight and no more.
    this.#checkBreaker(this.#attempt);
    if (this.#waiting.items.length > 0) this.#timer ??= setTimeout(() => this.#flush(), MAX_WAIT_MS);
    return this.#room(); // not awaited: a suspended function keeps its arguments, here the rows
  }

  /** Resolves when fewer rows wait for their commit than may. Rejects when a commit failed. */
  async #room(): Promise<void> {
    while ((this.#uncommitted >= this.#maxUncommitted || this.#uncommittedChars >= this.#store.maxUncommittedChars) && this.#failure === undefined && this.#underWay.size > 0) await this.#news.promise;
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Commits all that waits. Rejects when any commit of this page has failed. */
  async close(): Promise<void> {
    clearTimeout(this.#submitting);
    this.#flush();
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Puts the row into words at once: what waits for its commit is text, and the row itself dies young, before the collector copies it. */
  #take({ row: { row, key, input, inputHash }, outcome, tries, latencyMs }: FinishedRow): void {
    const batch = this.#waiting;
    const { handlerHash, jobId: job, attempt } = this.#page;
    const error = 'error' in outcome ? outcome.error : null;
    const output = 'error' in outcome ? null : outcome.output;
    const outputText = JSON.stringify(output);
    const spent = spentOn(outcome);
    const { tokens, cost } = spent;
    const inputText = JSON.stringify(input);
    const text = searchText(input, output);
    const chars = inputText.length + outputText.length + text.length;
    batch.chars += chars;
    this.#uncommittedChars += chars;
    batch.items.push({
      key, row, input: inputText, output: outputText, inputHash, handlerHash, state: error ? 'failed' : 'done', error,
      job, attempt, text, tries, tokens, cost, latencyMs,
    });
    if (tokens !== null || cost !== null) batch.spent = plus(batch.spent, spent);
    if (error === null) {
      if (this.#mayBeListed) batch.cleared.push(row);
    } else {
      batch.failed.push({ row, key, error, input });
      if (isFault(error)) {
        this.#uncommittedFaults++;
        this.#attempt.faults++;
      }
    }
    this.lines.set(row, lineOfOutcome(row, error ? 'failed' : 'done', outputText, error, outcome.cached));
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { items, failed, cleared, spent, chars } = this.#waiting;
    if (items.length === 0 || this.#failure !== undefined) return;
    this.#waiting = newBatch();
    this.#track(this.#settle(items.map(({ row }) => row), { failed, spent, chars }, this.#writeRows(items, failed, cleared)));
  }

  #track(write: Promise<void>): void {
    const tracked = write
      .catch((error: unknown) => {
        this.#failure ??= error;
        this.#stop();
      })
      .finally(() => {
        this.#underWay.delete(tracked);
        this.#news.resolve();
        this.#news = Promise.withResolvers();
      });
    this.#underWay.add(tracked);
  }

  /** It is not given the items, which would live until the disk has them. */
  async #settle(rows: number[], { failed, spent, chars }: Omit<Batch, 'items' | 'cleared'>, written: ReturnType<Store['commitRows']>): Promise<void> {
    const refused = await written;
    for (const [row, error] of refused) this.lines.set(row, lineOfOutcome(row, 'failed', 'null', error));
    const own = failed.filter(({ row }) => !refused.has(row)).map(({ error }) => error);
    const errors = [...own, ...refused.values()];
    if (this.submitted.size > 0) for (const row of rows) this.submitted.delete(row);
    this.#uncommitted -= rows.length;
    this.#uncommittedChars -= chars;
    this.#uncommittedFaults -= failed.filter(({ error }) => isFault(error)).length;
    this.#counts.done += rows.length - errors.length;
    this.#counts.failed += errors.length;
    this.#tried += rows.length;
    this.#faults += errors.filter(isFault).length;
    if (spent !== NOTHING_SPENT) this.#spent = plus(this.#spent, spent);
    if (this.#countsEveryMs !== null && performance.now() - this.#countsWrittenAt >= this.#countsEveryMs) await this.#writeCounts();
  }

  #writeRows(items: ItemWrite[], failed: FailedRow[], cleared: number[]): ReturnType<Store['commitRows']> {
    const { lane, jobId, tags, fence } = this.#page;
    return this.#store.commitRows({ lane, job: jobId, tags, fence, items, failed, cleared });
  }

  /** One that waits for its turn will have what has come since, too. */
  #writeCounts(): Promise<void> {
    return (this.#nextCounts ??= this.#counting = this.#counting.then(async () => {
      this.#nextCounts = undefined;
      const { lane, jobId, page, attempt, fence } = this.#page;
      this.#countsWrittenAt = performance.now();
      const written = this.tally;
      const mine = await this.#store.writePage(lane.tenant, jobId, {
        page, attempt, fence, counts: this.counts, ...written, complete: false, result: null, ...(this.submitted.size > 0 && { submitted: this.submitted.size }),
      });
      if (!mine) throw new Error(`Page ${page} is in other hands: a newer try has taken it over.`);
      if (!this.#breaker || this.#leavesBreaker(this.#breaker)) return;
      this.#seen = await this.#store.jobTotals(lane.tenant, jobId, attempt);
      this.#attempt = {
        tried: this.#seen.tried + this.#tried - written.tried + this.#uncommitted,
        faults: this.#seen.faults + this.#faults - written.faults + this.#uncommittedFaults,
      };
      this.#checkBreaker(this.#attempt);
    }));
  }

  /** Enough rows had been tried when no fault was known, and none is this page's: whoever has the first one looks. */
  #leavesBreaker({ minRows }: BreakerOptions): boolean {
    return this.#seen.tried >= minRows && this.#seen.faults + this.#faults + this.#uncommittedFaults === 0;
  }

  #checkBreaker(totals: { tried: number; faults: number }): void {
    if (this.tripped || !this.#breaker || !breakerTripped(this.#breaker, totals)) return;
    this.tripped = breakerError(this.#breaker, totals);
    this.#stop();
  }
}

/** Rows that wait for their commit. */
interface Batch {
  items: ItemWrite[];
  failed: FailedRow[];
  cleared: number[];
  spent: Spent;
  /** Of the items' content. */
  chars: number;
}

const newBatch = (): Batch => ({ items: [], failed: [], cleared: [], spent: NOTHING_SPENT, chars: 0 });
