/** Search of the ledger file, in a thread: a word that a million rows have takes a second to rank. */
import type { Store } from '../store.ts';
import type { SearchHit } from '../ports/search.ts';
import type { Listed } from '../ports/lists.ts';
import { ReadingThread } from './reading-thread.ts';
import type { SearchRequest } from './search-thread.ts';

export class Searcher {
  readonly #thread: ReadingThread<SearchRequest, Listed<SearchHit>>;

  constructor(file: string) {
    this.#thread = new ReadingThread(new URL('./search-thread.ts', import.meta.url), file);
  }

  readonly search: Store['search'] = (tenant, { terms, filter }, page) => this.#thread.ask({ tenant, terms, filter, page });

  close(): Promise<void> {
    return this.#thread.close();
  }
}
