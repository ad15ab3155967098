/**
 * A thousand files that were made to hurt, from a seed: each is read, read in part, or refused with a code, within its
 * limits, and whoever asked lives on.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import type { DocumentReader } from '../../src/documents/document.ts';
import { openReader } from '../../src/documents/reader.ts';
import { docx, docxParagraph, docxPart, epub, odf, pptx, pptxShape } from './document-material.ts';
import { pdf } from './pdf-material.ts';
import { workbookParts, zip } from './source-material.ts';

const SEED = 20261125;
const LIMITS = { timeMs: 20_000, memoryBytes: 700 * 2 ** 20, textChars: 5_000_000, inflatedBytes: 64 * 2 ** 20, pages: 2_000, depth: 4 };
/** What a file that is no good may be called; anything else is a fault of ours. */
const CODES = new Set(['corrupt_file', 'unsupported_type', 'no_text', 'password_required', 'password_wrong', 'archive_too_large', 'too_many_pages', 'cell_too_large', 'too_many_columns', 'extraction_timeout', 'extraction_memory']);

const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-hostile-'));
const reader = openReader({ limits: LIMITS, concurrency: 2 });
afterAll(async () => {
  await reader.close();
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;

/** `extracted`, `partial` or a code. Rejects when it is something else. */
async function outcome(content: Buffer | string, name: string, using: DocumentReader = reader): Promise<string> {
  const place = path.join(folder, String(files++));
  mkdirSync(place);
  const file = path.join(place, 'document');
  writeFileSync(file, content);
  try {
    const { partial, characters } = await using.extract({ file: { path: file, name }, folder: place });
    expect(characters).toBeLessThanOrEqual(LIMITS.textChars);
    return partial ? 'partial' : 'extracted';
  } catch (error) {
    if (!(error instanceof SheafError) || !CODES.has(error.code)) throw new Error(`${name} of ${content.length} bytes: ${String(error)}`, { cause: error });
    expect(error.message).not.toMatch(/\bat .*:\d+:\d+|node_modules/);
    return error.code;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** Mulberry32: the same files in every run. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const TEXT = 'The quick brown fox jumps over the lazy dog. שלום עולם. 人人生而自由。';

/** A sound document of each format. */
async function sound(): Promise<Record<string, Buffer>> {
  const lines = (page: number): { text: string; x: number; y: number }[] => Array.from({ length: 12 }, (_, at) => ({ text: `Page ${page}, line ${at}: the quick brown fox`, x: 60, y: 780 - 20 * at }));
  return {
    'a.pdf': pdf([lines(1), lines(2), lines(3)]),
    'a.docx': await docx(Array.from({ length: 20 }, () => docxParagraph(TEXT)).join('') + `<w:tbl><w:tr><w:tc>${docxParagraph('a')}</w:tc><w:tc>${docxParagraph('b')}</w:tc></w:tr></w:tbl>`, { 'word/styles.xml': docxPart('styles', '') }),
    'a.pptx': await pptx([{ shapes: pptxShape('Title', 'title') + pptxShape(TEXT), notes: 'Say this' }, { shapes: pptxShape(TEXT) }]),
    'a.xlsx': await zip(workbookParts({ sheets: [{ data: '<row r="1"><c r="A1" t="inlineStr"><is><t>name</t></is></c><c r="B1"><v>1</v></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>other</t></is></c></row>' }] })),
    'a.odt': await odf('text', `<text:h text:outline-level="1">Head</text:h><text:p>${TEXT}</text:p>`),
    'a.ods': await odf('spreadsheet', '<table:table table:name="S"><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell></table:table-row></table:table>'),
    'a.epub': await epub([`<h1>One</h1><p>${TEXT}</p>`, `<p>${TEXT}</p>`]),
    'a.rtf': Buffer.from(`{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\info{\\title T}}\\pard Hello \\b world\\b0\\par\\trowd\\cellx100 a\\cell b\\cell\\row\\pard\\u1513?\\u1500?\\'e9\\par}`),
    'a.html': Buffer.from(`<!doctype html><html><head><title>T</title></head><body><nav>N</nav><article><h1>H</h1><p>${TEXT}</p><table><tr><td>1</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></table></article></body></html>`),
    'a.md': Buffer.from(`# Title\n\n${TEXT}\n\n- a\n- b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n`),
    'a.eml': Buffer.from(`From: a@example.com\r\nTo: b@example.com\r\nSubject: Hello\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n${TEXT}\r\n--x\r\nContent-Type: text/csv; name=t.csv\r\nContent-Disposition: attachment; filename=t.csv\r\n\r\na,b\r\n1,2\r\n--x--\r\n`),
    'a.csv': Buffer.from(`a,b\n1,"${TEXT}"\n2,3\n`),
    'a.txt': Buffer.from(TEXT),
    'a.xml': Buffer.from(`<?xml version="1.0"?><r><a>${TEXT}</a></r>`),
  };
}

const documents = await sound();
const names = Object.keys(documents);

async function each<T>(cases: readonly T[], run: (one: T) => Promise<string>): Promise<Map<string, number>> {
  const outcomes = new Map<string, number>();
  const queue = [...cases];
  await Promise.all([1, 2].map(async () => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      const result = await run(one);
      outcomes.set(result, (outcomes.get(result) ?? 0) + 1);
    }
  }));
  return outcomes;
}

describe('what a seed makes of sound documents', () => {
  test('sound they are', async () => {
    for (const name of names) expect([name, await outcome(documents[name]!, name)]).toEqual([name, 'extracted']);
  });

  test('cut off anywhere: 336 files', async () => {
    const random = generator(SEED);
    const cases = names.flatMap((name) => Array.from({ length: 24 }, () => ({ name, content: documents[name]!.subarray(0, random(documents[name]!.length)) })));
    const outcomes = await each(cases, ({ name, content }) => outcome(content, name));
    expect([...outcomes.values()].reduce((sum, count) => sum + count)).toBe(336);
    // Of many a beginning can be had.
    expect(outcomes.get('partial') ?? 0).toBeGreaterThan(10);
  });

  test('bits flipped, bytes set, pieces moved: 420 files', async () => {
    const random = generator(SEED + 1);
    const cases = names.flatMap((name) => Array.from({ length: 30 }, (_, at) => {
      const content = Buffer.from(documents[name]!);
      for (let change = 0; change <= at; change++) {
        const place = random(content.length);
        if (change % 3 === 0) content[place] = content[place]! ^ (1 << random(8));
        else if (change % 3 === 1) content[place] = [0, 255, 60, 62, 38, 123, 125, 92][random(8)]!;
        else content.copy(content, place, random(content.length), random(content.length));
      }
      return { name, content };
    }));
    const outcomes = await each(cases, ({ name, content }) => outcome(content, name));
    expect([...outcomes.values()].reduce((sum, count) => sum + count)).toBe(420);
  });

  test('under the names of others, and one behind the other: 182 files', async () => {
    const wrong = names.flatMap((name, at) => Array.from({ length: 6 }, (_, next) => ({ name: names[(at + next + 1) % names.length]!, content: documents[name]! })));
    const polyglots = names.flatMap((name, at) => Array.from({ length: 7 }, (_, next) => ({ name, content: Buffer.concat([documents[name]!, documents[names[(at + next + 1) % names.length]!]!]) })));
    const outcomes = await each([...wrong, ...polyglots], ({ name, content }) => outcome(content, name));
    expect([...outcomes.values()].reduce((sum, count) => sum + count)).toBe(182);
    expect(outcomes.get('extracted') ?? 0).toBeGreaterThan(60);
  });

  test('bytes of chance behind the first bytes of every format: 112 files', async () => {
    const random = generator(SEED + 2);
    const cases = names.flatMap((name) => Array.from({ length: 8 }, () => ({
      name, content: Buffer.concat([documents[name]!.subarray(0, 8 + random(60)), Buffer.from(Array.from({ length: 200 + random(4_000) }, () => random(256)))]),
    })));
    const outcomes = await each(cases, ({ name, content }) => outcome(content, name));
    expect([...outcomes.values()].reduce((sum, count) => sum + count)).toBe(112);
  });
});

/** A zip as no program writes it: sizes that lie, names that lead out. `declared`: what its directory says of the unpacked size. */
function rawZip(entries: { name: string; data: Buffer; declared?: number }[]): Buffer {
  const pieces: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, data, declared = data.length } of entries) {
    const packed = deflateRawSync(data, { level: 9 });
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(20, 4);
    header.writeUInt16LE(8, 8);
    header.writeUInt32LE(packed.length, 18);
    header.writeUInt32LE(declared, 22);
    header.writeUInt16LE(Buffer.byteLength(name), 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(20, 6);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(declared, 24);
    entry.writeUInt16LE(Buffer.byteLength(name), 28);
    entry.writeUInt32LE(offset, 42);
    pieces.push(header, Buffer.from(name), packed);
    directory.push(entry, Buffer.from(name));
    offset += 30 + Buffer.byteLength(name) + packed.length;
  }
  const end = Buffer.alloc(22);
  const listed = Buffer.concat(directory);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(listed.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...pieces, listed, end]);
}

