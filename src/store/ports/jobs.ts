/** Job records, and the lanes that jobs hold: one job at a time per source and lane. */
import type { DesiredState, JobPatch, JobRecord, JobState, Priority, RetryFilter } from '../../contracts/job.ts';
import type { LaneRef } from './rows.ts';
import type { Listed, ListPage } from './lists.ts';

export interface JobFilter {
  state?: JobState[];
  kind?: string;
  source?: string;
  tag?: string;
  batch?: string;
}

/** A desired change by the API: compare-and-set on `revision`. */
export interface JobChange {
  desired?: DesiredState | null;
  priority?: Priority;
  concurrency?: number | null;
  /** Of a sheet's job, in the currency of the price table. */
  maxCost?: number;
}

export interface JobStore {
  /** Creates the record, and claims the idempotency key with it, in one transaction. With a key that is taken,
   *  writes nothing and answers the job that took it; rejects with `idempotency_conflict` where its request hash differs. */
  createJob(job: JobRecord, idempotency?: { key: string; requestHash: string }): Promise<{ job: JobRecord; created: boolean }>;
  getJob(tenant: string, id: string): Promise<JobRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listJobs(tenant: string, filter: JobFilter, page: ListPage): Promise<Listed<JobRecord>>;
  /** Null when the record's revision is not the expected one (read it again and decide anew). */
  changeJob(tenant: string, id: string, revision: number, change: JobChange): Promise<JobRecord | null>;
  /** From ended back to `queued` with attempt + 1, sequence 0, `desired` null, no error, cause or end; null when the revision differs.
   *  Rejects with `wrong_state` where the job has not ended or is to be deleted. */
  requeueJob(tenant: string, id: string, revision: number, retry: RetryFilter): Promise<JobRecord | null>;
  /** Writes where (attempt, sequence) is above the record's; false when it is not, or there is no record. */
  advanceJob(tenant: string, id: string, at: { attempt: number; sequence: number }, patch: JobPatch): Promise<boolean>;
  /** Jobs of every tenant that are not ended, or whose deletion was asked for: the reconciler's list. `resting` ones wait for their turn
   *  or another job, and nothing was asked of them; there may be thousands. The rest are `active`. */
  openJobs(page: ListPage, which?: 'active' | 'resting'): Promise<Listed<JobRecord>>;
  /** Removes the record and all that only the job owns in the store (pages, failed rows, events, idempotency key;
   *  for a source `job:<id>` its items too), in bounded steps; false while there is more to do. */
  removeJob(tenant: string, id: string): Promise<boolean>;

  /** Takes the lane for the job, raising its generation; asked again by the same job and attempt, the same
   *  generation. `leaveQueue` gives it back. */
  acquireLane(lane: LaneRef, job: string, attempt: number): Promise<{ granted: boolean; generation: number; holder: string }>;
}
