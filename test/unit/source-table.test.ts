import { describe, expect, test } from 'vitest';
import type { SheetOptions } from '../../src/contracts/job.ts';
import { nameColumns, renameReason } from '../../src/domain/header.ts';
import { columnIndex, columnLetter, parseRange } from '../../src/domain/range.ts';
import { openSheet } from '../../src/sources/index.ts';
import { LIMITS, memoryFile, readCsv } from './source-material.ts';

describe('A1 notation', () => {
  test.each<[string, [sheet: string | null, firstRow: number, lastRow: number | null, firstColumn: number, lastColumn: number | null]]>([
    ['B2:F100', [null, 2, 100, 1, 5]],
    ['$B$2:$F$100', [null, 2, 100, 1, 5]],
    ['f100:b2', [null, 2, 100, 1, 5]],
    ['A:D', [null, 1, null, 0, 3]],
    ['2:50', [null, 2, 50, 0, null]],
    ['B2', [null, 2, 2, 1, 1]],
    ['B2:F', [null, 2, null, 1, 5]],
    ['Sheet1!A1:B2', ['Sheet1', 1, 2, 0, 1]],
    ["'It''s mine!'!A:B", ["It's mine!", 1, null, 0, 1]],
    ['XFD1', [null, 1, 1, 16383, 16383]],
  ])('%s', (text, [sheet, firstRow, lastRow, firstColumn, lastColumn]) => {
    expect(parseRange(text)).toEqual({ sheet, firstRow, lastRow, firstColumn, lastColumn });
  });

  test.each(['', 'A', '5', 'A1:', ':B2', 'A1:B2:C3', 'A0', 'XFE1', 'A1:5', 'A:5', '!A1', "'x!A1", 'A-1', '$', '$:$', 'one two'])('%j is refused', (text) => {
    expect(() => parseRange(text)).toThrow(expect.objectContaining({ code: 'invalid_range' }) as Error);
  });

  test('letters and numbers of columns', () => {
    for (const [index, letters] of [[0, 'A'], [25, 'Z'], [26, 'AA'], [701, 'ZZ'], [702, 'AAA'], [16383, 'XFD']] as const) {
      expect(columnLetter(index)).toBe(letters);
      expect(columnIndex(letters)).toBe(index);
    }
  });
});

describe('names of columns', () => {
  const names = (...headers: (string | null)[]): string[] => nameColumns(headers, 0).map(({ name }) => name);

  test('equal headers are numbered around names that are there; empty ones are letters', () => {
    expect(names('Name', 'Name', 'Name_2', 'Name', null, ' ')).toEqual(['Name', 'Name_3', 'Name_2', 'Name_4', 'E', 'F']);
    expect(names('C', 'x', null)).toEqual(['C', 'x', 'C_2']);
  });

  test('blanks and line breaks are tidied; right-to-left text and emoji are untouched', () => {
    expect(names('  two\n lines ', '\u200Fשם פרטי\u200F', '👩‍👩‍👧', '\uFEFFid')).toEqual(['two lines', '\u200Fשם פרטי\u200F', '👩‍👩‍👧', 'id']);
  });

  test('long ones are cut between characters and stay unique', () => {
    const [first, second] = names('😀'.repeat(300), `${'😀'.repeat(200)}x`);
    expect(first).toBe('😀'.repeat(200));
    expect(second).toBe(`${'😀'.repeat(200)}_2`);
  });

  test('a name that no row could carry is changed', () => {
    expect(names('__proto__', 'constructor')).toEqual(['__proto___2', 'constructor']);
  });

  test('why each is called differently', () => {
    expect(nameColumns(['a', 'a', null, ' b ', 'x'.repeat(201), '__proto__'], 0).map(renameReason)).toEqual([null, 'duplicate', 'empty', 'whitespace', 'too_long', 'reserved']);
  });
});

