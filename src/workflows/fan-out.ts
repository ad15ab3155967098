/** Rows as workflows of their own: a window of item jobs over the planned pages, which outlives a run of the job. */
import { condition, getExternalWorkflowHandle, setHandler, startChild } from '@temporalio/workflow';
import { ITEM_WORKFLOW, type FanOutState, type ItemActivities, type ItemEnded, type ItemJobInput, type PageRef, type RunningItem } from '../contracts/items.ts';
import type { ProcessPageAnswer } from '../contracts/messages.ts';
import { returnPage, takePage } from '../domain/paging.ts';
import { itemEndedSignal, releaseSignal } from './item-job.ts';

/** How often somebody looks whether items that do not answer are gone (terminated, for one). */
const LOOK_MS = 60_000;

/** What the job gives. */
export interface FanOutJob {
  ref(): PageRef;
  /** The next page with something to do. */
  takePage(): number | undefined;
  returnPage(page: number): void;
  activities(summary: string): ItemActivities;
  /** Of an item about to start. */
  asked(): Pick<ItemJobInput, 'priority' | 'concurrency'>;
  counted(answer: ProcessPageAnswer): void;
  mayGoOn(): boolean;
}

export class FanOut {
  readonly #job: FanOutJob;
  readonly #state: FanOutState;
  readonly #running: Map<number, RunningItem>;
  readonly #held: Set<number>;
  /** Rows that have ended since their page was counted. */
  #ended = 0;
  /** Rows that have ended in this run. */
  #news = 0;

  constructor(job: FanOutJob, state: FanOutState | undefined) {
    this.#job = job;
    this.#state = state ?? { pages: [], running: [], held: [], window: null };
    this.#running = new Map(this.#state.running.map((item) => [item.row, item]));
    this.#held = new Set(this.#state.held);
    setHandler(itemEndedSignal, (ended) => this.#itemEnded(ended));
  }

  carried(): FanOutState {
    return { ...this.#state, running: [...this.#running.values()], held: [...this.#held] };
  }

  get empty(): boolean {
    return this.#state.pages.length === 0;
  }

  get inFlight(): number[] {
    return [...this.#running.keys()];
  }

  /** Until no row is left, or the job may not go on; items that run go on by themselves. */
  async run(): Promise<void> {
    while (this.#job.mayGoOn()) {
      const seen = this.#news;
      const window = this.#job.asked().concurrency ?? this.#state.window ?? 1;
      await this.#startItems(window);
      if (this.#running.size < window && this.#job.mayGoOn() && (await this.#planNext())) continue;
      await this.#settle(window);
      if (this.#running.size === 0 && !this.#state.pages.some(({ open }) => open.length > 0)) {
        if (this.empty) return;
        continue;
      }
      const news = await condition(() => this.#news > seen || !this.#job.mayGoOn(), LOOK_MS);
      if (!news) await this.#look();
    }
  }

  async #startItems(window: number): Promise<void> {
    const starts: Promise<unknown>[] = [];
    for (const { page, open } of this.#state.pages) {
      while (this.#running.size < window && this.#job.mayGoOn()) {
        const row = takePage(open);
        if (row === undefined) break;
        starts.push(this.#start(page, row));
      }
    }
    await Promise.all(starts);
  }

  async #start(page: number, row: number): Promise<void> {
    const ref = { ...this.#job.ref(), page };
    this.#running.set(row, { row, page });
    const input: ItemJobInput = { ...ref, row, ...this.#job.asked(), held: this.#held.delete(row) };
    try {
      await startChild(ITEM_WORKFLOW, {
        workflowId: `${ref.jobId}/${ref.attempt}/row/${row}`, args: [input], parentClosePolicy: 'ABANDON',
        workflowIdReusePolicy: 'ALLOW_DUPLICATE', staticSummary: `row ${row}`,
      });
    } catch {
      // One from before runs still: it is asked to let go, and the row comes again.
      await this.#release(row);
    }
  }

  async #planNext(): Promise<boolean> {
    if (this.#state.pages.some(({ open }) => open.length > 0)) return false;
    const page = this.#job.takePage();
    if (page === undefined) return false;
    try {
      const answer = await this.#job.activities(`plan page ${page}`).planItems({ ...this.#job.ref(), page });
      this.#state.window = answer.concurrency;
      this.#job.counted(answer);
      if (!answer.complete) this.#state.pages.push({ page, open: answer.open });
    } catch (error) {
      this.#job.returnPage(page);
      throw error;
    }
    return true;
  }

  /** Counts pages whose rows have ended, and the others every so many rows. */
  async #settle(every: number): Promise<void> {
    const due = this.#ended >= every;
    for (const { page, open } of this.#state.pages) {
      const over = open.length === 0 && !this.#runs(page);
      if (!over && !due) continue;
      this.#ended = 0;
      await this.#count(page, over);
    }
  }

  async #count(page: number, over: boolean): Promise<void> {
    const answer = await this.#job.activities(`count page ${page}`).settleItems({ ...this.#job.ref(), page });
    this.#job.counted(answer);
    if (!over) return;
    this.#state.pages = this.#state.pages.filter((one) => one.page !== page);
    if (!answer.complete) this.#job.returnPage(page);
  }

  #runs(page: number): boolean {
    return this.#running.values().some((item) => item.page === page);
  }

  #itemEnded({ row, how }: ItemEnded): void {
    const item = this.#running.get(row);
    if (!item) return;
    this.#running.delete(row);
    this.#ended++;
    this.#news++;
    if (how === 'held') this.#held.add(row);
    if (how === 'ended') return;
    const page = this.#state.pages.find((one) => one.page === item.page);
    if (page) page.open = returnPage(page.open, row);
  }

  async #look(): Promise<void> {
    const { tenant, jobId, attempt } = this.#job.ref();
    const gone = await this.#job.activities('look for items').itemsGone({ tenant, jobId, attempt, rows: this.inFlight });
    for (const row of gone) {
      const item = this.#running.get(row);
      if (!item) continue;
      await this.#job.activities(`row ${row}`).failItem({
        ...this.#job.ref(), page: item.page, row,
        error: { code: 'row_cancelled', message: "The row's workflow was ended from outside. A retry of the job takes the row up again." },
      });
      this.#itemEnded({ row, how: 'ended' });
    }
  }

  /** Until every item has let go of its row, at the latest when the job's time to drain is over. */
  async stop(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.all(this.inFlight.map((row) => this.#release(row)));
      if (!(await condition(() => this.#running.size === 0, LOOK_MS))) await this.#look();
    }
    for (const { page } of this.#state.pages) await this.#count(page, false);
  }

  async #release(row: number): Promise<void> {
    const { jobId, attempt } = this.#job.ref();
    await getExternalWorkflowHandle(`${jobId}/${attempt}/row/${row}`).signal(releaseSignal).catch(() => {});
  }
}
