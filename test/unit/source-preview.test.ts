import { describe, expect, test } from 'vitest';
import type { Cell } from '../../src/contracts/row.ts';
import type { SheetOptions } from '../../src/contracts/job.ts';
import { typedCell, typeOfCell, typeOfColumn } from '../../src/domain/infer.ts';
import { previewSheet, type Preview } from '../../src/sources/preview.ts';
import { LIMITS, memoryFile } from './source-material.ts';

describe('the value that a text stands for', () => {
  test.each<[Cell, Cell]>([
    ['0', 0], ['-0', 0], ['42', 42], ['-3.50', -3.5], ['0.001', 0.001], ['123456789012345', 123456789012345], ['0.00000123456789012345', 0.00000123456789012345],
    ['TRUE', true], ['false', false], ['False', false],
    ['007', '007'], ['+1', '+1'], ['1e5', '1e5'], ['1.', '1.'], ['.5', '.5'], ['1,5', '1,5'], [' 1', ' 1'], ['1234567890123456', '1234567890123456'],
    ['1.2345678901234567', '1.2345678901234567'], ['0x10', '0x10'], ['NaN', 'NaN'], ['Infinity', 'Infinity'], ['yes', 'yes'], ['-', '-'], ['', ''], ['١٢', '١٢'],
    [null, null], [5, 5], [true, true],
  ])('%j is %j', (cell, value) => expect(typedCell(cell)).toBe(value));
});

describe('types', () => {
  test('of cells', () => {
    expect(['1', 2, '1.5', 'true', '2024-02-29', '2024-01-15T10:30:00', '2024-01-15 10:30', '2024-13-01', '2023-02-29', 'x', null, ''].map((cell) => typeOfCell(cell))).toEqual(
      ['integer', 'integer', 'number', 'boolean', 'date', 'datetime', 'datetime', 'text', 'text', 'text', null, null],
    );
  });

  test('of columns', () => {
    expect(typeOfColumn(new Set())).toBe('empty');
    expect(typeOfColumn(new Set(['integer']))).toBe('integer');
    expect(typeOfColumn(new Set(['integer', 'number']))).toBe('number');
    expect(typeOfColumn(new Set(['date', 'datetime']))).toBe('datetime');
    expect(typeOfColumn(new Set(['integer', 'text']))).toBe('mixed');
  });
});

describe('preview', () => {
  const preview = (text: string, options: SheetOptions = {}, milliseconds?: number): Promise<Preview> => previewSheet(memoryFile(text), options, LIMITS, milliseconds);
  const advice = async (text: string, options: SheetOptions = {}): Promise<[code: string, row: number | undefined][]> =>
    (await preview(text, options)).warnings.filter(({ code }) => code.startsWith('header_looks')).map(({ code, row }) => [code, row]);

  test('columns with types and reasons, the first 20 rows, and how many there are', async () => {
    const lines = Array.from({ length: 2500 }, (_, at) => `${at},${at / 2},x${at},2024-01-15,,${at % 2 ? 'true' : 'n/a'}`);
    const { columns, rows, rowCount, rowCountAtLeast } = await preview(`id,half,id,day,none,flag\n${lines.join('\n')}`);
    expect(columns.map(({ name, type, renamed }) => [name, type, renamed])).toEqual([
      ['id', 'integer', null], ['half', 'number', null], ['id_2', 'text', 'duplicate'], ['day', 'date', null], ['none', 'empty', null], ['flag', 'mixed', null],
    ]);
    expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 20 }, (_, at) => at + 2));
    expect([rowCount, rowCountAtLeast]).toEqual([2500, 2500]);
  });

  test('a count that would take too long is not made up', async () => {
    const { rowCount, rowCountAtLeast } = await preview(`a\n${'x\n'.repeat(100_000)}`, {}, -1);
    expect(rowCount).toBeNull();
    expect(rowCountAtLeast).toBeGreaterThan(0);
    expect(rowCountAtLeast).toBeLessThan(100_000);
  });

  test('a title above the header is told, and the header found', async () => {
    expect(await advice('Sales 2024,,\n,,\nRegion,Units,Price\nNorth,5,2.5\nSouth,6,3\n')).toEqual([['header_looks_like_title', 3]]);
    expect(await advice('\nRegion,Units\nNorth,5\nSouth,6\n')).toEqual([['header_looks_like_title', 2]]);
  });

  test('data in the place of the header is told', async () => {
    expect(await advice('1,Ann,2020-01-01\n2,Bob,2021-01-01\n')).toEqual([['header_looks_like_data', 1]]);
    expect(await advice('1,Ann,2020-01-01\n2,Bob,2021-01-01\n', { headerRow: 0 })).toEqual([]);
  });

  test('a proper header gets no advice, with years in it, one column or no rows', async () => {
    for (const text of ['id,name\n1,Ann\n', 'Region,2022,2023,2024\nNorth,5,6,7\n', 'word\none\ntwo\n', 'a,b,c\n', '']) expect(await advice(text)).toEqual([]);
  });
});
