/** Searching for what a test has just written. */
import { vi } from 'vitest';
import type { SearchFilter } from '../../src/contracts/search.ts';
import { searchTerms } from '../../src/domain/search-text.ts';
import type { Store } from '../../src/store/store.ts';
import type { SearchHit } from '../../src/store/ports/search.ts';
import type { ListPage } from '../../src/store/ports/lists.ts';
import { aLane, anItem, walk } from './store-samples.ts';

export interface Wanted {
  tenant?: string;
  filter?: SearchFilter;
  /** Hits in a page; all pages are read. */
  limit?: number;
}

let markers = 0;

/** All hits, once the store shows in searches what was written before: a store may need a moment. */
export async function hitsOf(store: Store, query: string, { tenant = 'acme', filter = {}, limit = 100 }: Wanted = {}): Promise<SearchHit[]> {
  const marker = `marker${process.pid}x${++markers}`;
  await store.commitRows({
    lane: aLane({ tenant, source: 'markers' }), job: 'marker', tags: [], fence: 1n, items: [anItem(marker, { marker })], failed: [], cleared: [],
  });
  const search = (words: string, narrowed: SearchFilter, page: ListPage) => store.search(tenant, { terms: searchTerms(words), filter: narrowed }, page);
  await vi.waitFor(async () => {
    if ((await search(marker, {}, { limit: 1 })).items.length === 0) throw new Error('What was written is not found.');
  }, { timeout: 30_000 });
  return walk((page) => search(query, filter, page), limit);
}
