/** What is planned ahead of jobs: schedules, batches and actions on many jobs. Their records in the store, and what passes through Temporal. */
import type { ErrorBody } from './errors.ts';
import type { EndedState, JobRecord, JobState, JobTotals, Priority, RetryFilter } from './job.ts';
import type { JobRequest, OnFailure } from './job.ts';
import type { Control, JobPlan, JobRef } from './messages.ts';

/** All that makes a job of a request. */
export interface NewJob {
  tenant: string;
  owner: string;
  request: JobRequest;
  /** Null: the implicit source (path or spreadsheet + sheet + range; `job:<id>` for an upload). */
  source: string | null;
  /** Null: the handler's name. */
  lane: string | null;
  priority: Priority;
  tags: string[];
  /** ISO 8601; null: at once. */
  runAt: string | null;
  dependsOn: string[];
  onFailure: OnFailure;
}

/** What every record of a plan has. */
interface Planned {
  tenant: string;
  id: string;
  owner: string;
  createdAt: string;
  /** Raised by every write, for compare-and-set. */
  revision: number;
  /** Of the request that made it: an `Idempotency-Key` (its id is made of it) allows no other. */
  requestHash: string;
  /** There is something left that the reconciler has to see to. */
  open: boolean;
}

/** When a schedule is due while a job of it is still running. */
export const OVERLAPS = ['skip', 'buffer_one', 'buffer_all', 'cancel_other', 'allow_all'] as const;
export type Overlap = (typeof OVERLAPS)[number];

/** The rest of a schedule is Temporal's: whether it is paused, when it runs next. */
export interface ScheduleRecord extends Planned {
  kind: 'schedule';
  cron: string;
  /** IANA name. */
  timeZone: string;
  overlap: Overlap;
  job: NewJob;
}

/** Members are the jobs that name the batch, of whatever kind. */
export interface BatchRecord extends Planned {
  kind: 'batch';
  name: string | null;
  /** Members that were asked for, and those of them that are made; more will be while the record is `open`. */
  size: number;
  made: number;
  /** No more members are made until it is resumed. */
  held: boolean;
  /** What was asked of the batch last: it holds for members that are not made yet, too. */
  desired: 'running' | 'paused' | 'cancelled';
  /** The newest action on its members; an older one stops where it is. */
  action: string | null;
  /** Of a batch of files: those that no job was made of. Left out where its members are jobs that were asked for as such. */
  files?: FilesWithoutJob;
}

/** `duplicate`: a document that there was before answers for it. `refused`: it is no document. */
export interface FilesWithoutJob {
  duplicate: number;
  refused: number;
}

/** One file of a batch as its list has it. */
export interface BatchFile {
  upload: string;
  file: string;
}

/** What came of a file when its document was to be made. */
export interface BatchFileResult {
  outcome: 'made' | 'duplicate' | 'refused';
  document: string | null;
  /** Why it was refused. */
  error: ErrorBody | null;
}

/** Files whose results lie in one blob. */
export const FILES_AT_ONCE = 10;

export const BULK_ACTIONS = ['pause', 'resume', 'cancel', 'retry', 'delete', 'set'] as const;
export type BulkAction = (typeof BULK_ACTIONS)[number];

export interface BulkFilter {
  state?: JobState[];
  kind?: JobRecord['kind'];
  source?: string;
  tag?: string;
  batch?: string;
}

/** One action on every job that matches a filter. */
export interface BulkRecord extends Planned {
  kind: 'bulk';
  action: BulkAction;
  filter: BulkFilter;
  /** For `set`. */
  priority: Priority | null;
  /** For `retry`. */
  retry: RetryFilter;
  dryRun: boolean;
  /** The batch that is steered by it: a newer one takes its place. Null: it stands for itself. */
  batch: string | null;
  /** The one of that batch before it, which has to end first. */
  after: string | null;
  /** `superseded`: a newer action on the same batch took its place. */
  state: 'running' | 'completed' | 'superseded';
  counts: BulkCounts;
  /** Chunks of results written so far, and where the next one begins; null: at the newest job. */
  chunks: number;
  cursor: string | null;
  /** Every job that matched has a result. */
  exhausted: boolean;
  completedAt: string | null;
}

