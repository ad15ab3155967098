/** A row of a job with a life of its own: handled until it has an outcome, with a status and controls that are only its own. */
import {
  ActivityFailure, allHandlersFinished, ApplicationFailure, CancellationScope, condition, defineSignal, defineUpdate,
  getExternalWorkflowHandle, isCancellation, proxyActivities, setHandler, TimeoutFailure, workflowInfo,
} from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';
import type { ItemActivities, ItemEvent, ItemJobInput, ItemJobStatus, ItemNews, ItemStatus, ItemWish, ProcessItemAnswer } from '../contracts/items.ts';
import { PRIORITY_KEYS, type Priority } from '../contracts/job.ts';
import type { Unpaid } from '../contracts/row.ts';
import { CONTROLS, TASK_QUEUES, type Control } from '../contracts/messages.ts';
import type { RowActivities } from '../contracts/sheet-messages.ts';
import { CAPACITY_WAIT_MS, MAX_HISTORY_EVENTS, PAGE, PAUSED_ROW_LOOK_MS, RECORD, REFUSALS, STORES } from './activity-options.ts';
import { itemNewsSignal, itemPrioritySignal, itemPriorityUpdate, itemStatusQuery, releaseSignal } from './item-messages.ts';
import { LimitPause } from './limit-pause.ts';

const MOST_EVENTS = 50;
const CANCELLED: ErrorBody = { code: 'row_cancelled', message: 'The row was cancelled by itself, or its workflow was ended from outside. A retry takes it up again.' };

type Ended = { status: ItemStatus; news: ItemNews };

export async function itemJob(input: ItemJobInput): Promise<{ status: ItemStatus }> {
  const item = new ItemJob(input);
  for (const control of CONTROLS) {
    setHandler(defineSignal(control), () => item.heed(control));
    setHandler(defineUpdate(control), () => item.heed(control), { validator: () => item.mayControl(control) });
  }
  setHandler(releaseSignal, () => item.release());
  setHandler(itemPrioritySignal, (priority) => item.setPriority(priority));
  setHandler(itemPriorityUpdate, (priority) => item.setPriority(priority), { validator: (priority) => item.maySetPriority(priority) });
  setHandler(itemStatusQuery, () => item.shown());
  CancellationScope.current().cancelRequested.catch(() => item.heed('cancel'));
  return CancellationScope.nonCancellable(() => item.run());
}

class ItemJob {
  #status: ItemStatus = 'queued';
  #wish: ItemWish;
  #released = false;
  #ending = false;
  #until: string | null = null;
  #capacityMs: number = CAPACITY_WAIT_MS.first;
  /** Interrupts the activity that is under way. */
  #step: CancellationScope | null = null;
  readonly #events: ItemEvent[] = [];
  readonly #limit = new LimitPause();
  readonly #input: ItemJobInput;

  constructor(input: ItemJobInput) {
    this.#input = input;
    this.#wish = { ...input.wish };
  }

