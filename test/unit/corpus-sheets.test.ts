/** Sheets that other people wrote, beside the checkout: what a person sees in them is what is read. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Cell } from '../../src/contracts/row.ts';
import type { SheetOptions } from '../../src/contracts/job.ts';
import { localFile } from '../../src/sources/files.ts';
import { previewSheet } from '../../src/sources/preview.ts';
import { LIMITS, readSheet, type ReadSheet } from './source-material.ts';

const CORPUS = path.resolve('../shared/corpus');

beforeAll(() => {
  if (!existsSync(CORPUS)) throw new Error(`The folder of example sheets, ${path.relative('.', CORPUS)}, is not beside the checkout`);
});

const open = async (name: string, options: SheetOptions = {}): Promise<ReadSheet> => readSheet(await localFile(path.join(CORPUS, name), [CORPUS]), options);

/** Header advice of the preview: the code and the row that it names. */
async function advice(name: string): Promise<[string, number | undefined][]> {
  const { warnings } = await previewSheet(await localFile(path.join(CORPUS, name), [CORPUS]), {}, LIMITS);
  return warnings.filter(({ code }) => code.startsWith('header_looks')).map(({ code, row }) => [code, row]);
}

const STANLEY: [number, ...Cell[]][] = [[3, 'Blues', 'STL', '1'], [4, 'Flyers', 'PHI', '2'], [5, 'Maple Leafs', 'TOR', '13']];

describe('the Stanley Cups, a table under a title', () => {
  test.each<[string, string, [number, ...Cell[]][]]>([
    ['stanley-cups.csv', 'CSV, UTF-8, delimiter ","', STANLEY],
    ['stanley-cups-utf-16.csv', 'CSV, UTF-16BE, delimiter ","', STANLEY],
    ['stanley-cups-with-emoji.csv', 'CSV, UTF-8, delimiter ","', [...STANLEY, [6, '👨\\U+1F3FB🔧', 'TOR', '15']]],
    ['stanley-cups-with-emoji.tsv', 'CSV, UTF-8, delimiter tab', [...STANLEY, [6, '👨\\U+1F3FB🔧', 'TOR', '15']]],
  ])('%s', async (name, format, rows) => {
    expect(await open(name, { headerRow: 2 })).toMatchObject({ format, columns: ['Team', 'Location', 'Stanley Cups'], rows, warnings: [] });
    expect(await advice(name)).toEqual([['header_looks_like_title', 2]]);
  });

  test('stanley-cups.xlsx: two sheets, numbers as numbers', async () => {
    const sheets = ['Stanley Cups', 'Stanley Cups Since 67'];
    const columns = ['Team', 'Location', 'Stanley Cups'];
    expect(await open('stanley-cups.xlsx', { headerRow: 2 })).toMatchObject({
      sheet: sheets[0], sheets, columns, rows: [[3, 'Blues', 'STL', 1], [4, 'Flyers', 'PHI', 2], [5, 'Maple Leafs', 'TOR', 13]], warnings: [{ code: 'merged_cells' }],
    });
    expect(await open('stanley-cups.xlsx', { headerRow: 2, sheet: 'Stanley Cups Since 67' })).toMatchObject({
      sheet: sheets[1], columns, rows: [[3, 'Blues', 'STL', 1], [4, 'Flyers', 'PHI', 2], [5, 'Maple Leafs', 'TOR', 0]],
    });
    expect(await advice('stanley-cups.xlsx')).toEqual([['header_looks_like_title', 2]]);
  });
});

