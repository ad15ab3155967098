/** What is read of each format, and what keeps a document from hurting who reads it. */
import { execFileSync } from 'node:child_process';
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CFB } from '@e965/xlsx';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { openReader } from '../../src/documents/reader.ts';
import { installedTesseract } from '../servers/clamav/install.ts';
import { orMissing } from '../servers/missing.ts';
import { docx, docxParagraph, docxPart, epub, odf, pptx, pptxShape, readDocument, temporaryFolder, type Read } from './document-material.ts';
import { pdf } from './pdf-material.ts';
import { workbookParts, zip } from './source-material.ts';

const reader = openReader();
const tesseract = await orMissing('scanned pages', installedTesseract());
afterAll(() => reader.close());

const read = (content: Buffer | string, name: string, more: Parameters<typeof readDocument>[3] = {}): Promise<Read> => readDocument(reader, content, name, more);

describe('text of every script, through every format', () => {
  const SCRIPTS = [
    'שלום עולם, זה מבחן מספר 42 של המערכת Sheaf בגרסה 2.0 ועוד.', 'يولد جميع الناس أحرارا متساوين في الكرامة والحقوق', '人人生而自由，在尊严和权利上一律平等。', 'すべての人間は自由である。', '모든 인간은 자유롭다.',
    'Zażółć gęślą jaźń, Ünïcödé ﬁne?', 'Приклад тексту', 'Family 👨‍👩‍👧‍👦 and flag 🇮🇱 and 👍🏽 done',
  ];
  /** Ligatures are two letters, and presentation forms the letters that they present. */
  const plain = (text: string): string => text.normalize('NFKC').replaceAll('\n', ' ');

  test.each<[string, () => Promise<Buffer> | Buffer]>([
    ['text.docx', () => docx(SCRIPTS.map((text) => docxParagraph(text)).join(''))],
    ['text.pdf', () => pdf([SCRIPTS.map((text, at) => ({ text, x: 60, y: 780 - 40 * at }))])],
    ['text.html', () => Buffer.from(`<html><meta charset="utf-8"><body>${SCRIPTS.map((text) => `<p>${text}</p>`).join('')}</body></html>`)],
    ['text.md', () => Buffer.from(SCRIPTS.join('\n\n'))],
    ['text.txt', () => Buffer.from(SCRIPTS.join('\n\n'))],
    ['text.odt', () => odf('text', SCRIPTS.map((text) => `<text:p>${text}</text:p>`).join(''))],
    ['text.pptx', () => pptx([{ shapes: SCRIPTS.map((text) => pptxShape(text)).join('') }])],
    ['text.epub', () => epub([SCRIPTS.map((text) => `<p>${text}</p>`).join('')])],
    ['text.eml', () => Buffer.from(`From: a@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from(SCRIPTS.join('\n\n')).toString('base64')}`)],
    ['text.rtf', () => Buffer.from(`{\\rtf1\\ansi ${SCRIPTS.map((text) => `${[...text].flatMap((character) => [...Buffer.from(character, 'utf16le').swap16().toString('hex').matchAll(/..../g)].map(([unit]) => `\\u${(parseInt(unit, 16) << 16) >> 16}?`)).join('')}\\par`).join('\n')}}`)],
    ['text.csv', () => Buffer.from(SCRIPTS.map((text) => `"${text}"`).join('\n'))],
    ['text.xlsx', () => zip(workbookParts({ sheets: [{ data: SCRIPTS.map((text, at) => `<row r="${at + 1}"><c r="A${at + 1}" t="inlineStr"><is><t>${text}</t></is></c></row>`).join('') }] }))],
  ])('%s', async (name, make) => {
    const { text, extraction } = await read(await make(), name);
    expect(extraction).toMatchObject({ partial: false, warnings: [] });
    for (const script of SCRIPTS) expect(plain(text)).toContain(plain(script));
  });

  test.each<[string, string]>([['windows-1255', 'hebrew'], ['iso-8859-8', 'hebrew'], ['shift_jis', 'japanese'], ['gb18030', 'chinese'], ['big5', 'chinese'], ['euc-kr', 'korean'], ['koi8-r', 'russian'], ['windows-1251', 'russian'], ['utf-32le', 'any'], ['utf-32be', 'any']])('plain text in %s', async (encoding, language) => {
    const texts: Record<string, string> = {
      hebrew: 'שלום לכולם. זהו טקסט בעברית שנכתב במחשב ישן מאוד. '.repeat(5), japanese: '吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。'.repeat(4), chinese: '人人生而自由在尊嚴和權利上一律平等。他們賦有理性和良心。'.repeat(4),
      korean: '모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. '.repeat(4), russian: 'Все люди рождаются свободными и равными в своем достоинстве и правах. '.repeat(4), any: 'Any text: שלום 你好 👍. '.repeat(3),
    };
    const text = texts[language]!;
    expect((await read(encoded(text, encoding), 'old.txt')).text).toBe(text.trim());
  });

  /** By looking each character up in what the decoder makes of all bytes. */
  function encoded(text: string, encoding: string): Buffer {
    if (encoding.startsWith('utf-32')) {
      const points = Uint32Array.from([...text].map((character) => character.codePointAt(0)!));
      return encoding.endsWith('le') ? Buffer.from(points.buffer) : Buffer.from(points.buffer).swap32();
    }
    const bytes = new Map<string, number[]>();
    const decoder = new TextDecoder(encoding, { fatal: true });
    const add = (...some: number[]): void => {
      try {
        const character = decoder.decode(Uint8Array.from(some));
        if ([...character].length === 1 && !bytes.has(character)) bytes.set(character, some);
      } catch {
        // Not a character.
      }
    };
    for (let first = 0; first < 256; first++) add(first);
    if (/jis|gb|big5|euc/.test(encoding)) for (let first = 0x81; first < 255; first++) for (let second = 0x40; second < 255; second++) add(first, second);
    return Buffer.from([...text].flatMap((character) => bytes.get(character) ?? []));
  }
});

