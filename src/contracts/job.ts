/** The life of a job: states, causes, counts, and the record that the store keeps. */
import type { Json, Spent } from './row.ts';
import type { DocumentRequest, DocumentStage, Reprocess } from './document.ts';
import type { ErrorBody } from './errors.ts';
import type { Validation } from './formats.ts';
import type { SyncRequest } from './source.ts';
import type { WebhookEndpoint } from './webhooks.ts';

export const JOB_STATES = [
  'queued', 'running', 'pausing', 'paused', 'waiting', 'cancelling', 'completed', 'failed', 'cancelled',
] as const;
export type JobState = (typeof JOB_STATES)[number];

export const ENDED_STATES = ['completed', 'failed', 'cancelled'] as const satisfies readonly JobState[];
export type EndedState = (typeof ENDED_STATES)[number];
export const isEnded = (state: JobState): state is EndedState => (ENDED_STATES as readonly JobState[]).includes(state);

export const CAUSES = ['rate_limit', 'budget', 'capacity', 'approval', 'dependency'] as const;
/** Why a job is `waiting`. */
export type Cause = (typeof CAUSES)[number];

export const PRIORITIES = ['urgent', 'critical', 'high', 'normal', 'low'] as const;
export type Priority = (typeof PRIORITIES)[number];
/** Temporal's priority keys: 1 is served first. */
export const PRIORITY_KEYS: Record<Priority, number> = { urgent: 1, critical: 1, high: 2, normal: 3, low: 4 };

/** What somebody asked a job to become and Temporal has not taken over yet; the reconciler hands it over. */
export const DESIRED_STATES = ['running', 'paused', 'cancelled', 'deleted'] as const;
export type DesiredState = (typeof DESIRED_STATES)[number];

/** What becomes of a job when one that it depends on fails, is cancelled or deleted. */
export const ON_FAILURE = ['cancel', 'run', 'wait'] as const;
export type OnFailure = (typeof ON_FAILURE)[number];

/** Which run of which schedule made a job. */
export interface ScheduleRef {
  id: string;
  /** The time that the run was due at, ISO 8601. */
  at: string;
  /** The run's workflow, which waits for the job's end. */
  workflow: string;
}

/** Row counts by outcome. With `remaining` (the rest of the total) they add up to the manifest's rows. */
export interface Counts {
  done: number;
  unchanged: number;
  failed: number;
  skipped: number;
}
export const NO_COUNTS: Readonly<Counts> = { done: 0, unchanged: 0, failed: 0, skipped: 0 };

export interface Progress extends Counts {
  stage: 'queued' | 'snapshot' | 'rows' | 'write_back' | DocumentStage | 'ended';
  /** Null until the sheet has been read: a total is never guessed. */
  total: number | null;
  remaining: number | null;
  /** Of the remaining ones: sent to a service that has not answered; left out where there are none. */
  submitted?: number;
  /** 0–100, one decimal; null while the total is unknown. */
  percent: number | null;
  itemsPerSecond: number | null;
  etaSeconds: number | null;
}

/** Where the rows come from: an uploaded file, a file that the worker can read, or a spreadsheet at Google. */
export type SourceLocation = { upload: string } | { path: string } | SpreadsheetLocation;

export interface SpreadsheetLocation {
  /** Its id at Google. */
  spreadsheet: string;
  /** Google's number of a sheet in it; left out where `sheet` names one, or the first visible sheet is meant. */
  gid?: number;
  /** The name of credentials that the workers are configured with, never a secret. Left out: those called `default`, else ADC. */
  credentials?: string;
  /** Application Default Credentials, whatever is called `default`. */
  useAdc?: true;
}

/** What of the results is written into the sheet that the rows came from. */
export interface WriteBack {
  /** Field of the output (`category`, `address.city`) → name of a column, made at the right edge where it is missing. */
  columns: { [field: string]: string };
  /** Into this tab instead, beside the columns that name the rows; made where it is missing. */
  tab?: string;
}