describe('CSV', () => {
  test('semicolons, with commas in the cells', async () => {
    expect(await open('semicolon-delimited.csv')).toMatchObject({
      columns: ['Lorem, ipsum', 'dolor sit', 'amet'],
      rows: [[2, 'consectetur', ' adipiscing', ' elit'], [3, 'sed, do', ' eiusmod', ' tempor incididunt'], [4, 'ut labore', ' et, dolore', ' magna aliqua'], [5, 'Ut enim', ' ad minim', ' veniam, quis']],
    });
  });

  test('a single column with commas now and then', async () => {
    const sheet = await open('single-column.csv');
    expect(sheet.columns).toEqual(['Lorem, ipsum']);
    expect(sheet.rows.map(([, cell]) => cell)).toEqual(['dolor sit', 'amet consectetur', 'adipiscing, elit', 'sed, do eiusmod', 'tempor incididunt', 'ut labore et', 'dolore; magna aliqua', 'Ut enim, ad minim, veniam']);
  });

  test('quoted commas, and five headers that are all "A"', async () => {
    expect(await open('csv-with-escaped-commas.csv')).toMatchObject({
      columns: ['A', 'A_2', 'A_3', 'A_4', 'A_5'], rows: [[2, 'A', 'A', 'A', 'A,A', 'A'], [3, 'A', 'A', 'A', 'A,A', 'A']], warnings: [{ code: 'duplicate_header' }],
    });
  });

  test('bars as delimiters and CRLF, the last line without', async () => {
    expect(await open('csv-with-line-delimiter.csv')).toMatchObject({ columns: ['col1', 'col2', 'col3'], rows: [[2, 'a', 'b', 'c'], [3, 'd', 'e', 'f'], [4, 'g', 'h', 'i']] });
  });

  test('a correlation matrix of very long lines', async () => {
    const sheet = await open('csv-with-long-lines.csv');
    expect(sheet.columns.slice(0, 3)).toEqual(['SpearmanCorrelationCoefficient', '1Freq CD161CD8TfrequencyUnstim', '1Freq Ki67CD8frequencyUnstim']);
    expect(sheet.columns).toHaveLength(370);
    expect(sheet.rows.map(([row]) => row)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(sheet.rows.every((row) => row.length === 371)).toBe(true);
    // Each row is named as a column, and correlates with itself by 1.
    sheet.rows.forEach(([, name, ...cells], at) => expect([name, cells[at]]).toEqual([sheet.columns[at + 1], '1']));
    expect(sheet.rows.at(-1)?.at(-1)).toBe('-0.226758148');
  });

  test('text files are a single column', async () => {
    expect((await open('umlauts-non-utf8.md', { headerRow: 0 })).rows).toEqual([[1, '## können'], [2], [3, 'können'], [4], [5, 'äöüß']]);
    for (const name of ['fake-text-utf-16.txt', 'fake-text-utf-16-be.txt']) {
      const sheet = await open(name, { headerRow: 0 });
      expect(sheet.rows.map(([, cell]) => String(cell ?? '').trim()).filter(Boolean)).toEqual([
        'This is a test document to use for unit tests.', 'Doylestown, PA 18901', 'Important points:', '- Hamburgers are delicious', '- Dogs are the best', '- I love fuzzy blankets',
      ]);
    }
  });

  test('an empty file is an empty sheet', async () => {
    expect(await open('empty.txt')).toMatchObject({ columns: [], rows: [], warnings: [{ code: 'empty_sheet' }] });
  });
});

describe('XLSX', () => {
  test('half-year figures: five sheets, merged titles, footnotes', async () => {
    const name = '2023-half-year-analyses-by-segment.xlsx';
    const sheet = await open(name, { range: 'A7:J18' });
    expect(sheet.sheets).toEqual(['OS-Rev.and results 30 06 2023', 'OS-Other information 30 06 2023', 'Prod.Rev.and results 30 06 2023', 'Prod.-Other inform. 30 06 23', 'Reconciliation 30 06 2023']);
    expect(sheet.columns).toEqual([
      'A', 'Sales (a)', 'Underlying Trading operating profit (b)', 'Trading operating profit', 'E', 'Net other trading income/(expenses) (c)',
      'of which impairment of property, plant and equipment', 'of which restructuring costs', 'I', 'Depreciation and amortization',
    ]);
    expect(sheet.rows).toHaveLength(11);
    expect(sheet.rows[1]).toEqual([9, 'Zone NA', 12553, 2713, 2632, null, -81, -29, -44, null, -337]);
    expect(sheet.rows[6]).toEqual([14, 'Nestlé Health Science', 3318, 432, 372, null, -60, -11, -31, null, -152]);
    expect(sheet.rows.at(-1)).toEqual([18, 'Total', 46293, 7904, 7351, null, -553, -110, -262, null, -1722]);
    expect(await advice(name)).toEqual([['header_looks_like_title', 7]]);

    const reconciliation = await open(name, { sheet: 5, headerRow: 5 });
    expect(reconciliation.columns).toEqual(['In millions of CHF', 'January–June 2023', 'January–June 2022']);
    expect(reconciliation.rows.slice(0, 2)).toEqual([[6, 'Underlying trading operating profit (a) as per Note 3.1', 7904, 7683], [7, "Net other trading income/(expenses) as per Note 5.1", -553, -999]]);
    expect(reconciliation.rows.at(-1)).toEqual([14, '(a) Trading operating profit before Net other trading income/(expenses).']);
  });

  test('an index page with three small tables', async () => {
    const sheet = await open('vodafone.xlsx', { headerRow: 4 });
    expect(sheet).toMatchObject({ sheet: 'Index', columns: ['A', 'Topic', 'Period', 'D', 'E', 'Page'] });
    expect(sheet.rows[0]).toEqual([5, null, 'Quarterly revenue', 'Nine quarters to 30 June 2023', null, null, 1]);
    expect(sheet.rows[1]).toEqual([6, null, 'Group financial performance', 'FY 22', 'FY 23', null, 2]);
    expect(sheet.rows.at(-1)).toEqual([25, null, 'Guidance rates', 'FY 23/24', null, null, 14]);
    expect(await advice('vodafone.xlsx')).toEqual([['header_looks_like_title', 4]]);
  });

  test('forty rows of twenty-six x', async () => {
    const sheet = await open('more-than-1k-cells.xlsx', { headerRow: 0 });
    expect(sheet.columns).toEqual([...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']);
    expect(sheet.rows).toEqual(Array.from({ length: 40 }, (_, at) => [at + 1, ...Array<string>(26).fill('x')]));
  });

  test('emoji in the second row, nothing in the first', async () => {
    expect(await open('emoji.xlsx')).toMatchObject({ columns: ['A'], rows: [[2, '🤠😅']] });
    expect(await open('emoji.xlsx', { headerRow: 0 })).toMatchObject({ columns: ['A'], rows: [[1], [2, '🤠😅']] });
  });

  test('a workbook with an empty sheet', async () => {
    expect(await open('empty.xlsx')).toMatchObject({ sheet: 'Sheet1', columns: [], rows: [], warnings: [{ code: 'empty_sheet' }] });
  });
});

describe('what is not read says why and what to do', () => {
  test.each([
    ['password_protected.xlsx', 'password_required', /password/],
    ['tests-example.xls', 'legacy_format', /XLSX/],
    ['simple.zip', 'unsupported_type', /Unpack/],
    ['fake-html-cp1252.html', 'unsupported_type', /spreadsheet program/],
    ['eng_spa_mult.odt', 'unsupported_type', /XLSX or CSV/],
    ['eng_spa_mult.rtf', 'unsupported_type', /CSV, TSV or XLSX/],
  ])('%s', async (name, code, remedy) => {
    await expect(open(name)).rejects.toMatchObject({ code, remedy: expect.stringMatching(remedy) as string });
  });

  test('every document of another kind', async () => {
    for (const name of readdirSync(CORPUS).filter((entry) => /\.(docx|pptx|pdf|epub)$/.test(entry))) {
      await expect(open(name), name).rejects.toMatchObject({ code: 'unsupported_type' });
    }
  });
});