describe('DOCX', () => {
  test('headings, lists as they are numbered, footnotes, comments, headers and footers once', async () => {
    const list = (level: number): string => `<w:numPr><w:ilvl w:val="${level}"/><w:numId w:val="1"/></w:numPr>`;
    const { of, blocks, extraction } = await read(await docx([
      docxParagraph('The title', '<w:pStyle w:val="T"/>'), docxParagraph('Chapter', '<w:pStyle w:val="H"/>'),
      docxParagraph('one', list(0)), docxParagraph('first', list(1)), docxParagraph('second', list(1)), docxParagraph('two', list(0)),
      '<w:p><w:r><w:t>Said</w:t><w:footnoteReference w:id="2"/><w:t> so</w:t><w:del><w:r><w:delText>never</w:delText></w:r></w:del></w:r></w:p>',
    ].join(''), {
      'word/styles.xml': docxPart('styles', '<w:style w:styleId="T"><w:name w:val="Title"/></w:style><w:style w:styleId="H0"><w:name w:val="heading 2"/></w:style><w:style w:styleId="H"><w:name w:val="Own"/><w:basedOn w:val="H0"/></w:style>'),
      'word/numbering.xml': docxPart('numbering', '<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="%1.%2)"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'),
      'word/footnotes.xml': docxPart('footnotes', `<w:footnote w:type="separator" w:id="-1">${docxParagraph('-----')}</w:footnote><w:footnote w:id="2">${docxParagraph('By whom?')}</w:footnote>`),
      'word/comments.xml': docxPart('comments', `<w:comment w:id="0">${docxParagraph('Check this')}</w:comment>`),
      'word/header1.xml': docxPart('hdr', docxParagraph('Confidential')), 'word/header2.xml': docxPart('hdr', docxParagraph('Confidential')), 'word/footer1.xml': docxPart('ftr', docxParagraph('Page')),
    }), 'all.docx');
    expect(of('heading')).toEqual(['The title', 'Chapter']);
    expect(blocks.filter(({ kind }) => kind === 'heading').map(({ level }) => level)).toEqual([1, 2]);
    expect(of('list_item')).toEqual(['1. one', '1.a) first', '1.b) second', '2. two']);
    expect(of('paragraph')).toEqual(['Said[2] so']);
    expect(of('footnote')).toEqual(['[2] By whom?']);
    expect(of('note')).toEqual(['Check this']);
    expect(of('page_header')).toEqual(['Confidential']);
    expect(of('page_footer')).toEqual(['Page']);
    expect(extraction.mainCharacters).toBeLessThan(extraction.characters - 'ConfidentialPage'.length);
  });

  test('pages, where Word has noted them; text boxes once, not as older programs show them', async () => {
    const box = '<w:p><w:r><mc:AlternateContent xmlns:mc="x"><mc:Choice><w:txbxContent><w:p><w:r><w:t>In the box</w:t></w:r></w:p></w:txbxContent></mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>In the box</w:t></w:r></w:p></w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>';
    const { extraction, blocks, text } = await read(await docx(`${docxParagraph('one')}<w:p><w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r></w:p>${box}`), 'p.docx');
    expect(extraction.pages).toBe(2);
    expect(blocks.map(({ page }) => page)).toEqual([1, 2, 2]);
    expect(text.match(/In the box/g)).toHaveLength(1);
  });

  test('what comes before the place where it breaks is read, and said to be a part', async () => {
    const whole = await docx(docxParagraph('The beginning.') + docxParagraph('The rest.'));
    expect((await read(whole, 'w.docx')).extraction.partial).toBe(false);
    const broken = await zip(new Map([['word/document.xml', Buffer.from(docxPart('document', `<w:body>${docxParagraph('The beginning.')}<w:p><w:r><w:t>The rest`))]]));
    const { text, extraction } = await read(broken, 'b.docx');
    expect(text).toContain('The beginning.');
    expect(extraction).toMatchObject({ partial: true, warnings: [{ code: 'part_damaged' }] });
  });
});

