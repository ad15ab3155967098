/** What can be done to jobs: the store's record first, then the workflow. The API and the CLI's server side call this. */
import type { Control } from '../contracts/messages.ts';
import type { JobRecord, JobRequest, Priority, RetryFilter } from '../contracts/job.ts';

export interface NewJob {
  tenant: string;
  owner: string;
  request: JobRequest;
  /** Null: the implicit source (path + sheet + range; `job:<id>` for an upload). */
  source: string | null;
  /** Null: the handler's name. */
  lane: string | null;
  priority: Priority;
  tags: string[];
}

/** `applied`: a worker answered within two seconds and the record shows the state that resulted; else it was asked for durably. */
export interface Controlled {
  job: JobRecord;
  applied: boolean;
}

export interface Jobs {
  /** Writes the record as `queued`, then starts the workflow. When Temporal is unreachable the record stays and the
   *  reconciler starts it. `created` is false when the idempotency key had made the job before. */
  create(job: NewJob, idempotency?: { key: string; requestHash: string }): Promise<{ job: JobRecord; created: boolean }>;
  /** Rejects with `job_not_found`, `wrong_state`. */
  control(tenant: string, id: string, control: Control): Promise<Controlled>;
  /** Rejects with `job_not_found`, `wrong_state` (not ended, or nothing to retry). */
  retry(tenant: string, id: string, filter: RetryFilter): Promise<JobRecord>;
  /** Rejects with `job_not_found`, `wrong_state` (ended). */
  change(tenant: string, id: string, change: { priority?: Priority; concurrency?: number }): Promise<Controlled>;
  /** Cancels, then removes what the job owns, durably; the record answers until it is gone. */
  remove(tenant: string, id: string): Promise<JobRecord>;
}
