/**
 * One attempt of a sheet job: admitted, the sheet read into pages, pages handled in a bounded window, the end written
 * down. `SheetJob` is the state machine; the function below wires it to Temporal's messages.
 */
import {
  ActivityFailure, allHandlersFinished, ApplicationFailure, CancellationScope, CancelledFailure, condition, continueAsNew,
  defineQuery, defineSignal, defineUpdate, isCancellation, proxyActivities, setHandler, TimeoutFailure,
  upsertSearchAttributes, workflowInfo,
} from '@temporalio/workflow';
import type { ActivityOptions } from '@temporalio/common';
import type { ErrorBody } from '../contracts/errors.ts';
import type { Cause, Counts, EndedState, JobState, Priority } from '../contracts/job.ts';
import { isEnded, PRIORITY_KEYS } from '../contracts/job.ts';
import {
  SET_CONCURRENCY, SET_PRIORITY, STATUS_QUERY, TASK_QUEUES,
  type Control, type ControlAnswer, type JobActivities, type JobPlan, type JobStatus, type PageSpan, type RowActivities,
  type SheetJobInput, type SheetJobResult, type SheetJobState,
} from '../contracts/messages.ts';
import { DEPENDENCY_ENDED, type PlanActivities } from '../contracts/plans.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import { countPages, returnPage, takePage } from '../domain/paging.ts';
import { CAPACITY_WAIT_MS, FINISH, LANE_WAIT_MS, LONGEST_TIMER_MS, MAX_HISTORY_EVENTS, PAGE, RECORD, SNAPSHOT, STORES } from './activity-options.ts';

export const statusQuery = defineQuery<JobStatus>(STATUS_QUERY);
export const controlUpdates: Record<Control, ReturnType<typeof defineUpdate<ControlAnswer, []>>> = {
  pause: defineUpdate('pause'), resume: defineUpdate('resume'), cancel: defineUpdate('cancel'),
};
export const controlSignals: Record<Control, ReturnType<typeof defineSignal<[]>>> = {
  pause: defineSignal('pause'), resume: defineSignal('resume'), cancel: defineSignal('cancel'),
};
export const priorityUpdate = defineUpdate<ControlAnswer, [Priority]>(SET_PRIORITY);
export const concurrencyUpdate = defineUpdate<ControlAnswer, [number]>(SET_CONCURRENCY);
export const prioritySignal = defineSignal<[Priority]>(SET_PRIORITY);
export const concurrencySignal = defineSignal<[number]>(SET_CONCURRENCY);
export const dependencySignal = defineSignal<[]>(DEPENDENCY_ENDED);

export async function sheetJob(input: SheetJobInput): Promise<SheetJobResult> {
  const job = new SheetJob(input);
  setHandler(statusQuery, () => job.status());
  for (const control of ['pause', 'resume', 'cancel'] as const) {
    setHandler(controlSignals[control], () => job.heed(control));
    // Not cancellable: an Update gets its answer also after `temporal workflow cancel`.
    setHandler(controlUpdates[control], () => CancellationScope.nonCancellable(() => job.control(control)), { validator: () => job.mayControl(control) });
  }
  setHandler(prioritySignal, (priority) => void job.setPriority(priority));
  setHandler(priorityUpdate, (priority) => job.setPriority(priority), { validator: (priority) => job.maySetPriority(priority) });
  setHandler(concurrencySignal, (concurrency) => void job.setConcurrency(concurrency));
  setHandler(concurrencyUpdate, (concurrency) => job.setConcurrency(concurrency), { validator: (value) => job.maySetConcurrency(value) });
  setHandler(dependencySignal, () => job.lookAgain());
  // `temporal workflow cancel` works as the cancel signal does: what is in flight drains, and the end is written down.
  const root = CancellationScope.current();
  root.cancelRequested.catch(() => CancellationScope.nonCancellable(() => job.heed('cancel')));
  const result = await CancellationScope.nonCancellable(() => job.run());
  // Temporal calls a workflow cancelled only where it was asked itself; after the API's cancel it would call this a failure.
  if (result.state === 'cancelled' && root.consideredCancelled) throw new CancelledFailure('The job was cancelled.');
  return result;
}