describe('other Office documents', () => {
  test('slides with notes, and one that is damaged', async () => {
    const { blocks, of, extraction } = await read(await pptx([{ shapes: pptxShape('Hello', 'title') + pptxShape('point one\npoint two', 'body') + pptxShape('7', 'sldNum'), notes: 'Speak slowly' }, { shapes: '<p:sp><broken' }]), 's.pptx');
    expect(of('heading')).toEqual(['Hello']);
    expect(of('list_item')).toEqual(['• point one', '• point two']);
    expect(of('note')).toEqual(['Speak slowly']);
    expect(of('page_footer')).toEqual(['7']);
    expect(blocks.every(({ page }) => page === 1)).toBe(true);
    expect(extraction).toMatchObject({ pages: 2, partial: true, failedPages: [2] });
  });

  test('OpenDocument: a text with a list, a note and a table; a sheet; slides', async () => {
    const text = await read(await odf('text', '<text:h text:outline-level="2">Head</text:h><text:list><text:list-item><text:p>item</text:p></text:list-item></text:list><text:p>a<text:s text:c="2"/>b<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>below</text:p></text:note-body></text:note></text:p><table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell><table:table-cell><text:p>y</text:p></table:table-cell></table:table-row></table:table>', {
      'meta.xml': '<office:document-meta xmlns:office="o" xmlns:dc="d" xmlns:meta="m"><office:meta><dc:title>Its title</dc:title><meta:initial-creator>Somebody</meta:initial-creator><meta:creation-date>2024-05-06T07:08:09</meta:creation-date></office:meta></office:document-meta>',
    }), 't.odt');
    expect(text.text).toBe('Head\n\n• item\n\na b[1]\n\n| x | y |\n| --- | --- |\n\n[1] below');
    expect(text.extraction.metadata).toMatchObject({ title: 'Its title', author: 'Somebody' });
    const sheet = await read(await odf('spreadsheet', '<table:table table:name="Sums"><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>1</text:p></table:table-cell><table:table-cell table:number-columns-repeated="16000"/></table:table-row><table:table-row table:number-rows-repeated="1000000"><table:table-cell/></table:table-row></table:table><table:table table:name="More"><table:table-row><table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>'), 's.ods');
    expect(sheet.text).toBe('Sums\n\n| a | 1 | 1 |\n| --- | --- | --- |\n\nMore\n\n| b |\n| --- |');
    expect(sheet.extraction).toMatchObject({ type: 'ods', pages: 2, tables: 2 });
    const slides = await read(await odf('presentation', '<draw:page draw:name="p1"><draw:frame><draw:text-box><text:p>On slide one</text:p></draw:text-box></draw:frame><presentation:notes><text:p>said</text:p></presentation:notes></draw:page><draw:page><text:p>On slide two</text:p></draw:page>'), 's.odp');
    expect(slides.extraction.pages).toBe(2);
    expect(slides.of('note')).toEqual(['said']);
  });

  test('RTF: code pages of its fonts, a table, a footnote, who wrote it', async () => {
    const { text, extraction } = await read("{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fcharset0 A;}{\\f1\\fcharset177 B;}{\\f2\\fcharset204 C;}}{\\stylesheet{\\s1 heading 1;}}{\\info{\\title The title}{\\author Me}{\\creatim\\yr2020\\mo3\\dy4\\hr5\\min6}}{\\header Top}\\pard\\s1 Head\\par\\pard caf\\'e9 {\\f1 \\'f9\\'ec\\'e5\\'ed} {\\f2 \\'cf\\'f0}{\\*\\unknown gone}{\\footnote below}\\par\\trowd a\\cell b\\cell\\row c\\cell d\\cell\\row\\pard end\\par}", 'r.rtf');
    expect(text).toBe('Head\n\ncafé שלום Пр\n\n| a | b |\n| --- | --- |\n| c | d |\n\nend\n\n[1] below\n\nTop');
    expect(extraction.metadata).toMatchObject({ title: 'The title', author: 'Me', created: '2020-03-04T05:06:00.000Z' });
  });

  test('encrypted ones open with their password', async () => {
    const encrypted = encryptOffice(await docx(docxParagraph('Nobody knows')), 'correct horse');
    await expect(read(encrypted, 'e.docx')).rejects.toMatchObject({ code: 'password_required' });
    await expect(read(encrypted, 'e.docx', { password: 'wrong' })).rejects.toMatchObject({ code: 'password_wrong' });
    expect(await read(encrypted, 'e.docx', { password: 'correct horse' })).toMatchObject({ text: 'Nobody knows', extraction: { type: 'docx' } });
  });

  test.each([128, 256])('encrypted ones of Office 2007 open with their password (%i bits)', async (bits) => {
    const encrypted = encryptAsIn2007(await docx(docxParagraph('Nobody knew')), 'correct horse', bits);
    await expect(read(encrypted, 'e.docx')).rejects.toMatchObject({ code: 'password_required' });
    await expect(read(encrypted, 'e.docx', { password: 'wrong' })).rejects.toMatchObject({ code: 'password_wrong' });
    expect(await read(encrypted, 'e.docx', { password: 'correct horse' })).toMatchObject({ text: 'Nobody knew', extraction: { type: 'docx' } });
  });

  test.each([['l.doc', 'WordDocument'], ['l.ppt', 'PowerPoint Document']])('legacy %s is refused with advice', async (name, part) => {
    const container = CFB.utils.cfb_new();
    CFB.utils.cfb_add(container, `/${part}`, Buffer.alloc(5_000));
    const bytes = Buffer.from(CFB.write(container, { type: 'buffer' }) as Uint8Array);
    await expect(read(bytes, name)).rejects.toMatchObject({ code: 'unsupported_type', remedy: expect.stringMatching(/LibreOffice/) as string });
  });
});

