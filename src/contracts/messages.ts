/** Names and shapes of everything that passes through Temporal. Types only, so that workflows may import it. */
import type { Cause, Counts, EndedState, JobState, Priority, WriteBackReport } from './job.ts';
import type { DocumentFilter, Reprocess } from './document.ts';
import type { ErrorBody } from './errors.ts';
import type { AskedItem, FanOutState, RunningItem } from './items.ts';

export const TASK_QUEUES = {
  jobs: 'sheaf-jobs',
  rows: 'sheaf-rows',
  items: 'sheaf-items',
  documents: 'sheaf-documents',
  maintenance: 'sheaf-maintenance',
  /** Slow servers of others keep nobody else waiting. */
  webhooks: 'sheaf-webhooks',
} as const;

export const WORKFLOWS = { 
  sheetJob: 'sheetJob', documentJob: 'documentJob', closeJob: 'closeJob', deleteJob: 'deleteJob', sweepUploads: 'sweepUploads', limitBroker: 'limitBroker', cleanUp: 'cleanUp',
  cleanupOldDocuments: 'cleanup_old_documents', reprocessDocuments: 'reprocess_documents',
} as const;

/** `pause`, `resume` and `cancel` are Signals (for operators) and Updates (for the API) of the same name. */
export const CONTROLS = ['pause', 'resume', 'cancel'] as const;
export type Control = (typeof CONTROLS)[number];
export const SET_PRIORITY = 'setPriority';
export const SET_CONCURRENCY = 'setConcurrency';
export const STATUS_QUERY = 'status';
/** A Signal: what the queue says of the job has changed. */
export const QUEUE_SIGNAL = 'queue';
/** A Signal: services have answered. */
export const ANSWERS_SIGNAL = 'answers';

/** Names one job in the store. */
export interface JobRef {
  tenant: string;
  jobId: string;
}

/** A run of pages, both ends included. */
export type PageSpan = [from: number, to: number];

/** What the workflow of any kind of job is started with. */
export interface JobInput extends JobRef {
  attempt: number;
  /** The record's sequence at the start: what the workflow writes is above it. */
  sequence: number;
  priority: Priority;
  concurrency: number | null;
  /** What has to come first; left out where nothing has. */
  plan?: JobPlan;
}

/** What a job waits for before it asks to be admitted. */
export interface JobPlan {
  /** ISO 8601. */
  runAt: string | null;
  /** Dependencies not known to have been met; those that were stay met, whatever becomes of them. */
  unmet: string[];
}

/** What a run of any kind of job must know to go on where another stopped. Plain JSON. */
export interface JobLifeState {
  state: JobState;
  /** Why it waits, and until when. */
  cause: Cause | null;
  until: string | null;
  reason: string | null;
  /** What was asked last. */
  wanted: 'running' | 'paused' | 'cancelled';
  sequence: number;
  generation: number;
  /** It has a place among the running jobs. */
  placed: boolean;
  /** Milliseconds since 1970: from when on its `low` priority counts as `normal`; null while not known. */
  agesAt: number | null;
  /** Milliseconds since 1970: from when on it is in line; null: since it was created. */
  inLineSince: number | null;
  plan: JobPlan | null;
}

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
  sheet: { total: number; window: number } | null;
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

/** The answer to a control Update. */
export interface ControlAnswer {
  state: JobState;
}

export interface SheetJobResult {
  state: EndedState;
  total: number | null;
  counts: Counts;
  remaining: number;
}

export interface AdmitInput extends JobRef {
  attempt: number;
  sequence: number;
  priority: Priority;
  /** Milliseconds since 1970: from when on it is in line; null: since it was created. */
  since: number | null;
}

export interface AdmitAnswer {
  granted: boolean;
  /** Raised at each admission to the lane; the top of every fence. */
  generation: number;
  /** Milliseconds since 1970: from when on its `low` priority counts as `normal`. */
  agesAt: number;
  /** While it is not granted: what the job is until then, and why. */
  state: 'queued' | 'waiting';
  cause: Cause | null;
  reason: string | null;
}

/** What a state's record says, beside the state. */
export interface RecordStateInput extends JobRef {
  attempt: number;
  sequence: number;
  state: JobState;
  cause: Cause | null;
  until: string | null;
  reason: string | null;
  /** The place among the running jobs is given back meanwhile. */
  freesPlace?: true;
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
  /** Pages in flight at once. */
  window: number;
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
  attempt: number;
  generation: number;
  dispatch: number;
  concurrency: number | null;
  /** A server has refused again and again, without a row getting through: rows that it refuses fail now. */
  lastTry: boolean;
}

