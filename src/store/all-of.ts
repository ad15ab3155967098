import type { Listed, ListPage } from './ports/lists.ts';

const AT_ONCE = 200;

/** All entries of a list, page by page. What is changed meanwhile must not move entries to other places in the list. */
export async function* allOf<T>(list: (page: ListPage) => Promise<Listed<T>>): AsyncGenerator<T> {
  for (let cursor: string | undefined; ;) {
    const { items, nextCursor } = await list({ limit: AT_ONCE, ...(cursor !== undefined && { cursor }) });
    yield* items;
    if (nextCursor === null) return;
    cursor = nextCursor;
  }
}
