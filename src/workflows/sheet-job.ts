/**
 * One attempt of a sheet job: admitted, the sheet read into pages, pages handled in a bounded window, the end written
 * down. What it shares with other kinds of job is in `job-life.ts`.
 */
import { ApplicationFailure, CancellationScope, condition, continueAsNew, defineQuery, defineSignal, setHandler } from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';
import type { Counts, EndedState } from '../contracts/job.ts';
import type { FanOutActivities, ItemsRest } from '../contracts/items.ts';
import { ANSWERS_SIGNAL, STATUS_QUERY, TASK_QUEUES, type ControlAnswer } from '../contracts/messages.ts';
import type {
  JobStatus, PageSpan, SheetJobInput, SheetJobResult, SheetJobState, WriteBackProgress,
} from '../contracts/sheet-messages.ts';
import { VERDICTS, type SourceActivities, type Verdict } from '../contracts/source.ts';
import { countPages, holdsPage, pagesForTask, pagesOf, returnPage, takePages } from '../domain/paging.ts';
import { CAPACITY_WAIT_MS, PAGE, SNAPSHOT, WRITE_BACK } from './activity-options.ts';
import { Answers } from './answers.ts';
import { FanOut, type FanOutJob } from './fan-out.ts';
import { historyIsFull } from './history.ts';
import { JobLife } from './job-life.ts';
import { live, verdictSignals, verdictUpdates } from './job-messages.ts';
import { Version } from './version.ts';

export const answersSignal = defineSignal(ANSWERS_SIGNAL);
export const statusQuery = defineQuery<JobStatus>(STATUS_QUERY);

export async function sheetJob(input: SheetJobInput): Promise<SheetJobResult> {
  const job = new SheetJob(input);
  setHandler(statusQuery, () => job.status());
  setHandler(answersSignal, () => job.answersCame());
  for (const verdict of VERDICTS) {
    setHandler(verdictSignals[verdict], () => void job.decide(verdict));
    setHandler(verdictUpdates[verdict], () => job.decide(verdict), { validator: () => job.mayDecide() });
  }
  return live(job, () => job.run());
}

/** No page: among what is in flight, the look for answers. */
const TAKES_ANSWERS = 0;

class SheetJob extends JobLife {
  #dispatches = 0;
  #sheet: SheetJobState['sheet'] = null;
  readonly #version: Version;
  #writeBack: WriteBackProgress | null = null;
  #pending: PageSpan[] = [];
  /** Pages that only wait for answers of services. */
  readonly #answers = new Answers();
  #counts: Counts = { done: 0, unchanged: 0, failed: 0, skipped: 0 };
  /** By the first of its pages. */
  #inFlight = new Map<number, { lastPage: number; over: Promise<void> }>();
  #ending = false;
  /** None of its rows can go on for long. */
  #rest: ItemsRest | null = null;
  /** Where rows are workflows of their own. */
  readonly #items: FanOut | null;
  readonly #input: SheetJobInput;

  constructor(input: SheetJobInput) {
    super(input, input.carried);
    this.#input = input;
    this.#version = new Version(input.carried?.version);
    this.#items = input.fanOut === undefined ? null : new FanOut(this.#fanOut(), input.carried?.items);
    const { carried } = input;
    if (!carried) return;
    this.#dispatches = carried.dispatches;
    this.#sheet = carried.sheet;
    this.#writeBack = carried.writeBack ?? null;
    this.#pending = carried.pending;
    this.#answers.parked = carried.parked ?? [];
    this.#counts = carried.counts;
  }

