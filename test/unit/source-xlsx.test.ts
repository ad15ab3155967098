import { describe, expect, test } from 'vitest';
import { openSheet } from '../../src/sources/index.ts';
import { LIMITS, memoryFile, readSheet, workbook, workbookParts, zip, type ReadSheet, type WorkbookMaterial } from './source-material.ts';
import type { SheetOptions } from '../../src/contracts/job.ts';

/** Without a header row, so that every row is data. */
const readData = async (data: string, more: Partial<WorkbookMaterial> = {}, options: SheetOptions = {}): Promise<ReadSheet> =>
  readSheet(await workbook({ sheets: [{ data }], ...more }), { headerRow: 0, ...options });

const rowsOf = async (data: string, more: Partial<WorkbookMaterial> = {}): Promise<ReadSheet['rows']> => (await readData(data, more)).rows;

const codes = (sheet: ReadSheet): string[] => sheet.warnings.map(({ code }) => code);

describe('cells', () => {
  test('numbers as typed, booleans, shared, inline and formula texts', async () => {
    const rows = await rowsOf(
      `<row r="1"><c r="A1"><v>12.50</v></c><c r="B1" t="n"><v>-1E-3</v></c><c r="C1" t="b"><v>1</v></c><c r="D1" t="b"><v>0</v></c>
       <c r="E1" t="s"><v>1</v></c><c r="F1" t="inlineStr"><is><t>in place</t></is></c><c r="G1" t="str"><f>A1&amp;"x"</f><v>12.5x</v></c><c r="H1"><f>A1*2</f><v>25</v></c></row>`,
      { strings: '<si><t>zero</t></si><si><t xml:space="preserve"> one &amp; only </t></si>' },
    );
    expect(rows).toEqual([[1, 12.5, -0.001, true, false, ' one & only ', 'in place', '12.5x', 25]]);
  });

  test('rich text is its text, without phonetic runs; escaped characters are themselves', async () => {
    const strings = '<si><r><rPr><b/></rPr><t>bold</t></r><r><t xml:space="preserve"> plain</t></r></si><si><t>東京</t><rPh sb="0" eb="2"><t>トウキョウ</t></rPh><phoneticPr/></si><si><t>a_x000D_b_x005F_x000D_</t></si><si><t/></si>';
    const rows = await rowsOf(
      '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="s"><v>2</v></c><c r="D1" t="s"><v>3</v></c><c r="E1" t="inlineStr"><is><r><t>x</t></r><r><t>y</t></r></is></c></row>',
      { strings },
    );
    expect(rows).toEqual([[1, 'bold plain', '東京', 'a\rb_x000D_', null, 'xy']]);
  });

  test('error cells and formulas that were never calculated are empty, with one warning each', async () => {
    const sheet = await readData(
      '<row r="1"><c r="A1" t="e"><v>#DIV/0!</v></c><c r="B1" t="e"><f>NA()</f><v>#N/A</v></c><c r="C1"><f>1+1</f><v/></c><c r="D1" t="str"><f>""</f><v></v></c><c r="E1"><v>1</v></c></row>',
    );
    expect(sheet.rows).toEqual([[1, null, null, null, null, 1]]);
    expect(sheet.warnings).toMatchObject([
      { code: 'error_cell', row: 1, column: 'A', message: expect.stringContaining('2 cells') as string },
      { code: 'formula_without_value', row: 1, column: 'C' },
    ]);
  });

  test('reading twice counts warnings once', async () => {
    const sheet = await openSheet(await workbook({ sheets: [{ data: '<row r="1"><c t="e"><v>#N/A</v></c><c><v>1</v></c></row>' }] }), { headerRow: 0 }, LIMITS);
    for (let time = 0; time < 2; time++) for await (const _ of sheet.rows());
    expect(sheet.warnings).toMatchObject([{ code: 'error_cell', message: expect.stringContaining('A cell holds') as string }]);
  });

  test('rows and cells without references follow each other; cells out of order and gaps are put in place', async () => {
    const rows = await rowsOf('<row><c><v>1</v></c><c><v>2</v></c></row><row><c><v>3</v></c></row><row r="5"><c r="C5"><v>5</v></c><c r="A5"><v>4</v></c><c><v>6</v></c></row>');
    expect(rows).toEqual([[1, 1, 2], [2, 3], [3], [4], [5, 4, 6, 5]]);
  });

  test('only the top-left cell of a merged area has its value, whatever the file holds below it', async () => {
    const sheet = await readSheet(
      await workbook({
        sheets: [{
          data: '<row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c><c r="C1"><v>3</v></c></row><row r="2"><c r="A2"><v>4</v></c><c r="B2"><v>5</v></c><c r="C2"><v>6</v></c></row><row r="3"><c r="A3"><v>7</v></c></row>',
          after: '<mergeCells count="1"><mergeCell ref="A1:B2"/></mergeCells>',
        }],
      }),
      { headerRow: 0 },
    );
    expect(sheet.rows).toEqual([[1, 1, null, 3], [2, null, null, 6], [3, 7]]);
    expect(codes(sheet)).toEqual(['merged_cells']);
  });

  test('merged areas above, beside and after one another, over rows that are not in the file', async () => {
    const row = (number: number): string => `<row r="${number}">${['A', 'B', 'C', 'D'].map((letter) => `<c r="${letter}${number}"><v>${number}</v></c>`).join('')}</row>`;
    const merges = ['A2:A5', 'C1:D2', 'B3:B4', 'B7:D7'].map((ref) => `<mergeCell ref="${ref}"/>`).join('');
    const sheet = await readSheet(await workbook({ sheets: [{ data: [1, 2, 5, 6, 7, 8].map(row).join(''), after: `<mergeCells>${merges}</mergeCells>` }] }), { headerRow: 0 });
    expect(sheet.rows.filter((cells) => cells.length > 1)).toEqual([[1, 1, 1, 1], [2, 2, 2], [5, null, 5, 5, 5], [6, 6, 6, 6, 6], [7, 7, 7], [8, 8, 8, 8, 8]]);
  });

  test('namespace prefixes, the strict namespace and UTF-16 parts read alike', async () => {
    const data = (prefix: string): string => `<${prefix}row r="1"><${prefix}c r="A1"><${prefix}v>7</${prefix}v></${prefix}c></${prefix}row>`;
    const part = `<x:worksheet xmlns:x="http://purl.oclc.org/ooxml/spreadsheetml/main"><x:sheetData>${data('x:')}</x:sheetData></x:worksheet>`;
    expect(await rowsOf('', { parts: { 'xl/worksheets/sheet1.xml': part } })).toEqual([[1, 7]]);
    const utf16 = Buffer.from(`\uFEFF<?xml version="1.0" encoding="UTF-16"?><worksheet><sheetData>${data('')}</sheetData></worksheet>`, 'utf16le');
    expect(await rowsOf('', { parts: { 'xl/worksheets/sheet1.xml': utf16 } })).toEqual([[1, 7]]);
  });
});

