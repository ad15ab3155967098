import fc from 'fast-check';
import { PassThrough } from 'node:stream';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { bytes, duration, fit, pad, printable, rate, when } from '../../src/cli/format.ts';
import { tableLines } from '../../src/cli/table.ts';
import { openTerminal, type Output } from '../../src/cli/terminal.ts';

const terminal = (columns: number | null) => {
  const out: Output = new PassThrough();
  if (columns !== null) Object.assign(out, { isTTY: true, columns });
  return openTerminal(false, out, out);
};

describe('text', () => {
  test('what steers a terminal is taken out, line breaks are shown', () => {
    expect(printable('a\u001b[31mb\u0007\u009b2Jc\u202ed')).toBe('a[31mb2Jcd');
    expect(printable('one\r\ntwo\nthree\tfour')).toBe('one↵two↵three four');
  });

  test('is cut between whole characters, as wide as they show', () => {
    expect(fit('orders', 6)).toBe('orders');
    expect(fit('orders', 4)).toBe('ord…');
    expect(fit('数据表格', 5)).toBe('数据…');
    expect(fit('ab👩‍👩‍👧‍👦cd', 4)).toBe('ab…');
    expect(fit('שלום עולם', 5)).toBe('שלום…');
    expect(fit('x', 0)).toBe('');
  });

  test('never gets wider than asked', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), (text, width) => stringWidth(fit(text, width)) <= width));
  });

  test('is padded to the width that it shows', () => {
    expect(pad('数据', 6)).toBe('数据  ');
    expect(pad('7', 3, 'right')).toBe('  7');
  });
});

describe('numbers and times', () => {
  test('durations use two units at most', () => {
    expect([0.42, 12, 59.6, 200, 3600, 7500, 270_000].map(duration))
      .toEqual(['0.4 s', '12 s', '1 min', '3 min 20 s', '1 h', '2 h 5 min', '3 d 3 h']);
  });

  test('sizes and rates', () => {
    expect([0, 999, 1500, 999_960, 12_300_000_000].map(bytes)).toEqual(['0 B', '999 B', '1.5 KB', '1.0 MB', '12.3 GB']);
    expect([0.44, 812.4, 12_345].map(rate)).toEqual(['0.4 rows/s', '812 rows/s', '12,345 rows/s']);
  });

  test('times of today are relative, others local', () => {
    const now = new Date(2026, 10, 23, 18, 24);
    const before = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString();
    expect(when(before(12), now)).toBe('12 s ago');
    expect(when(before(200), now)).toBe('3 min ago');
    expect(when(before(-7200), now)).toBe('in 2 h');
    expect(when(new Date(2026, 2, 4, 5, 6).toISOString(), now)).toBe('2026-03-04 05:06');
    expect(when(null, now)).toBe('');
  });
});

describe('tables', () => {
  const columns = [{ title: 'job' }, { title: 'rows', align: 'right' as const }, { title: 'file', shrinks: true }];
  const rows = [['01J0000000000000000000000A', '5', '数据表格的文件名很长很长.xlsx'], ['01J0000000000000000000000B', '12,345', 'a.csv']];

  test('columns line up where characters are wide', () => {
    const lines = tableLines(columns, [['数据', '1', 'x'], ['ab', '22', 'y'], ['👩‍👩‍👧‍👦', '3', 'z']], terminal(null));
    const starts = lines.slice(1).map((line) => stringWidth(line.slice(0, line.search(/[xyz]$/))));
    expect(new Set(starts).size).toBe(1);
  });

  test('on a narrow terminal only the columns that may shrink do, and ids stay whole', () => {
    const lines = tableLines(columns, rows, terminal(50));
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(50);
    expect(lines[1]).toContain('01J0000000000000000000000A');
    expect(lines[1]).toContain('…');
  });

  test('nothing is cut where the output is no terminal', () => {
    expect(tableLines(columns, rows, terminal(null)).join('\n')).toContain('数据表格的文件名很长很长.xlsx');
  });

  test('right-to-left cells are kept apart from their neighbours', () => {
    expect(tableLines(columns, [['1', '2', 'שלום.csv']], terminal(80))[1]).toContain('\u2068שלום.csv\u2069');
  });
});
