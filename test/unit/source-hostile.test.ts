import { readFileSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import type { SheetLimits } from '../../src/sources/source.ts';
import { memoryFile, readSheet, workbookParts, zip, type WorkbookMaterial } from './source-material.ts';

const row = '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" s="1"><v>45306.5</v></c></row>';
const parts = (more: Partial<WorkbookMaterial> = {}): Map<string, Buffer> =>
  workbookParts({ sheets: [{ data: row }], strings: '<si><t>text</t></si>', styles: '<cellXfs><xf/><xf numFmtId="22"/></cellXfs>', ...more });
const read = async (content: Buffer | Map<string, Buffer>, limits: Partial<SheetLimits> = {}): Promise<unknown> =>
  readSheet(memoryFile(content instanceof Map ? await zip(content) : content, 'book.xlsx'), {}, limits);

/** Rows, or the error with its code: anything else fails the test. */
async function outcome(content: Buffer): Promise<string> {
  try {
    await read(content, { maxInflatedBytes: 64 * 2 ** 20 });
    return 'rows';
  } catch (error) {
    if (error instanceof SheafError) return error.code;
    throw error;
  }
}

/** The same numbers every time (mulberry32). */
function seeded(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let value = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('archives that unpack to too much', () => {
  const zeros = (bytes: number): Buffer => Buffer.alloc(bytes, ' ');
  const bomb = (bytes: number): Map<string, Buffer> => parts({ parts: { 'xl/worksheets/sheet1.xml': zeros(bytes) } });

  test('more declared bytes than allowed', async () => {
    await expect(read(bomb(2 ** 20), { maxInflatedBytes: 2 ** 19 })).rejects.toMatchObject({ code: 'archive_too_large' });
  });

  test('a large part that packs better than any sheet does', async () => {
    await expect(read(bomb(80 * 2 ** 20))).rejects.toMatchObject({ code: 'archive_too_large' });
  });

  test('a part that is larger than its directory entry says', async () => {
    const honest = await zip(bomb(2 ** 20));
    const lying = Buffer.from(honest);
    for (let at = lying.indexOf('PK\x01\x02', 0, 'latin1'); at >= 0; at = lying.indexOf('PK\x01\x02', at + 4, 'latin1')) {
      if (lying.readUInt32LE(at + 24) === 2 ** 20) lying.writeUInt32LE(100, at + 24);
    }
    expect(lying.equals(honest)).toBe(false);
    await expect(read(lying)).rejects.toMatchObject({ code: 'archive_too_large', place: { part: 'xl/worksheets/sheet1.xml' } });
  });

  test('parts that share the same bytes', async () => {
    const many = parts();
    for (let at = 0; at < 50; at++) many.set(`xl/media/image${String(at).padStart(2, '0')}.bin`, Buffer.from(deflateRawSync(Buffer.alloc(64))));
    const overlapping = await zip(many, false);
    let entries = 0;
    for (let at = overlapping.indexOf('PK\x01\x02', 0, 'latin1'); at >= 0; at = overlapping.indexOf('PK\x01\x02', at + 4, 'latin1')) {
      overlapping.writeUInt32LE(overlapping.length - 200, at + 20);
      entries++;
    }
    expect(entries).toBeGreaterThan(50);
    await expect(read(overlapping)).rejects.toMatchObject({ code: 'archive_too_large' });
  });

  test('more parts than a workbook can have', async () => {
    const many = await zip(parts());
    many.writeUInt16LE(20_001, many.lastIndexOf('PK\x05\x06', undefined, 'latin1') + 10);
    await expect(read(many)).rejects.toMatchObject({ code: 'archive_too_large' });
  });

  test('a single text without end stops at the limit of a cell', async () => {
    const endless = Buffer.concat([Buffer.from('<worksheet><sheetData><row r="1"><c r="A1" t="str"><v>'), Buffer.alloc(8 * 2 ** 20, 'ab'), Buffer.from('</v></c></row></sheetData></worksheet>')]);
    await expect(read(parts({ parts: { 'xl/worksheets/sheet1.xml': endless } }), { maxRecordChars: 2 ** 20 })).rejects.toMatchObject({ code: 'cell_too_large', place: { row: 1 } });
  });
});

test('merged areas without number end in an error, not in hours', async () => {
  const merges = Array.from({ length: 20_000 }, () => '<mergeCell ref="A1:XFD1048576"/>').join('');
  await expect(read(parts({ sheets: [{ data: row, after: `<mergeCells>${merges}</mergeCells>` }] }))).rejects.toMatchObject({ code: 'corrupt_file' });
  const unended = parts({ sheets: [{ data: row, after: '<mergeCell '.repeat(200_000) }] });
  await expect(read(unended)).rejects.toMatchObject({ code: 'corrupt_file' });
});

describe('XML that wants more than to be read', () => {
  const sheet = (doctype: string, value: string): Map<string, Buffer> =>
    parts({ parts: { 'xl/worksheets/sheet1.xml': `<?xml version="1.0"?>${doctype}<worksheet><sheetData><row r="1"><c r="A1" t="str"><v>${value}</v></c></row></sheetData></worksheet>` } });

  test.each([
    ['an external entity', '<!DOCTYPE w [<!ENTITY x SYSTEM "file:///etc/passwd">]>', '&x;'],
    ['entities that multiply', '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>', '&c;'],
  ])('%s is an error and is never resolved', async (_, doctype, value) => {
    await expect(read(sheet(doctype, value))).rejects.toMatchObject({ code: 'corrupt_file' });
  });

  test('a document type without use changes nothing', async () => {
    expect(await readSheet(memoryFile(await zip(sheet('<!DOCTYPE w SYSTEM "http://127.0.0.1:1/w.dtd">', 'plain'))), { headerRow: 0 })).toMatchObject({ rows: [[1, 'plain']] });
  });

  test('elements nested without end', async () => {
    await expect(read(parts({ parts: { 'xl/worksheets/sheet1.xml': '<a>'.repeat(100_000) } }))).rejects.toMatchObject({ code: 'corrupt_file' });
  });
});

test('names that lead out of the archive, and parts that are there twice', async () => {
  const outside = await zip(new Map([...parts(), ['xx/evil', Buffer.from('x')]]));
  for (let at = outside.indexOf('xx/evil'); at >= 0; at = outside.indexOf('xx/evil', at + 1)) outside.write('../evil', at);
  await expect(read(outside)).rejects.toMatchObject({ code: 'corrupt_file' });

  const twice = await zip(new Map([...parts(), ['xl/stylez.xml', Buffer.from('x')]]));
  for (let at = twice.indexOf('xl/stylez.xml'); at >= 0; at = twice.indexOf('xl/stylez.xml', at + 1)) twice.write('xl/styles.xml', at);
  await expect(read(twice)).rejects.toMatchObject({ code: 'corrupt_file', place: { part: 'xl/styles.xml' } });
});

describe('files that are something else say what', () => {
  const utf16 = (text: string): Buffer => Buffer.from(text, 'utf16le');
  test.each<[string, Buffer | Map<string, Buffer>, string, RegExp]>([
    ['XLSB', new Map([['xl/workbook.bin', Buffer.from('x')]]), 'unsupported_type', /binary workbook/],
    ['ODS', new Map([['mimetype', Buffer.from('application/vnd.oasis.opendocument.spreadsheet')], ['content.xml', Buffer.from('<x/>')]]), 'unsupported_type', /OpenDocument/],
    ['Numbers', new Map([['Index/Document.iwa', Buffer.from('x')]]), 'unsupported_type', /Numbers/],
    ['a zip', new Map([['a.csv', Buffer.from('a,b')]]), 'unsupported_type', /ZIP/],
    ['PDF', Buffer.from('%PDF-1.7\n'), 'unsupported_type', /PDF/],
    ['PNG', Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1'), 'unsupported_type', /image/],
    ['JPEG', Buffer.from('\xff\xd8\xff\xe0\0\x10JFIF\0', 'latin1'), 'unsupported_type', /image/],
    ['HTML called .xls', Buffer.from('\uFEFF\n<!-- x --><table><tr><td>1</td></tr></table>'), 'unsupported_type', /HTML/],
    ['Excel 2003 XML', Buffer.from('<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?><Workbook/>'), 'unsupported_type', /Excel 2003/],
    ['gzip', Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), 'unsupported_type', /compressed/],
    ['random bytes', Buffer.from(Array.from({ length: 2000 }, seeded(1), 0).map((_, at) => (at * 97 + (at >> 3)) & 255)), 'unsupported_type', /binary/],
    ['bare BIFF', Buffer.from([9, 8, 16, 0, 0, 6, 5, 0]), 'legacy_format', /\.xls/],
    ['a compound file cut off', Buffer.from('d0cf11e0a1b11ae1', 'hex'), 'corrupt_file', /container/],
  ])('%s', async (_, content, code, message) => {
    await expect(read(content)).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string, remedy: expect.stringMatching(/./) as string });
  });

  test('text that only begins like one of them is text', async () => {
    for (const text of ['PK,name\n1,x\n', 'BM,MZ\n1,2\n', 'RIFF;x\n1;2\n', 'ID3,ORC\n1,2\n']) {
      expect(await readSheet(memoryFile(text))).toMatchObject({ rows: [[2, '1', expect.stringMatching(/./) as string]] });
    }
    expect(await readSheet(memoryFile(utf16('\uFEFFa,b\n1,2\n')))).toMatchObject({ rows: [[2, '1', '2']] });
  });
});