/** Why a page stopped before its end, and its job is to wait. */
export interface LimitWait {
  ms: number;
  reason: string;
  /** A server refused (`Retry-After`), as opposed to a limit that has no call left. */
  refused: boolean;
  /** Nobody pays: the wait is until then (ISO 8601), or without an end (null), or until somebody says to go on. Left out: it is no matter of money. */
  unpaidUntil?: string | null;
}

export interface ProcessPageAnswer {
  /** The whole job's counts after this page. */
  counts: Counts;
  /** Every row of the page has an outcome; else the page must run again. */
  complete: boolean;
  /** Set when the circuit breaker tripped. */
  stopped: ErrorBody | null;
  /** Set when a limit left the page without calls. */
  wait: LimitWait | null;
  /** All that has no outcome waits for the answer of a service. */
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

export type DocumentJobInput = JobInput & { carried?: DocumentJobState };

export interface DocumentJobState extends JobLifeState {
  /** All stages are done; only the end is left to write. */
  done: boolean;
}

/** The answer to the `status` Query of a document's job. How far its stages are is in the document's record. */
export type DocumentJobStatus = Pick<JobStatus, 'state' | 'cause' | 'until' | 'reason' | 'attempt' | 'priority'> & { done: boolean };

export interface DocumentJobResult {
  state: EndedState;
}

export interface ProcessDocumentInput extends JobRef {
  attempt: number;
  /** The lane's; names the passages that the attempt writes. */
  generation: number;
  /** Grows with every dispatch in the attempt. */
  dispatch: number;
}

export interface ProcessDocumentAnswer {
  /** Every stage is done; else it was interrupted between two. */
  done: boolean;
}

export interface FinishJobInput extends JobRef {
  attempt: number;
  /** Null: whatever the record has, plus one (the workflow is gone and cannot say). */
  sequence: number | null;
  state: EndedState;
  error: ErrorBody | null;
  reason: string | null;
}

export interface FinishJobAnswer {
  counts: Counts;
}

/** What workflows call, by task queue: records and maintenance are small, `openSheet` and `processPage` are the work. */
export interface JobActivities {
  /** Puts the job into the queue and gives out the places that are free. May be asked again at any time. */
  admit(input: AdmitInput): Promise<AdmitAnswer>;
  recordState(input: RecordStateInput): Promise<void>;
  finishJob(input: FinishJobInput): Promise<FinishJobAnswer>;
}
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
export interface DocumentActivities {
  /** Takes the document through the stages that have no result yet, one after the other. */
  processDocument(input: ProcessDocumentInput): Promise<ProcessDocumentAnswer>;
}
/** What is done to all documents of a tenant that a filter finds. */
export interface BulkInput {
  tenant: string;
  /** `since` and `before` are fixed when it is asked for, so that documents that come later are not among them. */
  filter: DocumentFilter;
  /** Only counts. */
  dryRun: boolean;
  /** Null: they are deleted. */
  reprocess: Reprocess | null;
  /** Only in the input of a run that continues another. */
  carried?: { cursor: string | null; report: BulkReport };
}

export interface BulkReport {
  /** Documents looked at, and those that the action was taken for (or would be). */
  found: number;
  taken: number;
  /** Of the taken ones' files. */
  bytes: number;
  /** Taken for none, by the error's code. */
  refused: { [code: string]: number };
  /** Ids of the first of the taken ones. */
  documents: string[];
  done: boolean;
}

export interface BulkPageInput {
  tenant: string;
  filter: DocumentFilter;
  dryRun: boolean;
  reprocess: Reprocess | null;
  cursor: string | null;
}

export interface BulkPageAnswer {
  report: Omit<BulkReport, 'done'>;
  /** Null: that was the last page. */
  cursor: string | null;
}

export interface MaintenanceActivities {
  /** Takes a page of documents; may be repeated. */
  bulkPage(input: BulkPageInput): Promise<BulkPageAnswer>;
  /** Resolves when no workflow of the job runs any more; terminates one that does not end when cancelled. */
  stopJob(input: JobRef): Promise<void>;
  removeJob(input: JobRef): Promise<void>;
  /** Removes uploads that have expired, and parts of no upload that are two days old; answers how many. */
  sweepUploads(): Promise<{ expired: number; aborted: number }>;
  /** Fixes what is old enough, in the report. False: nothing is ever to go, and nobody asked. */
  beginCleanup(input: BeginCleanupInput): Promise<boolean>;
  /** Carries out one step of some seconds and adds it to the report, once however often it is called. False: it was the last. */
  cleanUpStep(input: { id: string; step: number }): Promise<boolean>;
}

export interface CleanUpInput {
  /** Of the report; null: a schedule has started it, which only does what is configured. */
  id: string | null;
  dryRun: boolean;
  /** Only in the input of a run that continues another. */
  step?: number;
}

export interface BeginCleanupInput {
  id: string;
  dryRun: boolean;
  asked: boolean;
  /** Milliseconds since 1970: when the cleanup began. */
  now: number;
}
