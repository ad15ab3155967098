/** Documents that other people wrote, beside the checkout: what a person sees in them is what is read. */
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DOCUMENT_FILES, type Analysis, type Chunk, type ExtractRequest } from '../../src/documents/document.ts';
import { openReader } from '../../src/documents/reader.ts';
import { readFileOf, temporaryFolder, type Read } from './document-material.ts';

const CORPUS = path.resolve('../shared/corpus');
const reader = openReader();

beforeAll(() => {
  if (!existsSync(CORPUS)) throw new Error(`The folder of example documents, ${path.relative('.', CORPUS)}, is not beside the checkout`);
});
afterAll(() => reader.close());

type More = Omit<Partial<ExtractRequest>, 'file' | 'folder'>;
interface Whole extends Read {
  chunks: Chunk[];
  analysis: Analysis;
}

/** Everything that is done to a document; and what holds of each. */
async function read(name: string, more: More = {}): Promise<Whole> {
  const folder = temporaryFolder();
  const found = await readFileOf(reader, path.join(CORPUS, name), name, folder, more);
  await reader.chunk(folder, {});
  const chunks = (await readFile(path.join(folder, DOCUMENT_FILES.chunks), 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as Chunk);
  let reached = 0;
  for (const { start, end, text, tokens, tableHeader } of chunks) {
    expect(found.text.slice(start, end)).toBe(text);
    expect(start).toBeLessThanOrEqual(reached);
    expect(tokens).toBeLessThanOrEqual(1_200);
    if (tableHeader !== undefined) expect(tableHeader).toMatch(/^\|.*\|\n\|( --- \|)+$/);
    reached = end;
  }
  expect(reached).toBe(found.text.length);
  expect(found.extraction.characters).toBe(found.text.length);
  expect(found.text.isWellFormed()).toBe(true);
  return { ...found, chunks, analysis: await reader.analyse(folder, found.extraction, {}) };
}

const languages = ({ analysis }: Whole): string[] => analysis.languages.map(({ language }) => language);

const SEEN: string[] = [];
const file = (name: string, more?: More): Promise<Whole> => {
  SEEN.push(name);
  return read(name, more);
};
const fails = async (name: string, code: string, more?: More): Promise<void> => {
  SEEN.push(name);
  await expect(read(name, more)).rejects.toMatchObject({ code, retryable: false });
};

describe('PDF', () => {
  test('a memo of one page', async () => {
    const memo = await file('fake-memo.pdf');
    expect(memo.text).toBe([
      'May 5, 2023', 'To Whom it May Concern:',
      'There were 20,000 bottles of water, 10,000 blankets, and 200 laptops delivered on January 23, 2023. A total of 3 trucks were used for 15 hours.',
      'Best Regards,', 'Mallori',
    ].join('\n\n'));
    expect(memo.extraction).toMatchObject({ type: 'pdf', pages: 1, partial: false, warnings: [], metadata: { title: 'fake-memo', created: '2023-05-16T17:28:40.000Z' } });
    expect(languages(memo)).toEqual(['en']);
  });

  test('two columns are read one after the other', async () => {
    const paper = await file('multi-column-2p.pdf');
    expect(paper.extraction.pages).toBe(2);
    expect(paper.analysis.title).toBe('Dense Passage Retrieval for Open-Domain Question Answering');
    expect(paper.of('heading')[0]).toBe('Dense Passage Retrieval for Open-Domain Question Answering');
    // Over the end of lines; over a column's end; headings that are numbered.
    expect(paper.text).toContain('Open-domain question answering (QA) (Voorhees, 1999) is a task that answers factoid questions using a large collection of documents.');
    expect(paper.text).toContain('Retrieval in open-domain QA is usually implemented using TF-IDF or BM25 (Robertson and Zaragoza, 2009), which matches keywords efficiently with an inverted index');
    expect(paper.text.indexOf('1 Introduction')).toBeLessThan(paper.text.indexOf('Retrieval in open-domain QA is usually'));
    expect(paper.text).toContain('establish new state-of-the-art on multiple open-domain QA benchmarks.');
  });

  test('a French paper of twelve pages', async () => {
    const paper = await file('fr_olap.pdf');
    expect(paper.extraction).toMatchObject({ pages: 12, partial: false });
    expect(languages(paper)).toEqual(['fr', 'en']);
    expect(paper.text).toContain('Une façon d’assister l’analyse d’entrepôt de données repose sur l’exploitation et la fouille de fichiers logs de requêtes OLAP.');
    expect(paper.analysis.keywords.join(' ')).toMatch(/requêtes/);
    expect(paper.chunks.at(-1)?.pageEnd).toBe(12);
  });

  test.each(['layout-parser-paper-fast.pdf', 'copy-protected.pdf'])('%s: a paper; that it may not be copied keeps nobody from reading it', async (name) => {
    const paper = await file(name);
    expect(paper.extraction).toMatchObject({ pages: 2, partial: false });
    expect(paper.analysis.title).toBe('LayoutParser: A Unified Toolkit for Deep Learning Based Document Image Analysis');
    expect(paper.text).toContain('Recent advances in document image analysis (DIA) have been primarily driven by the application of neural networks.');
    expect(paper.text).not.toContain('\0');
  });

  test('a table of numbers alone', async () => {
    expect((await file('all-number-table.pdf')).text).toBe(
      ['| 200.01 | 1 |', '| --- | --- |', '| 400.01 | 3 |', '| 600.01 | 5 |', '| 800.01 | 7 |', '| 1000.01 | 9 |', '| 1200.01 | 11 |', '| 1400.01 | 13 |', '| 1600.01 | 15 |'].join('\n'),
    );
  });

  test('links and a numbered list', async () => {
    const links = await file('embedded-link.pdf');
    expect(links.of('paragraph')).toEqual(['This is the link.', 'This is the email.', 'This is the phone number.']);
    expect(links.of('list_item')).toEqual([expect.stringMatching(/^1\. This is to test the index where the list item was not captured correctly and the new line got detected as separate element\./), expect.stringMatching(/^2\. Now, what would happen/)]);
  });

  test('Korean in two columns, with tables and lists', async () => {
    const page = await file('korean-text-with-tables.pdf');
    expect(languages(page)).toEqual(['ko']);
    expect(page.text).toContain('| 할인점 | 이마트, 이마트 트레이더스, 롯데마트, 홈플러스 |');
    expect(page.text).toContain('* 할인점은 온라인몰도 포함되며, 기업형 슈퍼마켓(이마트 에브리데이, 홈플러스 익스프레스, 롯데슈퍼 등), 쇼핑 외 결제건 (상품권, 주차장 등), 임대매장은 제외');
    // The left column, then the right one.
    expect(page.text.indexOf('* 주유는 LPG충전소 포함')).toBeLessThan(page.text.indexOf('커피전문점·제과점·편의점'));
  });

  test('scans with the text that somebody recognised in them', async () => {
    const page = await file('a1977-backus-p21.pdf');
    expect(page.text).toContain('merely by defining new functions. It also permits one to write recursive functions without a definition.');
    expect(page.text.indexOf('We give one more example')).toBeLessThan(page.text.indexOf('In evaluating the last expression'));
    expect((await file('pdf-with-ocr-text.pdf')).text).toContain('to keep you posted on the progress of the Foundation');
  });

  test('broken ones: objects that are missing, a structure that others refuse, colours that do not exist', async () => {
    const booklet = await file('failure-after-repair.pdf');
    expect(booklet.extraction.pages).toBe(76);
    expect(booklet.text).toContain('Understanding Breast Cancer is reviewed approximately every two years. Check the publication date above to ensure this copy is up to date.');
    expect(booklet.chunks.at(-1)?.pageEnd).toBeGreaterThan(70);

    const report = await file('invalid-pdf-structure-pdfminer-one-page.pdf');
    expect(report.extraction).toMatchObject({ pages: 2, metadata: { author: expect.stringContaining('Government Accountability Office') as string, language: 'en-US' } });
    expect(report.text).toContain('Federal agencies and our nation’s critical infrastructure— such as energy, communications, and financial services— depend on technology systems to carry out fundamental operations');

    const climate = await file('pdf-bad-color-space.pdf');
    expect(climate.text).toContain('significant steps over the past two decades to minimize our own emissions. In 2021, we set our most ambitious goal yet: to achieve net-zero emissions across all of our operations and value chain by 2030.');
    expect(climate.text).toContain('Climate Change is unequivocal: climate change is an urgent threat to human well-being and the health of the planet.');
  });

  test('619 pages', async () => {
    const codex = await file('DA-619p.pdf');
    expect(codex.extraction).toMatchObject({ pages: 619, partial: false });
    expect(codex.text).toMatch(/^Table of Contents\n\nMAIN GAME\.+6\n\n/);
    expect(codex.chunks.at(-1)?.pageEnd).toBe(619);
    expect(languages(codex)[0]).toBe('en');
  });

  test('one that is encrypted opens with its password only', async () => {
    await fails('password.pdf', 'password_required');
    await fails('password.pdf', 'password_wrong', { password: 'guess' });
    expect((await file('password.pdf', { password: 'password' })).text).toBe('File with password');
    await expect(reader.validate({ path: path.join(CORPUS, 'password.pdf'), name: 'password.pdf' })).rejects.toMatchObject({ code: 'password_required' });
  });
});

describe('Office', () => {
  const TWO_LANGUAGES = 'Todos los seres humanos nacen libres e iguales en dignidad y derechos y, dotados como están de razón y conciencia, deben comportarse fraternalmente los unos con los otros.';

  test.each([
    ['docx', null], ['odt', null], ['rtf', null], ['html', null], ['md', null], ['pptx', 6],
  ])('one text in English and Spanish: %s', async (extension, pages) => {
    const document = await file(`eng_spa_mult.${extension}`);
    expect(document.extraction).toMatchObject({ pages, partial: false, warnings: [] });
    expect(document.text).toContain('All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.');
    expect(document.text).toContain(TWO_LANGUAGES);
    expect(languages(document)).toEqual(['en', 'es']);
    expect(document.analysis.languages[0]?.confidence).toBeGreaterThan(0.6);
  });

  test('a line of Latin, and who wrote it', async () => {
    expect(await file('fake.docx')).toMatchObject({ text: 'Lorem ipsum dolor sit amet.', extraction: { type: 'docx', metadata: { author: 'Mr. Miagi', created: '2013-12-23T23:15:00.000Z' } } });
  });

  test('tables: plain, one in the other, merged cells', async () => {
    expect((await file('docx-tables.docx')).text).toBe([
      'Simple uniform table', '| Header Col 1 | Header Col 2 |\n| --- | --- |\n| Lorem ipsum | A link example |',
      'Nested Table', '| a | >b< | c |\n| --- | --- | --- |\n| d | e f g&t h | i |\n| j | k | l |',
      'Table with merged cells', '| a | b |\n| --- | --- |\n|  | c | d |\n| e |  |',
    ].join('\n\n'));
  });

  test('tables whose rows lack cells', async () => {
    const { text, extraction } = await file('tables-with-incomplete-rows.docx');
    expect(extraction).toMatchObject({ tables: 6, partial: false });
    expect(text).toContain('| a |  | b | c |\n| --- | --- | --- | --- |\n| d |  |  |  |\n| e |  |  | f |');
    expect(text).toContain('| Data |\n| --- |\n|  | More |\n| Dato |');
  });

  test('a handbook of hundreds of pages, with headings, headers and footers', async () => {
    const handbook = await file('handbook-872p.docx');
    expect(handbook.extraction.partial).toBe(false);
    expect(handbook.text).toMatch(/^U\.S\. Department of Justice\n\nExecutive Office for United States Trustees\n\nHandbook for\n\nChapter 13\n\nStanding Trustees/);
    expect(handbook.of('heading')).toContain('CHAPTER 1 – INTRODUCTION');
    const deep = handbook.chunks.find(({ headings }) => headings.length >= 2);
    expect(deep?.headings[0]).toMatch(/^CHAPTER/);
    expect(handbook.analysis.words).toBeGreaterThan(120_000);
  });

  test('slides: pages, a table, and one that other readers refuse', async () => {
    expect(await file('fake-power-point-many-pages.pptx')).toMatchObject({ extraction: { pages: 2 }, blocks: [{ page: 1 }, { page: 2 }] });
    const table = await file('fake-power-point-table.pptx');
    expect(table.text).toBe('A Slide with a Table\n\n| Column 1 | Column 2 | Column 3 |\n| --- | --- | --- |\n| Red | Green | Blue |\n| Purple | Orange | Yellow |\n| Tangerine | Pink | Aqua |');
    expect(await file('fake-power-point-malformed.pptx')).toMatchObject({ extraction: { pages: 1, type: 'pptx' }, text: expect.stringContaining('Test Slide') as string });
  });
});

describe('sheets', () => {
  test.each(['stanley-cups.csv', 'stanley-cups-utf-16.csv'])('%s', async (name) => {
    expect(await file(name)).toMatchObject({
      extraction: { type: 'csv', tables: 1 },
      text: '| Stanley Cups |\n| --- |\n| Team | Location | Stanley Cups |\n| Blues | STL | 1 |\n| Flyers | PHI | 2 |\n| Maple Leafs | TOR | 13 |',
    });
  });

  test.each(['stanley-cups-with-emoji.csv', 'stanley-cups-with-emoji.tsv'])('%s', async (name) => {
    expect((await file(name)).text).toMatch(/\| Maple Leafs \| TOR \| 13 \|\n\| 👨.*🔧 \| TOR \| 15 \|$/u);
  });

  test('semicolons, commas in quotes, bars, a single column, long lines', async () => {
    expect((await file('semicolon-delimited.csv')).text).toMatch(/^\| Lorem, ipsum \| dolor sit \| amet \|\n\| --- \| --- \| --- \|\n\| consectetur \| adipiscing \| elit \|/);
    expect((await file('csv-with-escaped-commas.csv')).text).toContain('| A | A | A | A,A | A |');
    expect((await file('csv-with-line-delimiter.csv')).text).toBe('| col1 | col2 | col3 |\n| --- | --- | --- |\n| a | b | c |\n| d | e | f |\n| g | h | i |');
    expect((await file('single-column.csv')).text).toContain('| dolore; magna aliqua |');
    const long = await file('csv-with-long-lines.csv');
    expect(long.extraction.tables).toBe(1);
    expect(long.text).toContain('| SpearmanCorrelationCoefficient | 1Freq CD161CD8TfrequencyUnstim |');
  });

  test('workbooks: each sheet is a page with a heading and a table', async () => {
    const cups = await file('stanley-cups.xlsx');
    expect(cups.extraction).toMatchObject({ type: 'xlsx', pages: 2, tables: 2 });
    expect(cups.of('heading')).toEqual(['Stanley Cups', 'Stanley Cups Since 67']);
    expect(cups.blocks.at(-1)).toMatchObject({ page: 2, table: 2 });
    const years = await file('2023-half-year-analyses-by-segment.xlsx');
    expect(years.extraction.pages).toBe(5);
    expect(years.text).toMatch(/\| Nestlé Health Science \| 3318 \| 432 \| 372 \|/);
    expect(years.chunks.slice(1).some(({ tableHeader, headings }) => tableHeader !== undefined && headings.length === 1)).toBe(true);
    expect((await file('vodafone.xlsx')).text).toContain('Nine quarters to 30 June 2023');
    expect((await file('more-than-1k-cells.xlsx')).of('table_row').filter((row) => row === `| ${Array<string>(26).fill('x').join(' | ')} |`)).toHaveLength(40);
    expect((await file('emoji.xlsx')).text).toContain('| 🤠😅 |');
  });

  test('the legacy format of Excel 97', async () => {
    const questions = await file('tests-example.xls');
    expect(questions.extraction).toMatchObject({ type: 'xls', pages: 3 });
    expect(questions.text).toContain('| MAT | Match the lower-case greek letter with its capital form. | λ | Λ | α |');
    expect(questions.of('heading')).toEqual(['Example Test', 'Format Abbr.', 'Readme']);
  });

  test('without a cell there is no text; without its password nothing', async () => {
    await fails('empty.xlsx', 'no_text');
    await fails('password_protected.xlsx', 'password_required');
    await fails('password_protected.xlsx', 'password_wrong', { password: 'guess' });
  });
});

describe('web pages', () => {
  test('an annual report', async () => {
    const report = await file('example-10k.html');
    expect(report.text).toMatch(/^UNITED STATES\n\nSECURITIES AND EXCHANGE COMMISSION\n\nWashington, D\.C\. 20549\n\nFORM 10-K/);
    expect(report.text).toContain('| Title of each class | Trading symbol | Name of exchange on which registered |\n| --- | --- | --- |\n| Common stock | GLXZ | OTCQB marketplace |');
    expect(report.extraction.tables).toBeGreaterThan(30);
    const page = await file('example-10k-1p.html');
    expect(page.text).toContain('☐ TRANSITION REPORT PURSUANT TO SECTION 13 OR 15(d) OF THE SECURITIES EXCHANGE ACT OF 1934');
  });

  test('an article: no scripts; what is around it is told apart', async () => {
    const article = await file('example-with-scripts.html');
    expect(article.text).not.toMatch(/function\s*\(|jQuery|\{\s*display/);
    expect(article.analysis.title).toMatch(/^Russian Offensive Campaign Assessment, December 13/);
    const main = article.blocks.filter(({ aside }) => aside !== true).map(({ start, end }) => article.text.slice(start, end));
    expect(main.join('\n')).toContain('Belarusian forces remain unlikely to attack Ukraine despite a snap Belarusian military readiness check on December 13.');
    expect(main).not.toContain('• Publications');
    expect(article.text).toContain('• Publications');
  });

  test('a page in windows-1252', async () => {
    const page = await file('fake-html-cp1252.html');
    expect(page.text).toContain('Die schöne Frau hat einen Kaffee mit Kuchen gegessen. Sie sagte: "Das war köstlich!" und lächelte dabei. Der Preis betrug 15,50 €.');
    expect(page.of('heading')).toEqual(['My First Heading']);
  });
});

describe('texts', () => {
  test('a novel', async () => {
    const novel = await file('book-war-and-peace-1225p.txt');
    expect(novel.text).toContain('“Well, Prince, so Genoa and Lucca are now just family estates'.replaceAll('“', '"'));
    expect(novel.of('heading').filter((heading) => heading.includes('CHAPTER')).length).toBeGreaterThan(300);
    expect(novel.analysis).toMatchObject({ languages: [{ language: 'en' }], keywords: expect.arrayContaining(['Prince', 'Pierre']) as string[] });
    expect(novel.analysis.readingMinutes).toBeGreaterThan(2_000);
    expect(novel.chunks.length).toBeGreaterThan(700);
  });

  test('an article of human rights in hundreds of languages', async () => {
    const { text, analysis } = await file('UDHR_first_article_all.txt');
    for (const sentence of ['人人生而自由,在尊严和权利上一律平等。', 'All human beings are born free and equal in dignity and rights.', 'Все люди рождаются свободными и равными']) expect(text).toContain(sentence);
    expect(analysis.languages.length).toBeGreaterThan(5);
    expect(analysis.languages[0]?.confidence).toBeLessThan(0.6);
  });

  test.each(['fake-text-utf-16.txt', 'fake-text-utf-16-be.txt'])('%s', async (name) => {
    expect((await file(name)).text).toMatch(/^This is a test document to use for unit tests\.\s+Doylestown, PA 18901\s+Important points:\s+- Hamburgers are delicious\s+- Dogs are the best\s+- I love fuzzy blankets/);
  });

  test('Markdown in an encoding of another time', async () => {
    expect(await file('umlauts-non-utf8.md')).toMatchObject({ text: 'können\n\nkönnen\n\näöüß', blocks: [{ kind: 'heading', level: 2 }, {}, {}] });
  });

  test('nothing is no text, and an archive no document', async () => {
    await fails('empty.txt', 'no_text');
    await fails('simple.zip', 'unsupported_type');
  });
});

test('every file of the folder was looked at', () => {
  expect([...new Set(SEEN)].sort()).toEqual(readdirSync(CORPUS).filter((name) => name !== 'README.md').sort());
});