/** As Office 2007 encrypts (MS-OFFCRYPTO 2.3.4.5 to 2.3.4.9). */
function encryptAsIn2007(content: Buffer, password: string, bits: number): Buffer {
  const sha = (...parts: Buffer[]): Buffer => createHash('sha1').update(Buffer.concat(parts)).digest();
  const uint32 = (...values: number[]): Buffer => Buffer.from(Uint32Array.of(...values).buffer);
  const [salt, verifier] = [randomBytes(16), randomBytes(16)];
  let value = sha(salt, Buffer.from(password, 'utf16le'));
  for (let at = 0; at < 50_000; at++) value = sha(uint32(at), value);
  value = sha(value, uint32(0));
  const half = (pad: number): Buffer => sha(Buffer.from(Uint8Array.from({ length: 64 }, (_, at) => pad ^ (value[at] ?? 0))));
  const key = Buffer.concat([half(0x36), half(0x5c)]).subarray(0, bits / 8);
  const encrypt = (data: Buffer): Buffer => {
    const cipher = createCipheriv(`aes-${bits}-ecb`, key, null).setAutoPadding(false);
    return Buffer.concat([cipher.update(Buffer.concat([data, Buffer.alloc((16 - (data.length % 16)) % 16)])), cipher.final()]);
  };
  const header = Buffer.concat([uint32(0x24, 0, bits === 128 ? 0x660e : 0x6610, 0x8004, bits, 0x18, 0, 0), Buffer.from('Microsoft Enhanced RSA and AES Cryptographic Provider\0', 'utf16le')]);
  const container = CFB.utils.cfb_new();
  CFB.utils.cfb_add(container, '/EncryptionInfo', Buffer.concat([
    Buffer.from(Uint16Array.of(4, 2).buffer), uint32(0x24, header.length), header, uint32(16), salt, encrypt(verifier), uint32(20), encrypt(sha(verifier)),
  ]));
  CFB.utils.cfb_add(container, '/EncryptedPackage', Buffer.concat([uint32(content.length, 0), encrypt(content)]));
  return Buffer.from(CFB.write(container, { type: 'buffer' }) as Uint8Array);
}

