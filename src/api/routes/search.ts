/** Full text search over a tenant's rows. */
import { setImmediate as others } from 'node:timers/promises';
import { API_PREFIX, listOf } from '../../contracts/api.ts';
import { type HitAnswer, hitAnswer, searchQuery } from '../../contracts/search-api.ts';
import type { SearchTerms } from '../../contracts/search.ts';
import { highlights } from '../../domain/highlight.ts';
import { searchTerms } from '../../domain/search-text.ts';
import type { SearchHit } from '../../store/ports/search.ts';
import { endpoint, reply } from '../endpoint.ts';

const search = endpoint({
  method: 'get', path: `${API_PREFIX}/search`, id: 'search', tag: 'Search',
  summary: 'Find rows and passages of documents by their words',
  description: 'In cells and in what handlers made of them, as the last job left them, and in the newest complete version of each document. The best match first; of equal ones, that which was written last. '
    + 'Where very many rows match, the newest come first instead.',
  query: searchQuery,
  answers: { 200: { description: 'A page of hits', schema: listOf(hitAnswer) } },
  fails: ['invalid_query', 'invalid_cursor'],
}, async ({ tenant, query: { q, tag, since, until, cursor, limit, ...same } }, { store }) => {
  const terms = searchTerms(q);
  const filter = {
    ...same,
    ...(tag !== undefined && { tags: tag }),
    ...(since !== undefined && { since: new Date(since).toISOString() }),
    ...(until !== undefined && { until: new Date(until).toISOString() }),
  };
  const found = await store.search(tenant, { terms, filter }, { limit, ...(cursor !== undefined && { cursor }) });
  const items: HitAnswer[] = [];
  for (const hit of found.items) {
    items.push(answerOf(hit, terms));
    // To mark a very long row takes some 10 ms: other requests go on between two.
    await others();
  }
  return reply(200, { items, nextCursor: found.nextCursor });
});

function answerOf(found: SearchHit, terms: SearchTerms): HitAnswer {
  if (found.kind === 'passage') {
    const { kind, document, source, job, fileName, title, tags, updatedAt, passage: { number, text, tokens, pages, headings } } = found;
    return { kind, document, file: fileName, title, number, pages, headings, text, tokens, source, job, tags, updatedAt, highlights: highlights({ text }, null, terms) };
  }
  const { inputHash: _input, handlerHash: _handler, attempt: _attempt, tokens: _tokens, cost: _cost, error, ...hit } = found;
  return { ...hit, ...(error !== null && { error }), highlights: highlights(hit.input, hit.output, terms) };
}

export const searchEndpoints = [search];
