/** Figures over all jobs, and what workers say of themselves. `analysis.ts` adds the summaries up. */
import type { estypes } from '@elastic/elasticsearch';
import type { JobState } from '../../contracts/job.ts';
import type { JobSummary } from '../../contracts/summary.ts';
import type { WorkerRecord } from '../../contracts/system.ts';
import { totalTime } from '../../domain/analytics.ts';
import type { WorkerStore } from '../ports/workers.ts';
import type { FigureStore, JobCount } from '../ports/figures.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { documentId } from './documents.ts';
import { type JobSource, recordOf } from './jobs.ts';

/** The tenant of what belongs to none. */
export const NOBODY = '-';

const BUCKETS = 1_000;
const MOST_WORKERS = 1_000;

/** (attempt, sequence) as one number that grows. */
const versionOf = ({ attempt, sequence }: JobSummary): bigint => (BigInt(attempt) << 32n) + BigInt(sequence);

function summarySource(summary: JobSummary): string {
  const { tenant, handler, state, endedAt, stages, counts, tokens, cost, errors } = summary;
  return JSON.stringify({
    tenant, handler, state, endedAt, ...stages, total: totalTime(summary), ...counts, tokens, cost, errors, bytes: JSON.stringify(summary).length,
  });
}

export function figureMethods(cluster: Cluster): Omit<FigureStore, 'analyse'> & WorkerStore {
  const workerId = (id: string): string => documentId('worker', id);

  return {
    countJobs: async () => {
      const counts: JobCount[] = [];
      for (let after: estypes.AggregationsCompositeAggregateKey | undefined; ;) {
        const { aggregations } = await cluster.search('jobs', null, {
          size: 0, track_total_hits: false,
          aggregations: { jobs: { composite: { size: BUCKETS, sources: [{ tenant: { terms: { field: 'tenant' } } }, { state: { terms: { field: 'state' } } }], ...(after !== undefined && { after }) } } },
        });
        const { buckets, after_key } = (aggregations as { jobs: estypes.AggregationsCompositeAggregate }).jobs;
        for (const { key, doc_count: jobs } of buckets as estypes.AggregationsCompositeBucket[]) {
          counts.push({ tenant: String(key['tenant']), state: String(key['state']) as JobState, jobs });
        }
        if (after_key === undefined) return counts;
        after = after_key;
      }
    },

    jobsIn: async (states, limit) => {
      const { hits } = await cluster.search<JobSource>('jobs', null, {
        query: { bool: { filter: [{ terms: { state: states } }] } }, sort: [{ createdAt: 'asc' }, { id: 'asc' }], size: limit, _source: ['record'], track_total_hits: false,
      });
      return hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : []));
    },

    writeSummary: async (summary) => {
      await bulk(cluster, [{
        kind: 'summaries', tenant: summary.tenant, id: documentId(summary.tenant, summary.job), fence: versionOf(summary), source: summarySource(summary),
      }]);
    },

    writeWorker: async (worker) => {
      await bulk(cluster, [{ kind: 'workers', tenant: NOBODY, id: workerId(worker.id), source: JSON.stringify({ tenant: NOBODY, body: JSON.stringify(worker) }) }]);
    },

    listWorkers: async () => {
      const { hits } = await cluster.search<{ body: string }>('workers', NOBODY, { size: MOST_WORKERS, track_total_hits: false });
      return hits.hits.flatMap(({ _source }) => (_source ? [JSON.parse(_source.body) as WorkerRecord] : [])).sort((a, b) => (a.id < b.id ? -1 : 1));
    },

    removeWorker: async (id) => {
      await bulk(cluster, [{ kind: 'workers', tenant: NOBODY, id: workerId(id), source: null }]);
    },
  };
}
