import type { JobRecord } from '../contracts/job.ts';
import type { JobChange } from './store.ts';

/** The record as the API wants it. Rows at once are a sheet's; a document has none. */
export function changedJob(job: JobRecord, { concurrency, ...change }: JobChange): JobRecord {
  if (job.kind === 'document' || concurrency === undefined) return { ...job, ...change };
  return { ...job, ...change, request: { ...job.request, concurrency } };
}
