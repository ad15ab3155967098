/** Removing what has been kept long enough, a bounded step a call. */
import type { estypes } from '@elastic/elasticsearch';
import { z } from 'zod';
import { ENDED_STATES, type JobRecord } from '../../contracts/job.ts';
import type { Json, RowInput } from '../../contracts/row.ts';
import type { Tally } from '../../contracts/system.ts';
import { searchText } from '../../domain/search-text.ts';
import { encodeCursor, jobCursor, listed, readCursor } from '../cursor.ts';
import type { CleanupStore } from '../ports/cleanup.ts';
import type { Listed, ListPage } from '../ports/lists.ts';
import { addTo } from '../tallies.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { Documents } from './documents.ts';
import { jobId, type JobSource, recordOf } from './jobs.ts';
import { type EventsSource, eventsId } from './pages.ts';
import type { ItemSource } from './rows.ts';

type SweepMethods = Pick<CleanupStore, 'endedJobs' | 'sweepEvents' | 'sweepOutputs' | 'sweepSummaries'>;

const JOBS_A_STEP = 100;
const ITEMS_A_STEP = 500;
const SUMMARIES_A_STEP = 1_000;
const MOST_LISTED = 1_000;
const MOST_TENANTS = 10_000;

/** Time of writing, number of writing. */
const itemCursor = z.tuple([z.int(), z.int()]);

type Query = estypes.QueryDslQueryContainer;

export function sweepMethods(cluster: Cluster): SweepMethods {
  const jobs = new Documents<JobSource>(cluster, 'jobs');
  const logs = new Documents<EventsSource>(cluster, 'events');

  const endedJobs = async (before: string, page: ListPage): Promise<Listed<JobRecord>> => {
    const after = readCursor(page.cursor, jobCursor);
    const limit = Math.min(page.limit, MOST_LISTED);
    // Documents of the first schema do not say when their job ended: the record does.
    const old: Query = { bool: { must_not: [{ exists: { field: 'endedAt' } }], filter: [{ terms: { state: [...ENDED_STATES] } }, { range: { createdAt: { lt: before } } }] } };
    const { hits } = await cluster.search<JobSource>('jobs', null, {
      query: { bool: { filter: [{ term: { open: false } }, { bool: { should: [{ range: { endedAt: { lt: before } } }, old], minimum_should_match: 1 } }] } },
      sort: [{ tenant: 'asc' }, { id: 'asc' }], size: limit + 1, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
    });
    const { items, nextCursor } = listed(hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : [])), limit, (job) => [job.tenant, job.id]);
    return { items: items.filter(({ completedAt }) => completedAt !== null && completedAt < before), nextCursor };
  };

  /** By tenant, because that is how documents are routed. */
  const ofTenants = async <One extends { tenant: string }>(all: One[], each: (tenant: string, some: One[]) => Promise<void>): Promise<void> => {
    for (const [tenant, some] of Map.groupBy(all, (one) => one.tenant)) await each(tenant, some);
  };

  return {
    endedJobs,

    sweepEvents: async ({ before, cursor, dryRun }) => {
      const { items, nextCursor } = await endedJobs(before, { limit: JOBS_A_STEP, ...(cursor !== null && { cursor }) });
      const gone: Tally[] = [];
      await ofTenants(items, async (tenant, some) => {
        const found = await logs.readAll(tenant, some.map(({ id }) => eventsId(tenant, id)));
        for (const log of found) {
          if (log === null) continue;
          addTo(gone, { tenant, count: (JSON.parse(log.body) as { events: unknown[] }).events.length, bytes: log.body.length });
          // A log that has grown since is of a job that runs again.
          if (!dryRun) await logs.change(tenant, eventsId(tenant, log.job), (now) => (now?.body === log.body ? { write: null, answer: undefined } : { answer: undefined }));
        }
      });
      return { gone, next: nextCursor };
    },

    sweepOutputs: async ({ before, cursor, dryRun }) => {
      const after = readCursor(cursor ?? undefined, itemCursor);
      const { hits: { hits } } = await cluster.search<ItemSource>('items', null, {
        query: { bool: { filter: [{ range: { updatedAt: { lt: Date.parse(before) } } }], must_not: [{ exists: { field: 'outputDropped' } }] } },
        sort: [{ updatedAt: 'asc' }, { _seq_no: 'asc' }], size: ITEMS_A_STEP, track_total_hits: false, ...(after !== null && { search_after: [...after] }),
      });
      const gone: Tally[] = [];
      const found = hits.flatMap(({ _id, _source }) => (_id === undefined || _source === undefined ? [] : [{ id: _id, tenant: _source.tenant, source: _source }]));
      await ofTenants(found, async (tenant, some) => {
        // A job that has not ended may yet take its finished rows from the ledger.
        const ids = [...new Set(some.map(({ source }) => source.job))];
        const records = await jobs.readAll(tenant, ids.map((id) => jobId(tenant, id)));
        const open = new Set(ids.filter((_, index) => records[index]?.open));
        const ended = some.filter(({ source }) => !open.has(source.job));
        for (const { source } of ended) {
          const { output } = JSON.parse(source.body) as { output: Json };
          if (output !== null) addTo(gone, { tenant, count: 1, bytes: JSON.stringify(output).length });
        }
        if (dryRun) return;
        // Under its own fence: what a newer writer has written meanwhile stays.
        await bulk(cluster, ended.map(({ id, source }) => ({ kind: 'items', tenant, id, fence: BigInt(source.fence), source: JSON.stringify(withoutOutput(source)) })));
      });
      const last = hits.at(-1)?.sort as [number, number] | undefined;
      return { gone, next: last === undefined ? null : encodeCursor(last) };
    },

    sweepSummaries: async ({ before, dryRun }) => {
      const query: Query = { bool: { filter: [{ range: { endedAt: { lt: before } } }] } };
      if (dryRun) {
        const { aggregations } = await cluster.search('summaries', null, {
          query, size: 0, track_total_hits: false, aggregations: { tenants: { terms: { field: 'tenant', size: MOST_TENANTS }, aggregations: { bytes: { sum: { field: 'bytes' } } } } },
        });
        const { buckets } = (aggregations as { tenants: unknown }).tenants as { buckets: { key: string; doc_count: number; bytes: { value: number } }[] };
        return { gone: buckets.map(({ key, doc_count: count, bytes }) => ({ tenant: key, count, bytes: bytes.value })), next: null };
      }
      const { hits: { hits } } = await cluster.search<{ tenant: string; bytes: number }>('summaries', null, {
        query, sort: [{ endedAt: 'asc' }], size: SUMMARIES_A_STEP, _source: ['tenant', 'bytes'], track_total_hits: false,
      });
      const gone: Tally[] = [];
      await bulk(cluster, hits.flatMap(({ _id, _source }) => (_id === undefined || _source === undefined ? [] : [{ kind: 'summaries' as const, tenant: _source.tenant, id: _id, source: null }])));
      for (const { _source } of hits) if (_source) addTo(gone, { tenant: _source.tenant, count: 1, bytes: _source.bytes });
      return { gone, next: hits.length < SUMMARIES_A_STEP ? null : '' };
    },
  };
}

function withoutOutput(source: ItemSource): ItemSource & { text: string; outputDropped: true } {
  const body = JSON.stringify({ ...(JSON.parse(source.body) as object), output: null });
  return { ...source, body, text: searchText(JSON.parse(source.input) as RowInput, null), outputDropped: true };
}
