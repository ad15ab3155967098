/** A row of a job with a life of its own: handled until it has an outcome, with a status and controls that are only its own. */
import {
  ActivityFailure, allHandlersFinished, ApplicationFailure, CancellationScope, condition, defineQuery, defineSignal, defineUpdate,
  getExternalWorkflowHandle, isCancellation, proxyActivities, setHandler, sleep, TimeoutFailure,
} from '@temporalio/workflow';
import type { ErrorBody } from '../contracts/errors.ts';
import {
  ITEM_ENDED_SIGNAL, RELEASE_SIGNAL,
  type ItemActivities, type ItemEnded, type ItemEvent, type ItemJobInput, type ItemJobStatus, type ItemStatus, type ProcessItemAnswer,
} from '../contracts/items.ts';
import { PRIORITY_KEYS, type Priority } from '../contracts/job.ts';
import { SET_PRIORITY, STATUS_QUERY, TASK_QUEUES, type Control, type RowActivities } from '../contracts/messages.ts';
import { CAPACITY_WAIT_MS, LOOK_AGAIN_MS, PAGE, RECORD, STORES } from './activity-options.ts';
import { LimitPause } from './limit-pause.ts';

const MOST_EVENTS = 50;
const CANCELLED: ErrorBody = { code: 'row_cancelled', message: 'The row was cancelled by itself. A retry of the job takes it up again.' };

export const releaseSignal = defineSignal(RELEASE_SIGNAL);
export const itemEndedSignal = defineSignal<[ItemEnded]>(ITEM_ENDED_SIGNAL);
const statusQuery = defineQuery<ItemJobStatus>(STATUS_QUERY);
const prioritySignal = defineSignal<[Priority]>(SET_PRIORITY);

export async function itemJob(input: ItemJobInput): Promise<{ status: ItemStatus }> {
  const item = new ItemJob(input);
  for (const control of ['pause', 'resume', 'cancel'] as const) {
    setHandler(defineSignal(control), () => item.heed(control));
    setHandler(defineUpdate<{ status: ItemStatus }>(control), () => {
      item.heed(control);
      return { status: item.status };
    }, { validator: () => item.mayControl(control) });
  }
  setHandler(releaseSignal, () => item.release());
  setHandler(prioritySignal, (priority) => item.setPriority(priority));
  setHandler(statusQuery, () => item.shown());
  CancellationScope.current().cancelRequested.catch(() => item.heed('cancel'));
  return CancellationScope.nonCancellable(() => item.run());
}

class ItemJob {
  status: ItemStatus = 'queued';
  #wanted: 'running' | 'paused' | 'cancelled';
  #released = false;
  #until: string | null = null;
  #tries = 0;
  #capacityMs: number = CAPACITY_WAIT_MS.first;
  #priority: Priority;
  #scope: CancellationScope | null = null;
  readonly #events: ItemEvent[] = [];
  readonly #limit = new LimitPause();
  readonly #input: ItemJobInput;

  constructor(input: ItemJobInput) {
    this.#input = input;
    this.#wanted = input.held ? 'paused' : 'running';
    this.#priority = input.priority;
  }

