/** What a page's files say when they are read again. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { openPageFile, readPageFile, readResultFile, resultLine, writePageFile, writeResultFile } from '../../src/blobs/pages.ts';
import { ResultLines } from '../../src/blobs/result-lines.ts';
import { pageLine } from '../../src/blobs/stored-rows.ts';
import { giveBack, giveBackChunk } from '../../src/domain/give-back.ts';
import { TextBytes } from '../../src/domain/text-bytes.ts';
import type { Cell, PageRow, RowResult } from '../../src/contracts/row.ts';

let folder: string;
let blobs: Blobs;
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-pages-'));
  blobs = await openFilesystemBlobs({ folder });
});
afterAll(() => fs.rm(folder, { recursive: true, force: true }));

const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom('"', '\\', ',', '\n', '\t', '[', ']', 'a', 'null') }));
const cell: fc.Arbitrary<Cell> = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (number === 0 ? 0 : number)), fc.boolean(), fc.constant(null));
const row = fc.record({ key: fc.option(text), cells: fc.array(cell, { maxLength: 7 }) });

describe('a page', () => {
  it('gives back the rows that it was written of, whatever their cells hold', () => fc.assert(fc.asyncProperty(fc.array(row, { maxLength: 5 }), async (some) => {
    const rows: PageRow[] = some.map((one, index) => ({ row: index + 2, rowHash: `hash-${index}`.padEnd(22, '_'), ...one }));
    await writePageFile(blobs, 'acme/page', rows.map(pageLine).join(''));
    const read = await readPageFile(blobs, 'acme/page');
    expect(read.map((one) => ({ row: one.row, key: one.key, rowHash: one.rowHash, cells: one.cells }))).toEqual(rows.map((one) => ({ row: one.row, key: one.key, rowHash: one.rowHash, cells: one.cells })));
  })));

  it('gives each row in whatever order they are asked for, also of a page of many and long ones', async () => {
    const rows = Array.from({ length: 9_000 }, (_, index): PageRow => ({ row: index + 2, key: `k${index}`, rowHash: 'h'.repeat(22), cells: [index, 'ש'.repeat(index % 500 === 0 ? 20_000 : 3)] }));
    await writePageFile(blobs, 'acme/page', rows.map(pageLine).join(''));
    const read = await openPageFile(blobs, 'acme/page');
    expect(read.length).toBe(rows.length);
    for (const index of [0, 8_999, 4_500, 4_499, 500, 499, 501, 1, 8_500]) {
      const { row, key, rowHash, cells } = read.at(index);
      expect({ row, key, rowHash, cells }).toEqual(rows[index]);
    }
  });

  it('that was cut short is damaged', async () => {
    await writePageFile(blobs, 'acme/page', pageLine({ row: 2, key: 'k', rowHash: 'h'.repeat(22), cells: ['a'] }).slice(0, -3));
    await expect(readPageFile(blobs, 'acme/page')).rejects.toMatchObject({ code: 'blob_not_found', message: expect.stringContaining('damaged') });
  });
});

describe('the lines of a result', () => {
  const result = (at: number, output: string): RowResult => ({ row: at, state: 'done', output });

  it('are in the order of the sheet and the newest of each row, in whatever order they came', () => fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), text), { maxLength: 60 }), async (came) => {
      const lines = new ResultLines();
      for (const [at, output] of came) lines.set(at, resultLine(result(at, output)));
      const newest = [...new Map(came)].toSorted(([one], [other]) => one - other);
      expect(lines.size).toBe(newest.length);
      expect([...Array(42).keys()].filter((at) => lines.has(at))).toEqual(newest.map(([at]) => at));
      await writeResultFile(blobs, 'acme/result', { attempt: 1, tried: 0, faults: 0, handlerHash: 'h' }, lines.inOrder());
      expect((await readResultFile(blobs, 'acme/result')).rows).toEqual(newest.map(([at, output]) => result(at, output)));
    })));

  it('may be more than was made room for', () => {
    const lines = ResultLines.of(Array.from({ length: 3_000 }, (_, index) => result(index + 2, 'é'.repeat(200))));
    expect(String(lines.inOrder()).split('\n').filter(Boolean).map((line) => (JSON.parse(line) as [number])[0])).toEqual(Array.from({ length: 3_000 }, (_, index) => index + 2));
    lines.letGo();
    expect([lines.has(3), lines.size]).toEqual([true, 3_000]);
  });
});

describe('bytes of a text', () => {
  it('say where each piece begins, and nothing once they are let go', () => {
    const bytes = new TextBytes();
    expect([bytes.append('ab'), bytes.append('שלום'), bytes.append('x'.repeat(1 << 20)), bytes.append('!')]).toEqual([0, 2, 10, 10 + (1 << 20)]);
    expect(bytes.bytes.subarray(0, 11).toString()).toBe('abשלוםx');
    bytes.letGo();
    expect(bytes.bytes.length).toBe(0);
  });
});

describe('memory that is given back', () => {
  it('is gone at once, unless others have a part of it', () => {
    const [alone, part] = [new Uint8Array(8), new Uint8Array(8).subarray(2, 4)];
    giveBack(alone);
    giveBack(part);
    expect([alone.length, part.length]).toEqual([0, 2]);
  });

  it('is the whole chunk of what was unpacked, and never what Node shares out', () => {
    const [chunk, shared] = [Buffer.from(new ArrayBuffer(1 << 18)).subarray(0, 100), Buffer.from('short')];
    giveBackChunk(chunk);
    giveBackChunk(shared);
    expect([chunk.length, shared.toString()]).toEqual([0, 'short']);
  });
});
