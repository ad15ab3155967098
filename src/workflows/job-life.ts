/**
 * What the workflow of every kind of job does alike: what it is told (`job-messages.ts` wires it), admission, steps that can
 * be interrupted, waits for a store that is away, the end. A kind of job adds its steps.
 */
import { allHandlersFinished, ApplicationFailure, CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';
import type { Counts, EndedState, Priority } from '../contracts/job.ts';
import { isEnded, PRIORITY_KEYS } from '../contracts/job.ts';
import { TASK_QUEUES, type Control, type ControlAnswer, type JobActivities, type JobInput, type JobLifeState, type JobPlan } from '../contracts/messages.ts';
import type { PlanActivities } from '../contracts/plans.ts';
import type { Unpaid } from '../contracts/row.ts';
import type { RowActivities } from '../contracts/sheet-messages.ts';
import { MET, planWait } from '../domain/dependencies.ts';
import { CAPACITY_WAIT_MS, FINISH, LONG_WAIT_MS, LONGEST_TIMER_MS, RECORD, REFUSALS, STORES } from './activity-options.ts';
import { failureOf } from './failures.ts';
import { historyIsFull } from './history.ts';
import { RecordedJob, type Why } from './job-record.ts';
import { LimitPause } from './limit-pause.ts';

const CONTROL_MEANS = { pause: 'paused', resume: 'running', cancel: 'cancelled' } as const;
/** How long a control Update waits for rows in flight before it answers `pausing` or `cancelling`. */
const ANSWER_WAIT_MS = 1_000;

export abstract class JobLife extends RecordedJob {
  protected wanted: JobLifeState['wanted'] = 'running';
  /** The lane's since admission; 0 before the first. */
  protected generation = 0;
  /** It has a place among the running jobs. */
  protected placed = false;
  /** Milliseconds since 1970: from when on it is in line; null: since it was created. */
  protected inLineSince: number | null;
  /** Why nothing further starts: the breaker tripped, or a part failed for good. */
  protected error: ErrorBody | null = null;
  /** Why it is cancelled, where that was nobody's wish. */
  protected cancelledFor: ErrorBody | null = null;
  /** Something that the job stands on refused: wait and try again. */
  protected refused: ErrorBody | null = null;
  /** A limit that has no calls for a while. */
  protected readonly limit = new LimitPause();
  protected capacityWaitMs: number = CAPACITY_WAIT_MS.first;
  /** Interrupts the activities of the step that is under way. */
  #step: CancellationScope | null = null;
  /** Since the last pause it has been put into the queue. */
  #queued = false;
  /** The queue has news, or something that it goes by has changed. */
  #askQueue = false;
  /** What has to come before it asks to be admitted; null once that has come. */
  #plan: JobPlan | null;
  /** How often somebody said to go on. */
  #resumed = 0;
  /** Something that the plan waits for may have come about. */
  #askPlan = false;

  constructor(input: JobInput, carried: JobLifeState | undefined) {
    super(input, carried);
    this.inLineSince = input.attempt === 1 ? null : workflowInfo().startTime.getTime();
    this.#plan = input.plan ?? null;
    if (!carried) return;
    this.wanted = carried.wanted;
    this.generation = carried.generation;
    this.placed = carried.placed;
    this.inLineSince = carried.inLineSince;
    this.#plan = carried.plan;
  }

  /** What a run that continues this one must know of it. */
  protected carried(): JobLifeState {
    return {
      state: this.state, cause: this.cause, until: this.until, reason: this.reason, wanted: this.wanted, sequence: this.sequence,
      generation: this.generation, placed: this.placed, agesAt: this.agesAt, inLineSince: this.inLineSince, plan: this.#plan,
    };
  }

  // ── the steps that all kinds share ─────────────────────────────────────────────────────────────────────────

  /** The record of a pause gives the place back; after it the job is admitted again, in its turn. */
  protected async pause(): Promise<void> {
    await this.enter('paused', {}, this.#queued);
    this.placed = false;
    this.#queued = false;
    await condition(() => this.wanted !== 'paused');
  }

  /** Waits in the queue without asking again and again: whoever frees a place tells who is next. */
  protected async admit(): Promise<void> {
    if (this.#plan) return this.#awaitPlan(this.#plan);
    this.#askQueue = false;
    this.#queued = true;
    const answer = await this.activities<JobActivities>({ ...RECORD, summary: 'admission' }, TASK_QUEUES.jobs).admit({
      ...this.ref(), sequence: ++this.sequence, priority: this.priority, since: this.inLineSince,
    });
    this.agesAt = answer.agesAt;
    this.placed = answer.granted;
    if (answer.granted) {
      this.generation = answer.generation;
      return;
    }
    if (this.wanted === 'running') await this.enter(answer.state, { cause: answer.cause, reason: answer.reason });
    await condition(() => this.wanted !== 'running' || this.#askQueue);
    if (historyIsFull()) await this.continueAsNew();
  }

  askQueueAgain(): void {
    this.#askQueue = true;
  }

  /** Its time, and the jobs that it depends on. Until then it is not in line and holds nothing. */
  async #awaitPlan(plan: JobPlan): Promise<void> {
    this.#askPlan = false;
    const judge = this.activities<PlanActivities>({ ...RECORD, summary: 'what it depends on' }, TASK_QUEUES.jobs);
    const verdict = plan.unmet.length === 0 ? MET : await judge.checkDependencies({ ...this.ref(), unmet: plan.unmet });
    this.#plan = { ...plan, unmet: verdict.unmet };
    if (this.wanted !== 'running') return;
    if (verdict.error) {
      this.wanted = 'cancelled';
      this.cancelledFor = verdict.error;
      return;
    }
    const wait = planWait(plan.runAt, verdict, Date.now());
    if (!wait) {
      await this.enter('queued');
      this.inLineSince = Date.now();
      this.#plan = null;
      return;
    }
    await this.enter(wait.state, wait);
    const called = (): boolean => this.#askPlan || this.wanted !== 'running';
    await (wait.ms === null ? condition(called) : condition(called, Math.min(wait.ms, LONGEST_TIMER_MS)));
    if (historyIsFull()) await this.continueAsNew();
  }

  askPlanAgain(): void {
    this.#askPlan = true;
  }

  protected async waitForCapacity(refused: ErrorBody): Promise<void> {
    await this.enter('waiting', { cause: 'capacity', reason: refused.message });
    await condition(() => this.wanted !== 'running', this.capacityWaitMs);
    this.capacityWaitMs = Math.min(this.capacityWaitMs * CAPACITY_WAIT_MS.factor, CAPACITY_WAIT_MS.most);
    if (this.wanted === 'running') {
      // Until they answer: no row is paid for that could not be kept.
      await this.interruptible(() => this.activities<RowActivities>({ ...STORES, summary: 'store and blobs' }, TASK_QUEUES.rows).checkStores());
    }
    this.refused = null;
    if (historyIsFull()) await this.continueAsNew();
  }

  /** In the open, and without holding a slot. */
  protected async waitForLimit(): Promise<void> {
    const unpaid = this.limit.takeUnpaid();
    if (unpaid) return this.#waitForMoney(unpaid);
    const { until, reason } = this.limit.begin();
    const why: Why = { cause: 'rate_limit', until: new Date(until).toISOString(), reason };
    if (until - Date.now() > LONG_WAIT_MS) await this.restWithoutPlace(why, until - Date.now());
    else {
      await this.enter('waiting', why);
      await condition(() => this.wanted !== 'running', Math.max(1, until - Date.now()));
    }
    if (historyIsFull()) await this.continueAsNew();
  }

  /** Until somebody says to go on, or the time has come from which on there is money again. */
  async #waitForMoney({ reason, until }: Unpaid): Promise<void> {
    await this.restWithoutPlace({ cause: 'budget', until, reason }, until === null ? null : Math.max(1, Date.parse(until) - Date.now()));
    if (historyIsFull()) await this.continueAsNew();
  }

  /** Another has its place meanwhile, as with a pause; after it, or when somebody resumes it, the job is admitted again, in its turn. */
  protected async restWithoutPlace(why: Why, ms: number | null, called = (): boolean => false): Promise<void> {
    const before = this.#resumed;
    await this.enter('waiting', { ...why, freesPlace: true }, true);
    this.placed = false;
    this.#queued = false;
    const over = (): boolean => called() || this.#resumed > before || this.wanted !== 'running';
    await (ms === null ? condition(over) : condition(over, Math.min(ms, LONGEST_TIMER_MS)));
  }

  /** Answers the final counts. Throws the error of a job that failed, when all is written down. */
  protected async finish(state: EndedState, error: ErrorBody | null): Promise<Counts> {
    const finish = this.activities<JobActivities>({ ...FINISH, summary: `end as ${state}` }, TASK_QUEUES.jobs);
    const { counts } = await finish.finishJob({
      ...this.ref(), sequence: ++this.sequence, state, error, reason: error?.message ?? null,
    });
    this.state = state;
    this.showState();
    await condition(allHandlersFinished);
    if (error && state === 'failed') throw ApplicationFailure.create({ type: error.code, message: error.message, nonRetryable: true, details: [error] });
    return counts;
  }

  /** Returns only where something else is wanted meanwhile: that comes first, so that whoever asked gets an answer. */
  protected async continueAsNew(): Promise<void> {
    await condition(() => allHandlersFinished() || this.wanted !== 'running');
    if (this.wanted === 'running') await this.continued();
  }

  /** Ends this run; the next begins with what this one knows. */
  protected abstract continued(): Promise<never>;

  // ── steps that can be interrupted ──────────────────────────────────────────────────────────────────────────

  /** Runs a step that pause, cancel and failure may cancel; what it had in flight has ended when this returns. */
  protected async interruptible(step: () => Promise<void>): Promise<void> {
    this.#step = new CancellationScope();
    try {
      await this.#step.run(step);
    } catch (error) {
      this.fail(error);
    } finally {
      this.#step = null;
    }
  }

  protected interrupt(): void {
    this.#step?.cancel();
  }

  /** Whether the step under way may start something. One that was interrupted drains, also when a resume came since, and the next step goes on. */
  protected mayGoOn(): boolean {
    const interrupted = this.#step?.consideredCancelled ?? true;
    return !interrupted && this.wanted === 'running' && !this.error && !this.refused && !this.limit.reached && !historyIsFull();
  }

  /** A step has failed: an absent store is waited for, an interruption is no failure, all else ends the job. */
  protected fail(error: unknown): void {
    const failure = failureOf(error);
    if (!failure) return;
    if (REFUSALS.includes(failure.code)) this.refused ??= failure;
    else this.error ??= failure;
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────

  mayControl(control: Control): void {
    const never = isEnded(this.state) || (this.wanted === 'cancelled' && control !== 'cancel');
    if (never) throw ApplicationFailure.nonRetryable(`A job that is ${this.state} cannot ${control}.`, 'wrong_state');
  }

  /** A cancel is final; otherwise the last wish counts. What is in flight drains, and the record says so. */
  async heed(control: Control): Promise<void> {
    if (this.wanted === 'cancelled' || isEnded(this.state)) return;
    this.wanted = CONTROL_MEANS[control];
    if (control === 'resume') this.#resumed++;
    if (this.wanted === 'running' || !this.#step) return;
    this.#step.cancel();
    await this.enter(this.wanted === 'paused' ? 'pausing' : 'cancelling');
  }

  async control(control: Control): Promise<ControlAnswer> {
    await this.heed(control);
    await condition(() => this.#answers(control), ANSWER_WAIT_MS);
    return { state: this.state };
  }

  /** Whether the wish has become a state, and the record says so. */
  #answers(control: Control): boolean {
    if (this.isRecording) return false;
    if (isEnded(this.state)) return true;
    if (control === 'resume') return this.state === 'running' || (this.state === 'waiting' && this.cause !== 'budget') || this.state === 'queued';
    return this.state === CONTROL_MEANS[control];
  }

  maySetPriority(priority: Priority): void {
    this.mayControl('resume');
    if (!(priority in PRIORITY_KEYS)) throw ApplicationFailure.nonRetryable(`There is no priority ${priority}.`, 'invalid_request');
  }

  setPriority(priority: Priority): ControlAnswer {
    if (priority in PRIORITY_KEYS) this.priority = priority;
    this.#askQueue = true;
    return { state: this.state };
  }

  maySetConcurrency(concurrency: number): void {
    this.mayControl('resume');
    if (!validConcurrency(concurrency)) throw ApplicationFailure.nonRetryable('The concurrency is a whole number from 1 to 1,000.', 'invalid_request');
  }

  setConcurrency(concurrency: number): ControlAnswer {
    if (validConcurrency(concurrency)) this.concurrency = concurrency;
    return { state: this.state };
  }
}

const validConcurrency = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 1_000;
