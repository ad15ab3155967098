import { describe, expect, test } from 'vitest';
import { analyseText } from '../../src/documents/analyse.ts';
import type { Analysis, Block, DocumentMetadata, Extraction } from '../../src/documents/document.ts';
import { similarityOf, similaritySignature } from '../../src/documents/similarity.ts';
import { tokenCounter } from '../../src/documents/tokens.ts';

const count = await tokenCounter('o200k_base');

const EXTRACTION: Extraction = { type: 'text', mediaType: 'text/plain', metadata: {}, pages: null, characters: 0, mainCharacters: 0, blocks: 0, tables: 0, ocrPages: 0, partial: false, failedPages: [], warnings: [] };

function analysed(paragraphs: string[], metadata: DocumentMetadata = {}, headings: number[] = []): Analysis {
  const blocks: Block[] = [];
  let text = '';
  for (const [at, paragraph] of paragraphs.entries()) {
    if (text !== '') text += '\n\n';
    blocks.push({ kind: headings.includes(at) ? 'heading' : 'paragraph', start: text.length, end: text.length + paragraph.length, page: null });
    text += paragraph;
  }
  return analyseText(text, blocks, { ...EXTRACTION, metadata }, count);
}

const HUMAN_RIGHTS: Record<string, string> = {
  en: 'All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience and should act towards one another in a spirit of brotherhood.',
  de: 'Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt und sollen einander im Geist der Brüderlichkeit begegnen.',
  he: 'כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה.',
  ar: 'يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.',
  zh: '人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。',
  ru: 'Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в отношении друг друга в духе братства.',
  ja: 'すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。',
};

describe('languages', () => {
  test.each(Object.entries(HUMAN_RIGHTS))('%s', (language, text) => {
    const [first] = analysed([text]).languages;
    expect(first).toMatchObject({ language, share: 1 });
    expect(first!.confidence).toBeGreaterThan(0.4);
  });

  test('two in one text, by their share', () => {
    const { languages } = analysed([HUMAN_RIGHTS['en']!, HUMAN_RIGHTS['he']!, HUMAN_RIGHTS['en']!]);
    expect(languages.map(({ language }) => language)).toEqual(['en', 'he']);
    expect(languages.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 2);
  });

  test('a few words of another script between others, by their own', () => {
    const { languages } = analysed(['The yearly report of the company', 'תוצאות', 'The price is seven dollars', 'שלום עולם, המחיר הוא 25 ש"ח (USD 7).', 'and all of it was paid', '日本語のテキスト']);
    expect(languages.map(({ language }) => language)).toEqual(['en', 'he', 'ja']);
    expect(analysed([`${HUMAN_RIGHTS['ru']!} www.qzxkvw-bdtrpl.example`]).languages.map(({ language }) => language)).toEqual(['ru']);
  });

  test('numbers have none', () => {
    expect(analysed(['1 2 3 4 5 6 7 8 9']).languages).toEqual([]);
  });
});

describe('what is counted', () => {
  test('words, tokens, characters, minutes', () => {
    expect(analysed(['One two three.', "It's the mother-in-law."])).toMatchObject({ words: 6, characters: 39, readingMinutes: 1, tokens: count("One two three.\n\nIt's the mother-in-law.") });
    expect(analysed([Array.from({ length: 2_300 }, () => 'word').join(' ')]).readingMinutes).toBe(10);
    // Scripts that write no spaces: each sign is one.
    expect(analysed(['人人生而自由']).words).toBe(6);
  });

  test('the title: of the document, else of its first heading, else its first line', () => {
    expect(analysed(['First line\nsecond', 'A heading'], { title: 'Its title' }).title).toBe('Its title');
    expect(analysed(['First line', 'A heading'], { title: 'untitled' }, [1]).title).toBe('A heading');
    expect(analysed(['☐', 'First line\nsecond']).title).toBe('First line');
    expect(analysed(['word '.repeat(100)]).title).toHaveLength(200);
  });

  test('keywords are what the text is about, not what all texts have', () => {
    const { keywords } = analysed(Array.from({ length: 5 }, (_, at) => `The solar panels on roof ${at} feed the battery. When the battery is full, the solar panels feed the grid, and they will do so with the inverter.`));
    expect(keywords[0]).toMatch(/solar panels/i);
    expect(keywords).toContain('battery');
    for (const common of ['the', 'and', 'they', 'with', 'When']) expect(keywords).not.toContain(common);
  });
});

describe('similarity', () => {
  const text = Array.from({ length: 400 }, (_, at) => `word${(at * 7919) % 1_000}`).join(' ');
  const one = similaritySignature(text);

  test('of a text to itself, whatever its case and spaces', () => {
    expect(similarityOf(one.minhash, similaritySignature(text.toUpperCase().replaceAll(' ', '\n  ')).minhash)).toBe(1);
  });

  test('of a text with a few words changed: near, and a band is shared', () => {
    const other = similaritySignature(text.split(' ').map((word, at) => (at % 80 === 0 ? 'changed' : word)).join(' '));
    expect(similarityOf(one.minhash, other.minhash)).toBeGreaterThan(0.75);
    expect(one.bands.some((band) => other.bands.includes(band))).toBe(true);
  });

  test('of another text: none', () => {
    const other = similaritySignature(Array.from({ length: 400 }, (_, at) => `other${at}`).join(' '));
    expect(similarityOf(one.minhash, other.minhash)).toBeLessThan(0.05);
    expect(one.bands.some((band) => other.bands.includes(band))).toBe(false);
  });

  test('a long text is looked at in part, the same part always', () => {
    const long = Array.from({ length: 300_000 }, (_, at) => `w${(at * 7919) % 250_007}`);
    const changed = long.with(1_000, 'x').with(200_000, 'y');
    expect(similarityOf(similaritySignature(long.join(' ')).minhash, similaritySignature(changed.join(' ')).minhash)).toBeGreaterThan(0.95);
  });

  test('of nothing to nothing: none', () => {
    expect(similaritySignature(' … ')).toEqual({ minhash: '', bands: [] });
    expect(similarityOf('', '')).toBe(0);
  });
});
