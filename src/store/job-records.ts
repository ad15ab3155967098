/** What the stores do alike with job records. */
import type { JobRecord } from '../contracts/job.ts';
import type { JobChange } from './store.ts';

/** The record as the API wants it. Rows at once are a sheet's; a document has none. */
export function changedJob(job: JobRecord, { concurrency, ...change }: JobChange): JobRecord {
  if (job.kind === 'document' || concurrency === undefined) return { ...job, ...change };
  return { ...job, ...change, request: { ...job.request, concurrency } };
}

/** Whether the source is the job's alone, as that of an uploaded sheet, and goes with it. */
export const ownsSource = ({ id, source }: Pick<JobRecord, 'id' | 'source'>): boolean => source === `job:${id}`;
