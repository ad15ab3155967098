/** Rows with a life of their own (`fanOut: workflow`): what passes between a job, its item jobs and their activities. */
import type { Priority } from './job.ts';
import type { ErrorBody } from './errors.ts';
import type { JobRef, LimitWait, PageSpan, ProcessPageAnswer } from './messages.ts';
import type { Outcome } from './row.ts';

export const ITEM_WORKFLOW = 'itemJob';

export const ITEM_STATUSES = ['queued', 'rate_limited', 'dispatched', 'in_progress', 'retried', 'paused', 'completed', 'failed', 'cancelled'] as const;
export type ItemStatus = (typeof ITEM_STATUSES)[number];

/** A Signal of the job to a running item: let go of the row, within the job's time to drain. */
export const RELEASE_SIGNAL = 'release';
/** A Signal of an item to its job. */
export const ITEM_ENDED_SIGNAL = 'itemEnded';

export interface ItemJobInput extends JobRef {
  attempt: number;
  row: number;
  page: number;
  generation: number;
  dispatch: number;
  priority: Priority;
  concurrency: number | null;
  /** Somebody paused this row, before its job let go of it. */
  held: boolean;
}

export interface ItemEnded {
  row: number;
  /** `released`: it has no outcome, and is to be started again; `held`: as a paused one. */
  how: 'ended' | 'released' | 'held';
}

export interface ItemEvent {
  /** ISO 8601. */
  at: string;
  status: ItemStatus;
  /** One sentence for people, or nothing to add. */
  reason: string | null;
}

/** The answer to an item's `status` Query. */
export interface ItemJobStatus {
  status: ItemStatus;
  priority: Priority;
  until: string | null;
  /** The last ones. */
  events: ItemEvent[];
}

/** A page whose rows run as item jobs. */
export interface FannedPage {
  page: number;
  /** Rows not started, as runs. */
  open: PageSpan[];
}

export interface RunningItem {
  row: number;
  page: number;
}

/** What a run of a job must know of its items to go on where another stopped. */
export interface FanOutState {
  pages: FannedPage[];
  running: RunningItem[];
  /** Rows that were paused by themselves. */
  held: number[];
  /** Item jobs at once; null until a page was planned. */
  window: number | null;
}

export interface PageRef extends JobRef {
  page: number;
  attempt: number;
  generation: number;
  dispatch: number;
}

export interface PlanItemsAnswer extends ProcessPageAnswer {
  /** Rows that need the handler, as runs. */
  open: PageSpan[];
  /** Rows that the handler takes at once, unless the job says otherwise. */
  concurrency: number;
}

export interface ProcessItemInput extends PageRef {
  row: number;
  concurrency: number | null;
  lastTry: boolean;
}

export interface ProcessItemAnswer {
  /** Null: it was stopped, or a limit had no call, before there was an outcome. */
  outcome: Outcome | null;
  error: string | null;
  wait: LimitWait | null;
  /** The job does not want the row any more: it has ended, or begun another attempt. */
  unwanted: boolean;
}

export interface FailItemInput extends PageRef {
  row: number;
  error: ErrorBody;
}

/** What item jobs and their job call on the queue of rows. */
export interface ItemActivities {
  /** Settles what needs no handler, and answers the rest. */
  planItems(input: PageRef): Promise<PlanItemsAnswer>;
  /** Looks into the ledger, and where the row has no outcome handles it and commits it. */
  processItem(input: ProcessItemInput): Promise<ProcessItemAnswer>;
  /** Commits a failure, unless the row has an outcome. */
  failItem(input: FailItemInput): Promise<ProcessItemAnswer>;
  /** Counts a page from the ledger, and writes its result when every row has an outcome. */
  settleItems(input: PageRef): Promise<ProcessPageAnswer>;
  /** Which of these items have no workflow that runs. */
  itemsGone(input: JobRef & { attempt: number; rows: number[] }): Promise<number[]>;
}
