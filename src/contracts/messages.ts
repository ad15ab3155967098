/**
 * Names of everything that passes through Temporal, and the shapes that jobs of every kind share. What only some of it is
 * about has a file of its own beside this one. None of them imports zod, so that workflows may import them.
 */
import type { Cause, Counts, EndedState, JobState, Priority } from './job.ts';
import type { ErrorBody } from './errors.ts';

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

/** The answer to a control Update. */
export interface ControlAnswer {
  state: JobState;
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

/** Why a page stopped before its end, and its job is to wait. */
export interface LimitWait {
  ms: number;
  reason: string;
  /** A server refused (`Retry-After`), as opposed to a limit that has no call left. */
  refused: boolean;
  /** Nobody pays: the wait is until then (ISO 8601), or without an end (null), or until somebody says to go on. Left out: it is no matter of money. */
  unpaidUntil?: string | null;
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

/** What the workflows of every kind of job call: records, small and quick. */
export interface JobActivities {
  /** Puts the job into the queue and gives out the places that are free. May be asked again at any time. */
  admit(input: AdmitInput): Promise<AdmitAnswer>;
  recordState(input: RecordStateInput): Promise<void>;
  finishJob(input: FinishJobInput): Promise<FinishJobAnswer>;
}