/** As Office 2010 and later encrypts (MS-OFFCRYPTO 2.3.4.10), with few rounds. */
function encryptOffice(content: Buffer, password: string): Buffer {
  const [salt, keySalt, secret, verifier] = [randomBytes(16), randomBytes(16), randomBytes(32), randomBytes(16)];
  const sha = (...parts: Buffer[]): Buffer => createHash('sha512').update(Buffer.concat(parts)).digest();
  const uint32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer);
  const cipher = (key: Buffer, iv: Buffer, data: Buffer): Buffer => {
    const padded = Buffer.concat([data, Buffer.alloc((16 - (data.length % 16)) % 16)]);
    const aes = createCipheriv('aes-256-cbc', key.subarray(0, 32), iv.subarray(0, 16)).setAutoPadding(false);
    return Buffer.concat([aes.update(padded), aes.final()]);
  };
  let hash = sha(salt, Buffer.from(password, 'utf16le'));
  for (let at = 0; at < 100; at++) hash = sha(uint32(at), hash);
  const sealed = (purpose: string, data: Buffer): string => cipher(sha(hash, Buffer.from(purpose, 'hex')), salt, data).toString('base64');
  const xml = `<encryption xmlns="e" xmlns:p="p"><keyData saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512" saltValue="${keySalt.toString('base64')}"/><keyEncryptors><keyEncryptor><p:encryptedKey spinCount="100" saltSize="16" blockSize="16" keyBits="256" hashSize="64" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" hashAlgorithm="SHA512" saltValue="${salt.toString('base64')}" encryptedVerifierHashInput="${sealed('fea7d2763b4b9e79', verifier)}" encryptedVerifierHashValue="${sealed('d7aa0f6d3061344e', sha(verifier))}" encryptedKeyValue="${sealed('146e0be7abacd0d6', secret)}"/></keyEncryptor></keyEncryptors></encryption>`;
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(content.length));
  const segments = Array.from({ length: Math.ceil(content.length / 4096) }, (_, at) => cipher(secret, sha(keySalt, uint32(at)), content.subarray(at * 4096, at * 4096 + 4096)));
  const container = CFB.utils.cfb_new();
  CFB.utils.cfb_add(container, '/EncryptionInfo', Buffer.concat([Buffer.from([4, 0, 4, 0, 0x40, 0, 0, 0]), Buffer.from(xml)]));
  CFB.utils.cfb_add(container, '/EncryptedPackage', Buffer.concat([size, ...segments]));
  return Buffer.from(CFB.write(container, { type: 'buffer' }) as Uint8Array);
}

