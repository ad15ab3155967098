/** Full text over items and passages. */
import type { Passage } from '../../contracts/document.ts';
import type { RowInput } from '../../contracts/row.ts';
import type { SearchFilter, SearchTerms } from '../../contracts/search.ts';
import type { Listed, ListPage } from './lists.ts';
import type { Item } from './rows.ts';

export interface ItemHit extends Item {
  kind: 'item';
  source: string;
  lane: string;
  input: RowInput;
  /** Of the job that wrote it last. */
  tags: string[];
  /** ISO 8601: when it was written last. */
  updatedAt: string;
}

export interface PassageHit {
  kind: 'passage';
  document: string;
  /** `document:<key>`. */
  source: string;
  /** Of its set. */
  lane: string;
  /** Its number. */
  key: string;
  job: string;
  passage: Passage;
  fileName: string;
  title: string | null;
  tags: string[];
  updatedAt: string;
}

export type SearchHit = ItemHit | PassageHit;

export interface SearchStore {
  /** Items whose `text`, split at spaces, has the terms; words of a phrase are neighbours in it. Best match first, then those written
   *  last, then in an order that stays; over 10,000 matches an adapter may rank by what is cheaper. While nothing is written,
   *  pages neither repeat nor lose a hit. Removed items never appear. Rejects with `invalid_cursor`. */
  search(tenant: string, query: { terms: SearchTerms; filter: SearchFilter }, page: ListPage): Promise<Listed<SearchHit>>;
}
