/** What passes through Temporal about a sheet's job, beside what every kind of job has (`messages.ts`). */
import type { Cause, Counts, EndedState, JobState, Priority, WriteBackReport } from './job.ts';
import type { ErrorBody } from './errors.ts';
import type { AskedItem, FanOutState, RunningItem } from './items.ts';
import type { JobInput, JobLifeState, JobRef, LimitWait } from './messages.ts';

/** A run of pages, both ends included. */
export type PageSpan = [from: number, to: number];

export interface SheetJobInput extends JobInput {
  /** Every row is a workflow of its own; left out: pages. */
  fanOut?: 'workflow';
  /** Only in the input of a run that continues another. */
  carried?: SheetJobState;
}

export type WriteBackProgress = { cursor: WriteBackCursor | null; done: boolean };

/** How far the version is that the job makes of its sheet; `asked`: somebody has to approve it. */
export interface VersionProgress {
  stage: 'read' | 'asked' | 'approved' | 'rejected' | 'open' | 'closed';
  /** What somebody has to approve, for people. */
  asks: string | null;
}

export interface SheetJobState extends JobLifeState {
  /** Pages dispatched so far in this attempt; goes into the fence. */
  dispatches: number;
  /** Null until the sheet has been read. */
  sheet: Pick<OpenedSheet, 'total' | 'window' | 'pagesInTask'> | null;
  /** How far results are written into the sheet; left out where they are not to be. */
  writeBack?: WriteBackProgress;
  /** Of a job that brings a source up to date. */
  version?: VersionProgress;
  /** Pages not started, and those started and left unfinished. */
  pending: PageSpan[];
  /** Pages that only wait for answers of services; left out where there are none. */
  parked?: PageSpan[];
  counts: Counts;
  /** Only where rows are workflows of their own. */
  items?: FanOutState;
}

/** The answer to the `status` Query. */
export interface JobStatus {
  state: JobState;
  cause: Cause | null;
  until: string | null;
  reason: string | null;
  attempt: number;
  priority: Priority;
  concurrency: number | null;
  total: number | null;
  /** The job's counts when the last page reported; the store's are ahead of them. */
  counts: Counts;
  pagesInFlight: number[];
  pagesPending: number;
  /** Only where rows are workflows of their own: those that run, and what was asked of those that do not. */
  items?: { running: RunningItem[]; asked: AskedItem[] };
}

export interface SheetJobResult {
  state: EndedState;
  total: number | null;
  counts: Counts;
  remaining: number;
}

export interface OpenSheetInput extends JobRef {
  attempt: number;
  sequence: number;
  generation: number;
}

/** The sheet, or how long to wait: a limit left nothing to ask for it with. */
export type OpenSheetAnswer = OpenedSheet | { wait: LimitWait };

export interface OpenedSheet {
  total: number;
  /** Activity tasks with pages in flight at once. */
  window: number;
  /** Pages of a task at most; left out: 1. */
  pagesInTask?: number;
  /** Pages with something to do in this attempt. */
  pending: PageSpan[];
  counts: Counts;
  /** Set where results are to be written into the sheet, when all pages are through. */
  writeBack?: true;
  /** A source is brought up to date. */
  versioned?: true;
}

/** Where writing goes on: the page, the first free line of the tab that is written to, and what came of it so far. */
export interface WriteBackCursor {
  page: number;
  line: number;
  report: WriteBackReport;
}

export interface WriteBackInput extends JobRef {
  attempt: number;
  sequence: number;
  /** Null: from the beginning. */
  cursor: WriteBackCursor | null;
}

export interface WriteBackAnswer {
  /** Null: all is written. */
  cursor: WriteBackCursor | null;
  /** Set when a limit left it without calls. */
  wait: LimitWait | null;
}

export interface ProcessPageInput extends JobRef {
  page: number;
  /** Pages up to this one follow, one after the other; left out: none. */
  lastPage?: number;
  attempt: number;
  generation: number;
  dispatch: number;
  concurrency: number | null;
  /** A server has refused again and again, without a row getting through: rows that it refuses fail now. */
  lastTry: boolean;
}

export interface ProcessPageAnswer {
  /** The whole job's counts afterwards. */
  counts: Counts;
  /** Every row of the pages has an outcome. */
  complete: boolean;
  /** The first page that must run again, where pages before it are complete; the one after it may have been begun. */
  left?: number;
  /** Set when the circuit breaker tripped. */
  stopped: ErrorBody | null;
  /** Set when a limit left the page without calls. */
  wait: LimitWait | null;
  /** All of that page that has no outcome waits for the answer of a service. */
  parked?: true;
}

export interface CollectAnswersAnswer {
  /** Pages with rows whose answer has come, or whose time is over. */
  pages: number[];
  /** Rows that still wait. */
  submitted: number;
  /** Look again after so long, whatever happens. */
  lookMs: number;
}

/** What the workflow calls: the work itself. */
export interface RowActivities {
  openSheet(input: OpenSheetInput): Promise<OpenSheetAnswer>;
  processPage(input: ProcessPageInput): Promise<ProcessPageAnswer>;
  /** Asks services that do not call back how far they are, and says where there is something to take. */
  collectAnswers(input: JobRef & { attempt: number }): Promise<CollectAnswersAnswer>;
  /** Some seconds of writing results into the sheet. */
  writeBack(input: WriteBackInput): Promise<WriteBackAnswer>;
  /** Resolves when the store and the blobs can be written and read. */
  checkStores(): Promise<void>;
}