describe('web pages, books, mail', () => {
  test('hidden text and scripts are none; lists, code, tables with spans', async () => {
    const { text } = await read('<title>T</title><body><p style="display: none">no</p><p hidden>no</p><script>no</script><ol start="3"><li>three<li>four</ol><pre>a\n  b</pre><table><tr><th rowspan=2>x</th><th colspan=2>y</th></tr><tr><td>1</td><td>2</td></tr></table><p>a&nbsp;b &amp;&#x1F44D;</p>', 'p.html');
    expect(text).toBe('3. three\n4. four\n\na\n  b\n\n| x | y |  |\n| --- | --- | --- |\n|  | 1 | 2 |\n\na b &👍'.replace('| x | y |  |\n| --- | --- | --- |', '| x | y |\n| --- | --- |'));
  });

  test('Markdown without its marks', async () => {
    const { text, of } = await read('---\ntitle: Front\n---\n# One *two*\n\nA [link](https://example.com) and `code` **bold**.\n\n- [x] done\n- a\n  - b\n\n```js\nlet  x;\n```\n\n> said\n\n| a | b |\n|---|---|\n| 1 | 2 \\| 3 |\n', 'm.md');
    expect(text).toBe('One two\n\nA link (https://example.com) and code bold.\n\n[x] done\n- a\n- b\n\nlet  x;\n\nsaid\n\n| a | b |\n| --- | --- |\n| 1 | 2 \\| 3 |');
    expect(of('heading')).toEqual(['One two']);
  });

  test('a book: chapters in their order, one of them missing', async () => {
    const { extraction, of } = await read(await epub(['<h1>One</h1><p>a</p>', '<h1>Two</h1><p>b</p>']), 'b.epub');
    expect(extraction).toMatchObject({ pages: 2, metadata: { title: 'A book', author: 'Its author', language: 'en' } });
    expect(of('heading')).toEqual(['One', 'Two']);
  });

  test('mail with attachments: those that are documents are read, others are named', async () => {
    const attachment = (name: string, content: Buffer): string => `--x\r\nContent-Type: application/octet-stream; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${content.toString('base64')}\r\n`;
    const mail = `From: "Ann" <ann@example.com>\r\nTo: bob@example.com\r\nSubject: =?utf-8?B?${Buffer.from('שלום').toString('base64')}?=\r\nDate: Tue, 5 Mar 2024 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nSee below.\r\n${attachment('note.docx', await docx(docxParagraph('In the note')))}${attachment('broken.pdf', Buffer.from('%PDF-1.7 nothing'))}${attachment('data.zip', await zip(new Map([['x', Buffer.from('x')]])))}--x--\r\n`;
    const { text, extraction } = await read(mail, 'm.eml');
    expect(text).toBe('שלום\n\nFrom: Ann <ann@example.com>\nTo: bob@example.com\nDate: Tue, 5 Mar 2024 10:00:00 +0000\n\nSee below.\n\nAttachment: note.docx\n\nIn the note\n\nAttachment: broken.pdf\n\nAttachment: data.zip'.replace('Date: Tue, 5 Mar 2024 10:00:00 +0000', /Date: .*/.exec(text)?.[0] ?? ''));
    expect(extraction).toMatchObject({ type: 'eml', partial: true, metadata: { title: 'שלום', created: '2024-03-05T10:00:00.000Z' }, warnings: [{ code: 'attachment_failed' }, { code: 'attachment_not_read' }] });
  });
});

