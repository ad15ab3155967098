/** Google Sheets through the official clients, against a server that speaks its protocol: what is read, and what is asked for. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Cell } from '../../src/contracts/row.ts';
import type { SheetOptions, SpreadsheetLocation } from '../../src/contracts/job.ts';
import { parseSpreadsheetAddress } from '../../src/domain/spreadsheet-address.ts';
import { localLimits } from '../../src/limits/local.ts';
import { createGoogleSheets, type GoogleSheets } from '../../src/sources/google-sheets.ts';
import type { FetchedParts } from '../../src/sources/google/parts.ts';
import { cellText, writeBlocks, type WrittenBlock } from '../../src/sources/google/write-blocks.ts';
import { previewSheet } from '../../src/sources/preview.ts';
import type { OpenSheet, RemoteSheet } from '../../src/sources/source.ts';
import { withoutColumns } from '../../src/sources/without-columns.ts';
import { date, dateTime, duration, makeTab, time, type Value } from '../servers/google/grid.ts';
import { ADDRESS, BOT, readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';

const LIMITS = { maxRecordChars: 1_000_000, maxColumns: 1_000, maxInflatedBytes: 1_000_000 };
const BY_BOT: SpreadsheetLocation = { spreadsheet: SPREADSHEET, credentials: 'bot' };

let google: ReadyGoogle;
let sheets: GoogleSheets;
beforeEach(async () => {
  google = await readyGoogle();
  sheets = createGoogleSheets({ credentials: google.credentials, url: google.url, limits: localLimits() });
});
afterEach(() => google.close());

const find = (location = BY_BOT, fetched?: (fingerprint: string) => FetchedParts): Promise<RemoteSheet> => sheets.find(location, { user: 'default/tester' }, fetched);
const open = async (options: SheetOptions = {}, location = BY_BOT): Promise<OpenSheet> => (await find(location)).open(options, LIMITS);

async function rowsOf(sheet: OpenSheet): Promise<{ row: number; cells: Cell[] }[]> {
  const rows = [];
  for await (const batch of sheet.rows()) rows.push(...batch);
  return rows;
}
const cellsOf = async (options: SheetOptions = {}, location = BY_BOT): Promise<Cell[][]> => (await rowsOf(await open(options, location))).map(({ cells }) => cells);
const asked = (): string[] => google.arrivals.map(({ what }) => what.replace(SPREADSHEET, 'ID'));

describe('an address', () => {
  test.each([
    [ADDRESS, 0],
    [`https://docs.google.com/spreadsheets/d/${SPREADSHEET}/edit?usp=sharing`, null],
    [`https://docs.google.com/spreadsheets/u/1/d/${SPREADSHEET}/edit#gid=1234567`, 1_234_567],
    [`https://docs.google.com/a/example.org/spreadsheets/d/${SPREADSHEET}/view?gid=7`, 7],
    [`https://drive.google.com/open?id=${SPREADSHEET}`, null],
    [` ${SPREADSHEET} `, null],
  ])('%s names a spreadsheet', (address, gid) => {
    expect(parseSpreadsheetAddress(address)).toEqual({ id: SPREADSHEET, gid });
  });

  test.each([
    ['https://docs.google.com/spreadsheets/d/e/2PACX-1vSheetThatWasPublished/pubhtml', 'published'],
    ['https://docs.google.com/document/d/short', 'no Google Sheet'],
    ['https://example.org/spreadsheets/d/x', 'neither the address'],
  ])('%s does not', (address, why) => {
    expect(() => parseSpreadsheetAddress(address)).toThrow(why);
  });
});

describe('cells', () => {
  test('keep their types; dates and times are ISO 8601, errors and empty cells are null', async () => {
    google.book('Types', [
      ['text', 'number', 'yes', 'date', 'at', 'time', 'lasted', 'error', 'formula text'],
      ['=1+1', 12.5, true, date('2024-05-01'), dateTime('2024-05-01T13:45:30'), time(13.5), duration(26.5), '#N/A', '00123'],
      ['2024-05-01', 45_413, false, date('1850-02-28'), dateTime('2024-05-01'), time(0), duration(0.25), '#REF!', null],
      [null, 0, null, date('1900-01-01'), null, null, null, 'fine', -1.5],
    ]);
    const sheet = await open();
    expect((await rowsOf(sheet)).map(({ cells }) => cells)).toEqual([
      ['=1+1', 12.5, true, '2024-05-01', '2024-05-01T13:45:30', '13:30:00', 'PT26H30M', null, '00123'],
      ['2024-05-01', 45_413, false, '1850-02-28', '2024-05-01T00:00:00', '00:00:00', '00:15:00'],
      [null, 0, null, '1900-01-01', null, null, null, 'fine', -1.5],
    ]);
    expect(sheet.warnings).toMatchObject([{ code: 'error_cell', row: 2, column: 'H' }]);
  });

  test('of hidden rows, filters and merged areas are read like others', async () => {
    google.book('Merged', [['a', 'b'], [1, null], [null, null], [2, 3]], { merges: [{ startRowIndex: 1, endRowIndex: 2, startColumnIndex: 0, endColumnIndex: 2 }] });
    const sheet = await open();
    expect(await rowsOf(sheet)).toEqual([{ row: 2, cells: [1] }, { row: 3, cells: [] }, { row: 4, cells: [2, 3] }]);
    expect(sheet.warnings.map(({ code }) => code)).toContain('merged_cells');
  });

  test('in Hebrew arrive as they are, from a sheet with a Hebrew name', async () => {
    google.book('משפטים', [makeTab(0, 'ריק', []), makeTab(77, "מידע-בעל-פה 'א'", [['מספר', 'שם'], [1, 'בְּרֵאשִׁית'], [2, 'שלום, עולם']])]);
    expect(await cellsOf({ sheet: "מידע-בעל-פה 'א'" })).toEqual([[1, 'בְּרֵאשִׁית'], [2, 'שלום, עולם']]);
    expect(await cellsOf({}, { ...BY_BOT, gid: 77 })).toEqual([[1, 'בְּרֵאשִׁית'], [2, 'שלום, עולם']]);
  });
});

describe('which part is read', () => {
  beforeEach(() => {
    google.book('Parts', [
      makeTab(5, 'Hidden', [['x'], ['hidden']], { hidden: true }),
      makeTab(0, 'First', [['a', 'b', 'c', 'd'], [1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]], { rowCount: 1_000, columnCount: 26 }),
      makeTab(9, 'Second', [['z'], ['second']]),
    ]);
  });

  test('is the first visible sheet, or the one that is asked for', async () => {
    expect((await open()).sheet).toBe('First');
    expect(await cellsOf({ sheet: 'second' })).toEqual([['second']]);
    expect(await cellsOf({ sheet: 1 })).toEqual([['hidden']]);
    expect(await cellsOf({}, { ...BY_BOT, gid: 9 })).toEqual([['second']]);
    expect(await (await find()).sheets()).toEqual(['First', 'Second']);
    await expect(open({ sheet: 'Third' })).rejects.toMatchObject({ code: 'sheet_not_found', remedy: 'The sheets are "Hidden", "First", "Second"' });
    await expect(open({}, { ...BY_BOT, gid: 4 })).rejects.toMatchObject({ code: 'sheet_not_found' });
  });

  test.each<[SheetOptions, Cell[][]]>([
    [{ range: 'B2:C3', headerRow: 0 }, [[2, 3], [6, 7]]],
    [{ range: 'B:C' }, [[2, 3], [6, 7], [10, 11]]],
    [{ range: "'Second'!A:A" }, [['second']]],
    [{ startRow: 3, numRows: 1 }, [[5, 6, 7, 8]]],
    [{ range: 'AA:AB' }, []],
  ])('%j', async (options, cells) => {
    expect(await cellsOf(options)).toEqual(cells);
  });

  test('of a large sheet costs no rows that nobody wants', async () => {
    google.book('Long', [['n'], ...Array.from({ length: 50_000 }, (_, n) => [n])]);
    const sheet = await open({ startRow: 49_000, numRows: 3 });
    expect((await rowsOf(sheet)).map(({ cells }) => cells)).toEqual([[48_998], [48_999], [49_000]]);
    expect(Math.max(...google.arrivals.map(({ bytes }) => bytes))).toBeLessThan(2_000);
  });
});

describe('a large sheet', () => {
  const wide = (count: number): string[][] => [['id', 'text'], ...Array.from({ length: count }, (_, n) => [`r${n}`, 'x'.repeat(n < 4_000 ? 20 : 1_000)])];

  test('comes in parts of a megabyte or two, whatever its rows weigh', async () => {
    google.book('Large', wide(12_000), { rowCount: 400_000 });
    const rows = await rowsOf(await open());
    expect(rows).toHaveLength(12_000);
    expect(rows.at(-1)).toEqual({ row: 12_001, cells: ['r11999', 'x'.repeat(1_000)] });
    const sizes = google.arrivals.filter(({ what }) => what.includes('values')).map(({ bytes }) => bytes);
    // Where rows become fifty times as heavy from one to the next, one part finds out.
    expect(sizes.filter((size) => size > 2_000_000).length).toBeLessThanOrEqual(1);
    expect(sizes.length).toBeLessThan(25);
  });

  test('is not fetched again by whoever takes over', async () => {
    google.book('Large', wide(12_000));
    const kept = new Map<string, string>();
    const fetched = (fingerprint: string): FetchedParts => ({
      get: async (part) => kept.get(`${fingerprint}/${part}`) ?? null,
      put: async (part, content) => void kept.set(`${fingerprint}/${part}`, content),
    });
    const first = await (await find(BY_BOT, fetched)).open({}, LIMITS);
    let seen = 0;
    for await (const batch of first.rows()) if ((seen += batch.length) >= 6_000) break;
    const before = google.arrivals.length;
    const partsBefore = kept.size;
    const second = await (await find(BY_BOT, fetched)).open({}, LIMITS);
    expect(await rowsOf(second)).toHaveLength(12_000);
    expect(google.arrivals.slice(before).filter(({ what }) => what.includes('values')).length).toBe(kept.size - partsBefore);
    expect(partsBefore).toBeGreaterThan(1);
  });

  test('that is edited while it is read, where Drive cannot be asked, is refused as changed', async () => {
    google.book('Large', wide(12_000));
    google.fault = ({ kind }) => (kind === 'drive' ? { status: 403, body: { error: { code: 403, errors: [{ reason: 'accessNotConfigured' }] } } } : null);
    const found = await find();
    expect(found.fingerprint).toBeNull();
    expect(await rowsOf(await found.open({}, LIMITS))).toHaveLength(12_000);
    const again = await found.open({}, LIMITS);
    const reading = async (): Promise<void> => {
      let seen = 0;
      for await (const batch of again.rows()) {
        if (seen === 0) google.edit(SPREADSHEET, (book) => { book.tabs[0]!.rows[2]![1] = 'edited'; });
        seen += batch.length;
      }
    };
    await expect(reading()).rejects.toMatchObject({ code: 'source_changed' });
  });
});

describe('what is asked of Google', () => {
  test('for a sheet that may not have changed is one thing', async () => {
    google.book('Small', [['a'], [1]]);
    const first = await find();
    const before = google.arrivals.length;
    expect((await find()).fingerprint).toBe(first.fingerprint);
    expect(asked().slice(before)).toEqual(['GET /drive/v3/files/ID']);
    google.edit(SPREADSHEET, (book) => { book.tabs[0]!.rows[1] = [2]; });
    expect((await find()).fingerprint).not.toBe(first.fingerprint);
  });

  test('says whose call it is', async () => {
    google.book('Small', [['a'], ['x']]);
    await rowsOf(await open());
    const users = new Set(google.arrivals.filter(({ kind }) => kind === 'read').map(({ user }) => user));
    expect(users.size).toBe(1);
    expect([...users][0]).not.toBe(BOT);
  });

  test('a preview looks at the beginning of a large sheet only', async () => {
    google.book('Large', [['n', 'text'], ...Array.from({ length: 60_000 }, (_, n) => [n, 'x'.repeat(100)])]);
    const preview = await previewSheet(await find(), {}, LIMITS);
    expect(preview).toMatchObject({ format: 'Google Sheet', sheet: 'Sheet1', rowCount: null, columns: [{ name: 'n', type: 'integer' }, { name: 'text', type: 'text' }] });
    expect(google.arrivals.filter(({ what }) => what.includes('values')).length).toBeLessThan(12);
  });
});

describe('what is written', () => {
  const write = async (blocks: WrittenBlock[]): Promise<void> => writeBlocks(await sheets.client(BY_BOT, { user: 'default/tester' }, 'write'), 'Sheet1', blocks);

  test('goes in requests of a megabyte or two, and leaves cells alone that are not meant', async () => {
    google.book('Written', [['a', 'b'], ...Array.from({ length: 3_000 }, (_, n): Value[] => [n, 'before'])]);
    await write([{ firstRow: 2, firstColumn: 1, lines: Array.from({ length: 3_000 }, (_, n) => [n === 0 || n === 2_999 || n % 3 === 1 ? undefined : n % 3 === 2 ? null : `=${'x'.repeat(1_000)}`]) }]);
    const cells = google.books.get(SPREADSHEET)!.tabs[0]!.rows.slice(1).map((row) => row[1] ?? null);
    expect(cells.every((cell, n) => cell === (n === 0 || n === 2_999 || n % 3 === 1 ? 'before' : n % 3 === 2 ? null : `=${'x'.repeat(1_000)}`))).toBe(true);
    expect(google.arrivals.filter(({ kind }) => kind === 'write')).toHaveLength(1);
    await write([{ firstRow: 2, firstColumn: 0, lines: Array.from({ length: 3_000 }, () => ['y'.repeat(1_000), 'z']) }]);
    expect(google.arrivals.filter(({ kind }) => kind === 'write')).toHaveLength(4);
    expect(google.books.get(SPREADSHEET)!.tabs[0]!.rows.at(-1)).toEqual(['y'.repeat(1_000), 'z']);
  });

  test('is cut where a cell cannot hold it', () => {
    expect(cellText('x'.repeat(50_001))).toEqual({ text: `${'x'.repeat(49_999)}…`, cut: true });
    expect(cellText('')).toEqual({ text: null, cut: false });
    expect(cellText(undefined)).toEqual({ text: undefined, cut: false });
  });
});

test('a sheet without some of its columns has neither them nor their cells', async () => {
  google.book('Columns', [['id', 'Category', 'name'], [1, 'old', 'Ann'], [null, 'left over', null], [2, 'old', 'Ben', 'wider']]);
  const sheet = withoutColumns(await open(), ['Category', 'not there']);
  expect(sheet.columns.map(({ name }) => name)).toEqual(['id', 'name', 'D']);
  expect(await rowsOf(sheet)).toEqual([{ row: 2, cells: [1, 'Ann', null] }, { row: 3, cells: [null, null, null] }, { row: 4, cells: [2, 'Ben', 'wider'] }]);
});