export const BULK_OUTCOMES = ['done', 'asked', 'skipped', 'failed'] as const;
/** `asked`: durably, no worker has answered yet. `skipped`: the job is not in a state that allows it. In a dry run, what would be. */
export type BulkOutcome = (typeof BULK_OUTCOMES)[number];
export type BulkCounts = Record<BulkOutcome, number>;
export const NO_BULK_COUNTS: Readonly<BulkCounts> = { done: 0, asked: 0, skipped: 0, failed: 0 };

/** What an action came to for one job. */
export interface BulkResult {
  job: string;
  outcome: BulkOutcome;
  /** The job's, before the action in a dry run, else after it; null: it is gone. */
  state: JobState | null;
  code?: string;
  message?: string;
}

export interface PlanRecords {
  schedule: ScheduleRecord;
  batch: BatchRecord;
  bulk: BulkRecord;
}
export type PlanKind = keyof PlanRecords;
export type PlanRecord = PlanRecords[PlanKind];

/** Sums over a batch's members. */
export interface BatchTotals extends Pick<JobTotals, 'done' | 'unchanged' | 'failed' | 'skipped'> {
  /** Members by state. */
  jobs: Partial<Record<JobState, number>>;
  /** Rows of the members whose sheet has been read, and how many have not been. */
  rows: number;
  unread: number;
}

// ── what passes through Temporal ────────────────────────────────────────────────────────────────────────────────

export const PLAN_WORKFLOWS = { scheduledJob: 'scheduledJob', makeBatch: 'makeBatch', bulkAction: 'bulkAction' } as const;
/** Signals: a job that this one depends on has ended; the job that a schedule's run made has ended; a batch is wanted otherwise. */
export const DEPENDENCY_ENDED = 'dependencyEnded';
export const JOB_ENDED = 'jobEnded';
export const BATCH_CHANGED = 'batchChanged';

export interface PlanRef {
  tenant: string;
  id: string;
  /** Left out: a schedule. */
  of?: 'source';
}

/** `wait`: `reason` says for what. `cancel`: a dependency did not complete, and the job is not to run then. */
export interface PlanVerdict {
  verdict: 'go' | 'wait' | 'cancel';
  unmet: string[];
  /** What it waits for, for people. */
  reason: string | null;
  /** Why it is cancelled. */
  error: ErrorBody | null;
}

export interface ScheduledRun extends PlanRef {
  at: string;
  workflow: string;
}

/** Jobs that an action is applied to next, with their attempts: what has been retried since needs no second retry. */
export interface BulkChunk {
  /** From 0. */
  chunk: number;
  jobs: { id: string; attempt: number }[];
  /** Null at the end of the list. */
  nextCursor: string | null;
}

/** What workflows of plans call. All of it is small; each may be repeated. */
export interface PlanActivities {
  checkDependencies(input: JobRef & Pick<JobPlan, 'unmet'>): Promise<PlanVerdict>;
  /** Null: the schedule is gone. */
  createScheduledJob(input: ScheduledRun): Promise<JobRef | null>;
  /** Null: it is running, or will again. */
  endOfJob(input: JobRef): Promise<EndedState | 'deleted' | null>;
  cancelJob(input: JobRef): Promise<void>;
  /** Makes members until all are there, or the batch is paused. */
  makeMembers(input: PlanRef): Promise<{ complete: boolean }>;
  /** `wait`: an older action on the same batch has not stopped, or members are still being made. */
  bulkTurn(input: PlanRef): Promise<'begin' | 'wait' | 'superseded'>;
  /** Null: there are no more. */
  selectJobs(input: PlanRef): Promise<BulkChunk | null>;
  /** False: it was superseded, and stopped. */
  applyToJobs(input: PlanRef & BulkChunk): Promise<boolean>;
  finishBulk(input: PlanRef & { state: 'completed' | 'superseded' }): Promise<void>;
}

export type BatchControl = Control | 'retry';
