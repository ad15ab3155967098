/** How a job stands, as its record says it: the state and why, written down with a sequence that grows. And whom it calls. */
import { proxyActivities, upsertSearchAttributes } from '@temporalio/workflow';
import type { ActivityOptions } from '@temporalio/common';
import type { Cause, JobState, Priority } from '../contracts/job.ts';
import { PRIORITY_KEYS } from '../contracts/job.ts';
import { TASK_QUEUES, type JobActivities, type JobInput, type JobLifeState } from '../contracts/messages.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import type { RowActivities } from '../contracts/sheet-messages.ts';
import { RECORD } from './activity-options.ts';

/** What a state's record says beside the state. */
export interface Why {
  cause?: Cause | null;
  until?: string | null;
  reason?: string | null;
  freesPlace?: true;
}

export abstract class RecordedJob {
  protected state: JobState = 'queued';
  protected cause: Cause | null = null;
  protected until: string | null = null;
  protected reason: string | null = null;
  protected sequence: number;
  protected priority: Priority;
  protected concurrency: number | null;
  /** Milliseconds since 1970: from when on its `low` priority counts as `normal`; null while not known. */
  protected agesAt: number | null = null;
  /** Records being written. */
  #recording = 0;
  readonly #input: JobInput;

  constructor(input: JobInput, carried: JobLifeState | undefined) {
    this.#input = input;
    this.priority = input.priority;
    this.concurrency = input.concurrency;
    this.sequence = input.sequence;
    if (!carried) return;
    this.state = carried.state;
    this.cause = carried.cause;
    this.until = carried.until;
    this.reason = carried.reason;
    this.sequence = carried.sequence;
    this.agesAt = carried.agesAt;
  }

  protected get isRecording(): boolean {
    return this.#recording > 0;
  }

  protected async enter(state: JobState, why: Why = {}, again = false): Promise<void> {
    const cause = why.cause ?? null;
    const reason = why.reason ?? null;
    const until = why.until ?? null;
    if (!again && state === this.state && cause === this.cause && reason === this.reason && until === this.until) return;
    const stateChanged = state !== this.state;
    this.state = state;
    this.cause = cause;
    this.until = until;
    this.reason = reason;
    if (stateChanged) this.showState();
    const record = this.activities<JobActivities>({ ...RECORD, summary: state }, TASK_QUEUES.jobs);
    this.#recording++;
    try {
      await record.recordState({ ...this.ref(), sequence: ++this.sequence, state, cause, until, reason, ...(why.freesPlace && { freesPlace: true }) });
    } finally {
      this.#recording--;
    }
  }

  protected showState(): void {
    upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.state, value: this.state }]);
  }

  protected ref(): { tenant: string; jobId: string; attempt: number } {
    return { tenant: this.#input.tenant, jobId: this.#input.jobId, attempt: this.#input.attempt };
  }

  protected activities<A extends object>(options: ActivityOptions, taskQueue: string) {
    const aged = this.priority === 'low' && this.agesAt !== null && Date.now() >= this.agesAt;
    const priority = { priorityKey: PRIORITY_KEYS[aged ? 'normal' : this.priority], fairnessKey: this.#input.tenant };
    return proxyActivities<A>({ ...options, taskQueue, priority });
  }

  /** The work itself. At low priority it stands in Temporal's queue only until that counts as normal. */
  protected work(options: ActivityOptions) {
    const left = this.priority === 'low' && this.agesAt !== null ? this.agesAt - Date.now() : 0;
    return this.activities<RowActivities>({ ...options, ...(left > 0 && { scheduleToStartTimeout: left }) }, TASK_QUEUES.rows);
  }
}
