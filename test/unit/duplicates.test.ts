/** Duplicate keys, found by their hashes, against a search that compares every row with every other. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PageRow } from '../../src/contracts/row.ts';
import { findDuplicates, KeyHashes } from '../../src/domain/duplicates.ts';

type Mode = 'fail' | 'first' | 'last';

async function found(pages: PageRow[][], mode: Mode): Promise<Map<number, number>> {
  const hashes = new KeyHashes();
  for (const rows of pages) {
    for (const { key } of rows) hashes.add(key);
    hashes.endPage();
  }
  const losers = await findDuplicates(hashes.suspects(), mode, async (page) => pages[page - 1]!);
  for (const [page, rows] of losers) for (const number of rows.keys()) expect(pages[page - 1]!.some(({ row }) => row === number)).toBe(true);
  return new Map([...losers.values()].flatMap((rows) => [...rows]));
}

function naive(pages: PageRow[][], mode: Mode): Map<number, number> {
  const rows = pages.flat().filter(({ key }) => key !== null);
  return new Map(rows.flatMap(({ row, key }) => {
    const same = rows.filter((other) => other.key === key);
    const winner = (mode === 'last' ? same.at(-1) : same[0])!;
    return winner.row === row ? [] : [[row, winner.row] as const];
  }));
}

const pagesOf = (keys: (string | null)[][]): PageRow[][] => {
  let row = 1;
  return keys.map((page) => page.map((key) => ({ row: ++row, key, rowHash: '', cells: [] })));
};

test('the losers and winners are those of the plain search, over any pages, in every mode', async () => {
  const key = fc.option(fc.constantFrom('a', 'b', 'c', 'ä', '1', '01', 'a '), { freq: 6 });
  await fc.assert(fc.asyncProperty(fc.array(fc.array(key, { minLength: 1, maxLength: 8 }), { maxLength: 6 }), fc.constantFrom<Mode>('fail', 'first', 'last'), async (keys, mode) => {
    const pages = pagesOf(keys);
    expect(await found(pages, mode)).toEqual(naive(pages, mode));
  }));
});

test('more rows than the first buffer holds', async () => {
  const keys = Array.from({ length: 40_000 }, (_, index) => `k${index}`);
  const pages = pagesOf([keys.slice(0, 20_000), [...keys.slice(20_000), 'k7', 'k39999']]);
  expect(await found(pages, 'fail')).toEqual(new Map([[40_002, 9], [40_003, 40_001]]));
});

test('rows without a key are nobody\'s doubles', async () => {
  expect(await found(pagesOf([[null, null], [null]]), 'fail')).toEqual(new Map());
});

test('equal hashes of different keys are told apart by reading the rows', async () => {
  const pages = pagesOf([['a', 'b'], ['a']]);
  const everything = new Map([[1, [0, 1]], [2, [0]]]);
  expect(await findDuplicates(everything, 'first', async (page) => pages[page - 1]!)).toEqual(new Map([[2, new Map([[4, 2]])]]));
});
