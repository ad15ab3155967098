/** How a job's rows are cut into pages, and how sets of pages are written down. */
import type { PageSpan } from '../contracts/sheet-messages.ts';

export interface PageSize {
  rows: number;
  /** Of the row's text in the page; a row that is larger makes a page of its own. */
  bytes: number;
}

/** About 1 MB and at most some ten seconds of work. */
export const PAGE_SIZES: Record<'cheap' | 'costly', PageSize> = {
  cheap: { rows: 5_000, bytes: 1_000_000 },
  costly: { rows: 1_000, bytes: 1_000_000 },
};

/**
 * How many activity tasks with pages are in flight at once. Of cheap rows, so many that the store always has some to write, since the end of a page is
 * written while the next is handled; costly pages share the job's concurrency, so two suffice to hide a page's tail.
 */
export const PAGE_WINDOW = { cheap: 3, costly: 2 } as const;

/** Pages of a sheet that has not changed: most are settled without a handler, so what they wait for is Temporal. */
export const COPIED_PAGE_WINDOW = 4;

/** Pages of an activity task at most, one after the other: what Temporal and the worker do for a task costs a tenth of what a page of cheap rows does. */
export const PAGES_IN_TASK = { cheap: 8, costly: 1 } as const;

export const pageIsFull = (size: PageSize, rows: number, bytes: number): boolean => rows >= size.rows || bytes >= size.bytes;

/** Ascending page numbers as runs. */
export function toSpans(pages: Iterable<number>): PageSpan[] {
  const spans: PageSpan[] = [];
  for (const page of pages) {
    const last = spans.at(-1);
    if (last && last[1] + 1 === page) last[1] = page;
    else spans.push([page, page]);
  }
  return spans;
}

/** Takes the lowest page out of the spans, and as many as follow it; `most`: pages. */
export function takePages(spans: PageSpan[], most: number): PageSpan | undefined {
  const first = spans[0];
  if (!first) return undefined;
  const [from, end] = first;
  const to = Math.min(end, from + most - 1);
  if (to === end) spans.shift();
  else first[0] = to + 1;
  return [from, to];
}

/** Pages for one task: fewer towards the end, so that all of the window have something to do until then. */
export const pagesForTask = (spans: readonly PageSpan[], { window, most }: { window: number; most: number }): number =>
  Math.max(1, Math.min(most, Math.floor(countPages(spans) / (2 * window))));

export const holdsPage = (spans: readonly PageSpan[], page: number): boolean => spans.some(([from, to]) => from <= page && page <= to);

/** The spans without the page. */
export const withoutPage = (spans: readonly PageSpan[], page: number): PageSpan[] =>
  spans.flatMap(([from, to]): PageSpan[] => (page < from || to < page ? [[from, to]] : [
    ...(from < page ? [[from, page - 1] satisfies PageSpan] : []), ...(page < to ? [[page + 1, to] satisfies PageSpan] : []),
  ]));

/** Puts a page back where it belongs, or several. */
export function returnPage(spans: PageSpan[], page: number, lastPage = page): PageSpan[] {
  const pages = [...spans, [page, lastPage] satisfies PageSpan].sort((a, b) => a[0] - b[0]);
  const merged: PageSpan[] = [];
  for (const [from, to] of pages) {
    const last = merged.at(-1);
    if (last && last[1] + 1 >= from) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

export const pagesOf = (spans: readonly PageSpan[]): number[] => spans.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));

export const countPages = (spans: readonly PageSpan[]): number => spans.reduce((sum, [from, to]) => sum + to - from + 1, 0);
