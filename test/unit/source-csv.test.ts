import { describe, expect, test } from 'vitest';
import { openSheet } from '../../src/sources/index.ts';
import { LIMITS, memoryFile, readCsv, readSheet } from './source-material.ts';

describe('encodings', () => {
  const text = 'שם,größe\nדוד,é€\n';
  const rows = [[2, 'דוד', 'é€']];
  const utf16be = (plain: string): Buffer => Buffer.from(plain, 'utf16le').swap16();

  test.each([
    ['UTF-8', Buffer.from(text), 'UTF-8'],
    ['UTF-8 with a mark', Buffer.from(`\uFEFF${text}`), 'UTF-8'],
    ['UTF-16LE with a mark', Buffer.from(`\uFEFF${text}`, 'utf16le'), 'UTF-16LE'],
    ['UTF-16BE with a mark', utf16be(`\uFEFF${text}`), 'UTF-16BE'],
    ['UTF-16LE without a mark', Buffer.from(text, 'utf16le'), 'UTF-16LE'],
    ['UTF-16BE without a mark', utf16be(text), 'UTF-16BE'],
  ])('%s is read, and no mark is left in the first header', async (_, bytes, name) => {
    const sheet = await readCsv(bytes);
    expect(sheet.columns).toEqual(['שם', 'größe']);
    expect(sheet.rows).toEqual(rows);
    expect(sheet.format).toBe(`CSV, ${name}, delimiter ","`);
  });

  test.each([1, 2, 3, 5, 7])('characters cut by the ends of chunks of %i bytes are whole', async (chunk) => {
    for (const bytes of [Buffer.from(text), Buffer.from(`\uFEFF${text}`, 'utf16le')]) {
      expect((await readSheet(memoryFile(bytes, 'a.csv', chunk))).rows).toEqual(rows);
    }
  });

  test('windows-1252, with its own characters between 0x80 and 0x9f', async () => {
    const sheet = await readCsv(Buffer.from('name,price\nCaf\xe9 \x93x\x94,5 \x80\n', 'latin1'));
    expect(sheet.rows).toEqual([[2, 'Café “x”', '5 €']]);
    expect(sheet.format).toContain('windows-1252');
  });

  test('the only byte that is not UTF-8 stands after megabytes: every row is right', async () => {
    const lines = Array.from({ length: 100_000 }, (_, at) => `${at},some plain words to fill the line`);
    const bytes = Buffer.concat([Buffer.from(`id,words\n${lines.join('\n')}\n`), Buffer.from('last,caf\xe9\n', 'latin1')]);
    const sheet = await readCsv(bytes);
    expect(sheet.rows).toHaveLength(100_001);
    expect(sheet.rows[99_999]).toEqual([100_001, '99999', 'some plain words to fill the line']);
    expect(sheet.rows.at(-1)).toEqual([100_002, 'last', 'café']);
  });

  test('a Hebrew UTF-8 file with one broken byte stays Hebrew, and says so', async () => {
    const bytes = Buffer.concat([Buffer.from(`שם,עיר\n${'דוד,חיפה\n'.repeat(20)}`), Buffer.from([0xd7]), Buffer.from(',סוף\n')]);
    const sheet = await readCsv(bytes);
    expect(sheet.rows[0]).toEqual([2, 'דוד', 'חיפה']);
    expect(sheet.rows.at(-1)).toEqual([22, '\uFFFD', 'סוף']);
    expect(sheet.warnings.map(({ code }) => code)).toEqual(['damaged_text']);
  });

  test('an encoding that was named is used, and refused where it cannot be', async () => {
    expect((await readCsv(Buffer.from('a\ncaf\xc3\xa9\n', 'latin1'), { encoding: 'windows-1252' })).rows).toEqual([[2, 'cafÃ©']]);
    await expect(readCsv(Buffer.from('a\n\xe9\n', 'latin1'), { encoding: 'utf-8' })).rejects.toMatchObject({ code: 'invalid_encoding' });
    await expect(readCsv('abc', { encoding: 'utf-16le' })).rejects.toMatchObject({ code: 'invalid_encoding' });
  });

  test('zero bytes in a cell are kept and hurt nothing', async () => {
    expect((await readCsv('a,b\nx\0y,2\n3,4\n')).rows).toEqual([[2, 'x\0y', '2'], [3, '3', '4']]);
  });
});