/** How far a job's write-back is; counts are rows. */
export interface WriteBackReport {
  /** Cells of the row hold the results; `written` of them had to be changed for it. */
  current: number;
  written: number;
  /** Stood somewhere else than when the sheet was read, and were found by their key. Also in `current`. */
  moved: number;
  /** Are not in the sheet any more, or not for certain: nothing was written for them. */
  missing: number;
  /** Values that a cell cannot hold as a whole, and that were cut. */
  cut: number;
  /** ISO 8601; null: not finished yet. */
  completedAt: string | null;
}
export const NOTHING_WRITTEN: Readonly<WriteBackReport> = { current: 0, written: 0, moved: 0, missing: 0, cut: 0, completedAt: null };

export interface SheetOptions {
  /** XLSX: a sheet's name, or its 1-based number. Default: the first visible sheet. */
  sheet?: string | number;
  /** A1 notation, e.g. `B2:F100`, `A:D`, `2:50`. */
  range?: string;
  /** 1-based within the sheet; 0: there is no header and columns are called A, B, … Default 1 (the range's first row). */
  headerRow?: number;
  /** First data row, 1-based as the sheet numbers its rows. Default: the one after the header. */
  startRow?: number;
  numRows?: number;
  /** CSV only; sniffed unless given. */
  delimiter?: ',' | ';' | '\t' | '|';
  /** CSV only; detected unless given. */
  encoding?: 'utf-8' | 'utf-16le' | 'utf-16be' | 'windows-1252';
}

export interface BreakerOptions {
  /** Rows that must have finished before it may trip. */
  minRows: number;
  /** 0–1: the share of this attempt's finished rows that may fail. */
  maxFailedFraction: number;
}
export const DEFAULT_BREAKER: BreakerOptions = { minRows: 200, maxFailedFraction: 0.3 };

/** What a user asked for, validated and with defaults filled in. Stored, never sent through history. */
export interface JobRequest extends SheetOptions {
  location: SourceLocation;
  /** The file's name as the user knows it. */
  fileName: string;
  handler: string;
  /** As the user gave them; checked by the handler's own schema before the job is accepted. */
  options: { [name: string]: Json };
  keyColumns: string[];
  onDuplicateKey: 'fail' | 'first' | 'last';
  force: boolean;
  /** Rows handled at once; null: the handler's default. */
  concurrency: number | null;
  /** Null: never stops. */
  breaker: BreakerOptions | null;
  /** How long rows in flight may take to finish after a pause or cancel. */
  drainSeconds: number;
  /** Left out: nothing is written into the sheet. */
  writeBack?: WriteBack;
  /** Only of a job that brings a source up to date. */
  sync?: SyncRequest;
  /** Who is told of the job, beside whom the operator names for the tenant. */
  webhooks?: WebhookEndpoint[];
  /** Every row is a workflow of its own; left out: rows are handled in pages. */
  fanOut?: 'workflow';
  /** What its rows may cost together, over all attempts, in the currency of the price table; left out: no limit of its own. */
  maxCost?: number;
  /** What rows are checked by before any handler sees them; left out: they are not. */
  validation?: Validation;
}

export interface RetryFilter {
  /** Only failed rows with these codes; null: all failed rows and those remaining. */
  codes: string[] | null;
  /** Only failed rows with these fingerprints; left out: with any. */
  fingerprints?: string[];
  /** Only failed rows with these numbers; left out: whatever their number. */
  rows?: number[];
  /** Of a document: what is done again. Left out: the stage that it stopped at, as before. */
  reprocess?: Reprocess;
}

