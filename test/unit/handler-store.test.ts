import { describe, expect, test } from 'vitest';
import type { Cell } from '../../src/contracts/row.ts';
import { nearest } from '../../src/domain/nearest.ts';
import { typedCell } from '../../src/domain/infer.ts';
import { store } from '../../src/handlers/store.ts';
import { handlerContext } from '../servers/handler-context.ts';

describe('store', () => {
  test('gives each row back under its columns, with types', async () => {
    const prepared = await store.prepare({}, handlerContext({ columns: ['name', 'age', 'member', 'zip', 'note'] }));
    const outcomes = await prepared.handle(
      [
        { row: 2, key: 'a', inputHash: 'h', input: { name: 'Ada', age: '36', member: 'TRUE', zip: '01234', note: null } },
        { row: 3, key: 'b', inputHash: 'h', input: { name: 'דנה', age: 41.5, member: false, zip: '', note: ' 7 ' } },
      ],
      new AbortController().signal,
    );
    expect(outcomes).toEqual([
      { output: { name: 'Ada', age: 36, member: true, zip: '01234', note: null } },
      { output: { name: 'דנה', age: 41.5, member: false, zip: '', note: ' 7 ' } },
    ]);
    await prepared.close();
  });

  test('does not change the row that it was given', async () => {
    const input = { n: '1' };
    const prepared = await store.prepare({}, handlerContext({ columns: ['n'] }));
    await prepared.handle([{ row: 2, key: 'a', inputHash: 'h', input }], new AbortController().signal);
    expect(input).toEqual({ n: '1' });
  });
});

describe('typedCell', () => {
  const numbers: [string, number][] = [['0', 0], ['-0', 0], ['42', 42], ['-3.5', -3.5], ['1.50', 1.5], ['123456789012345', 123456789012345], ['-12345.6789012345', -12345.6789012345]];
  test.each(numbers)('%s is the number %d', (text, value) => expect(typedCell(text)).toBe(value));

  const booleans: [string, boolean][] = [['true', true], ['TRUE', true], ['True', true], ['false', false], ['FALSE', false]];
  test.each(booleans)('%s is %s', (text, value) => expect(typedCell(text)).toBe(value));

  const texts: Cell[] = ['007', '+1', '1e5', '1,000', '.5', '5.', '1.', '-', '--1', ' 1', '1 ', '0x10', 'Infinity', 'NaN', '1234567890123456', '0.1234567890123456', 'yes', 'truely', 'ſalse', '٣', '', null, true, 5];
  test.each(texts)('%j stays what it is', (cell) => expect(typedCell(cell)).toBe(cell));
});

describe('nearest', () => {
  test('finds a slip of the hand and another case, and nothing where nothing is near', () => {
    expect(nearest('Emial', ['Name', 'Email', 'Phone'])).toBe('Email');
    expect(nearest('EMAIL', ['name', 'email'])).toBe('email');
    expect(nearest('amount', ['Name', 'Email'])).toBeNull();
    expect(nearest('x', [])).toBeNull();
  });
});