describe('delimiters', () => {
  test.each([
    ['comma', 'a,b\n1;5,2\n', '","'],
    ['semicolon with commas in the numbers', 'a;b;c\n1,5;2,5;x\n3;4,5;y\n', '";"'],
    ['tab', 'a\tb\n1,2,3\t4\n', 'tab'],
    ['pipe', 'a|b\n1|2\n', '"|"'],
    ['comma inside quotes is none', 'a;b\n"1,2,3";4\n"5,6,7";8\n', '";"'],
    ['a title line first', 'Report of 2024\n\na,b,c\n1,2,3\n4,5,6\n', '","'],
    ['ragged rows', 'a,b,c\n1,2\n3,4,5,6\n', '","'],
  ])('%s', async (_, text, delimiter) => {
    expect((await readCsv(text)).format).toBe(`CSV, UTF-8, delimiter ${delimiter}`);
  });

  test('prose with commas is a single column', async () => {
    const sheet = await readCsv('The first line.\nThen, perhaps, a comma.\nAnd a line without.\nAnother one\n');
    expect(sheet.format).toBe('CSV, UTF-8, one column');
    expect(sheet.rows[0]).toEqual([2, 'Then, perhaps, a comma.']);
  });

  test('the name decides between delimiters that are equally steady', async () => {
    const text = 'a,b\tc\n1,2\t3\n';
    expect((await readSheet(memoryFile(text, 'x.tsv'))).columns).toEqual(['a,b', 'c']);
    expect((await readSheet(memoryFile(text, 'x.csv'))).columns).toEqual(['a', 'b c']);
  });

  test('a given delimiter is used; a first line "sep=;" is obeyed and is no row', async () => {
    expect((await readCsv('a,b;c\n', { delimiter: ';', headerRow: 0 })).rows).toEqual([[1, 'a,b', 'c']]);
    expect(await readCsv('sep=;\r\na,x;b\r\n1;2\r\n')).toMatchObject({ columns: ['a,x', 'b'], rows: [[2, '1', '2']] });
  });
});

describe('records', () => {
  test('quotes, doubled quotes, delimiters and line breaks inside quotes; a row is a record, not a line', async () => {
    const sheet = await readCsv('a,b\n"x, ""y""","two\nlines"\n"\r\n",2\n3,4\n');
    expect(sheet.rows).toEqual([[2, 'x, "y"', 'two\nlines'], [3, '\r\n', '2'], [4, '3', '4']]);
  });

  test.each([['LF', '\n'], ['CRLF', '\r\n'], ['CR', '\r']])('line ends %s, also where chunks end within one', async (_, end) => {
    const text = ['a,b', '1,"x"', '', '2,y'].join(end);
    for (const chunk of [1, 2, 3, 4, 64]) {
      expect((await readSheet(memoryFile(text, 'a.csv', chunk))).rows).toEqual([[2, '1', 'x'], [3], [4, '2', 'y']]);
    }
  });

  test('mixed line ends separate rows all the same', async () => {
    expect((await readCsv('a,b\r\n1,2\n3,4\r5,6')).rows).toEqual([[2, '1', '2'], [3, '3', '4'], [4, '5', '6']]);
  });

  test('empty cells are null, blank rows have no cells, and blank rows at the end are no rows', async () => {
    expect((await readCsv('a,b,c\n1,,3\n,,\n\n"",x\n,,\n\n')).rows).toEqual([[2, '1', null, '3'], [3], [4], [5, null, 'x']]);
  });

  test('a stray quote inside a cell is part of it', async () => {
    expect((await readCsv('a,b\n5" pipe,x\nsay "hi" now,y\n"quoted" and more,z\n')).rows).toEqual([
      [2, '5" pipe', 'x'], [3, 'say "hi" now', 'y'], [4, '"quoted" and more', 'z'],
    ]);
  });

  test('a quote that is never closed names the row where it opens', async () => {
    await expect(readCsv('a,b\n1,2\n3,"open\n5,6\n')).rejects.toMatchObject({ code: 'corrupt_file', place: { row: 3 } });
  });

  test('an open quote that runs into a later quoted cell swallows no rows', async () => {
    await expect(readCsv('a,b\n1,"open\n2,"x"\n3,"y"\n')).rejects.toMatchObject({ code: 'corrupt_file', place: { row: 2 } });
  });

  test('cells that begin with a quotation and go on over lines are no open quotes', async () => {
    const cells = ['"Para one.\n"Para two."', '"Hi"\nthere', '"\n'];
    const text = `a\n${cells.map((cell) => `"${cell.replaceAll('"', '""')}"`).join('\n')}\n`;
    for (const chunk of [3, 64 * 1024]) {
      expect((await readSheet(memoryFile(text, 'a.csv', chunk))).rows.map(([, cell]) => cell)).toEqual(cells);
    }
  });

  test('an open quote before many megabytes ends at the limit, not in memory', async () => {
    const text = `a,b\n1,"${'x,y\n'.repeat(500_000)}`;
    await expect(readCsv(text, {}, { maxRecordChars: 10_000 })).rejects.toMatchObject({ code: 'corrupt_file', place: { row: 2 } });
  });

  test('a long cell is read up to the limit in characters, whatever its bytes', async () => {
    const cell = '語'.repeat(1000);
    expect((await readCsv(`a\n${cell}\n`, {}, { maxRecordChars: 1000 })).rows).toEqual([[2, cell]]);
    await expect(readCsv(`a\n${cell}x\n`, {}, { maxRecordChars: 1000 })).rejects.toMatchObject({ code: 'cell_too_large', place: { row: 2 } });
    await expect(readCsv(`a\n${'x'.repeat(5000)}\n`, {}, { maxRecordChars: 1000 })).rejects.toMatchObject({ code: 'cell_too_large', place: { row: 2 } });
  });
});

