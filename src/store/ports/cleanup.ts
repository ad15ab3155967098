/** Cleanup of all tenants, in bounded steps that may be repeated. */
import type { JobRecord } from '../../contracts/job.ts';
import type { CleanupReport, Sweep } from '../../contracts/system.ts';
import type { Listed, ListPage } from './lists.ts';

/** What a sweep removes: everything older than `before` (ISO 8601), from `cursor` on. `dryRun`: it is only counted. */
export interface SweepAsked {
  before: string;
  cursor: string | null;
  dryRun: boolean;
}

export interface CleanupStore {
  /** Jobs that ended before, in an order of the store's own. Rejects with `invalid_cursor`. */
  endedJobs(before: string, page: ListPage): Promise<Listed<JobRecord>>;
  /** Events of jobs that ended before. Counted by event. */
  sweepEvents(asked: SweepAsked): Promise<Sweep>;
  /** Outputs of items that were written last before, and whose job has ended. The items stay, with all that decides
   *  whether a row is handled again; their text is of the input alone. Counted by item. */
  sweepOutputs(asked: SweepAsked): Promise<Sweep>;
  sweepSummaries(asked: SweepAsked): Promise<Sweep>;
  /** Writes the report unless one with as many steps is there. The newest 100 are kept. */
  writeCleanup(report: CleanupReport): Promise<void>;
  getCleanup(id: string): Promise<CleanupReport | null>;
  /** The newest first; at most 100. */
  listCleanups(): Promise<CleanupReport[]>;
}