describe('what is read of a sheet', () => {
  const text = 'Report,,,\nid,name,city,\n1,Ann,Rome,x\n2,Bob,Oslo,y\n3,Cyd,Bern,z\n4,Dan,Kyiv,w\n';
  const ids = async (options: SheetOptions): Promise<unknown[]> => (await readCsv(text, options)).rows.map(([row]) => row);

  test.each<[string, SheetOptions, string[], number[]]>([
    ['all by default', {}, ['Report', 'B', 'C', 'D'], [2, 3, 4, 5, 6]],
    ['header row', { headerRow: 2 }, ['id', 'name', 'city', 'D'], [3, 4, 5, 6]],
    ['no header', { headerRow: 0 }, ['A', 'B', 'C', 'D'], [1, 2, 3, 4, 5, 6]],
    ['range: its first row is the header', { range: 'B2:C4' }, ['name', 'city'], [3, 4]],
    ['columns', { range: 'A:B', headerRow: 2 }, ['id', 'name'], [3, 4, 5, 6]],
    ['rows', { range: '2:4' }, ['id', 'name', 'city', 'D'], [3, 4]],
    ['range below its header', { range: 'A4:B5', headerRow: 2 }, ['id', 'name'], [4, 5]],
    ['one cell', { range: 'B3', headerRow: 0 }, ['B'], [3]],
    ['start and number', { headerRow: 2, startRow: 4, numRows: 2 }, ['id', 'name', 'city', 'D'], [4, 5]],
    ['number only', { headerRow: 2, numRows: 1 }, ['id', 'name', 'city', 'D'], [3]],
    ['none', { headerRow: 2, numRows: 0 }, ['id', 'name', 'city'], []],
    ['beyond the end', { headerRow: 2, startRow: 100 }, ['id', 'name', 'city'], []],
  ])('%s', async (_, options, columns, rows) => {
    const sheet = await readCsv(text, options);
    expect(sheet.columns).toEqual(columns);
    expect(sheet.rows.map(([row]) => row)).toEqual(rows);
  });

  test('cells are those of the range', async () => {
    expect((await readCsv(text, { range: 'B2:C4' })).rows).toEqual([[3, 'Ann', 'Rome'], [4, 'Bob', 'Oslo']]);
  });

  test('columns keep their letters within a range', async () => {
    const sheet = await openSheet(memoryFile(text), { range: 'B2:D6' }, LIMITS);
    expect(sheet.columns).toEqual([
      { name: 'name', header: 'name', index: 1, letter: 'B' },
      { name: 'city', header: 'city', index: 2, letter: 'C' },
      { name: 'D', header: null, index: 3, letter: 'D' },
    ]);
  });

  test('a start that is not below the header is refused', async () => {
    await expect(ids({ startRow: 1 })).rejects.toMatchObject({ code: 'invalid_range', place: { field: 'startRow' } });
    expect(await ids({ startRow: 1, headerRow: 0 })).toHaveLength(6);
  });

  test('a header row below the last row does not exist', async () => {
    await expect(ids({ headerRow: 9 })).rejects.toMatchObject({ code: 'header_not_found', place: { row: 9 } });
  });

  test('a file of blank lines, or of nothing, is an empty sheet', async () => {
    for (const nothing of ['', '\n\n', '\uFEFF', ',,\n,,\n']) {
      expect(await readCsv(nothing)).toMatchObject({ columns: [], rows: [], warnings: [{ code: 'empty_sheet' }] });
    }
  });

  test('a sheet with a header only has no rows', async () => {
    expect(await readCsv('a,b')).toMatchObject({ columns: ['a', 'b'], rows: [], warnings: [] });
  });

  test('columns grow with wider rows, also late ones, and the first is named', async () => {
    const lines = Array.from({ length: 2000 }, (_, at) => (at === 1500 ? '1,2,3,4' : '1,2'));
    const sheet = await openSheet(memoryFile(`a,b,,\n${lines.join('\n')}\n1,2,3,4,5\n`), { delimiter: ',' }, LIMITS);
    expect(sheet.columns.map(({ name }) => name)).toEqual(['a', 'b']);
    for await (const _ of sheet.rows());
    expect(sheet.columns.map(({ name }) => name)).toEqual(['a', 'b', 'C', 'D', 'E']);
    expect(sheet.warnings).toMatchObject([{ code: 'empty_header', column: 'C' }, { code: 'wider_row', row: 2002, column: 'E' }]);
  });

  test('empty columns at the end of the header are none', async () => {
    expect((await readCsv('a,b,,\n1,2,,\n3,4\n')).columns).toEqual(['a', 'b']);
  });

  test('too many columns are refused, in the header or later', async () => {
    await expect(readCsv('a,b,c,d\n', {}, { maxColumns: 3 })).rejects.toMatchObject({ code: 'too_many_columns', place: { row: 1 } });
    await expect(readCsv('a,b\n1,2\n1,2,3,4\n', {}, { maxColumns: 3 })).rejects.toMatchObject({ code: 'too_many_columns', place: { row: 3 } });
  });

  test('a CSV has no sheets to choose from', async () => {
    expect(await ids({ sheet: 1 })).toHaveLength(5);
    await expect(ids({ sheet: 'Data' })).rejects.toMatchObject({ code: 'sheet_not_found' });
    await expect(ids({ range: 'Data!A1:B2' })).rejects.toMatchObject({ code: 'sheet_not_found' });
  });

  test('no more than 100 warnings are kept', async () => {
    const sheet = await readCsv(`${Array.from({ length: 300 }, () => 'a').join(',')}\n`);
    expect(sheet.warnings.length).toBeLessThanOrEqual(100);
  });
});
