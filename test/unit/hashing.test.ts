/** What makes two rows, handlers or keys the same. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Cell, Json } from '../../src/contracts/row.ts';
import { canonicalJson, handlerHash, itemKey, rowHasher, rowInput } from '../../src/domain/hashing.ts';

const cell: fc.Arbitrary<Cell> = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null));
const sheet = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 6 })
  .chain((names) => fc.record({ names: fc.constant(names), cells: fc.tuple(...names.map(() => cell)), order: fc.shuffledSubarray(names.map((_, index) => index), { minLength: names.length }) }));

describe('a row\'s hash', () => {
  test('does not change with the order of the columns', () => fc.assert(fc.property(sheet, ({ names, cells, order }) => {
    expect(rowHasher(order.map((index) => names[index]!))(order.map((index) => cells[index]!))).toBe(rowHasher(names)(cells));
  })));

  test('does not change with an empty column more, nor with nulls left out at the end', () => fc.assert(fc.property(sheet, ({ names, cells }) => {
    const hash = rowHasher(names)(cells);
    expect(rowHasher([...names, `${names.join('')}+`])([...cells, null])).toBe(hash);
    const last = cells.findLastIndex((value) => value !== null);
    expect(rowHasher(names)(cells.slice(0, last + 1))).toBe(hash);
  })));

  test('changes with any cell, and with the column that a cell is in', () => fc.assert(fc.property(sheet, cell, fc.nat(), ({ names, cells }, value, at) => {
    const index = at % names.length;
    fc.pre(!Object.is(value, cells[index]) && !(value === 0 && cells[index] === 0));
    expect(rowHasher(names)(cells.with(index, value))).not.toBe(rowHasher(names)(cells));
  })));

  test('tells text from numbers and booleans that look the same', () => {
    const hash = rowHasher(['a']);
    expect(new Set([hash(['1']), hash([1]), hash(['true']), hash([true]), hash(['null']), hash([null]), hash([''])]).size).toBe(7);
    expect(rowHasher(['a', 'b'])(['1', null])).not.toBe(rowHasher(['a', 'b'])([null, '1']));
  });

  test('over what a handler reads ignores the other columns', () => {
    const hash = rowHasher(['a', 'b', 'c'], ['c', 'a']);
    expect(hash([1, 2, 3])).toBe(hash([1, 'changed', 3]));
    expect(hash([1, 2, 3])).not.toBe(hash([1, 2, 4]));
  });
});

test('a handler\'s hash depends on name, version and identity, not on the order of its options', () => {
  const hash = handlerHash({ name: 'h', version: 1 }, { a: 1, b: [1, 2] });
  expect(handlerHash({ name: 'h', version: 1 }, { b: [1, 2], a: 1 })).toBe(hash);
  const others = [handlerHash({ name: 'h', version: 2 }, { a: 1, b: [1, 2] }), handlerHash({ name: 'i', version: 1 }, { a: 1, b: [1, 2] }), handlerHash({ name: 'h', version: 1 }, { a: 1, b: [2, 1] })];
  expect(new Set([hash, ...others]).size).toBe(4);
});

test('canonical JSON is JSON of the same value', () => fc.assert(fc.property(fc.jsonValue(), (value) => {
  expect(JSON.parse(canonicalJson(value as Json))).toEqual(JSON.parse(JSON.stringify(value)));
})));

describe('a row\'s key', () => {
  test('is the text of its cell, or of its cells in their order', () => {
    expect(itemKey(['x'])).toBe('x');
    expect(itemKey([7])).toBe('7');
    expect(itemKey(['a', null, 'b'])).toBe('["a","","b"]');
    expect(itemKey(['a,b', 'c'])).not.toBe(itemKey(['a', 'b,c']));
  });
  test('is none where every key cell is empty', () => expect([itemKey([null]), itemKey([null, undefined])]).toEqual([null, null]));
  test('is bounded, and long keys that differ late stay different', () => {
    const [one, two] = [itemKey([`${'x'.repeat(5_000)}1`])!, itemKey([`${'x'.repeat(5_000)}2`])!];
    expect(one.length).toBeLessThanOrEqual(400);
    expect(one).not.toBe(two);
  });
});

test('a row\'s input has every column, also those that its line leaves out', () =>
  expect(rowInput(['a', 'b', 'c'], ['x', 1])).toEqual({ a: 'x', b: 1, c: null }));