describe('bombs', () => {
  const zeros = Buffer.alloc(80 * 2 ** 20);
  const document = Buffer.from(docxPart('document', `<w:body>${docxParagraph('text')}</w:body>`));

  test.each<[string, string, () => Buffer, RegExp]>([
    ['a part that unpacks to too much', 'b.docx', () => rawZip([{ name: 'word/document.xml', data: zeros }]), /archive_too_large/],
    ['and hides it', 'b.docx', () => rawZip([{ name: 'word/document.xml', data: zeros, declared: 1_000 }]), /archive_too_large|corrupt_file/],
    ['many parts of one size', 'b.pptx', () => rawZip(Array.from({ length: 100 }, (_, at) => ({ name: `ppt/slides/slide${at}.xml`, data: zeros.subarray(0, 2 ** 20) }))), /archive_too_large/],
    ['more parts than documents have', 'b.epub', () => rawZip(Array.from({ length: 21_000 }, (_, at) => ({ name: `META-INF/${at}`, data: Buffer.from('x') }))), /archive_too_large/],
    ['names that lead out', 'b.docx', () => rawZip([{ name: '../../../etc/passwd', data: document }, { name: 'word/document.xml', data: document }]), /corrupt_file/],
    ['names with zeros in them', 'b.docx', () => rawZip([{ name: 'word/document.xml\0.png', data: document }]), /corrupt_file/],
    ['a part that is there twice', 'b.docx', () => rawZip([{ name: 'word/document.xml', data: document }, { name: 'word/document.xml', data: document }]), /corrupt_file/],
    ['an archive in an archive', 'b.zip', () => rawZip([{ name: 'a.zip', data: rawZip([{ name: 'b.zip', data: rawZip([{ name: 'c', data: zeros.subarray(0, 2 ** 20) }]) }]) }]), /unsupported_type/],
    ['a compressed text', 'b.txt', () => gzipSync(zeros), /unsupported_type/],
    ['a PDF whose stream unpacks to gigabytes', 'b.pdf', () => bombPdf(), /corrupt_file|no_text|extraction_memory|extraction_timeout|partial/],
  ])('%s', async (_, name, make, expected) => {
    expect(await outcome(make(), name)).toMatch(expected);
  });
});