/** Made once by `openSheet`; the pages that it counts never change. */
export interface Manifest {
  rows: number;
  pages: number;
  bytes: number;
  columns: { name: string; header: string | null; letter: string }[];
  /** Cheap identity of what was read; empty where nobody could tell it. */
  fingerprint: string;
  /** Which sheet was read, where whoever holds it may put another first. */
  sheet?: string;
  /** Hash of how it was read: range, header, key columns, size of pages. */
  reading: string;
  /** The lane's, when the sheet was read. */
  generation: number;
  /** The job whose pages these are a copy of, because the file has not changed since; null when the sheet was read. */
  base: string | null;
  /** Hash over all row hashes in order. */
  contentHash: string;
  /** How rows are named: by these columns, or by their number when empty. */
  keyColumns: string[];
  /** Rows whose key an earlier or later row has too, and which are therefore not handled. */
  duplicates: number;
  warnings: { code: string; message: string; row?: number; column?: string }[];
}

interface AnyJobRecord {
  tenant: string;
  id: string;
  owner: string;
  /** The source whose ledger the rows belong to: `job:<id>` for an upload that named none, `document:<key>` of a document. */
  source: string;
  lane: string;
  priority: Priority;
  tags: string[];
  state: JobState;
  /** Null once the workflow has been told. `deleted` stays until the record is gone. */
  desired: DesiredState | null;
  cause: Cause | null;
  /** ISO 8601; when a wait is known to end. */
  until: string | null;
  /** One sentence for people: what it waits for, or why it ended. */
  reason: string | null;
  error: ErrorBody | null;
  /** 1 for the first run; a retry raises it. */
  attempt: number;
  /** Raised by the workflow with each state it writes; (attempt, sequence) guards the record against late writers. */
  sequence: number;
  /** Raised by every write, for compare-and-set. */
  revision: number;
  retry: RetryFilter | null;
  manifest: Manifest | null;
  /** Left out until the write-back begins, and where there is none. */
  writeBack?: WriteBackReport;
  /** ISO 8601: not before; null: at once. */
  runAt: string | null;
  /** Jobs that have to end first, and what becomes of this one where one of them does not complete. */
  dependsOn: string[];
  onFailure: OnFailure;
  /** The batch that it is a member of. */
  batch: string | null;
  /** The schedule that made it. */
  schedule: ScheduleRef | null;
  createdAt: string;
  startedAt: string | null;
  completedAt: string | null;
  updatedAt: string;
  /** Since when rows have been running without a break, and how many had finished then: what the rate is counted from. */
  runningSince: string | null;
  finishedBefore: number;
}

export interface SheetJobRecord extends AnyJobRecord {
  kind: 'sheet';
  request: JobRequest;
}

/** Its `manifest` stays null: the document's own record (`contracts/document.ts`) says how far it is. */
export interface DocumentJobRecord extends AnyJobRecord {
  kind: 'document';
  request: DocumentRequest;
}

export type JobRecord = SheetJobRecord | DocumentJobRecord;
export type JobKind = JobRecord['kind'];

/** What activities and the reconciler may write of a job. The rest is the API's or fixed. */
export type JobPatch = Partial<Pick<JobRecord,
  'state' | 'cause' | 'until' | 'reason' | 'error' | 'manifest' | 'writeBack' | 'startedAt' | 'completedAt' | 'runningSince' | 'finishedBefore'>>;

/** Counts of one page of one job, the newest attempt's. */
export interface PageRecord {
  /** From 1. */
  page: number;
  attempt: number;
  counts: Counts;
  /** Rows that the handler finished in this attempt, and those of them that failed in a way a breaker counts. */
  tried: number;
  faults: number;
  /** By this job for the page's rows, all attempts; left out where nothing is known. */
  spent?: Spent;
  /** Every row of the page has an outcome. */
  complete: boolean;
  /** Blob key of the page's newest result; null until one is written. */
  result: string | null;
  /** Rows that were sent to a service and wait for its answer; left out where there are none. */
  submitted?: number;
}

export interface JobTotals extends Counts {
  tried: number;
  faults: number;
  /** Over all attempts; left out where nothing is known. */
  spent?: Spent;
  /** Of those without an outcome; left out where there are none. */
  submitted?: number;
}

export interface JobEvent {
  /** Ascending within the job; the cursor of lists. */
  seq: number;
  at: string;
  type: string;
  message: string;
  data?: { [key: string]: Json };
}