describe('PDF', () => {
  test('a word that a line parts is whole again; one of two words keeps its hyphen', async () => {
    const lines = ['The market is based on carbon, and free of charge.', 'All of our power is carbon-', 'free, and that is an impor-', 'tant part of what we promise here.'];
    const { text } = await read(pdf([lines.map((line, at) => ({ text: line, x: 50, y: 700 - 14 * at }))]), 'hyphens.pdf');
    expect(text.replaceAll('\n', ' ')).toContain('is carbon-free, and that is an important part of what');
  });

  test('a paragraph goes on in the next column, though its lines end raggedly', async () => {
    const column = (x: number, lines: string[]) => lines.map((text, at) => ({ text, x, y: 700 - 14 * at }));
    const words = (from: number) => Array.from({ length: 8 }, (_, at) => `line ${from + at} of a paragraph that has a few`);
    const { of } = await read(pdf([[...column(50, [...words(1), 'and ends']), ...column(320, ['in the column beside it.', ...words(20)])]]), 'columns.pdf');
    expect(of('paragraph')[0]).toContain('and ends in the column beside it.');
  });

  test('what was filled in to a form stands where it is seen; what is hidden, a password, or not ticked does not', async () => {
    const { text } = await read(pdf([[{ text: 'Name:', x: 50, y: 700 }, { text: 'Remarks', x: 50, y: 600 }], [{ text: 'I agree', x: 80, y: 700 }]], {
      fields: [
        { page: 0, rect: [100, 696, 300, 712], entries: '/FT /Tx /V (Dana Levi)' },
        { page: 0, rect: [50, 540, 300, 590], entries: '/FT /Tx /Ff 4096 /V (first line\rsecond line)' },
        { page: 0, rect: [50, 500, 300, 520], entries: '/FT /Tx /F 2 /V (hidden away)' },
        { page: 0, rect: [50, 400, 300, 420], entries: '/FT /Tx /Ff 8192 /V (hunter2)' },
        { page: 1, rect: [60, 698, 72, 710], entries: '/FT /Btn /V /Yes /AS /Yes /AP << /N << /Yes 5 0 R /Off 5 0 R >> >>' },
        { page: 1, rect: [60, 598, 72, 610], entries: '/FT /Btn /V /Off /AS /Off /AP << /N << /Yes 5 0 R /Off 5 0 R >> >>' },
      ],
    }), 'form.pdf');
    expect(text.split('\n').filter((line) => line !== '')).toEqual(['Name: Dana Levi', 'Remarks first line second line', '[x] I agree']);
  });

  test('what is drawn without text has none; tesseract reads it where that is asked for', async () => {
    await expect(read(pdf([[]]), 'empty.pdf')).rejects.toMatchObject({ code: 'no_text', remedy: expect.stringMatching(/OCR/) as string });
  });

  test.skipIf(tesseract === null)('a scan', async () => {
    const scan = scanned();
    await expect(read(scan, 'scan.pdf')).rejects.toMatchObject({ code: 'no_text' });
    const { text, extraction } = await read(scan, 'scan.pdf', { options: { ocr: true } });
    expect(text).toContain('HELL');
    expect(extraction).toMatchObject({ ocrPages: 1, pages: 1 });
  });

  test('headings by their size, pages, title', async () => {
    const lines = (from: number): { text: string; x: number; y: number }[] => Array.from({ length: 8 }, (_, at) => ({ text: `Line ${from + at} of the running text goes on and on over the page`, x: 60, y: 700 - 14 * at }));
    const { of, blocks, extraction } = await read(pdf([[{ text: 'A large heading', x: 60, y: 760, size: 24 }, ...lines(0)], lines(8)], { info: '/Title (Its title) /CreationDate (D:20240102030405+02\'00\')' }), 'h.pdf');
    expect(of('heading')).toEqual(['A large heading']);
    expect(blocks.map(({ page }) => page)).toEqual([1, 1, 2]);
    expect(extraction.metadata).toMatchObject({ title: 'Its title', created: '2024-01-02T01:04:05.000Z' });
  });
});

/** A page with nothing but a picture of the word HELLO. */
function scanned(): Buffer {
  const glyphs: Record<string, string[]> = { H: ['1...1', '1...1', '11111', '1...1', '1...1'], E: ['11111', '1....', '1111.', '1....', '11111'], L: ['1....', '1....', '1....', '1....', '11111'], O: ['.111.', '1...1', '1...1', '1...1', '.111.'] };
  const [scale, width, height] = [20, 800, 260];
  const pixels = Buffer.alloc(width * height, 255);
  [...'HELLO'].forEach((letter, at) => {
    for (let y = 0; y < 5 * scale; y++) for (let x = 0; x < 5 * scale; x++) if (glyphs[letter]![Math.floor(y / scale)]![Math.floor(x / scale)] === '1') pixels[(80 + y) * width + 60 + at * 7 * scale + x] = 0;
  });
  const head = `%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n2 0 obj\n<< /Type /Pages /Count 1 /Kids [3 0 R] >>\nendobj\n3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 130] /Resources << /XObject << /I 5 0 R >> >> /Contents 4 0 R >>\nendobj\n4 0 obj\n<< /Length 30 >>\nstream\nq 400 0 0 130 0 0 cm /I Do Q  \nendstream\nendobj\n`;
  return Buffer.concat([Buffer.from(`${head}5 0 obj\n<< /Type /XObject /Subtype /Image /Width ${width} /Height ${height} /ColorSpace /DeviceGray /BitsPerComponent 8 /Length ${pixels.length} >>\nstream\n`), pixels, Buffer.from('\nendstream\nendobj\ntrailer\n<< /Root 1 0 R >>\n')]);
}