  async run(): Promise<{ status: ItemStatus }> {
    this.#enter('queued');
    let ended: Ended | null = null;
    while (!ended) {
      if (this.#wish.wanted === 'cancelled') ended = await this.#fail(CANCELLED);
      else if (this.#released || workflowInfo().historyLength >= MAX_HISTORY_EVENTS) ended = this.#letGo();
      else if (this.#wish.wanted === 'paused') ended = await this.#pause();
      else ended = await this.#handle();
    }
    this.#ending = true;
    this.#enter(ended.status);
    await this.#tell(ended.news);
    await condition(allHandlersFinished);
    return { status: ended.status };
  }

  #letGo(unpaid: Unpaid | null = null): Ended {
    return { status: 'queued', news: { row: this.#input.row, is: 'released', wish: this.#wish, ...(unpaid && { unpaid }) } };
  }

  #over(status: ItemStatus): Ended {
    return { status, news: { row: this.#input.row, is: 'ended' } };
  }

  /** It holds nothing meanwhile. Ends where its job is gone. */
  async #pause(): Promise<Ended | null> {
    this.#enter('paused');
    if (!(await this.#tell({ row: this.#input.row, is: 'paused' }))) return this.#over('cancelled');
    const changed = await condition(() => this.#released || this.#wish.wanted !== 'paused', PAUSED_ROW_LOOK_MS);
    if (changed && !this.#released && this.#wish.wanted === 'running') await this.#tell({ row: this.#input.row, is: 'going_on' });
    return null;
  }

  /** Null: it goes on. */
  async #handle(): Promise<Ended | null> {
    const { row, concurrency, again, attempt } = this.#input;
    this.#enter(again || attempt > 1 ? 'retried' : 'dispatched');
    try {
      const answer = await this.#interruptible(() => this.#activities<ItemActivities>(PAGE, TASK_QUEUES.items)
        .processItem({ ...this.#ref(), row, concurrency, again, lastTry: this.#limit.lastTry }));
      return answer.wait && !this.#changed() ? await this.#waitForLimit(answer.wait) : endOf(answer, (status) => this.#over(status));
    } catch (error) {
      return this.#failed(error);
    }
  }

  /** Where nobody pays, it is the job that waits. */
  async #waitForLimit(wait: NonNullable<ProcessItemAnswer['wait']>): Promise<Ended | null> {
    this.#limit.add(wait);
    const unpaid = this.#limit.takeUnpaid();
    if (unpaid) return this.#letGo(unpaid);
    const { until, reason } = this.#limit.begin();
    this.#until = new Date(until).toISOString();
    this.#enter('rate_limited', reason);
    await this.#tell({ row: this.#input.row, is: 'rate_limited', until: this.#until, reason });
    await condition(() => this.#changed(), Math.max(1, until - Date.now()));
    this.#until = null;
    return null;
  }

  /** As `JobLife.fail` sorts them; but what would end a job because it happened to a page ends only this row. */
  async #failed(error: unknown): Promise<Ended | null> {
    if (isCancellation(error)) return null;
    if (!(error instanceof ActivityFailure)) throw error;
    if (error.retryState === 'CANCEL_REQUESTED') return null;
    const { cause } = error;
    if (cause instanceof TimeoutFailure) return this.#fail({ code: 'worker_lost', message: 'Workers were lost, again and again, while they handled the row.' });
    const body = bodyOf(cause);
    if (body.code === 'worker_stopped') return null;
    if (body.code === 'job_not_found') return this.#over('cancelled');
    if (!REFUSALS.includes(body.code)) return { status: 'queued', news: { row: this.#input.row, is: 'broken', error: body } };
    this.#enter('queued', body.message);
    await condition(() => this.#changed(), this.#capacityMs);
    this.#capacityMs = Math.min(this.#capacityMs * CAPACITY_WAIT_MS.factor, CAPACITY_WAIT_MS.most);
    if (this.#changed()) return null;
    await this.#interruptible(() => this.#activities<RowActivities>(STORES, TASK_QUEUES.rows).checkStores()).catch((stopped: unknown) => {
      if (!isCancellation(stopped)) throw stopped;
    });
    return null;
  }

  /** The row has failed with the error, unless the ledger has an outcome for it. */
  async #fail(error: ErrorBody): Promise<Ended> {
    try {
      const { row, again } = this.#input;
      return endOf(await this.#activities<ItemActivities>(RECORD, TASK_QUEUES.items).failItem({ ...this.#ref(), row, again, error }), (status) => this.#over(status))!;
    } catch (failure) {
      if (!(failure instanceof ActivityFailure)) throw failure;
      const body = bodyOf(failure.cause);
      return body.code === 'job_not_found' ? this.#over('cancelled') : { status: 'queued', news: { row: this.#input.row, is: 'broken', error: body } };
    }
  }

  async #interruptible<T>(step: () => Promise<T>): Promise<T> {
    this.#step = new CancellationScope();
    try {
      return await this.#step.run(step);
    } finally {
      this.#step = null;
    }
  }

  /** False: the job is gone, and nobody waits for the row. */
  async #tell(news: ItemNews): Promise<boolean> {
    const { jobId, attempt } = this.#input;
    return getExternalWorkflowHandle(`${jobId}/${attempt}`).signal(itemNewsSignal, news).then(() => true, () => false);
  }

  #changed(): boolean {
    return this.#released || this.#wish.wanted !== 'running';
  }

  mayControl(control: Control): void {
    if (!this.#ending && (this.#wish.wanted !== 'cancelled' || control === 'cancel')) return;
    throw ApplicationFailure.nonRetryable(`The row is ${this.#ending ? this.#status : 'being cancelled'}; it cannot ${control}.`, 'wrong_state');
  }

  heed(control: Control): void {
    if (this.#wish.wanted === 'cancelled') return;
    this.#wish.wanted = control === 'pause' ? 'paused' : control === 'resume' ? 'running' : 'cancelled';
    if (this.#wish.wanted !== 'running') this.#step?.cancel();
  }

  release(): void {
    this.#released = true;
    this.#step?.cancel();
  }

  maySetPriority(priority: Priority): void {
    this.mayControl('resume');
    if (!(priority in PRIORITY_KEYS)) throw ApplicationFailure.nonRetryable(`There is no priority ${priority}.`, 'invalid_request');
  }

  setPriority(priority: Priority): void {
    if (priority in PRIORITY_KEYS) this.#wish.priority = priority;
  }

  shown(): ItemJobStatus {
    return { status: this.#status, priority: this.#priority, until: this.#until, events: this.#events };
  }

  get #priority(): Priority {
    return this.#wish.priority ?? this.#input.priority;
  }

  #enter(status: ItemStatus, reason: string | null = null): void {
    if (this.#status === status && this.#events.length > 0) return;
    this.#status = status;
    this.#events.push({ at: new Date().toISOString(), status, reason });
    if (this.#events.length > MOST_EVENTS) this.#events.shift();
  }

  #ref() {
    const { tenant, jobId, attempt, page, generation, dispatch } = this.#input;
    return { tenant, jobId, attempt, page, generation, dispatch };
  }

  #activities<A extends object>(options: typeof PAGE, taskQueue: string) {
    return proxyActivities<A>({
      ...options, taskQueue, summary: `row ${this.#input.row}`,
      priority: { priorityKey: PRIORITY_KEYS[this.#priority], fairnessKey: this.#input.tenant },
    });
  }
}

/** Null: the row has no outcome yet. */
function endOf({ outcome, error, unwanted }: ProcessItemAnswer, over: (status: ItemStatus) => Ended): Ended | null {
  if (unwanted) return over('cancelled');
  if (outcome === null) return null;
  return over(outcome !== 'failed' ? 'completed' : error === CANCELLED.code ? 'cancelled' : 'failed');
}

function bodyOf(cause: Error | undefined): ErrorBody {
  if (!(cause instanceof ApplicationFailure)) return { code: 'internal', message: cause?.message ?? 'The row failed.' };
  return (cause.details?.[0] as ErrorBody | undefined) ?? { code: cause.type ?? 'internal', message: cause.message };
}
