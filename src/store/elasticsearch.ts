/**
 * The store of a team: indices of one Elasticsearch cluster that any number of API and worker processes share. What
 * decides is read by id, at once; what is listed or searched is refreshed by the reader, so writers pay for no refresh.
 */
import type { estypes } from '@elastic/elasticsearch';
import { SheafError } from '../contracts/errors.ts';
import { analyseMethod } from './elasticsearch/analysis.ts';
import { answerMethods } from './elasticsearch/answers.ts';
import { budgetMethods } from './elasticsearch/budgets.ts';
import { cleanupMethods } from './elasticsearch/cleanup.ts';
import { type ElasticsearchOptions, Cluster } from './elasticsearch/connection.ts';
import { deliveryMethods } from './elasticsearch/deliveries.ts';
import { documentId, Documents } from './elasticsearch/documents.ts';
import { figureMethods } from './elasticsearch/figures.ts';
import { documentMethods } from './elasticsearch/document-records.ts';
import { ensureIndices } from './elasticsearch/indices.ts';
import { intentMethods } from './elasticsearch/intents.ts';
import { jobMethods, type LaneSource } from './elasticsearch/jobs.ts';
import { pageMethods } from './elasticsearch/pages.ts';
import { planMethods } from './elasticsearch/plans.ts';
import { queueMethods } from './elasticsearch/queue.ts';
import { removal } from './elasticsearch/removal.ts';
import { rowMethods } from './elasticsearch/rows.ts';
import { searchMethod } from './elasticsearch/search.ts';
import { sweepMethods } from './elasticsearch/sweeps.ts';
import { sourceMethods } from './elasticsearch/sources.ts';
import { uploadMethods } from './elasticsearch/uploads.ts';
import type { Store } from './store.ts';

export type { ElasticsearchOptions } from './elasticsearch/connection.ts';

/** Of no tenant: a document that says when the store was last checked. */
const CHECK: LaneSource = { tenant: '-', source: '-', lane: '-', generation: 0, holder: null, attempt: 0 };

/** Makes templates and indices where they are not there. Rejects with `schema_too_new`, `schema_outdated`, `store_unavailable`. */
export async function openElasticsearchStore(options: ElasticsearchOptions): Promise<Store> {
  const cluster = new Cluster(options);
  try {
    await ensureIndices(cluster);
  } catch (error) {
    await cluster.client.close();
    throw error;
  }
  const lanes = new Documents<LaneSource>(cluster, 'lanes');
  const rows = rowMethods(cluster);
  return {
    ...jobMethods(cluster),
    ...queueMethods(cluster),
    ...pageMethods(cluster),
    ...figureMethods(cluster),
    ...sweepMethods(cluster),
    ...cleanupMethods(cluster),
    analyse: analyseMethod(cluster),
    ...planMethods(cluster),
    ...rows,
    ...documentMethods(cluster, rows.commitRows),
    search: searchMethod(cluster),
    removeJob: removal(cluster),
    ...uploadMethods(cluster),
    ...deliveryMethods(cluster),
    ...intentMethods(cluster),
    ...sourceMethods(cluster),
    ...answerMethods(cluster),
    ...budgetMethods(cluster),

    async tenants() {
      const found = await Promise.all((['jobs', 'documents', 'sources'] as const).map(async (kind) => {
        const { aggregations } = await cluster.search(kind, null, { size: 0, track_total_hits: false, aggregations: { tenants: { terms: { field: 'tenant', size: 10_000 } } } });
        return (aggregations?.['tenants'] as estypes.AggregationsStringTermsAggregate | undefined)?.buckets as estypes.AggregationsStringTermsBucket[] | undefined ?? [];
      }));
      return [...new Set(found.flat().map(({ key }) => String(key)))].toSorted();
    },

    async check() {
      // A write to one index says nothing of the others, which a cluster that has just started brings back one by one.
      const { status } = await cluster.call(() => cluster.client.cluster.health({ index: `${cluster.names.prefix}-*`, expand_wildcards: 'all' }));
      if (status === 'red') throw new SheafError('store_unavailable', 'Elasticsearch lacks shards of an index (red).', { remedy: '`GET _cluster/allocation/explain` says why. Work goes on by itself when they are back.', place: { part: 'elasticsearch' } });
      await lanes.change(CHECK.tenant, documentId('check'), (found) => ({ write: { ...CHECK, generation: (found?.generation ?? 0) + 1 }, answer: undefined }));
    },
    close: () => cluster.client.close(),
  };
}
