/** The thread that searches: see `reading-thread.ts`. */
import { workerData } from 'node:worker_threads';
import { z } from 'zod';
import type { RowInput } from '../../contracts/row.ts';
import type { SearchFilter, SearchTerms } from '../../contracts/search.ts';
import { listed, readCursor } from '../cursor.ts';
import { hitOf, PASSAGE_SOURCES } from '../passages.ts';
import type { SearchHit } from '../ports/search.ts';
import type { Listed, ListPage } from '../ports/lists.ts';
import { SqliteFile } from './database.ts';
import { answerQuestions } from './reading-thread.ts';
import { ITEM_COLUMNS, type ItemRow, toItem } from './rows.ts';
import { LEDGER_MIGRATIONS } from './ledger-schema.ts';

export interface SearchRequest {
  tenant: string;
  terms: SearchTerms;
  filter: SearchFilter;
  page: ListPage;
}

const CACHE_KIB = 8 * 1024;

/** With more matches than these a rank says little and costs much: then what was stored last comes first. */
const MOST_RANKED = 10_000;

// Where to go on: after this score, time and id; or below this id, where there were too many to rank.
const searchCursor = z.union([z.tuple([z.literal('ranked'), z.number(), z.int(), z.int()]), z.tuple([z.literal('newest'), z.int()])]);
type SearchCursor = z.infer<typeof searchCursor>;

interface HitRow extends ItemRow {
  id: number;
  score: number;
  source: string;
  lane: string;
  input: string;
  tags: string | null;
  updatedAt: number;
}

/** Words are quoted, so that nothing of a query is FTS5's own syntax. */
function matchExpression({ all, none }: SearchTerms): string {
  const clauses = (list: SearchTerms['all'], by: string): string =>
    list.map((alternatives) => `(${alternatives.map((words) => `"${words.join(' ').replaceAll('"', '""')}"`).join(' OR ')})`).join(by);
  return none.length === 0 ? clauses(all, ' AND ') : `(${clauses(all, ' AND ')}) NOT (${clauses(none, ' OR ')})`;
}

const file = await SqliteFile.open(workerData as string, LEDGER_MIGRATIONS, CACHE_KIB);
const { db } = file;

/** Of passages only those that are published. */
const VISIBLE = `AND (lanes.source NOT GLOB '${PASSAGE_SOURCES}*' OR EXISTS (
      SELECT 1 FROM published WHERE published.tenant = lanes.tenant AND published.source = lanes.source AND published.lane = lanes.lane))`;

const MATCHES = `
  FROM item_text JOIN items ON items.id = item_text.rowid JOIN lanes ON lanes.id = items.lane
  WHERE item_text MATCH :match AND lanes.tenant = :tenant AND items.present = 1 ${VISIBLE}
    AND (:kind IS NULL OR (lanes.source GLOB '${PASSAGE_SOURCES}*') = (:kind = 'passage'))
    AND (:source IS NULL OR lanes.source = :source) AND (:lane IS NULL OR lanes.lane = :lane)
    AND (:job IS NULL OR items.job = :job) AND (:state IS NULL OR items.state = :state)
    AND (:since IS NULL OR items.updated_at >= :since) AND (:until IS NULL OR items.updated_at < :until)
    AND (:tags IS NULL OR NOT EXISTS (
      SELECT 1 FROM json_each(:tags) AS asked WHERE asked.value NOT IN (SELECT value FROM json_each(coalesce(items.tags, '[]')))))`;
const HIT_COLUMNS = `${ITEM_COLUMNS}, items.id, items.input, items.tags, items.updated_at AS updatedAt, lanes.source, lanes.lane`;

type Bound = Record<string, string | number | null>;
const countUpTo = db.prepare<[Bound], number>(`SELECT count(*) FROM (SELECT 1 ${MATCHES} LIMIT :most)`).pluck();
const selectRanked = db.prepare<[Bound], HitRow>(`
  WITH matches AS MATERIALIZED (SELECT items.id, items.updated_at, bm25(item_text) AS score ${MATCHES})
  SELECT ${HIT_COLUMNS}, matches.score FROM matches JOIN items ON items.id = matches.id JOIN lanes ON lanes.id = items.lane
  WHERE :score IS NULL OR (matches.score, -matches.updated_at, -matches.id) > (:score, -:updated, -:id)
  ORDER BY matches.score, matches.updated_at DESC, matches.id DESC LIMIT :limit`);
const selectNewest = db.prepare<[Bound], HitRow>(`
  SELECT ${HIT_COLUMNS}, 0 AS score ${MATCHES} AND item_text.rowid < :id ORDER BY item_text.rowid DESC LIMIT :limit`);

function search({ tenant, terms, filter, page }: SearchRequest): Listed<SearchHit> {
  const cursor = readCursor<SearchCursor>(page.cursor, searchCursor);
  const bound: Bound = {
    match: matchExpression(terms), tenant, kind: filter.kind ?? null, source: filter.source ?? null, lane: filter.lane ?? null, job: filter.job ?? null, state: filter.state ?? null,
    tags: filter.tags === undefined ? null : JSON.stringify(filter.tags),
    since: filter.since === undefined ? null : Date.parse(filter.since), until: filter.until === undefined ? null : Date.parse(filter.until),
    limit: page.limit + 1,
  };
  const order = cursor?.[0] ?? (countUpTo.get({ ...bound, most: MOST_RANKED + 1 })! > MOST_RANKED ? 'newest' : 'ranked');
  const found = order === 'newest'
    ? selectNewest.all({ ...bound, id: cursor?.[0] === 'newest' ? cursor[1] : Number.MAX_SAFE_INTEGER })
    : selectRanked.all({ ...bound, ...rankedAfter(cursor) });
  const { items, nextCursor } = listed(found, page.limit, (row) => (order === 'newest' ? [order, row.id] : [order, row.score, row.updatedAt, row.id]));
  return { items: items.map(toHit), nextCursor };
}

const rankedAfter = (cursor: SearchCursor | null): Bound =>
  (cursor?.[0] === 'ranked' ? { score: cursor[1], updated: cursor[2], id: cursor[3] } : { score: null, updated: null, id: null });

function toHit({ id: _id, score: _score, source, lane, input, tags, updatedAt, ...item }: HitRow): SearchHit {
  return hitOf({
    kind: 'item', ...toItem(item), source, lane, input: JSON.parse(input) as RowInput,
    tags: tags === null ? [] : (JSON.parse(tags) as string[]), updatedAt: new Date(updatedAt).toISOString(),
  });
}

answerQuestions(file, search);