const CONTROL_MEANS = { pause: 'paused', resume: 'running', cancel: 'cancelled' } as const;
/** How long a control Update waits for rows in flight before it answers `pausing` or `cancelling`. */
const ANSWER_WAIT_MS = 1_000;

class SheetJob {
  #state: JobState = 'queued';
  #cause: Cause | null = null;
  #until: string | null = null;
  #reason: string | null = null;
  #wanted: SheetJobState['wanted'] = 'running';
  #sequence: number;
  /** What has to come before admission; null once it has. */
  #plan: JobPlan | null;
  /** Something that the plan waits for may have come about. */
  #news = false;
  /** Why nobody's wish cancelled it. */
  #cancelledFor: ErrorBody | null = null;
  #generation = 0;
  #dispatches = 0;
  #sheet: SheetJobState['sheet'] = null;
  #pending: PageSpan[] = [];
  #counts: Counts = { done: 0, unchanged: 0, failed: 0, skipped: 0 };
  #priority: Priority;
  #concurrency: number | null;
  #inFlight = new Map<number, Promise<void>>();
  /** Why no further page starts: the breaker tripped, or a page failed for good. */
  #error: ErrorBody | null = null;
  /** Something that the job stands on refused: wait and try again. */
  #refused: ErrorBody | null = null;
  /** Interrupts the activities of the step that is under way. */
  #step: CancellationScope | null = null;
  /** Records being written. */
  #recording = 0;
  #laneWaitMs: number = LANE_WAIT_MS.first;
  #capacityWaitMs: number = CAPACITY_WAIT_MS.first;
  readonly #input: SheetJobInput;

  constructor(input: SheetJobInput) {
    this.#input = input;
    this.#priority = input.priority;
    this.#concurrency = input.concurrency;
    this.#sequence = input.sequence;
    this.#plan = input.plan ?? null;
    const carried = input.carried;
    if (!carried) return;
    this.#state = carried.state;
    this.#wanted = carried.wanted;
    this.#sequence = carried.sequence;
    this.#plan = carried.plan;
    this.#generation = carried.generation;
    this.#dispatches = carried.dispatches;
    this.#sheet = carried.sheet;
    this.#pending = carried.pending;
    this.#counts = carried.counts;
  }