  async run(): Promise<SheetJobResult> {
    for (;;) {
      if (this.#items && (this.wanted !== 'running' || this.error || this.refused || this.#rest)) await this.#stopItems(this.#items);
      if (this.wanted === 'cancelled') return this.#end('cancelled', this.cancelledFor);
      if (this.wanted === 'paused') {
        await this.pause();
      } else if (this.error) {
        return this.#end('failed', this.error);
      } else if (this.refused) {
        await this.waitForCapacity(this.refused);
      } else if (this.#version.isAsked) {
        await this.restWithoutPlace({ cause: 'approval', reason: this.#version.asks }, null, () => !this.#version.isAsked);
      } else if (this.#items && this.#rest) {
        await this.#restWithItems(this.#items, this.#rest);
      } else if (this.#waitsForAnswers) {
        await this.#awaitAnswers();
      } else if (!this.placed) {
        await this.admit();
      } else if (!this.#sheet && this.limit.reached) {
        await this.waitForLimit();
      } else if (!this.#sheet) {
        await this.enter('running');
        if (this.wanted === 'running') await this.#openSheet();
      } else if (this.#pending.length === 0 && this.#answers.parked.length === 0 && (this.#items?.empty ?? true) && this.#version.isSettled && (this.#writeBack?.done ?? true)) {
        return this.#end('completed', null);
      } else if (this.limit.reached) {
        await this.waitForLimit();
      } else {
        // Those whose items have all ended write as others do.
        const opening = this.#version.isOpening;
        const items = !opening && (this.#pending.length > 0 || !this.#items?.empty) ? this.#items : null;
        if (!items) await this.enter('running');
        if (historyIsFull()) await this.continueAsNew();
        else if (opening) await this.#bringVersion();
        else if (items) await this.#runItems(items);
        else if (this.#pending.length > 0) await this.#runPages(this.#sheet);
        else if (this.#version.isOpen) await this.#bringVersion();
        else await this.#writeSome();
      }
    }
  }

  async #openSheet(): Promise<void> {
    await this.interruptible(async () => {
      const rows = this.work({ ...SNAPSHOT, summary: 'read the sheet into pages' });
      const answer = await rows.openSheet({ ...this.ref(), sequence: ++this.sequence, generation: this.generation });
      if ('wait' in answer) return this.limit.add(answer.wait);
      this.limit.eased();
      this.#sheet = { total: answer.total, window: answer.window, ...(answer.pagesInTask !== undefined && { pagesInTask: answer.pagesInTask }) };
      this.#pending = answer.pending;
      this.#counts = answer.counts;
      if (answer.versioned) this.#version.begin();
      if (answer.writeBack) this.#writeBack = { cursor: null, done: false };
    });
  }

  #bringVersion(): Promise<void> {
    const work = (summary: string): SourceActivities => this.activities<SourceActivities>({ ...SNAPSHOT, summary }, TASK_QUEUES.rows);
    return this.interruptible(() => this.#version.goOn(work, { ...this.ref(), sequence: ++this.sequence, generation: this.generation }));
  }

  mayDecide(): void {
    if (!this.#version.isAsked) throw ApplicationFailure.nonRetryable('The job does not wait for approval.', 'wrong_state');
  }

  decide(verdict: Verdict): ControlAnswer {
    this.#version.decide(verdict);
    return { state: this.state };
  }

  /** Keeps the window full until pages run out, something stops them, or the history is full; then lets them drain. */
  async #runPages({ window, pagesInTask: most = 1 }: { window: number; pagesInTask?: number }): Promise<void> {
    const start = (page: number, lastPage: number, work: Promise<void>): void => {
      this.#inFlight.set(page, { lastPage, over: work.finally(() => this.#inFlight.delete(page)) });
    };
    await this.interruptible(async () => {
      for (;;) {
        while (this.#inFlight.size < window && this.mayGoOn()) {
          const pages = takePages(this.#pending, pagesForTask(this.#pending, { window, most }));
          if (pages === undefined) break;
          start(...pages, this.#processPages(...pages));
        }
        if (this.#inFlight.size === 0) return;
        await Promise.race(this.#inFlight.values().map(({ over }) => over));
        if (this.#answers.due(Date.now()) && this.mayGoOn()) start(TAKES_ANSWERS, TAKES_ANSWERS, this.#takeAnswers().catch((error: unknown) => this.fail(error)));
        if (this.error) this.interrupt();
      }
    });
  }

  /** Whatever interrupts this, items are told by `stop`. */
  #runItems(items: FanOut): Promise<void> {
    return this.interruptible(() => CancellationScope.nonCancellable(() => items.run()));
  }

  async #stopItems(items: FanOut): Promise<void> {
    try {
      await items.stop();
    } catch (error) {
      this.fail(error);
    }
  }

  async #restWithItems(items: FanOut, rest: ItemsRest): Promise<void> {
    this.#rest = null;
    const before = items.news;
    await this.restWithoutPlace(rest, rest.until === null ? null : Math.max(1, Date.parse(rest.until) - Date.now()), () => items.news > before);
    if (historyIsFull()) await this.continueAsNew();
  }

  #fanOut(): FanOutJob {
    return {
      ref: () => ({ ...this.ref(), page: 0, generation: this.generation, dispatch: ++this.#dispatches }),
      takePage: () => takePages(this.#pending, 1)?.[0],
      returnPage: (page) => { this.#pending = returnPage(this.#pending, page); },
      holdsPage: (page) => holdsPage(this.#pending, page),
      activities: (summary) => this.activities<FanOutActivities>({ ...PAGE, summary }, TASK_QUEUES.rows),
      asked: () => ({ priority: this.priority, concurrency: this.concurrency }),
      counted: ({ counts, stopped }) => {
        this.#counts = counts;
        if (stopped) this.error ??= stopped;
        this.capacityWaitMs = CAPACITY_WAIT_MS.first;
      },
      broken: (error) => { this.error ??= error; },
      shows: (rest) => (rest ? this.enter('waiting', rest) : this.enter('running')),
      rests: (rest) => { this.#rest = rest; },
      mayGoOn: () => this.mayGoOn() && this.#rest === null,
      isEnding: () => this.#ending || this.wanted === 'cancelled' || this.error !== null,
    };
  }

  async #processPages(page: number, lastPage: number): Promise<void> {
    const several = lastPage > page;
    const rows = this.work({ ...PAGE, summary: several ? `pages ${page} to ${lastPage}` : `page ${page}` });
    try {
      const answer = await rows.processPage({
        ...this.ref(), page, ...(several && { lastPage }), generation: this.generation, dispatch: ++this.#dispatches, concurrency: this.concurrency,
        lastTry: this.limit.lastTry,
      });
      if (finished(answer.counts) > finished(this.#counts)) this.limit.eased();
      this.#counts = answer.counts;
      if (answer.wait) this.limit.add(answer.wait);
      if (answer.stopped) this.error ??= answer.stopped;
      const left = answer.complete ? lastPage + 1 : (answer.left ?? page);
      if (left > page) this.capacityWaitMs = CAPACITY_WAIT_MS.first;
      if (answer.parked) this.#answers.park(left);
      const again = answer.parked ? left + 1 : left;
      if (again <= lastPage) this.#pending = returnPage(this.#pending, again, lastPage);
    } catch (error) {
      this.#pending = returnPage(this.#pending, page, lastPage);
      this.fail(error);
    }
  }

  answersCame(): void {
    this.#answers.came = true;
  }

  /** All that there is to do for now. */
  get #waitsForAnswers(): boolean {
    return this.#sheet !== null && this.#pending.length === 0 && this.#answers.parked.length > 0 && !this.limit.reached;
  }

  /** In the open, for days if need be: it keeps the source and lane to itself, and no place among the running jobs. */
  async #awaitAnswers(): Promise<void> {
    await this.interruptible(() => this.#takeAnswers());
    if (this.wanted !== 'running' || this.error || this.refused || !this.#waitsForAnswers) return;
    const { submitted, lookMs } = this.#answers;
    const why = { cause: 'dependency', reason: `${submitted === 1 ? '1 row waits' : `${submitted} rows wait`} for the answer of a service.` } as const;
    if (this.placed) await this.restWithoutPlace(why, lookMs, () => this.#answers.came);
    else {
      await this.enter('waiting', why);
      await condition(() => this.#answers.came || this.wanted !== 'running', lookMs);
    }
    if (historyIsFull()) await this.continueAsNew();
  }

  async #takeAnswers(): Promise<void> {
    this.#answers.begin(Date.now());
    const answer = await this.work({ ...PAGE, summary: 'answers of services' }).collectAnswers(this.ref());
    for (const page of this.#answers.take(answer)) this.#pending = returnPage(this.#pending, page);
  }

  /** A pause or cancel interrupts it; what was written meanwhile is found when it is written again. */
  async #writeSome(): Promise<void> {
    await this.interruptible(async () => {
      const rows = this.work({ ...WRITE_BACK, summary: 'write results into the sheet' });
      const { cursor, wait } = await rows.writeBack({ ...this.ref(), sequence: ++this.sequence, cursor: this.#writeBack?.cursor ?? null });
      if (wait) this.limit.add(wait);
      else this.limit.eased();
      this.#writeBack = { cursor, done: cursor === null };
    });
  }

  async #end(state: EndedState, error: ErrorBody | null): Promise<SheetJobResult> {
    this.#ending = true;
    this.#counts = await this.finish(state, error);
    const total = this.#sheet?.total ?? null;
    return { state, total, counts: this.#counts, remaining: Math.max(0, (total ?? 0) - finished(this.#counts)) };
  }

  protected continued(): Promise<never> {
    return continueAsNew<typeof sheetJob>({
      ...this.#input, priority: this.priority, concurrency: this.concurrency,
      carried: {
        ...this.carried(), dispatches: this.#dispatches, sheet: this.#sheet, ...(this.#version.progress && { version: this.#version.progress }), ...(this.#writeBack && { writeBack: this.#writeBack }),
        pending: this.#pending, ...(this.#answers.parked.length > 0 && { parked: this.#answers.parked }), counts: this.#counts, ...(this.#items && { items: this.#items.carried() }),
      },
    });
  }

  status(): JobStatus {
    return {
      state: this.state, cause: this.cause, until: this.until, reason: this.reason,
      attempt: this.#input.attempt, priority: this.priority, concurrency: this.concurrency,
      total: this.#sheet?.total ?? null, counts: this.#counts,
      pagesInFlight: pagesOf([...this.#inFlight].map(([page, { lastPage }]): PageSpan => [page, lastPage])).filter((page) => page !== TAKES_ANSWERS), pagesPending: countPages(this.#pending), ...(this.#items && { items: this.#items.shown() }),
    };
  }
}

const finished = ({ done, unchanged, failed, skipped }: Counts): number => done + unchanged + failed + skipped;
