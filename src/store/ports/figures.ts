/** Figures over all jobs, open and ended. */
import type { JobRecord, JobState } from '../../contracts/job.ts';
import type { Analytics, AnalyticsFilter, JobSummary } from '../../contracts/summary.ts';

export interface JobCount {
  tenant: string;
  state: JobState;
  jobs: number;
}

export interface FigureStore {
  /** Of all tenants. */
  countJobs(): Promise<JobCount[]>;
  /** Of all tenants; the oldest first. */
  jobsIn(states: JobState[], limit: number): Promise<JobRecord[]>;
  /** Replaces the job's, unless that is of a later (attempt, sequence). It stays when the job is removed. */
  writeSummary(summary: JobSummary): Promise<void>;
  /** Over the jobs that ended in a time; `tenant` null: of all tenants. Percentiles may be off by 2 %. */
  analyse(tenant: string | null, filter: AnalyticsFilter): Promise<Analytics>;
}
