import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alignByContent, alignByKey, compare, contentHashOf, RowIndex, whyToAsk } from '../../src/domain/versions.ts';

type Row = [key: string, content: string];
function indexOf(rows: readonly Row[]): RowIndex {
  const index = new RowIndex();
  for (const [key, rowHash] of rows) index.add({ key, rowHash });
  return index;
}
const rowsOf = (text: string): Row[] => [...text].map((letter, place) => [String(place + 1), letter]);
function byContent(before: string, after: string) {
  const [old, young] = [indexOf(rowsOf(before)), indexOf(rowsOf(after))];
  const { counts, changeOf } = compare(old, young, alignByContent(old, young));
  return { ...counts, changes: [...after].map((_, at) => ({ same: '=', added: '+', changed: '~', moved: '>' })[changeOf(at)]).join('') };
}
function byKey(before: Row[], after: Row[]) {
  const [old, young] = [indexOf(before), indexOf(after)];
  return compare(old, young, alignByKey(old, young)).counts;
}

describe('rows that nothing names', () => {
  test('stay what they are when one is inserted above them', () => {
    expect(byContent('abcdefgh', 'aXbcdefgh')).toEqual({ added: 1, changed: 0, moved: 0, removed: 0, changes: '=+=======' });
  });

  test('are gone, changed or new where they stand', () => {
    expect(byContent('abcdef', 'abdef')).toMatchObject({ removed: 1, added: 0, changed: 0 });
    expect(byContent('abcdef', 'abXdef')).toMatchObject({ removed: 0, added: 0, changed: 1 });
    expect(byContent('abcdef', 'abcdefgh')).toMatchObject({ removed: 0, added: 2, changed: 0 });
    expect(byContent('abcdef', '')).toMatchObject({ removed: 6 });
    expect(byContent('', 'ab')).toMatchObject({ added: 2 });
  });

  test('are told apart where many look the same', () => {
    expect(byContent('xxxaxxxbxxx', 'xxxaxxxxbxxx')).toMatchObject({ added: 1, changed: 0, removed: 0 });
    expect(byContent('xxxx', 'xx')).toMatchObject({ removed: 2, changed: 0 });
  });

  test('add up, whatever becomes of them', () => {
    fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'abcdefgh'), maxLength: 40 }), fc.string({ unit: fc.constantFrom(...'abcdefgh'), maxLength: 40 }), (before, after) => {
      const { added, removed, changes } = byContent(before, after);
      expect(before.length - removed).toBe(after.length - added);
      expect(changes).toHaveLength(after.length);
      if (before === after) expect(changes).toBe('='.repeat(after.length));
    }));
  });
});

describe('rows with keys', () => {
  const rows: Row[] = [['a', '1'], ['b', '2'], ['c', '3'], ['d', '4']];

  test('are the same wherever they stand, and moved only where their order is another', () => {
    expect(byKey(rows, [['new', '0'], ...rows])).toEqual({ added: 1, changed: 0, moved: 0, removed: 0 });
    expect(byKey(rows, [rows[3]!, rows[0]!, rows[1]!, rows[2]!])).toEqual({ added: 0, changed: 0, moved: 1, removed: 0 });
    expect(byKey(rows, [rows[0]!, ['b', 'other'], ['e', '5']])).toEqual({ added: 1, changed: 1, moved: 0, removed: 2 });
  });

  test('that several have in common are told apart by their order', () => {
    expect(byKey([['a', '1'], ['a', '2']], [['a', '1']])).toMatchObject({ changed: 0, removed: 1 });
    expect(byKey([['a', '1']], [['a', '1'], ['a', '2']])).toMatchObject({ changed: 0, added: 1 });
    const twice: Row[] = [['a', '1'], ['b', '2'], ['a', '3'], ['a', '4']];
    expect(byKey(twice, twice)).toEqual({ added: 0, changed: 0, moved: 0, removed: 0 });
    expect(byKey(twice, [['a', '1'], ['new', '0'], ['a', 'other'], ['a', '4']])).toEqual({ added: 1, changed: 1, moved: 0, removed: 1 });
  });

  test('are compared by the ten thousand', () => {
    const many = Array.from({ length: 20_000 }, (_, at): Row => [`key ${at}`, `content ${at}`]);
    expect(byKey(many, many.toReversed().slice(1))).toMatchObject({ removed: 1, changed: 0, added: 0, moved: 19_998 });
  });
});

test('the content hash knows neither the order of columns nor what carried them', () => {
  expect(contentHashOf('rows', ['b', 'a'])).toBe(contentHashOf('rows', ['a', 'b']));
  expect(contentHashOf('rows', ['a'])).not.toBe(contentHashOf('rows', ['a', 'b']));
});

describe('a removal', () => {
  const asked = { gone: 2, of: 10, rows: 8, lostColumns: [], maxFraction: 0.2 };

  test('needs approval above the fraction that is allowed, and not at it', () => {
    expect(whyToAsk(asked)).toBeNull();
    expect(whyToAsk({ ...asked, gone: 3 })).toBe('3 of 10 rows would go (30 %); 20 % are allowed');
  });

  test('of all rows, or beside columns that are gone, always needs it', () => {
    expect(whyToAsk({ ...asked, gone: 10, rows: 0, maxFraction: 1 })).toContain('The sheet is empty');
    expect(whyToAsk({ ...asked, lostColumns: ['name'], maxFraction: 1 })).toContain('Columns are gone');
    expect(whyToAsk({ ...asked, gone: 0, lostColumns: ['name'] })).toBeNull();
    expect(whyToAsk({ ...asked, gone: 0, of: 0, rows: 0 })).toBeNull();
  });
});