  async run(): Promise<{ status: ItemStatus }> {
    for (;;) {
      if (this.#wanted === 'cancelled') {
        const { error } = await this.#fail(CANCELLED);
        return this.#end(error === CANCELLED.code ? 'cancelled' : 'completed', 'ended');
      }
      if (this.#released) return this.#end('queued', this.#wanted === 'paused' ? 'held' : 'released');
      if (this.#wanted === 'paused') {
        this.#enter('paused');
        await condition(() => this.#wanted !== 'paused' || this.#released, LOOK_AGAIN_MS);
        continue;
      }
      const ended = await this.#handle();
      if (ended) return this.#end(ended, 'ended');
    }
  }

  /** The status that it ends with; null: it goes on. */
  async #handle(): Promise<ItemStatus | null> {
    this.#enter(this.#tries > 0 || this.#input.attempt > 1 ? 'retried' : 'dispatched');
    this.#tries++;
    this.#scope = new CancellationScope();
    try {
      const answer = await this.#scope.run(() => this.#activities<ItemActivities>(PAGE).processItem({
        ...this.#ref(), row: this.#input.row, concurrency: this.#input.concurrency, lastTry: this.#limit.lastTry,
      }));
      return await this.#ended(answer);
    } catch (error) {
      return await this.#failed(error);
    } finally {
      this.#scope = null;
    }
  }

  async #ended({ outcome, error, wait, unwanted }: ProcessItemAnswer): Promise<ItemStatus | null> {
    if (unwanted) return 'cancelled';
    if (outcome !== null) return outcome !== 'failed' ? 'completed' : error === CANCELLED.code ? 'cancelled' : 'failed';
    if (!wait || this.#changed()) return null;
    this.#limit.add(wait);
    const { until, reason } = this.#limit.begin();
    this.#until = new Date(until).toISOString();
    this.#enter('rate_limited', reason);
    await condition(() => this.#changed(), Math.max(1, until - Date.now()));
    this.#until = null;
    return null;
  }

  /** As `JobLife.fail` sorts them; but what would end a job ends only this row. */
  async #failed(error: unknown): Promise<ItemStatus | null> {
    if (isCancellation(error)) return null;
    if (!(error instanceof ActivityFailure)) throw error;
    if (error.retryState === 'CANCEL_REQUESTED') return null;
    const { cause } = error;
    if (cause instanceof TimeoutFailure) {
      await this.#fail({ code: 'worker_lost', message: 'Workers were lost, again and again, while they handled the row.' });
      return 'failed';
    }
    const details = cause instanceof ApplicationFailure ? cause.details?.[0] as ErrorBody | undefined : undefined;
    const body = details ?? { code: cause instanceof ApplicationFailure ? (cause.type ?? 'internal') : 'internal', message: cause?.message ?? 'The row failed.' };
    if (body.code === 'worker_stopped') return null;
    if (body.code === 'job_not_found') return 'cancelled';
    if (body.code === 'store_unavailable' || body.code === 'blobs_unavailable') {
      this.#enter('queued', body.message);
      await sleep(this.#capacityMs);
      this.#capacityMs = Math.min(this.#capacityMs * CAPACITY_WAIT_MS.factor, CAPACITY_WAIT_MS.most);
      if (!this.#changed()) await this.#activities<RowActivities>(STORES).checkStores();
      return null;
    }
    await this.#fail(body);
    return 'failed';
  }

  #fail(error: ErrorBody): Promise<ProcessItemAnswer> {
    return this.#activities<ItemActivities>(RECORD).failItem({ ...this.#ref(), row: this.#input.row, error });
  }

  async #end(status: ItemStatus, how: ItemEnded['how']): Promise<{ status: ItemStatus }> {
    this.#enter(status);
    const { jobId, attempt, row } = this.#input;
    // The job may be gone: nobody waits for the row then.
    await getExternalWorkflowHandle(`${jobId}/${attempt}`).signal(itemEndedSignal, { row, how }).catch(() => {});
    await condition(allHandlersFinished);
    return { status };
  }

  #changed(): boolean {
    return this.#released || this.#wanted !== 'running';
  }

  mayControl(control: Control): void {
    const over = this.status === 'completed' || this.status === 'failed' || this.status === 'cancelled';
    if (over || (this.#wanted === 'cancelled' && control !== 'cancel')) {
      throw ApplicationFailure.nonRetryable(`The row is ${over ? this.status : 'being cancelled'}; it cannot ${control}.`, 'wrong_state');
    }
  }

  heed(control: Control): void {
    if (this.#wanted === 'cancelled') return;
    this.#wanted = control === 'pause' ? 'paused' : control === 'resume' ? 'running' : 'cancelled';
    if (this.#wanted !== 'running') this.#scope?.cancel();
  }

  release(): void {
    this.#released = true;
    this.#scope?.cancel();
  }

  setPriority(priority: Priority): void {
    if (priority in PRIORITY_KEYS) this.#priority = priority;
  }

  shown(): ItemJobStatus {
    return { status: this.status, priority: this.#priority, until: this.#until, events: this.#events };
  }

  #enter(status: ItemStatus, reason: string | null = null): void {
    if (this.status === status && this.#events.length > 0) return;
    this.status = status;
    this.#events.push({ at: new Date().toISOString(), status, reason });
    if (this.#events.length > MOST_EVENTS) this.#events.shift();
  }

  #ref() {
    const { tenant, jobId, attempt, page, generation, dispatch } = this.#input;
    return { tenant, jobId, attempt, page, generation, dispatch };
  }

  #activities<A extends object>(options: typeof PAGE) {
    return proxyActivities<A>({
      ...options, taskQueue: TASK_QUEUES.rows, summary: `row ${this.#input.row}`,
      priority: { priorityKey: PRIORITY_KEYS[this.#priority], fairnessKey: this.#input.tenant },
    });
  }
}
