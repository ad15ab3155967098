import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { workbook } from '../../src/api/xlsx.ts';
import type { Cell } from '../../src/contracts/row.ts';
import { openSheet } from '../../src/sources/index.ts';

async function* batches(rows: Cell[][], size: number): AsyncGenerator<Cell[][]> {
  for (let start = 0; start < rows.length; start += size) yield rows.slice(start, start + size);
}

async function readBack(content: Buffer, sheet: number) {
  const file = { name: 'w.xlsx', size: content.length, fingerprint: '', stream: async ({ start = 0, end = content.length } = {}) => Readable.from([content.subarray(start, end)]) };
  const open = await openSheet(file, { sheet }, { maxRecordChars: 100_000, maxColumns: 1000, maxInflatedBytes: 1e8 });
  const rows: Cell[][] = [];
  for await (const batch of open.rows()) rows.push(...batch.map(({ cells }) => cells));
  await open.close();
  return { sheets: open.sheets, header: open.columns.map(({ name }) => name), rows };
}

describe('a workbook', () => {
  it('goes on in another sheet, header and all, where one is full', async () => {
    const rows = Array.from({ length: 10 }, (_, n) => [n, `row ${n}`]);
    const content = await buffer(workbook(['n', 'text'], batches(rows, 3), rows.length, 5));
    const [first, second, third] = [await readBack(content, 1), await readBack(content, 2), await readBack(content, 3)];
    expect(first.sheets).toEqual(['Results', 'Results 2', 'Results 3']);
    expect([first, second, third].map(({ header }) => header)).toEqual([['n', 'text'], ['n', 'text'], ['n', 'text']]);
    expect([first, second, third].map(({ rows: found }) => found.map(([n]) => n))).toEqual([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
  });

  it('without rows has its header', async () => {
    expect(await readBack(await buffer(workbook(['a'], batches([], 1), 0)), 1)).toEqual({ sheets: ['Results'], header: ['a'], rows: [] });
  });

  it('fails as its rows do', async () => {
    async function* failing(): AsyncGenerator<Cell[][]> {
      yield [[1]];
      throw new Error('the page is gone');
    }
    await expect(buffer(workbook(['a'], failing(), 10))).rejects.toThrow('the page is gone');
  });

  it('stops asking for rows when nobody reads it any more', async () => {
    let stopped = false;
    async function* endless(): AsyncGenerator<Cell[][]> {
      try {
        for (let n = 0; ; n++) yield [[n, `${Math.random()}`]];
      } finally {
        stopped = true;
      }
    }
    const stream = workbook(['n', 'text'], endless(), 1_000_000);
    let bytes = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > 50_000) break;
    }
    await expect.poll(() => stopped).toBe(true);
  });
});
