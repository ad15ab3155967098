/** Answers that were paid for: a document each, read by id. */
import type { estypes } from '@elastic/elasticsearch';
import type { AnswerRecord } from '../../contracts/answer.ts';
import type { Tally } from '../../contracts/system.ts';
import type { AnswerStore } from '../ports/answers.ts';
import { addTo } from '../tallies.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { documentId, Documents } from './documents.ts';

interface AnswerSource {
  tenant: string;
  writtenAt: number;
  bytes: number;
  /** JSON of the record. */
  body: string;
}

const ANSWERS_A_STEP = 1_000;
const MOST_TENANTS = 10_000;

const answerId = (tenant: string, key: string): string => documentId(tenant, key);

export function answerMethods(cluster: Cluster): AnswerStore {
  const answers = new Documents<AnswerSource>(cluster, 'answers');

  return {
    async readAnswers(tenant, keys) {
      const found = await answers.readAll(tenant, keys.map((key) => answerId(tenant, key)));
      const records = found.flatMap((source) => (source === null ? [] : [JSON.parse(source.body) as AnswerRecord]));
      return new Map(records.map((record) => [record.key, record]));
    },

    async writeAnswer(tenant, record) {
      const body = JSON.stringify(record);
      await bulk(cluster, [{ kind: 'answers', tenant, id: answerId(tenant, record.key), source: JSON.stringify({ tenant, writtenAt: Date.now(), bytes: body.length, body } satisfies AnswerSource) }]);
    },

    async sweepAnswers({ before, dryRun }) {
      const query: estypes.QueryDslQueryContainer = { range: { writtenAt: { lt: Date.parse(before) } } };
      if (dryRun) {
        const { aggregations } = await cluster.search('answers', null, {
          query, size: 0, track_total_hits: false, aggregations: { tenants: { terms: { field: 'tenant', size: MOST_TENANTS }, aggregations: { bytes: { sum: { field: 'bytes' } } } } },
        });
        const { buckets } = (aggregations as { tenants: unknown }).tenants as { buckets: { key: string; doc_count: number; bytes: { value: number } }[] };
        return { gone: buckets.map(({ key, doc_count: count, bytes }) => ({ tenant: key, count, bytes: bytes.value })), next: null };
      }
      const { hits: { hits } } = await cluster.search<AnswerSource>('answers', null, {
        query, sort: [{ writtenAt: 'asc' }], size: ANSWERS_A_STEP, _source: ['tenant', 'bytes'], track_total_hits: false,
      });
      const gone: Tally[] = [];
      await bulk(cluster, hits.flatMap(({ _id, _source }) => (_id === undefined || _source === undefined ? [] : [{ kind: 'answers' as const, tenant: _source.tenant, id: _id, source: null }])));
      for (const { _source } of hits) if (_source) addTo(gone, { tenant: _source.tenant, count: 1, bytes: _source.bytes });
      return { gone, next: hits.length < ANSWERS_A_STEP ? null : '' };
    },
  };
}
