/** Intents: documents by id, changed by compare-and-set; those of a job are found by search. */
import type { estypes } from '@elastic/elasticsearch';
import type { IntentRecord } from '../../contracts/intent.ts';
import { listed, numberPairCursor, readCursor } from '../cursor.ts';
import { intentId } from '../intents.ts';
import type { IntentStore } from '../ports/intents.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';

/** `record` is the whole IntentRecord as JSON; the other fields are drawn from it. */
interface IntentSource extends Pick<IntentRecord, 'tenant' | 'source' | 'job' | 'state' | 'page' | 'row' | 'deadline'> {
  record: string;
}

const AT_ONCE = 1_000;
/** Pages of a job are some thousands at most. */
const MOST_PAGES = 10_000;

const sourceOf = (intent: IntentRecord): IntentSource => {
  const { tenant, source, job, state, page, row, deadline } = intent;
  return { tenant, source, job, state, page, row, deadline, record: JSON.stringify(intent) };
};
const recordOf = ({ record }: Pick<IntentSource, 'record'>): IntentRecord => JSON.parse(record) as IntentRecord;
const idOf = (tenant: string, id: string): string => documentId(tenant, id);

export function intentMethods(cluster: Cluster): IntentStore {
  const intents = new Documents<IntentSource>(cluster, 'intents');
  const filterOf = (terms: Record<string, string | number>): { bool: estypes.QueryDslBoolQuery } =>
    ({ bool: { filter: Object.entries(terms).map(([field, value]) => ({ term: { [field]: value } })) } });

  return {
    async readIntents(lane, keys) {
      const found = new Map<string, IntentRecord>();
      for (let from = 0; from < keys.length; from += AT_ONCE) {
        const some = keys.slice(from, from + AT_ONCE);
        const sources = await intents.readAll(lane.tenant, some.map((key) => idOf(lane.tenant, intentId(lane, key))));
        for (const [index, source] of sources.entries()) if (source) found.set(some[index]!, recordOf(source));
      }
      return found;
    },

    async getIntent(tenant, id) {
      const found = await intents.read(tenant, idOf(tenant, id));
      return found && recordOf(found);
    },

    changeIntent: (intent) => intents.change(intent.tenant, idOf(intent.tenant, intentId(intent, intent.key)), (found) => {
      if ((found === null ? 0 : recordOf(found).revision) !== intent.revision) return { answer: null };
      const saved = { ...intent, revision: intent.revision + 1 };
      return { write: sourceOf(saved), answer: saved };
    }),

    async listIntents(tenant, job, { state, page: of }, page) {
      const after = readCursor(page.cursor, numberPairCursor) ?? [-1, -1];
      const limit = Math.min(page.limit, AT_ONCE);
      const { hits } = await cluster.search<IntentSource>('intents', tenant, {
        query: filterOf({ tenant, job, state, ...(of !== undefined && { page: of }) }), sort: [{ page: 'asc' }, { row: 'asc' }], search_after: after, size: limit + 1, _source: ['record'], track_total_hits: false,
      });
      return listed(hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : [])), limit, (intent) => [intent.page, intent.row]);
    },

    async openIntents(tenant, job) {
      const { aggregations } = await cluster.search('intents', tenant, {
        query: filterOf({ tenant, job }), size: 0, track_total_hits: false,
        aggregations: {
          answered: { filter: { term: { state: 'answered' } }, aggregations: { pages: { terms: { field: 'page', size: MOST_PAGES, order: { _key: 'asc' } } } } },
          submitted: { filter: { term: { state: 'submitted' } }, aggregations: { deadline: { min: { field: 'deadline' } } } },
        },
      });
      const answered = aggregations?.['answered'] as { pages?: { buckets: { key: number }[] } } | undefined;
      const submitted = aggregations?.['submitted'] as { doc_count: number; deadline?: { value: number | null } } | undefined;
      const first = submitted?.deadline?.value ?? null;
      return {
        answered: (answered?.pages?.buckets ?? []).map(({ key }) => key), submitted: submitted?.doc_count ?? 0, deadline: first === null ? null : new Date(first).toISOString(),
      };
    },
  };
}