describe('limits', () => {
  const novel = `${'A sentence that stands here many times. '.repeat(50)}\n\n`.repeat(200);

  test('a text that is longer than is allowed is cut, and said to be', async () => {
    const small = openReader({ limits: { textChars: 1_000 } });
    onTestFinished(() => small.close());
    const { extraction, text } = await readDocument(small, novel, 'n.txt');
    expect(extraction).toMatchObject({ characters: 1_000, partial: true, warnings: [{ code: 'text_too_long' }] });
    expect(text).toHaveLength(1_000);
  });

  test('too many pages', async () => {
    const small = openReader({ limits: { pages: 2 } });
    onTestFinished(() => small.close());
    const line = [{ text: 'x', x: 9, y: 9 }];
    await expect(readDocument(small, pdf([line, line, line]), 'p.pdf')).rejects.toMatchObject({ code: 'too_many_pages' });
    expect((await readDocument(small, pdf([line, line]), 'p.pdf')).extraction.pages).toBe(2);
  });

  test('time: the child is ended, and the next document read', async () => {
    const hasty = openReader({ limits: { timeMs: 8_000 }, concurrency: 1 });
    onTestFinished(() => hasty.close());
    await readDocument(hasty, 'warm', 'w.txt');
    await expect(readDocument(hasty, 'a``b'.repeat(300_000), 'hang.md')).rejects.toMatchObject({ code: 'extraction_timeout', retryable: false });
    expect((await readDocument(hasty, 'still there', 'w.txt')).text).toBe('still there');
  });

  test('memory: the child is ended, and the next document read', async () => {
    const small = openReader({ limits: { memoryBytes: 250 * 2 ** 20 }, concurrency: 1 });
    onTestFinished(() => small.close());
    await expect(readDocument(small, Buffer.alloc(300 * 2 ** 20, 'text '), 'large.txt')).rejects.toMatchObject({ code: 'extraction_memory', retryable: false });
    expect((await readDocument(small, 'still there', 'w.txt')).text).toBe('still there');
  });

  test('who asked may stop asking; a closed reader takes nothing', async () => {
    const own = openReader({ concurrency: 1 });
    const abort = new AbortController();
    const [running, waiting] = [readDocument(own, novel, 'n.txt'), own.validate({ path: import.meta.filename, name: 'x.ts' }, undefined, abort.signal)];
    abort.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    expect((await running).extraction.type).toBe('text');
    await own.close();
    await expect(own.validate({ path: import.meta.filename, name: 'x.ts' })).rejects.toMatchObject({ code: 'shutting_down', retryable: true });
  });

  test.skipIf(process.platform === 'win32')('no child outlives who started it', async () => {
    const folder = temporaryFolder();
    const [file, pidFile] = [path.join(folder, 'hang.md'), path.join(folder, 'pid')];
    writeFileSync(file, '['.repeat(3_000_000));
    const program = path.join(folder, 'parent.ts');
    writeFileSync(program, `import { openReader } from ${JSON.stringify(path.resolve('src/documents/reader.ts'))};\nimport { execFileSync } from 'node:child_process';\nimport { writeFileSync } from 'node:fs';\nvoid openReader().extract({ file: { path: ${JSON.stringify(file)}, name: 'hang.md' }, folder: ${JSON.stringify(folder)} });\nsetTimeout(() => { writeFileSync(${JSON.stringify(pidFile)}, execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' }).split('\\n').find((line) => line.includes('reader-process'))!.trim().split(' ')[0]!); process.kill(process.pid, 'SIGKILL'); }, 1500);\n`);
    expect(() => execFileSync(process.execPath, [program], { stdio: 'ignore' })).toThrow();
    const { readFileSync } = await import('node:fs');
    const child = Number(readFileSync(pidFile, 'utf8'));
    expect(child).toBeGreaterThan(0);
    await expect.poll(() => existsSync(`/proc/${child}/stat`), { timeout: 10_000 }).toBe(false);
  });
});