test('a record of nothing but delimiters ends at the limit, not in memory', async () => {
  await expect(readCsv(`a,b\n1,2\n${','.repeat(3_000_000)}`, {}, { maxRecordChars: 10_000 })).rejects.toMatchObject({ code: 'cell_too_large', place: { row: 3 } });
});

describe('streaming', () => {
  const lines = Array.from({ length: 20_000 }, (_, at) => `${at + 1},value ${at + 1}`);

  test.each(['\r', '\r\n'])('a line that ends in %j far down a file of line feeds ends there', async (end) => {
    const { rows } = await readCsv(`id,value\n${lines.join('\n')}\nlast but one,1${end}last,2\n`);
    expect(rows.slice(-3).map(([row, cell]) => [row, cell])).toEqual([[20_001, '20000'], [20_002, 'last but one'], [20_003, 'last']]);
  });

  test('rows come in batches, from any row on, as often as asked', async () => {
    const sheet = await openSheet(memoryFile(`id,value\n${lines.join('\n')}`), {}, LIMITS);
    for (const fromRow of [2, 10_001, 20_001]) {
      const batches = [];
      for await (const batch of sheet.rows({ fromRow })) batches.push(batch);
      const rows = batches.flat();
      expect(rows.map(({ row }) => row)).toEqual(Array.from({ length: 20_002 - fromRow }, (_, at) => fromRow + at));
      expect(rows[0]?.cells).toEqual([`${fromRow - 1}`, `value ${fromRow - 1}`]);
      expect(batches.every((batch) => batch.length <= 500)).toBe(true);
    }
  });

  test('no more of the file is read than the rows that were taken need', async () => {
    const file = memoryFile(`id,value\n${lines.join('\n')}`, 'a.csv', 1024);
    let read = 0;
    const counted = { ...file, stream: async (range?: { start?: number; end?: number }) => (await file.stream(range)).on('data', (chunk: Buffer) => (read += chunk.length)).pause() };
    const sheet = await openSheet(counted, {}, LIMITS);
    read = 0;
    for await (const batch of sheet.rows()) if (batch.length > 0) break;
    expect(read).toBeGreaterThan(0);
    expect(read).toBeLessThan(file.size / 4);
  });

  test('an aborted signal ends the reading with its reason', async () => {
    const sheet = await openSheet(memoryFile(`id,value\n${lines.join('\n')}`), {}, LIMITS);
    const controller = new AbortController();
    const reason = new Error('enough');
    const reading = (async () => {
      for await (const _ of sheet.rows({ signal: controller.signal })) controller.abort(reason);
    })();
    await expect(reading).rejects.toBe(reason);
  });
});