  async run(): Promise<SheetJobResult> {
    for (;;) {
      if (this.#wanted === 'cancelled') return this.#end('cancelled', this.#cancelledFor);
      if (this.#wanted === 'paused') {
        await this.#enter('paused');
        await condition(() => this.#wanted !== 'paused');
      } else if (this.#error) {
        return this.#end('failed', this.#error);
      } else if (this.#refused) {
        await this.#waitForCapacity(this.#refused);
      } else if (this.#plan) {
        await this.#awaitPlan(this.#plan);
      } else if (this.#generation === 0) {
        await this.#admit();
      } else if (!this.#sheet) {
        await this.#enter('running');
        if (this.#wanted === 'running') await this.#openSheet();
      } else if (this.#pending.length === 0) {
        return this.#end('completed', null);
      } else {
        await this.#enter('running');
        if (this.#historyIsFull()) await this.#continueAsNew();
        else await this.#runPages(this.#sheet.window);
      }
    }
  }

  // ── the steps ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Its time, and the jobs that it depends on. Until then it asks for no place and holds nothing. */
  async #awaitPlan(plan: JobPlan): Promise<void> {
    this.#news = false;
    const judge = this.#activities<PlanActivities>({ ...RECORD, summary: 'what it depends on' }, TASK_QUEUES.jobs);
    const { verdict, unmet, error, reason } = plan.unmet.length === 0
      ? { verdict: 'go', unmet: [], error: null, reason: null }
      : await judge.checkDependencies({ ...this.#ref(), unmet: plan.unmet });
    this.#plan = { ...plan, unmet };
    const due = plan.runAt === null ? 0 : Date.parse(plan.runAt) - Date.now();
    if (verdict === 'cancel') {
      this.#wanted = 'cancelled';
      this.#cancelledFor = error;
      return;
    } else if (due > 0) {
      await this.#enter('queued', { until: plan.runAt, reason: reason === null ? 'It waits for its time.' : `It waits for its time. ${reason}` });
    } else if (verdict === 'wait') {
      await this.#enter('waiting', { cause: 'dependency', reason });
    } else {
      await this.#enter('queued');
      this.#plan = null;
      return;
    }
    const woken = (): boolean => this.#news || this.#wanted !== 'running';
    if (due > 0) await condition(woken, Math.min(due, LONGEST_TIMER_MS));
    else await condition(woken);
    if (this.#historyIsFull()) await this.#continueAsNew();
  }

  async #admit(): Promise<void> {
    const answer = await this.#activities<JobActivities>(RECORD, TASK_QUEUES.jobs).admit(this.#ref());
    if (answer.granted) {
      this.#generation = answer.generation;
      return;
    }
    await this.#enter('waiting', { cause: answer.cause, reason: answer.reason });
    await condition(() => this.#wanted !== 'running', this.#laneWaitMs);
    this.#laneWaitMs = Math.min(this.#laneWaitMs * LANE_WAIT_MS.factor, LANE_WAIT_MS.most);
    if (this.#historyIsFull()) await this.#continueAsNew();
  }

  async #openSheet(): Promise<void> {
    await this.#interruptible(async () => {
      const rows = this.#activities<RowActivities>({ ...SNAPSHOT, summary: 'read the sheet into pages' }, TASK_QUEUES.rows);
      const answer = await rows.openSheet({ ...this.#ref(), sequence: ++this.#sequence, generation: this.#generation });
      this.#sheet = { total: answer.total, window: answer.window };
      this.#pending = answer.pending;
      this.#counts = answer.counts;
    });
  }

  /** Keeps the window full until pages run out, something stops them, or the history is full; then lets them drain. */
  async #runPages(window: number): Promise<void> {
    await this.#interruptible(async () => {
      for (;;) {
        while (this.#inFlight.size < window && this.#mayStartPages()) {
          const page = takePage(this.#pending);
          if (page === undefined) break;
          this.#inFlight.set(page, this.#processPage(page).finally(() => this.#inFlight.delete(page)));
        }
        if (this.#inFlight.size === 0) return;
        await Promise.race(this.#inFlight.values());
        if (this.#error) this.#step?.cancel();
      }
    });
  }

  #mayStartPages(): boolean {
    // A step that was interrupted starts nothing, also when a resume came since: it drains, and the next step goes on.
    const interrupted = this.#step?.consideredCancelled ?? true;
    return !interrupted && this.#wanted === 'running' && !this.#error && !this.#refused && !this.#historyIsFull();
  }

  async #processPage(page: number): Promise<void> {
    const rows = this.#activities<RowActivities>({ ...PAGE, summary: `page ${page}` }, TASK_QUEUES.rows);
    try {
      const answer = await rows.processPage({
        ...this.#ref(), page, generation: this.#generation, dispatch: ++this.#dispatches, concurrency: this.#concurrency,
      });
      this.#counts = answer.counts;
      if (answer.stopped) this.#error ??= answer.stopped;
      if (answer.complete) this.#capacityWaitMs = CAPACITY_WAIT_MS.first;
      else this.#pending = returnPage(this.#pending, page);
    } catch (error) {
      this.#pending = returnPage(this.#pending, page);
      this.#fail(error);
    }
  }

  /** Runs a step that pause, cancel and failure may cancel; what it had in flight has ended when this returns. */
  async #interruptible(step: () => Promise<void>): Promise<void> {
    this.#step = new CancellationScope();
    try {
      await this.#step.run(step);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#step = null;
    }
  }

  /** Sorts a failed activity: an interruption is none, an absent store is waited for, all else ends the job. */
  #fail(error: unknown): void {
    if (isCancellation(error)) return;
    // Its worker was lost, or it failed in a way that is worth another try, while it was asked to stop.
    if (error instanceof ActivityFailure && error.retryState === 'CANCEL_REQUESTED') return;
    const cause = error instanceof ActivityFailure ? error.cause : error;
    if (cause instanceof TimeoutFailure) {
      this.#error ??= {
        code: 'worker_lost', message: 'Workers were lost, again and again, while they handled the same part of the job.',
        remedy: "Look at the worker's log for what ends it, then `sheaf job retry ID`: it goes on with the rows that remain.",
      };
    } else if (cause instanceof ApplicationFailure) {
      const body = (cause.details?.[0] as ErrorBody | undefined) ?? { code: cause.type ?? 'internal', message: cause.message };
      if (body.code === 'worker_stopped') return; // each of its tries met a worker that was being stopped
      if (body.code === 'store_unavailable' || body.code === 'blobs_unavailable') this.#refused ??= body;
      else this.#error ??= body;
    } else {
      throw error;
    }
  }

  async #waitForCapacity(refused: ErrorBody): Promise<void> {
    await this.#enter('waiting', { cause: 'capacity', reason: refused.message });
    await condition(() => this.#wanted !== 'running', this.#capacityWaitMs);
    this.#capacityWaitMs = Math.min(this.#capacityWaitMs * CAPACITY_WAIT_MS.factor, CAPACITY_WAIT_MS.most);
    if (this.#wanted === 'running') {
      // Until they answer: no row is paid for that could not be kept.
      await this.#interruptible(() => this.#activities<RowActivities>({ ...STORES, summary: 'store and blobs' }, TASK_QUEUES.rows).checkStores());
    }
    this.#refused = null;
    if (this.#historyIsFull()) await this.#continueAsNew();
  }

  async #end(state: EndedState, error: ErrorBody | null): Promise<SheetJobResult> {
    const finish = this.#activities<JobActivities>({ ...FINISH, summary: `end as ${state}` }, TASK_QUEUES.jobs);
    const { counts } = await finish.finishJob({
      ...this.#ref(), sequence: ++this.#sequence, state, error, reason: error?.message ?? null,
    });
    this.#state = state;
    this.#counts = counts;
    this.#showState();
    await condition(allHandlersFinished);
    const finished = counts.done + counts.unchanged + counts.failed + counts.skipped;
    const total = this.#sheet?.total ?? null;
    if (error && state === 'failed') throw ApplicationFailure.create({ type: error.code, message: error.message, nonRetryable: true, details: [error] });
    return { state, total, counts, remaining: Math.max(0, (total ?? 0) - finished) };
  }

  #historyIsFull(): boolean {
    return workflowInfo().historyLength >= MAX_HISTORY_EVENTS || workflowInfo().continueAsNewSuggested;
  }

  /** Returns only where something else is wanted meanwhile: that comes first, so that whoever asked gets an answer. */
  async #continueAsNew(): Promise<void> {
    await condition(() => allHandlersFinished() || this.#wanted !== 'running');
    if (this.#wanted !== 'running') return;
    await continueAsNew<typeof sheetJob>({
      ...this.#input, priority: this.#priority, concurrency: this.#concurrency,
      carried: {
        state: this.#state, wanted: this.#wanted, sequence: this.#sequence, generation: this.#generation,
        dispatches: this.#dispatches, plan: this.#plan, sheet: this.#sheet, pending: this.#pending, counts: this.#counts,
      },
    });
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────

  mayControl(control: Control): void {
    const never = isEnded(this.#state) || (this.#wanted === 'cancelled' && control !== 'cancel');
    if (never) throw ApplicationFailure.nonRetryable(`A job that is ${this.#state} cannot ${control}.`, 'wrong_state');
  }

  /** A cancel is final; otherwise the last wish counts. What is in flight drains, and the record says so. */
  async heed(control: Control): Promise<void> {
    if (this.#wanted === 'cancelled' || isEnded(this.#state)) return;
    this.#wanted = CONTROL_MEANS[control];
    if (this.#wanted === 'running' || !this.#step) return;
    this.#step.cancel();
    await this.#enter(this.#wanted === 'paused' ? 'pausing' : 'cancelling');
  }

  lookAgain(): void {
    this.#news = true;
  }

  async control(control: Control): Promise<ControlAnswer> {
    await this.heed(control);
    await condition(() => this.#answers(control), ANSWER_WAIT_MS);
    return { state: this.#state };
  }

  /** Whether the wish has become a state, and the record says so. */
  #answers(control: Control): boolean {
    if (this.#recording > 0) return false;
    if (isEnded(this.#state)) return true;
    if (control === 'resume') return this.#state === 'running' || this.#state === 'waiting' || this.#state === 'queued';
    return this.#state === CONTROL_MEANS[control];
  }

  maySetPriority(priority: Priority): void {
    this.mayControl('resume');
    if (!(priority in PRIORITY_KEYS)) throw ApplicationFailure.nonRetryable(`There is no priority ${priority}.`, 'invalid_request');
  }

  setPriority(priority: Priority): ControlAnswer {
    if (priority in PRIORITY_KEYS) this.#priority = priority;
    return { state: this.#state };
  }

  maySetConcurrency(concurrency: number): void {
    this.mayControl('resume');
    if (!validConcurrency(concurrency)) throw ApplicationFailure.nonRetryable('The concurrency is a whole number from 1 to 1,000.', 'invalid_request');
  }

  setConcurrency(concurrency: number): ControlAnswer {
    if (validConcurrency(concurrency)) this.#concurrency = concurrency;
    return { state: this.#state };
  }

  status(): JobStatus {
    return {
      state: this.#state, cause: this.#cause, until: this.#until, reason: this.#reason,
      attempt: this.#input.attempt, priority: this.#priority, concurrency: this.#concurrency,
      total: this.#sheet?.total ?? null, counts: this.#counts,
      pagesInFlight: [...this.#inFlight.keys()], pagesPending: countPages(this.#pending),
    };
  }

  // ── the record ─────────────────────────────────────────────────────────────────────────────────────────────

  async #enter(state: JobState, why: { cause?: Cause | null; until?: string | null; reason?: string | null } = {}): Promise<void> {
    const cause = why.cause ?? null;
    const reason = why.reason ?? null;
    const until = why.until ?? null;
    if (state === this.#state && cause === this.#cause && reason === this.#reason && until === this.#until) return;
    const stateChanged = state !== this.#state;
    this.#state = state;
    this.#cause = cause;
    this.#until = until;
    this.#reason = reason;
    if (stateChanged) this.#showState();
    const record = this.#activities<JobActivities>({ ...RECORD, summary: state }, TASK_QUEUES.jobs);
    this.#recording++;
    try {
      await record.recordState({ ...this.#ref(), sequence: ++this.#sequence, state, cause, until, reason });
    } finally {
      this.#recording--;
    }
  }

  #showState(): void {
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.state, value: this.#state }]);
  }

  #ref(): { tenant: string; jobId: string; attempt: number } {
    return { tenant: this.#input.tenant, jobId: this.#input.jobId, attempt: this.#input.attempt };
  }

  #activities<A extends object>(options: ActivityOptions, taskQueue: string) {
    const priority = { priorityKey: PRIORITY_KEYS[this.#priority], fairnessKey: this.#input.tenant };
    return proxyActivities<A>({ ...options, taskQueue, priority });
  }
}

const validConcurrency = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 1_000;