describe('dates', () => {
  const formats = (...codes: (string | number)[]): string =>
    `<numFmts>${codes.map((code, at) => (typeof code === 'string' ? `<numFmt numFmtId="${200 + at}" formatCode="${code.replaceAll('"', '&quot;')}"/>` : '')).join('')}</numFmts>
     <cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs>${codes.map((code, at) => `<xf numFmtId="${typeof code === 'string' ? 200 + at : code}"/>`).join('')}</cellXfs>`;
  const cell = async (value: number, format: string | number, workbookPr = ''): Promise<unknown> =>
    (await rowsOf(`<row r="1"><c r="A1" s="0"><v>${value}</v></c></row>`, { styles: formats(format), workbookPr }))[0]?.[1];

  test.each<[string | number, number, unknown]>([
    [14, 45306, '2024-01-15'],
    [14, 45306.4375, '2024-01-15T10:30:00'],
    [22, 45306.4375, '2024-01-15T10:30:00'],
    [22, 45306, '2024-01-15T00:00:00'],
    ['yyyy-mm-dd', 45306, '2024-01-15'],
    ['[$-409]d-mmm-yy;@', 45306, '2024-01-15'],
    ['dd"."mm"."yyyy', 45306, '2024-01-15'],
    ['mmm yyyy', 45292, '2024-01-01'],
    ['yyyy-mm-dd hh:mm:ss', 45306.437511574077, '2024-01-15T10:30:01'],
    ['yyyy-mm-dd hh:mm:ss.000', 45306.00000115741, '2024-01-15T00:00:00.100'],
    ['h:mm AM/PM', 0.75, '18:00:00'],
    [20, 0.5, '12:00:00'],
    ['mm:ss', 0.000694444444, '00:01:00'],
    ['[h]:mm:ss', 1.5, 'PT36H'],
    [46, 0.0007060185, 'PT1M1S'],
    [14, 1, '1900-01-01'],
    [14, 59, '1900-02-28'],
    [14, 60, '1900-02-29'],
    [14, 61, '1900-03-01'],
    [14, 2958465, '9999-12-31'],
    [14, 2958466, 2958466],
    [14, -1, -1],
    [0, 45306, 45306],
    ['0.00', 45306, 45306],
    ['General', 45306, 45306],
    ['#,##0 "days"', 45306, 45306],
    ['[Red]0.00E+00', 45306, 45306],
    ['[$€-407] #,##0.00', 45306, 45306],
    ['0\\h', 3, 3],
    ['BOOLEAN', 1, 1],
    ['[$-411]ggge"年"m"月"d"日"', 45306, '2024-01-15'],
    ['# ?/?', 2.5, 2.5],
    ['@', 3, 3],
  ])('format %s shows %d as %s', async (format, serial, shown) => {
    expect(await cell(serial, format)).toBe(shown);
  });

  test('the date system of 1904 counts from another day', async () => {
    expect(await cell(0, 14, 'date1904="1"')).toBe('1904-01-01');
    expect(await cell(43844.5, 22, 'date1904="true"')).toBe('2024-01-15T12:00:00');
  });

  test('ISO dates in the file stay what they are', async () => {
    expect(await rowsOf('<row r="1"><c r="A1" t="d"><v>2024-01-15T10:30:00</v></c></row>')).toEqual([[1, '2024-01-15T10:30:00']]);
  });
});

describe('sheets', () => {
  const one = (text: string): string => `<row r="1"><c r="A1" t="inlineStr"><is><t>${text}</t></is></c></row>`;
  const book = (): ReturnType<typeof workbook> =>
    workbook({ sheets: [{ name: 'Secret', data: one('hidden'), state: 'hidden' }, { name: 'Data', data: one('shown') }, { name: '2024', data: one('year') }] });
  const first = async (options: SheetOptions): Promise<unknown> => (await readSheet(await book(), { headerRow: 0, ...options })).rows[0]?.[1];

  test('the first visible one unless asked for by name, number or range', async () => {
    expect(await first({})).toBe('shown');
    expect(await first({ sheet: 1 })).toBe('hidden');
    expect(await first({ sheet: 'data' })).toBe('shown');
    expect(await first({ sheet: '2024' })).toBe('year');
    expect(await first({ sheet: '1' })).toBe('hidden');
    expect(await first({ range: 'Secret!A1:B2' })).toBe('hidden');
    expect((await readSheet(await book())).sheets).toEqual(['Secret', 'Data', '2024']);
  });

  test('one that is not there names those that are', async () => {
    await expect(first({ sheet: 'Other' })).rejects.toMatchObject({ code: 'sheet_not_found', remedy: expect.stringContaining('"Data"') as string });
    await expect(first({ sheet: 4 })).rejects.toMatchObject({ code: 'sheet_not_found' });
    await expect(first({ sheet: 'Data', range: 'Secret!A1' })).rejects.toMatchObject({ code: 'invalid_range' });
  });

  test('a chart sheet is passed over, and refused when asked for', async () => {
    const rels = workbookParts({ sheets: [{ data: one('x') }, { data: one('y') }] }).get('xl/_rels/workbook.xml.rels')?.toString().replace('relationships/worksheet"', 'relationships/chartsheet"') ?? '';
    const file = (): ReturnType<typeof workbook> => workbook({ sheets: [{ data: one('x') }, { data: one('y') }], parts: { 'xl/_rels/workbook.xml.rels': rels } });
    expect((await readSheet(await file(), { headerRow: 0 })).rows).toEqual([[1, 'y']]);
    await expect(readSheet(await file(), { sheet: 1 })).rejects.toMatchObject({ code: 'sheet_not_found' });
  });

  test('targets may be absolute, and parts named with other slashes and letters', async () => {
    const parts = workbookParts({ sheets: [{ data: one('x') }] });
    const rels = parts.get('xl/_rels/workbook.xml.rels')?.toString().replace('"worksheets/sheet1.xml"', '"/xl/worksheets/sheet1.xml"') ?? '';
    expect(await rowsOf(one('x'), { parts: { 'xl/_rels/workbook.xml.rels': rels } })).toEqual([[1, 'x']]);
    const odd = new Map([...parts].map(([name, content]) => [name.startsWith('xl/worksheets') ? 'xl/Worksheets/Sheet1.XML' : name, content]));
    expect((await readSheet(memoryFile(await zip(odd)), { headerRow: 0 })).rows).toEqual([[1, 'x']]);
  });

  test('parts that are optional may be missing, and the zip may be stored', async () => {
    const parts = workbookParts({ sheets: [{ data: one('x') }], parts: { 'xl/styles.xml': null, 'xl/sharedStrings.xml': null, '[Content_Types].xml': null } });
    expect((await readSheet(memoryFile(await zip(parts, false)), { headerRow: 0 })).rows).toEqual([[1, 'x']]);
  });

  test('content decides, not the name', async () => {
    expect((await readSheet({ ...(await book()), name: 'table.csv' })).format).toBe('XLSX');
    expect((await readSheet(memoryFile('a,b\n1,2\n', 'table.xlsx'))).format).toContain('CSV');
  });
});

describe('damage is named', () => {
  const row = '<row r="1"><c r="A1"><v>1</v></c></row>';
  test.each<[string, Partial<WorkbookMaterial>, string, RegExp]>([
    ['rows out of order', { sheets: [{ data: `<row r="3"/>${row}` }] }, 'corrupt_file', /row 1 after row 3/],
    ['a row number that cannot be', { sheets: [{ data: '<row r="99999999"/>' }] }, 'corrupt_file', /impossible number/],
    ['a cell reference that cannot be', { sheets: [{ data: '<row r="1"><c r="ZZZZ1"><v>1</v></c></row>' }] }, 'corrupt_file', /impossible reference/],
    ['a cell beyond the last column', { sheets: [{ data: '<row r="1"><c r="XFE1"><v>1</v></c></row>' }] }, 'corrupt_file', /XFD/],
    ['a shared string that is not there', { sheets: [{ data: '<row r="1"><c r="A1" t="s"><v>5</v></c></row>' }] }, 'corrupt_file', /shared string .* A1/],
    ['broken XML', { sheets: [{ data: '<row r="1"><c r="A1"><v>1</c></row>' }] }, 'corrupt_file', /sheet1\.xml is not well-formed/],
    ['a missing sheet part', { parts: { 'xl/worksheets/sheet1.xml': null } }, 'corrupt_file', /sheet1\.xml is missing/],
    ['a missing workbook', { parts: { 'xl/workbook.xml': null } }, 'corrupt_file', /workbook\.xml is missing/],
  ])('%s', async (_, material, code, message) => {
    await expect(readSheet(await workbook({ sheets: [{ data: row }], ...material }))).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  test('a flipped bit in the packed cells is found before any row is given', async () => {
    const lines = Array.from({ length: 500 }, (_, at) => `<row r="${at + 1}"><c r="A${at + 1}"><v>${at * 7919}</v></c></row>`).join('');
    const parts = workbookParts({ sheets: [{ data: lines }] });
    const stored = await zip(parts, false);
    const at = stored.indexOf('<v>791900</v>');
    expect(at).toBeGreaterThan(0);
    stored.write('8', at + 3);
    await expect(openSheet(memoryFile(stored, 'a.xlsx'), {}, LIMITS)).rejects.toMatchObject({ code: 'corrupt_file', place: { part: 'xl/worksheets/sheet1.xml' } });
  });
});
