/** What the stores do alike with job records. */
import { SheafError } from '../contracts/errors.ts';
import { isEnded, type JobRecord, type RetryFilter } from '../contracts/job.ts';
import type { JobChange } from './ports/jobs.ts';

/** The record as the API wants it. Rows at once and what they may cost are a sheet's; a document has neither. */
export function changedJob(job: JobRecord, { concurrency, maxCost, ...change }: JobChange): JobRecord {
  if (job.kind === 'document') return { ...job, ...change };
  return { ...job, ...change, request: { ...job.request, ...(concurrency !== undefined && { concurrency }), ...(maxCost !== undefined && { maxCost }) } };
}

/** The record as a new attempt begins with it. Throws `wrong_state`. */
export function requeuedJob(job: JobRecord, retry: RetryFilter): JobRecord {
  if (!isEnded(job.state) || job.desired === 'deleted') {
    throw new SheafError('wrong_state', `The job is ${job.desired === 'deleted' ? 'being deleted' : job.state}.`, { remedy: 'Only a job that has ended can be tried again.' });
  }
  const next: JobRecord = {
    ...job, state: 'queued', desired: null, cause: null, until: null, reason: null, error: null, completedAt: null,
    runningSince: null, attempt: job.attempt + 1, sequence: 0, retry,
  };
  delete next.writeBack;
  return next;
}

/** Whether the source is the job's alone, as that of an uploaded sheet, and goes with it. */
export const ownsSource = ({ id, source }: Pick<JobRecord, 'id' | 'source'>): boolean => source === `job:${id}`;