describe('whatever happens to the bytes: rows, or an error with a code', () => {
  const corpus = '../shared/corpus/';
  const samples = async (): Promise<Buffer[]> => [
    await zip(parts({ sheets: [{ data: Array.from({ length: 200 }, (_, at) => `<row r="${at + 1}"><c r="A${at + 1}"><v>${at}</v></c></row>`).join('') }] })),
    ...['stanley-cups.xlsx', 'password_protected.xlsx', 'tests-example.xls', 'stanley-cups-utf-16.csv', 'csv-with-escaped-commas.csv'].map((name) => readFileSync(corpus + name)),
  ];

  test('cut off at any of many places', async () => {
    for (const sample of await samples()) {
      const step = Math.max(1, Math.floor(sample.length / 60));
      for (let length = 0; length < sample.length; length += step) expect(await outcome(sample.subarray(0, length))).toMatch(/^[a-z_]+$/);
    }
  });

  test('bits flipped, bytes overwritten', async () => {
    const random = seeded(7);
    const seen = new Set<string>();
    for (const sample of await samples()) {
      for (let round = 0; round < 120; round++) {
        const broken = Buffer.from(sample);
        for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--) {
          const at = Math.floor(random() * broken.length);
          broken[at] = random() < 0.5 ? (broken[at] ?? 0) ^ (1 << Math.floor(random() * 8)) : Math.floor(random() * 256);
        }
        seen.add(await outcome(broken));
      }
    }
    expect(seen).toContain('rows');
    expect(seen).toContain('corrupt_file');
  });
});
