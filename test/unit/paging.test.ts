/** Sets of pages as spans, against plain sets; and what fills a page. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PageSpan } from '../../src/contracts/sheet-messages.ts';
import { countPages, PAGE_SIZES, pageIsFull, pagesForTask, returnPage, takePages, toSpans } from '../../src/domain/paging.ts';

const pages = fc.uniqueArray(fc.integer({ min: 1, max: 40 }), { maxLength: 30 }).map((list) => list.toSorted((a, b) => a - b));
const members = (spans: readonly PageSpan[]): number[] => spans.flatMap(([from, to]) => Array.from({ length: to - from + 1 }, (_, index) => from + index));

test('spans hold exactly their pages, ascending and as few as can be', () => fc.assert(fc.property(pages, (list) => {
  const spans = toSpans(list);
  expect(members(spans)).toEqual(list);
  expect(countPages(spans)).toBe(list.length);
  for (const [index, span] of spans.entries()) if (index > 0) expect(span[0]).toBeGreaterThan(spans[index - 1]![1] + 1);
})));

test('taking and returning pages, in any order, loses none and doubles none', () => fc.assert(fc.property(pages, fc.array(fc.boolean()), (list, takes) => {
  let spans = toSpans(list);
  const taken: number[] = [];
  for (const take of takes) {
    if (take) {
      const lowest = members(spans)[0];
      const page = takePages(spans, 1)?.[0];
      expect(page).toBe(lowest);
      if (page !== undefined) taken.push(page);
    } else if (taken.length > 0) {
      spans = returnPage(spans, taken.shift()!);
    }
    expect([...members(spans), ...taken].toSorted((a, b) => a - b)).toEqual(list);
  }
  for (const page of taken) spans = returnPage(spans, page);
  expect(spans).toEqual(toSpans(list));
})));

test('a task takes pages that follow each other, as many as it may, until all are taken; what it leaves goes back where it was', () =>
  fc.assert(fc.property(pages, fc.integer({ min: 1, max: 8 }), fc.nat(8), (list, most, keeps) => {
    const spans = toSpans(list);
    const taken: number[] = [];
    for (let task = takePages(spans, most); task; task = takePages(spans, most)) {
      expect(task[1] - task[0]).toBeLessThan(most);
      taken.push(...members([task]));
    }
    expect(taken).toEqual(list);
    const again = toSpans(list);
    const first = takePages(again, most);
    if (first && first[0] + keeps <= first[1]) expect(members(returnPage(again, first[0] + keeps, first[1]))).toEqual(list.slice(keeps));
  })));

test('tasks become smaller towards the end, so that none of the window runs alone for long', () => {
  const spans: PageSpan[] = [[1, 100]];
  const sizes: number[] = [];
  while (countPages(spans) > 0) {
    const [from, to] = takePages(spans, pagesForTask(spans, { window: 4, most: 8 }))!;
    sizes.push(to - from + 1);
  }
  expect(sizes.slice(0, 5)).toEqual([8, 8, 8, 8, 8]);
  expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
  expect(sizes.slice(-8)).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
});

test('a page that is returned twice is there once', () => expect(returnPage(returnPage([[5, 6]], 4), 4)).toEqual([[4, 6]]));

test('a page is full by rows or by bytes', () => {
  const { rows, bytes } = PAGE_SIZES.cheap;
  expect([pageIsFull(PAGE_SIZES.cheap, rows - 1, bytes - 1), pageIsFull(PAGE_SIZES.cheap, rows, 0), pageIsFull(PAGE_SIZES.cheap, 1, bytes)]).toEqual([false, true, true]);
});
