/** Rows with a life of their own (`fanOut: workflow`): what passes between a job, its item jobs and their activities. */
import type { Cause, Priority } from './job.ts';
import type { ErrorBody } from './errors.ts';
import type { JobRef, LimitWait } from './messages.ts';
import type { PageSpan, ProcessPageAnswer } from './sheet-messages.ts';
import type { Outcome, Unpaid } from './row.ts';

export const ITEM_WORKFLOW = 'itemJob';

export const ITEM_STATUSES = ['queued', 'rate_limited', 'dispatched', 'in_progress', 'retried', 'paused', 'completed', 'failed', 'cancelled'] as const;
export type ItemStatus = (typeof ITEM_STATUSES)[number];

export const ITEM_CONTROLS = ['pause', 'resume', 'cancel', 'retry'] as const;
export type ItemControl = (typeof ITEM_CONTROLS)[number];

/** A Signal of the job to a running item: let go of the row, within the job's time to drain. */
export const RELEASE_SIGNAL = 'release';
/** A Signal of an item to its job. */
export const ITEM_NEWS_SIGNAL = 'itemNews';
/** An Update of the job: what a row that has no workflow now is to do. */
export const STEER_ITEM = 'steerItem';

/** What was asked of a single row, as opposed to its job. */
export interface ItemWish {
  wanted: 'running' | 'paused' | 'cancelled';
  /** Null: its job's. */
  priority: Priority | null;
}

export interface ItemJobInput extends JobRef {
  attempt: number;
  row: number;
  page: number;
  generation: number;
  dispatch: number;
  /** The job's. */
  priority: Priority;
  concurrency: number | null;
  wish: ItemWish;
  /** It has failed before in this attempt of the job, and is to be tried again. */
  again: boolean;
}

/**
 * What an item tells its job. `released`: it has no outcome, and is to be started again with the wish. `broken`: nothing can be done
 * about the row, for a reason that is not the row's. `unpaid`: nobody pays for it, nor for others. `paused` and `rate_limited` hold nothing and go on by themselves.
 */
export type ItemNews = { row: number } & (
  | { is: 'ended' | 'paused' | 'going_on' }
  | { is: 'released'; wish: ItemWish; unpaid?: Unpaid }
  | { is: 'rate_limited'; until: string; reason: string }
  | { is: 'broken'; error: ErrorBody }
);

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
  /** Rows that failed, and that somebody asked to try again since the page was last counted. */
  again: number[];
}

export interface RunningItem {
  row: number;
  page: number;
  /** `until` is null while it is paused. */
  rests: { until: string | null; reason: string | null } | null;
}

export interface AskedItem extends ItemWish {
  row: number;
  page: number;
}

/** What a run of a job must know of its items to go on where another stopped. */
export interface FanOutState {
  pages: FannedPage[];
  running: RunningItem[];
  /** Rows that have no workflow, and of which something was asked. */
  asked: AskedItem[];
  /** Item jobs at once; null until a page was planned. */
  window: number | null;
}

/** What a job does while none of its items can: it waits, for a limit or for somebody. */
export interface ItemsRest {
  cause: Cause;
  until: string | null;
  reason: string;
}

export interface SteerItemInput {
  row: number;
  page: number;
  control: ItemControl | null;
  priority: Priority | null;
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
  again: boolean;
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
  again: boolean;
}

export interface SettleItemsInput extends PageRef {
  /** The page's result is written as well: its rows have ended, or are let go. */
  final: boolean;
  /** Rows whose failure in the page's earlier result is not their last word. */
  again: number[];
}

/** What item jobs call, on a queue of their own: rows that take minutes must not take the places of pages. */
export interface ItemActivities {
  /** Looks into the ledger, and where the row has no outcome handles it and commits it. */
  processItem(input: ProcessItemInput): Promise<ProcessItemAnswer>;
  /** Commits a failure, unless the row has an outcome. */
  failItem(input: FailItemInput): Promise<ProcessItemAnswer>;
}

/** What a job calls about its items, on the queue of pages. */
export interface FanOutActivities {
  /** Settles what needs no handler, and answers the rest. */
  planItems(input: PageRef): Promise<PlanItemsAnswer>;
  /** Counts a page from the ledger. */
  settleItems(input: SettleItemsInput): Promise<ProcessPageAnswer>;
  /** Tells items to let go of their rows. Answers which have no workflow that runs. */
  releaseItems(input: JobRef & { attempt: number; rows: number[] }): Promise<number[]>;
  /** Which of these items have no workflow that runs. */
  itemsGone(input: JobRef & { attempt: number; rows: number[] }): Promise<number[]>;
}

