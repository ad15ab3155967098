import { describe, expect, test } from 'vitest';
import { columnRules, type ColumnRules } from '../../src/contracts/formats.ts';
import type { Cell } from '../../src/contracts/row.ts';
import { Lenient, rowCheck } from '../../src/domain/validation.ts';
import { readFormats, rulesOf } from '../../src/formats.ts';

const rule = (given: object): ColumnRules => columnRules.parse({ Price: given });
const problem = (given: object, cell: Cell): string | undefined => rowCheck({ level: 'moderate', columns: rule(given) }, ['id', 'Price'])(['1', cell])?.message;

test.each<[object, Cell[], Cell[]]>([
  [{ required: true }, ['x', 0, false], [null, '']],
  [{ type: 'integer' }, ['7', 7, null, '-3'], ['7.5', 'seven', '1e3', true]],
  [{ type: 'number', min: 1, max: 10 }, ['1', 10, '2.5'], ['0.5', 11, 'ten']],
  [{ type: 'boolean' }, ['TRUE', false], ['yes', 1]],
  [{ type: 'date' }, ['2026-11-26'], ['2026-13-01', '26.11.2026', '2026-11-26T10:00Z']],
  [{ type: 'datetime' }, ['2026-11-26', '2026-11-26T10:00Z'], ['10:00']],
  [{ type: 'email' }, ['a@b.example'], ['a@', 'a b@c']],
  [{ type: 'url' }, ['https://a.example/x?y=1'], ['a.example', 'javascript:alert(1)', 'ftp://a.example']],
  [{ pattern: '^[A-Z]{2}-\\d+$' }, ['AB-12'], ['ab-12', 'AB-12x']],
  [{ enum: ['red', 'green'] }, ['red'], ['Red', 'blue']],
  [{ minLength: 2, maxLength: 3 }, ['ab', 'abc'], ['a', 'abcd']],
])('%j takes what fits, and says of what does not where it is and never what it holds', (given, fit, unfit) => {
  for (const cell of fit) expect(problem(given, cell), String(cell)).toBeUndefined();
  for (const cell of unfit) expect(problem(given, cell), String(cell)).toMatch(/^Column "Price" (is|does)/);
  for (const cell of unfit) if (typeof cell === 'string' && cell.length > 4) expect(problem(given, cell)).not.toContain(cell);
});

test('a pattern that would never end elsewhere is read in one go', () =>
  expect(problem({ pattern: '^(a+)+$' }, `${'a'.repeat(9_000)}!`)).toBe('Column "Price" does not match the pattern.'));

test('a required column that is missing is named, one that is not required may be', () => {
  expect(() => rowCheck({ level: 'moderate', columns: rule({ required: true }) }, ['price'])).toThrow(expect.objectContaining({ code: 'column_missing' }));
  expect(rowCheck({ level: 'moderate', columns: rule({ type: 'integer' }) }, ['id'])(['x'])).toBeNull();
});

describe('lenient', () => {
  test.each<[object, Cell, Cell]>([
    [{ type: 'number' }, ' 1.234,50 € ', 1234.5], [{ type: 'number' }, '1,234.5', 1234.5], [{ type: 'number' }, '0,5', 0.5], [{ type: 'integer' }, '3 pcs', 3],
    [{ type: 'boolean' }, 'Yes', true], [{ type: 'date' }, '2026/11/26', '2026-11-26'], [{ enum: ['Red'] }, ' red ', 'Red'], [{ type: 'url' }, 'a.example/x', 'https://a.example/x'],
    [{ maxLength: 3 }, 'abcdef', 'abc'],
  ])('%j makes %j fit', (given, cell, fits) => {
    const lenient = new Lenient({ level: 'lenient', columns: rule(given) }, ['Price']);
    const cells = [cell];
    lenient.mend(7, cells);
    expect(cells).toEqual([fits]);
    expect(lenient.warnings).toMatchObject([{ row: 7, column: 'Price', code: 'cell_changed' }]);
  });

  test('what cannot be made to fit stays, with a warning; of very many the first are kept and the rest counted', () => {
    const lenient = new Lenient({ level: 'lenient', columns: rule({ type: 'number', required: true }) }, ['Price']);
    for (let row = 1; row <= 60; row++) lenient.mend(row, [row % 2 ? 'abc' : null]);
    expect(lenient.warnings).toHaveLength(51);
    expect(lenient.warnings[0]).toMatchObject({ row: 1, code: 'cell_unfit', message: 'Column "Price" is no number; the row is handled all the same.' });
    expect(lenient.warnings[50]).toMatchObject({ code: 'more_warnings', message: '10 more cells were changed or do not fit.' });
  });
});

describe('formats', () => {
  test('are found by name, standard always; another is refused with those that there are', () => {
    const known = readFormats('{"products": {"columns": {"sku": {"required": true, "pattern": "^[A-Z]+$"}}}}');
    expect(rulesOf(known, 'products')).toMatchObject({ sku: { required: true } });
    expect(rulesOf(known, 'standard')).toHaveProperty('Title');
    expect(() => rulesOf(known, 'prodcuts')).toThrow(expect.objectContaining({ code: 'unknown_format', remedy: expect.stringContaining('standard, products') }));
  });

  test('a pattern that is none is refused with its place', () => {
    expect(() => readFormats('{"x": {"columns": {"a": {"pattern": "(?=a)"}}}}')).toThrow('x.a.pattern');
    expect(() => rulesOf(readFormats(undefined), { columns: columnRules.parse({ a: { pattern: '(' } }) })).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
