/** Rows as workflows of their own: a window of item jobs over the planned pages, which outlives a run of the job. */
import { ApplicationFailure, condition, setHandler, sleep, startChild } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ITEM_WORKFLOW,
  type AskedItem, type FannedPage, type FanOutActivities, type FanOutState, type ItemControl, type ItemJobInput, type ItemNews, type ItemsRest, type ItemWish, type PageRef,
  type RunningItem, type SteerItemInput,
} from '../contracts/items.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import { PRIORITY_KEYS } from '../contracts/job.ts';
import type { ProcessPageAnswer } from '../contracts/sheet-messages.ts';
import { holdsPage, returnPage, withoutPage } from '../domain/paging.ts';
import { LONG_WAIT_MS } from './activity-options.ts';
import { itemNewsSignal, steerItemUpdate } from './item-messages.ts';

/** How often somebody looks whether items that do not answer are gone (terminated, for one). */
const LOOK_MS = 30_000;
/** An item that let go of its row and has not quite ended is given so long. */
const ENDING_MS = 1_000;
/** Items started before the history is looked at again. */
const STARTS_AT_ONCE = 50;
/** Pages are counted no more often, when a window of rows has ended since; and no later. */
const COUNT_MS = { least: 1_000, most: 10_000 } as const;
/** Rows of which something is asked while they have no workflow. */
const MOST_ASKED = 1_000;

const NOTHING_ASKED: ItemWish = { wanted: 'running', priority: null };

/** What the job gives. */
export interface FanOutJob {
  ref(): PageRef;
  /** The next page with something to do. */
  takePage(): number | undefined;
  returnPage(page: number): void;
  /** Whether the page has not been taken. */
  holdsPage(page: number): boolean;
  activities(summary: string): FanOutActivities;
  /** Of an item about to start. */
  asked(): Pick<ItemJobInput, 'priority' | 'concurrency'>;
  counted(answer: ProcessPageAnswer): void;
  /** Rows cannot be handled, for a reason that is not theirs. */
  broken(error: ErrorBody): void;
  /** What the job shows: it runs, or none of its items can and it waits with them. */
  shows(rest: ItemsRest | null): Promise<void>;
  /** The same for long: the job lets go of its rows, and of its place. */
  rests(rest: ItemsRest): void;
  mayGoOn(): boolean;
  /** Nothing can be asked of rows any more. */
  isEnding(): boolean;
}

export class FanOut {
  readonly #job: FanOutJob;
  #pages: FannedPage[];
  #window: number | null;
  readonly #running: Map<number, RunningItem>;
  readonly #asked: Map<number, AskedItem>;
  /** Rows that have ended since pages were counted, and when that was. */
  #ended = 0;
  #countedAt = 0;
  /** The results of pages that are not over may lack rows that have ended. */
  #unwritten: boolean;
  /** What items and people have said in this run. */
  #news = 0;

