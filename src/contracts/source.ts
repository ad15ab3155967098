/** Sources that keep themselves in sync, and their versions: records of the store, and what passes through Temporal. */
import type { JobRef } from './messages.ts';
import type { NewJob } from './plans.ts';

export const VERSIONING = ['content_hash', 'timestamp'] as const;
/** What makes a version: another content, or every fetch. */
export type Versioning = (typeof VERSIONING)[number];

export const DELETE_MODES = ['keep', 'mark', 'remove'] as const;
/** Rows that are gone from the sheet: stay, are found no more, or are found no more and lose their content. */
export type DeleteMode = (typeof DELETE_MODES)[number];

export interface Deletes {
  mode: DeleteMode;
  /** 0–1: of the current version's rows. What is above it waits for approval. */
  maxFraction: number;
}
export const DEFAULT_DELETES: Readonly<Deletes> = { mode: 'mark', maxFraction: 0.2 };
export const DEFAULT_KEEP_VERSIONS = 30;
/** How long the records of finished jobs of sources stay, in hours. */
export const DEFAULT_TASK_HOURS = 24;

/** When a source is fetched; null: only when somebody asks. */
export type SourceSchedule = { every: number } | { cron: string; timeZone: string };

/** What is wanted of a source; a change of it is one write. */
export interface SourceDefinition {
  /** For people, in any script. */
  name: string | null;
  description: string | null;
  /** Whatever makes a job of it. `source` is its id. */
  job: NewJob;
  versioning: Versioning;
  fetch: 'async' | 'sync';
  schedule: SourceSchedule | null;
  /** False: its schedule is paused, and commands for all sources leave it out. */
  enabled: boolean;
  deletes: Deletes;
  /** Versions that are kept, at least the current one. */
  keepVersions: number;
  /** The file that names it, and the environment it was applied to: what is pruned by. */
  set: string | null;
  environment: string | null;
}

export interface SourceRecord {
  tenant: string;
  id: string;
  owner: string;
  createdAt: string;
  updatedAt: string;
  /** Raised by every write, for compare-and-set. */
  revision: number;
  definition: SourceDefinition;
  /** Its schedule is kept by Temporal. */
  scheduled: boolean;
  /** It is being deleted. */
  deleting: boolean;
  /** Sequence of the version that counts; null before the first. */
  current: number | null;
  /** Sequences given so far. */
  versions: number;
  /** Versions whose rows were worked on since the current one, and which did not become it: rows of theirs may be in the ledger. */
  touched: number[];
  /** The newest fetch that was read to its end. */
  fetched: { at: string; job: string; outcome: 'new' | 'unchanged' } | null;
}

/** `rolled_back`: an earlier one was put in its place. `rejected`: somebody did not let it remove that many rows. */
export const VERSION_STATES = ['processing', 'waiting', 'completed', 'failed', 'cancelled', 'rejected', 'rolled_back'] as const;
export type VersionState = (typeof VERSION_STATES)[number];

export interface VersionCounts {
  added: number;
  changed: number;
  /** Same row, at another place among the others. */
  moved: number;
  removed: number;
}

/** One observed content of a source. */
export interface VersionRecord {
  tenant: string;
  source: string;
  /** From 1. */
  sequence: number;
  /** Over the names of its columns and its rows as read, whatever carried them and in whatever order its columns stand. */
  hash: string;
  /** The version whose folder has the pages; another one only where nothing had changed. */
  content: number;
  state: VersionState;
  job: string;
  lane: string;
  fetchedAt: string;
  endedAt: string | null;
  rows: number;
  pages: number;
  columns: { name: string; header: string | null; letter: string }[];
  keyColumns: string[];
  /** The version that it was compared with; null for the first. */
  base: number | null;
  counts: VersionCounts;
  /** Columns that the base lacks, and that only the base has. */
  newColumns: string[];
  lostColumns: string[];
  /** Keys of the first rows that it lacks. */
  goneKeys: string[];
  /** Files of rows that stay though the sheet lacks them (`deletes.mode: keep`). */
  keptFiles: number;
  /** What somebody has to approve first. */
  asks: { gone: number; of: number; why: string } | null;
}

/** What a job of a source is to do: read it, or bring an earlier version back. */
export interface SyncRequest {
  rollback: number | null;
}

// ── what passes through Temporal ────────────────────────────────────────────────────────────────────────────────

export const SOURCE_WORKFLOWS = { deleteSource: 'deleteSource', cleanUpSources: 'cleanUpSources' } as const;
/** Signals and Updates of a job that waits for approval. */
export const VERDICTS = ['approve', 'reject'] as const;
export type Verdict = (typeof VERDICTS)[number];

export interface VersionInput extends JobRef {
  attempt: number;
  sequence: number;
  generation: number;
  /** Somebody let it remove what it removes. */
  approved: boolean;
}

/** `asks`: what somebody has to approve first, for people. */
export interface OpenVersionAnswer {
  asks: string | null;
}

export interface SourceActivities {
  /** Makes a version of what the job has read, unless it is the current one; compares it with that. */
  openVersion(input: VersionInput): Promise<OpenVersionAnswer>;
  /** Makes the job's version the current one: rows that are gone from the sheet go, those that are back are back. */
  closeVersion(input: VersionInput): Promise<void>;
  rejectVersion(input: VersionInput): Promise<void>;
}

export interface SourceRef {
  tenant: string;
  id: string;
}

export interface CleanUpSourcesInput {
  /** Null: all. */
  tenant: string | null;
  maxAgeHours: number;
  environment: string | null;
  dryRun: boolean;
  /** Only in the input of a run that continues another. */
  carried?: { position: SourcePosition | null; report: SourcesCleanup };
}
export interface SourcePosition {
  tenant: string;
  cursor: string | null;
}
export interface SourcesCleanup {
  sources: number;
  jobs: number;
  versions: number;
}

export interface SourceMaintenance {
  /** Cancels its jobs and waits for their end. */
  stopSource(input: SourceRef): Promise<void>;
  /** Rows, versions and their files; its record last. */
  removeSource(input: SourceRef): Promise<void>;
  /** Some sources further; null: there are no more. */
  cleanUpSourcesStep(input: Omit<CleanUpSourcesInput, 'carried'> & { position: SourcePosition | null }): Promise<{ report: SourcesCleanup; position: SourcePosition | null }>;
}
