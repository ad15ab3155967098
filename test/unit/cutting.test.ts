/** Pages as they are cut: in the process and in a thread the same, and the same as somebody would write them row by row. */
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutHere, cutInThread, type Cutting, type WritePage } from '../../src/activities/cutting.ts';
import type { Cut, CutBatch, CutOptions } from '../../src/activities/page-cutter.ts';
import { pageLine } from '../../src/blobs/stored-rows.ts';
import type { Cell, PageRow } from '../../src/contracts/row.ts';
import { itemKey, rowHasher } from '../../src/domain/hashing.ts';

const WAYS = { 'in the process': cutHere, 'in a thread': cutInThread };
const NAMES = ['name', 'city', 'A "quoted" \\ one'];
const SIZE = { rows: 7, bytes: 400 };

interface Sheet {
  keyed: boolean;
  batches: { row: number; cells: Cell[] }[][];
}

const cell: fc.Arbitrary<Cell> = fc.oneof(
  fc.constant(null), fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string({ unit: 'grapheme' }), fc.string(),
  fc.constantFrom('"', '\\', '\\"', '",', ']', '],[', '\n', '\u0000', '\ud800', 'שלום', '日本'),
);
const sheet: fc.Arbitrary<Sheet> = fc.record({ keyed: fc.boolean(), batches: fc.array(fc.array(fc.array(cell, { maxLength: 3 }), { maxLength: 12 }), { maxLength: 6 }) })
  .map(({ keyed, batches }) => {
    let row = 1;
    return { keyed, batches: batches.map((rows) => rows.map((cells) => ({ row: ++row, cells }))) };
  });

const isBlank = (cells: Cell[]): boolean => cells.every((one) => one === null);
/** As the rows come: the columns with the first. */
const batchesOf = ({ batches }: Sheet): CutBatch[] => batches.map((rows, index) => ({
  rows: rows.map(({ row, cells }) => (isBlank(cells) ? -row : row)), cells: JSON.stringify(rows.map(({ cells }) => cells)), ...(index === 0 && { columns: { names: NAMES, keys: [0, 1] } }),
}));

/** Cuts all, and answers the pages' lines. */
async function cutAll(open: (options: CutOptions, write: WritePage) => Cutting, keyed: boolean, batches: CutBatch[]): Promise<{ cut: Cut; pages: string[] }> {
  const pages: string[] = [];
  const cutting = open({ size: SIZE, keyed }, async (packed) => void pages.push(zstdDecompressSync(await packed).toString()));
  try {
    for (const batch of batches) await cutting.add(batch);
    return { cut: await cutting.end(), pages };
  } finally {
    await cutting.close();
  }
}

function rowByRow({ keyed, batches }: Sheet): PageRow[] {
  const hash = rowHasher(NAMES);
  return batches.flat().map(({ row, cells }) => ({
    row, key: isBlank(cells) ? null : keyed ? itemKey([cells[0], cells[1]]) : String(row), rowHash: hash(cells), cells,
  }));
}

describe.each(Object.entries(WAYS))('%s', (_, open) => {
  test('a page\'s lines are those of its rows, whatever their cells hold, and pages end where they are full', () => fc.assert(fc.asyncProperty(sheet, async (given) => {
    const { cut, pages } = await cutAll(open, given.keyed, batchesOf(given));
    const lines = rowByRow(given).map(pageLine);
    expect(pages.join('')).toBe(lines.join(''));
    expect(cut).toMatchObject({ rows: lines.length, pages: pages.length, bytes: lines.join('').length });
    const cutLines = pages.map((page) => page.split(/(?<=\n)/));
    for (const page of cutLines.slice(0, -1)) expect(page.length === SIZE.rows || page.join('').length >= SIZE.bytes).toBe(true);
    for (const page of cutLines) {
      expect(page.length).toBeLessThanOrEqual(SIZE.rows);
      expect(page.slice(0, -1).join('').length).toBeLessThan(SIZE.bytes);
    }
  }), { numRuns: 40 }));

  test('columns that come later count for the rows after them', async () => {
    const { cut, pages } = await cutAll(open, true, [
      { rows: [2], cells: '[["a"]]', columns: { names: ['x'], keys: [0] } },
      { rows: [3, 4], cells: '[["a","b"],["c",null]]', columns: { names: ['x', 'B'], keys: [1, 0] } },
    ]);
    const [one, both] = [rowHasher(['x']), rowHasher(['x', 'B'])];
    expect(pages).toEqual([[
      { row: 2, key: 'a', rowHash: one(['a']), cells: ['a'] },
      { row: 3, key: '["b","a"]', rowHash: both(['a', 'b']), cells: ['a', 'b'] },
      { row: 4, key: '["","c"]', rowHash: both(['c', null]), cells: ['c', null] },
    ].map(pageLine).join('')]);
    expect(cut.rows).toBe(3);
  });

  test('rows of one key are suspected on every page where they are', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'b', 'g', 'a', 'h'];
    const { cut } = await cutAll(open, true, [{ rows: keys.map((_, index) => index + 2), cells: JSON.stringify(keys.map((key) => [key])), columns: { names: ['x'], keys: [0] } }]);
    expect(cut.suspects).toEqual(new Map([[1, [0, 1, 6]], [2, [1]]]));
  });

  test('a page that hardly takes any room when it is packed is whole', async () => {
    const words = 'x'.repeat(400_000);
    const { pages } = await cutAll(open, false, [{ rows: [2, 3], cells: JSON.stringify([[words], [words]]), columns: { names: ['x'], keys: [] } }]);
    expect(pages.map((page) => page.length)).toEqual([2, 3].map((row) => pageLine({ row, key: String(row), rowHash: rowHasher(['x'])([words]), cells: [words] }).length));
  });

  test('a page that cannot be written rejects', async () => {
    const cutting = open({ size: SIZE, keyed: false }, () => Promise.reject(new Error('The disk is full.')));
    const rows = Array.from({ length: 20 }, (_, index) => index + 2);
    const all = async (): Promise<Cut> => {
      await cutting.add({ rows, cells: JSON.stringify(rows.map((row) => [row])), columns: { names: ['x'], keys: [] } });
      return cutting.end();
    };
    await expect(all()).rejects.toThrow('The disk is full.');
    await cutting.close();
  });
});

test('a thread that fails rejects, now and later', async () => {
  const cutting = cutInThread({ size: SIZE, keyed: false }, async (packed) => void (await packed));
  await cutting.add({ rows: null as never, cells: '[]' });
  await expect(cutting.end()).rejects.toThrow(TypeError);
  await expect(cutting.end()).rejects.toThrow(TypeError);
  await cutting.close();
});
