import { describe, expect, test } from 'vitest';
import { collectOption, fraction, jobRequest, sheetRequest } from '../../src/cli/job-create.ts';
import { jobBody } from '../../src/contracts/job-api.ts';
import { previewBody } from '../../src/contracts/sheet-api.ts';

const source = { upload: '01UPLOAD' };

describe('options of a handler', () => {
  test('are JSON where they parse as JSON, else text', () => {
    const given = ['n=5', 'on=true', 'list=["a","b"]', 'text=a=b', 'url=https://example.org/?q=1', 'empty=', 'quoted="5"'];
    expect(given.reduce((options, one) => collectOption(one, options), {})).toEqual({
      n: 5, on: true, list: ['a', 'b'], text: 'a=b', url: 'https://example.org/?q=1', empty: '', quoted: '5',
    });
  });

  test('without a name or value are wrong usage', () => {
    expect(() => collectOption('novalue')).toThrow('name=value');
    expect(() => collectOption('=5')).toThrow('name=value');
  });
});

describe('requests', () => {
  test('say only what was given, and are what the API takes', () => {
    expect(jobRequest({ handler: 'store', breaker: true })).toEqual({ handler: 'store' });
    const all = jobRequest({
      handler: 'categorize', option: { categories: ['a'] }, key: ['id'], source: 'orders', lane: 'l', onDuplicateKey: 'last', force: true,
      priority: 'high', tag: ['t'], concurrency: 4, breaker: 0.5, sheet: '2', range: 'A1:B9', headerRow: 0, startRow: 2, numRows: 7, delimiter: ';', encoding: 'utf-8',
    });
    expect(jobBody.parse({ source, ...all })).toMatchObject({
      sourceId: 'orders', sheet: 2, headerRow: 0, keyColumns: ['id'], breaker: { maxFailedFraction: 0.5, minRows: 200 }, tags: ['t'],
    });
  });

  test('a breaker can be turned off', () => {
    expect(jobBody.parse({ source, ...jobRequest({ handler: 'store', breaker: false }) }).breaker).toBe(false);
    expect(() => fraction('3')).toThrow('fraction');
    expect(fraction('0.3')).toBe(0.3);
  });

  test('a sheet is named by its number or its name', () => {
    expect(previewBody.parse({ source, ...sheetRequest({ sheet: '3' }) })).toMatchObject({ sheet: 3 });
    expect(previewBody.parse({ source, ...sheetRequest({ sheet: '2026 Q1' }) })).toMatchObject({ sheet: '2026 Q1' });
  });

  test('a module is named by its whole path, since the worker runs elsewhere', () => {
    expect(jobRequest({ handler: './package.json', breaker: true })['handler']).toBe(`${process.cwd()}/package.json`);
    expect(jobRequest({ handler: './nothing.ts', breaker: true })['handler']).toBe('./nothing.ts');
  });
});