/** Zeros packed twice: a page's content of a gigabyte in a few kilobytes. */
function bombPdf(): Buffer {
  const twice = deflate(deflate(Buffer.alloc(512 * 2 ** 20, ' ')));
  const head = '%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Count 1 /Kids [3 0 R] >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>\nendobj\n';
  return Buffer.concat([Buffer.from(`${head}4 0 obj\n<< /Length ${twice.length} /Filter [/FlateDecode /FlateDecode] >>\nstream\n`), twice, Buffer.from('\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n')]);
}
const deflate = (bytes: Buffer): Buffer => {
  const raw = deflateRawSync(bytes, { level: 9 });
  // The header of zlib; nobody looks at the checksum behind it.
  return Buffer.concat([Buffer.from([0x78, 0x9c]), raw, Buffer.alloc(4)]);
};

describe('markup that leads elsewhere, or nowhere', () => {
  const secret = path.join(folder, 'secret.txt');
  writeFileSync(secret, 'the secret of this machine');
  const XXE = `<!DOCTYPE r [<!ENTITY e SYSTEM "file://${secret}"><!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>`;

  test.each<[string, () => Promise<Buffer> | Buffer]>([
    ['x.docx', () => rawZip([{ name: 'word/document.xml', data: Buffer.from(`${XXE}${docxPart('document', `<w:body>${'<w:p><w:r><w:t>before &e; &c; after</w:t></w:r></w:p>'}</w:body>`)}`) }])],
    ['x.xml', () => Buffer.from(`<?xml version="1.0"?>${XXE}<r>before &e; &c; after</r>`)],
    ['x.odt', () => rawZip([{ name: 'mimetype', data: Buffer.from('application/vnd.oasis.opendocument.text') }, { name: 'content.xml', data: Buffer.from(`${XXE}<office:document-content><office:body><text:p>before &e; after</text:p></office:body></office:document-content>`) }])],
    ['x.html', () => Buffer.from(`${XXE.replace('r [', 'html [')}<html><body><p>before &e;</p><iframe src="file://${secret}"></iframe><object data="file://${secret}"></object></body></html>`)],
    ['x.epub', () => epub([`<p>before &e;</p>`])],
  ])('external entities stay outside: %s', async (name, make) => {
    const place = mkdtempSync(path.join(folder, 'entities-'));
    const file = path.join(place, 'document');
    writeFileSync(file, await make());
    await reader.extract({ file: { path: file, name }, folder: place }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: expect.stringMatching(/corrupt_file|no_text/) as string });
    });
    const { readFileSync } = await import('node:fs');
    const text = readFileSync(path.join(place, 'text.txt'), 'utf8');
    expect(text).not.toContain('the secret');
    expect(text.length).toBeLessThan(1_000);
  });

  const deep = (open: string, close: string, times: number): string => open.repeat(times) + TEXT + close.repeat(times);
  test.each<[string, () => Promise<Buffer> | Buffer]>([
    ['deep.docx', () => docx(deep('<w:tbl><w:tr><w:tc>', '</w:tc></w:tr></w:tbl>', 20_000))],
    ['deep.odt', () => odf('text', deep('<text:list><text:list-item>', '</text:list-item></text:list>', 20_000))],
    ['deep.xml', () => Buffer.from(`<?xml version="1.0"?>${deep('<a>', '</a>', 100_000)}`)],
    ['deep.html', () => Buffer.from(`<html>${deep('<div>', '</div>', 100_000)}</html>`)],
    ['tables.html', () => Buffer.from(`<html>${deep('<table><tr><td>', '</td></tr></table>', 3_000)}</html>`)],
    ['deep.rtf', () => Buffer.from(`{\\rtf1 ${deep('{', '}', 100_000)}}`)],
    ['deep.md', () => Buffer.from(`${'> '.repeat(20_000)}${TEXT}`)],
    ['lists.md', () => Buffer.from(Array.from({ length: 400 }, (_, at) => `${'  '.repeat(at)}- ${at}`).join('\n'))],
    ['brackets.md', () => Buffer.from('['.repeat(50_000) + TEXT)],
    ['long.rtf', () => Buffer.from(`{\\rtf1 ${'\\u-3913?'.repeat(200_000)}}`)],
    ['wide.ods', () => odf('spreadsheet', `<table:table table:name="S"><table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell></table:table-row></table:table>`)],
    ['spans.html', () => Buffer.from(`<table>${'<tr><td colspan="99999" rowspan="99999">x</td></tr>'.repeat(50)}</table>`)],
    ['quote.csv', () => Buffer.from(`a,"${'x\n'.repeat(500_000)}`)],
    ['columns.csv', () => Buffer.from(`${','.repeat(100_000)}x\n`)],
    ['signs.txt', () => Buffer.from('\u0301'.repeat(200_000))],
    ['controls.txt', () => Buffer.from('text \x1b[31m\x07'.repeat(5_000))],
  ])('%s', async (name, make) => {
    expect(await outcome(await make(), name)).toMatch(/^(extracted|partial|corrupt_file|cell_too_large|too_many_columns|no_text|unsupported_type|extraction_timeout)$/);
  });

  test('mail in mail in mail', async () => {
    let mail = 'From: a@example.com\r\nTo: b@example.com\r\nSubject: the innermost\r\n\r\ntext\r\n';
    for (let at = 0; at < 30; at++) mail = `From: a@example.com\r\nTo: b@example.com\r\nSubject: ${at}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b${at}\r\n\r\n--b${at}\r\nContent-Type: message/rfc822\r\n\r\n${mail}\r\n--b${at}--\r\n`;
    expect(await outcome(mail, 'm.eml')).toBe('extracted');
  });
});

