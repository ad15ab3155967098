/** Counts by page, their sums, and a job's events. */
import type { JobEvent, JobTotals, PageRecord } from '../../contracts/job.ts';
import type { Spent } from '../../contracts/row.ts';
import type { Listed, ListPage } from './lists.ts';

export interface PageCountsWrite extends PageRecord {
  fence: bigint;
}

export interface PageStore {
  /** One record a page: a write with a lower fence than the record's changes nothing and answers false. A null `result`
   *  keeps the result that is there. */
  writePage(tenant: string, job: string, page: PageCountsWrite): Promise<boolean>;
  /** Ascending by page number. */
  listPages(tenant: string, job: string, page: ListPage): Promise<Listed<PageRecord>>;
  getPage(tenant: string, job: string, page: number): Promise<PageRecord | null>;
  /** Sums over all pages; `tried` and `faults` only over pages of the given attempt. */
  jobTotals(tenant: string, job: string, attempt: number): Promise<JobTotals>;
  /** By handlers for the job's rows, over all pages. */
  jobSpent(tenant: string, job: string): Promise<Spent>;

  /** `dedupe` makes a repeated append harmless. Keeps the newest 1,000 of a job. */
  appendEvent(tenant: string, job: string, event: Omit<JobEvent, 'seq'> & { dedupe: string }): Promise<void>;
  listEvents(tenant: string, job: string, page: ListPage): Promise<Listed<JobEvent>>;
}