  constructor(job: FanOutJob, state: FanOutState | undefined) {
    this.#job = job;
    this.#pages = state?.pages ?? [];
    this.#window = state?.window ?? null;
    this.#unwritten = state !== undefined;
    this.#running = new Map(state?.running.map((item) => [item.row, item]));
    this.#asked = new Map(state?.asked.map((item) => [item.row, item]));
    setHandler(itemNewsSignal, (news) => this.#heed(news));
    setHandler(steerItemUpdate, (asked) => this.#steer(asked), { validator: (asked) => this.#maySteer(asked) });
  }

  carried(): FanOutState {
    return { pages: this.#pages, running: [...this.#running.values()], asked: [...this.#asked.values()], window: this.#window };
  }

  /** Grows with whatever items and people say. */
  get news(): number {
    return this.#news;
  }

  get empty(): boolean {
    return this.#pages.length === 0;
  }

  shown(): Pick<FanOutState, 'running' | 'asked'> {
    return { running: [...this.#running.values()], asked: [...this.#asked.values()] };
  }

  /** Until no row is left, or the job may not go on; items that run go on by themselves. */
  async run(): Promise<void> {
    while (this.#job.mayGoOn()) {
      const seen = this.#news;
      if (await this.#fill()) continue;
      if (this.empty) return;
      await this.#count();
      if (this.empty || this.#news > seen || !this.#job.mayGoOn()) continue;
      const rest = this.#rest();
      if (rest?.until && Date.parse(rest.until) - Date.now() > LONG_WAIT_MS) return this.#job.rests(rest);
      await this.#job.shows(rest);
      const alarms = [LOOK_MS, this.#countIn(), ...(rest?.until ? [Date.parse(rest.until) - Date.now()] : [])];
      const patience = Math.max(1, Math.min(...alarms));
      const woken = await condition(() => this.#news > seen || !this.#job.mayGoOn(), patience);
      if (woken || patience < LOOK_MS) continue;
      if (rest?.until === null) return this.#job.rests(rest);
      await this.#look();
    }
  }

  // ── starting ───────────────────────────────────────────────────────────────────────────────────────────────

  /** How many further rows may be started. A paused one holds no place. */
  get #room(): number {
    const window = this.#job.asked().concurrency ?? this.#window ?? 1;
    return window - [...this.#running.values()].filter(({ rests }) => rests?.until !== null).length;
  }

  /** Starts what there is room for. True: there may be more to start. */
  async #fill(): Promise<boolean> {
    const starts: Promise<void>[] = [];
    while (starts.length < Math.min(STARTS_AT_ONCE, this.#room + starts.length) && this.#job.mayGoOn()) {
      const next = this.#takeRow();
      if (!next) break;
      starts.push(this.#start(next.page, next.row));
    }
    await Promise.all(starts);
    if (this.#room <= 0 || !this.#job.mayGoOn()) return false;
    return starts.length > 0 || (await this.#planNext());
  }

  /** Of the planned pages: what was asked to end, then what was asked to be sooner than others, then the first. Rows that are to pause are not begun. */
  #takeRow(): { page: FannedPage; row: number } | undefined {
    const asked = this.#asked.values().filter(({ row, page, wanted }) => wanted !== 'paused' && this.#pages.some((one) => one.page === page && holdsPage(one.open, row)));
    const [first] = [...asked].sort((a, b) => this.#rank(a) - this.#rank(b));
    const usual = PRIORITY_KEYS[this.#job.asked().priority];
    if (first && this.#rank(first) < usual) return this.#takeOut(first);
    const later = [...this.#asked.values()].filter((one) => one.wanted === 'paused' || this.#rank(one) > usual).map(({ row }) => row);
    for (const { page, open } of this.#pages) {
      const free = later.reduce(withoutPage, open)[0];
      if (free) return this.#takeOut({ page, row: free[0] });
    }
    return first && this.#takeOut(first);
  }

  /** Whether a planned page has a row that may be started. */
  get #hasRow(): boolean {
    const paused = [...this.#asked.values()].filter(({ wanted }) => wanted === 'paused').map(({ row }) => row);
    return this.#pages.some(({ open }) => paused.reduce(withoutPage, open).length > 0);
  }

  /** Lower is sooner. */
  #rank({ wanted, priority }: ItemWish): number {
    return wanted === 'cancelled' ? 0 : PRIORITY_KEYS[priority ?? this.#job.asked().priority];
  }

  #takeOut({ page: number, row }: { page: number; row: number }): { page: FannedPage; row: number } {
    const page = this.#pages.find((one) => one.page === number)!;
    page.open = withoutPage(page.open, row);
    return { page, row };
  }

  async #start(page: FannedPage, row: number): Promise<void> {
    const ref = { ...this.#job.ref(), page: page.page };
    const { wanted, priority } = this.#asked.get(row) ?? NOTHING_ASKED;
    this.#asked.delete(row);
    this.#running.set(row, { row, page: page.page, rests: null });
    const input: ItemJobInput = { ...ref, row, ...this.#job.asked(), wish: { wanted, priority }, again: page.again.includes(row) };
    try {
      await startChild(ITEM_WORKFLOW, {
        workflowId: `${ref.jobId}/${ref.attempt}/row/${row}`, args: [input], parentClosePolicy: 'ABANDON',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE', staticSummary: `row ${row}`,
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      // The one before has told that it let go, and is about to end.
      await sleep(ENDING_MS);
      this.#heed({ row, is: 'released', wish: { wanted, priority } });
    }
  }

  /** Only when the pages that are planned have no row left to start. */
  async #planNext(): Promise<boolean> {
    if (this.#hasRow) return false;
    const page = this.#job.takePage();
    if (page === undefined) return false;
    try {
      const answer = await this.#job.activities(`plan page ${page}`).planItems({ ...this.#job.ref(), page });
      this.#window = answer.concurrency;
      this.#job.counted(answer);
      if (answer.complete) this.#forget(page);
      else this.#pages.push({ page, open: answer.open, again: [] });
    } catch (error) {
      this.#job.returnPage(page);
      throw error;
    }
    return true;
  }

  // ── counting ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Counts pages whose rows have ended, and the others from time to time. */
  async #count(): Promise<void> {
    const over = this.#pages.filter(({ page, open }) => open.length === 0 && ![...this.#running.values()].some((item) => item.page === page));
    const due = this.#countIn() <= 0;
    for (const page of due ? this.#pages : over) await this.#settle(page, over.includes(page));
    if (!due) return;
    this.#ended = 0;
    this.#countedAt = Date.now();
  }

  /** Milliseconds until rows that have ended are counted; infinite while there are none. */
  #countIn(): number {
    if (this.#ended === 0) return Infinity;
    const many = this.#ended >= (this.#job.asked().concurrency ?? this.#window ?? 1);
    return this.#countedAt + (many ? COUNT_MS.least : COUNT_MS.most) - Date.now();
  }

  async #settle(page: FannedPage, over: boolean, final = over): Promise<void> {
    const number = page.page;
    const answer = await this.#job.activities(`count page ${number}`).settleItems({ ...this.#job.ref(), page: number, final, again: page.again });
    this.#job.counted(answer);
    // Somebody may have asked to try one of its rows again meanwhile.
    if (!over || page.open.length > 0) return;
    this.#pages = this.#pages.filter((one) => one !== page);
    this.#forget(number);
    if (!answer.complete) this.#job.returnPage(number);
  }

  /** What was asked of rows of a page that is over. */
  #forget(page: number): void {
    for (const asked of this.#asked.values()) if (asked.page === page) this.#asked.delete(asked.row);
  }

  // ── what items say ─────────────────────────────────────────────────────────────────────────────────────────

  #heed(news: ItemNews): void {
    const item = this.#running.get(news.row);
    if (!item) return;
    this.#news++;
    if (news.is === 'paused') item.rests = { until: null, reason: null };
    else if (news.is === 'rate_limited') item.rests = { until: news.until, reason: news.reason };
    else if (news.is === 'going_on') item.rests = null;
    else {
      this.#running.delete(news.row);
      this.#ended++;
      this.#unwritten = true;
      if (news.is === 'broken') this.#job.broken(news.error);
      if (news.is !== 'released') return;
      if (news.wish.wanted !== 'running' || news.wish.priority !== null) this.#asked.set(news.row, { row: news.row, page: item.page, ...news.wish });
      const page = this.#pages.find((one) => one.page === item.page);
      if (page) page.open = returnPage(page.open, news.row);
      if (news.unpaid) this.#job.rests({ cause: 'budget', ...news.unpaid });
    }
  }

  /** Not null: every row that could be handled waits for a limit, or for whoever paused it. */
  #rest(): ItemsRest | null {
    const now = Date.now();
    const items = [...this.#running.values()];
    if (items.length === 0 && this.#hasRow) return null;
    if (!items.every(({ rests }) => rests && (rests.until === null || Date.parse(rests.until) > now))) return null;
    const [next] = items.flatMap(({ rests }) => (rests?.until ? [{ until: rests.until, reason: rests.reason ?? '' }] : [])).sort((a, b) => Date.parse(a.until) - Date.parse(b.until));
    return next ? { cause: 'rate_limit', ...next } : { cause: 'approval', until: null, reason: 'All rows that are left have been paused by themselves.' };
  }

  async #look(): Promise<void> {
    const { tenant, jobId, attempt } = this.#job.ref();
    this.#lost(await this.#job.activities('look for items').itemsGone({ tenant, jobId, attempt, rows: [...this.#running.keys()] }));
  }

  /** Terminated, for one. Started once more they find their outcome in the ledger, or fail as rows that were cancelled. */
  #lost(rows: number[]): void {
    for (const row of rows) this.#heed({ row, is: 'released', wish: { wanted: 'cancelled', priority: null } });
  }

  /** Until every item has let go of its row, at the latest when the job's time to drain is over. */
  async stop(): Promise<void> {
    while (this.#running.size > 0) {
      const { tenant, jobId, attempt } = this.#job.ref();
      this.#lost(await this.#job.activities('let go of rows').releaseItems({ tenant, jobId, attempt, rows: [...this.#running.keys()] }));
      await condition(() => this.#running.size === 0, LOOK_MS);
    }
    if (!this.#unwritten) return;
    for (const page of this.#pages) await this.#settle(page, false, true);
    this.#ended = 0;
    this.#unwritten = false;
  }

  // ── what people ask of single rows ─────────────────────────────────────────────────────────────────────────

  #maySteer({ row, page, control }: SteerItemInput): void {
    const refuse = (message: string): never => { throw ApplicationFailure.nonRetryable(message, 'wrong_state'); };
    if (this.#job.isEnding()) refuse('The job is ending.');
    const planned = this.#pages.find((one) => one.page === page);
    const waits = planned ? holdsPage(planned.open, row) : this.#job.holdsPage(page);
    const runs = this.#running.has(row);
    if (control === 'retry' ? waits || runs : !waits) refuse(runs ? `Row ${row} runs.` : waits ? `Row ${row} has not been tried yet.` : `Row ${row} has ended.`);
    if (this.#asked.size >= MOST_ASKED && !this.#asked.has(row)) refuse('Something is asked of a thousand rows already.');
  }

  #steer({ row, page: number, control, priority }: SteerItemInput): void {
    this.#news++;
    if (control === 'retry') {
      let page = this.#pages.find((one) => one.page === number);
      if (!page) this.#pages.push((page = { page: number, open: [], again: [] }));
      page.open = returnPage(page.open, row);
      if (!page.again.includes(row)) page.again.push(row);
    }
    const before = this.#asked.get(row) ?? NOTHING_ASKED;
    const wish: ItemWish = { wanted: control === null ? before.wanted : wantedBy(control), priority: priority ?? before.priority };
    this.#asked.delete(row);
    if (wish.wanted !== 'running' || wish.priority !== null) this.#asked.set(row, { row, page: number, ...wish });
  }
}

const wantedBy = (control: ItemControl): ItemWish['wanted'] => (control === 'pause' ? 'paused' : control === 'cancel' ? 'cancelled' : 'running');
