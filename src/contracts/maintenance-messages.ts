/** What passes through Temporal of what keeps the house in order: removal, cleanup, actions on many documents. */
import type { BulkPageAnswer, BulkPageInput } from './document-messages.ts';
import type { JobRef } from './messages.ts';

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