describe('PDFs that lie', () => {
  const page = [{ text: TEXT, x: 60, y: 700 }];
  const lying = (change: (text: string) => string): Buffer => Buffer.from(change(pdf([page, page]).toString('latin1')), 'latin1');

  test.each<[string, Buffer, RegExp]>([
    ['a billion pages', lying((text) => text.replace('/Count 2', '/Count 999999999')), /extracted|too_many_pages|partial|corrupt_file/],
    ['some pages more than there are', lying((text) => text.replace('/Count 2', '/Count 40')), /partial|extracted|corrupt_file/],
    ['pages below zero', lying((text) => text.replace('/Count 2', '/Count -5')), /corrupt_file|extracted|partial/],
    ['pages that are their own parents', lying((text) => text.replace(/\/Kids \[[^\]]*\]/, '/Kids [2 0 R 2 0 R]')), /corrupt_file|partial|no_text/],
    ['a root that is elsewhere', lying((text) => text.replace('/Root 1 0 R', '/Root 99 0 R')), /corrupt_file|extracted|partial/],
    ['a table of objects that is elsewhere', lying((text) => text.replace(/startxref\n\d+/, 'startxref\n7')), /extracted|partial|corrupt_file/],
    ['encryption that is none', pdf([page], { encrypt: true }), /password_required|corrupt_file/],
    ['a header alone', Buffer.from('%PDF-1.7\n'), /corrupt_file/],
  ])('%s', async (_, content, expected) => {
    expect(await outcome(content, 'l.pdf')).toMatch(expected);
  });
});

describe('what is no document', () => {
  test.each<[string, Buffer, RegExp]>([
    ['report.pdf', Buffer.concat([Buffer.from('MZ\x90\0\x03\0\0\0'), Buffer.alloc(500), Buffer.from('%PDF-1.7')]), /a program/],
    ['report.docx', Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01\0', 'latin1'), Buffer.alloc(300)]), /a program/],
    ['report.txt', Buffer.concat([Buffer.from([0xcf, 0xfa, 0xed, 0xfe, 7, 0, 0, 1]), Buffer.alloc(300)]), /a program/],
    ['photo.pdf', Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(300)]), /an image/],
    ['letter.doc', Buffer.from('d0cf11e0a1b11ae1', 'hex'), /damaged/],
  ])('%s', async (name, content, message) => {
    const place = mkdtempSync(path.join(folder, 'other-'));
    writeFileSync(path.join(place, 'document'), content);
    await expect(reader.validate({ path: path.join(place, 'document'), name })).rejects.toMatchObject({ code: expect.stringMatching(/unsupported_type|corrupt_file/) as string, message: expect.stringMatching(message) as string, remedy: expect.any(String) as string });
  });
});
