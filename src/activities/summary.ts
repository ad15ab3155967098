/** What stays of a job for analytics, drawn from its record, its events and its failed rows at its end. */
import type { Counts, EndedState, JobEvent, JobRecord } from '../contracts/job.ts';
import { MOST_CODES, type JobSummary } from '../contracts/summary.ts';
import { stageTimes } from '../domain/stages.ts';
import { allOf } from '../store/all-of.ts';
import type { Store } from '../store/store.ts';

export interface JobEnd {
  attempt: number;
  sequence: number;
  state: EndedState;
  /** ISO 8601. */
  endedAt: string;
  counts: Counts;
  /** Failed rows by code. */
  failed: { code: string; rows: number }[];
}

export async function summaryOf(store: Store, job: JobRecord, { endedAt, failed, ...end }: JobEnd): Promise<JobSummary> {
  const [events, spent] = await Promise.all([allEvents(store, job), store.jobSpent(job.tenant, job.id)]);
  return {
    tenant: job.tenant, job: job.id, handler: job.kind === 'sheet' ? job.request.handler : 'document', endedAt, ...end, ...spent,
    stages: stageTimes(events, endedAt),
    errors: failed.toSorted((a, b) => b.rows - a.rows).slice(0, MOST_CODES),
  };
}

async function allEvents(store: Store, job: JobRecord): Promise<JobEvent[]> {
  const events: JobEvent[] = [];
  for await (const event of allOf((page) => store.listEvents(job.tenant, job.id, page))) events.push(event);
  return events;
}
