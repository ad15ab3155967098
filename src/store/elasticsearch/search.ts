/** Full text over items. Terms come normalised (`domain/search-text.ts`); Elasticsearch only counts and ranks them. */
import type { estypes } from '@elastic/elasticsearch';
import { z } from 'zod';
import type { RowInput } from '../../contracts/row.ts';
import type { SearchClause, SearchFilter, SearchTerms } from '../../contracts/search.ts';
import { listed, readCursor } from '../cursor.ts';
import { hitOf, PASSAGE_SOURCES } from '../passages.ts';
import type { Store } from '../store.ts';
import type { ItemHit } from '../ports/search.ts';
import type { Cluster } from './connection.ts';
import { type DocumentKeySource, publishedLanes } from './document-records.ts';
import { Documents } from './documents.ts';
import { ITEM_FIELDS, itemOf, type ItemSource } from './rows.ts';

/** Score, time of writing, number of writing: the last is each document's own. */
const hitCursor = z.tuple([z.number(), z.int(), z.int()]);

const MAX_HITS = 200;

const clause = (alternatives: SearchClause): estypes.QueryDslQueryContainer => {
  const phrases = alternatives.map((words): estypes.QueryDslQueryContainer =>
    (words.length === 1 ? { term: { text: words[0]! } } : { match_phrase: { text: words.join(' ') } }));
  return phrases.length === 1 ? phrases[0]! : { bool: { should: phrases, minimum_should_match: 1 } };
};

function filters(tenant: string, { kind, source, lane, job, tags, state, since, until }: SearchFilter): estypes.QueryDslQueryContainer[] {
  const terms: estypes.QueryDslQueryContainer[] = [{ term: { tenant } }];
  for (const [field, value] of Object.entries({ source, lane, job, state })) if (value !== undefined) terms.push({ term: { [field]: value } });
  const passages: estypes.QueryDslQueryContainer = { prefix: { source: PASSAGE_SOURCES } };
  if (kind !== undefined) terms.push(kind === 'passage' ? passages : { bool: { must_not: passages } });
  for (const tag of tags ?? []) terms.push({ term: { tags: tag } });
  if (since !== undefined) terms.push({ range: { updatedAt: { gte: Date.parse(since) } } });
  if (until !== undefined) terms.push({ range: { updatedAt: { lt: Date.parse(until) } } });
  return terms;
}

const GONE: estypes.QueryDslQueryContainer = { term: { present: false } };

interface FoundHit {
  hit: ItemHit;
  key: number[];
}

export function searchMethod(cluster: Cluster): Store['search'] {
  const keys = new Documents<DocumentKeySource>(cluster, 'document-keys');

  const matches = async (tenant: string, { terms, filter }: { terms: SearchTerms; filter: SearchFilter }, after: readonly number[] | null, size: number): Promise<FoundHit[]> => {
    const { hits } = await cluster.search<ItemSource>('items', tenant, {
      query: { bool: { must: terms.all.map(clause), must_not: [...terms.none.map(clause), GONE], filter: filters(tenant, filter) } },
      sort: ['_score', { updatedAt: 'desc' }, { _seq_no: 'desc' }],
      ...(after !== null && { search_after: [...after] }),
      // The same copy of a shard for the same tenant: copies count removed documents differently, which shifts scores.
      preference: `tenant ${tenant}`,
      size, track_total_hits: false, _source: [...ITEM_FIELDS, 'source', 'lane', 'input', 'tags', 'updatedAt'],
    });
    return hits.hits.flatMap(({ _source, sort }) => (_source ? [{ hit: itemHitOf(_source), key: sort as number[] }] : []));
  };

  /** Without passages that are being written, or whose place others have taken: few, and only for moments. */
  const visible = async (tenant: string, found: FoundHit[]): Promise<FoundHit[]> => {
    const sources = [...new Set(found.map(({ hit }) => hit.source).filter((source) => source.startsWith(PASSAGE_SOURCES)))];
    const published = await publishedLanes(keys, tenant, sources);
    return found.filter(({ hit }) => !published.has(hit.source) || published.get(hit.source) === hit.lane);
  };

  return async (tenant, query, page) => {
    let after: readonly number[] | null = readCursor(page.cursor, hitCursor);
    const limit = Math.min(page.limit, MAX_HITS);
    const found: FoundHit[] = [];
    while (found.length <= limit) {
      const matched = await matches(tenant, query, after, limit + 1);
      found.push(...(await visible(tenant, matched)));
      if (matched.length <= limit) break;
      after = matched.at(-1)!.key;
    }
    const { items, nextCursor } = listed(found, limit, ({ key }) => key);
    return { items: items.map(({ hit }) => hitOf(hit)), nextCursor };
  };
}

const itemHitOf = (source: ItemSource): ItemHit => ({
  kind: 'item', ...itemOf(source), source: source.source, lane: source.lane, input: JSON.parse(source.input) as RowInput, tags: source.tags,
  updatedAt: new Date(source.updatedAt).toISOString(),
});
