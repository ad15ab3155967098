import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunkText } from '../../src/documents/chunk.ts';
import { TOKEN_ENCODINGS, type Block, type BlockKind, type Chunk, type ChunkOptions } from '../../src/documents/document.ts';
import { countWithin, tokenCounter } from '../../src/documents/tokens.ts';

const count = await tokenCounter('o200k_base');

interface Piece {
  kind?: BlockKind;
  text: string;
  level?: number;
  table?: number;
  header?: boolean;
  page?: number;
  aside?: boolean;
}

function document(pieces: readonly Piece[]): { text: string; blocks: Block[] } {
  let text = '';
  const blocks: Block[] = [];
  for (const { text: piece, kind = 'paragraph', page = null, ...more } of pieces) {
    if (text !== '') text += kind === 'table_row' && blocks.at(-1)?.kind === 'table_row' ? '\n' : '\n\n';
    blocks.push({ kind, start: text.length, end: text.length + piece.length, page, ...more });
    text += piece;
  }
  return { text, blocks };
}

function chunked(pieces: readonly Piece[], options: ChunkOptions = {}): Chunk[] {
  const { text, blocks } = document(pieces);
  return [...chunkText(text, blocks, options, count)];
}

const sentences = (times: number, from = 0): string => Array.from({ length: times }, (_, at) => `Sentence number ${from + at} says something of its own.`).join(' ');

describe('of any text', () => {
  const piece = fc.oneof(
    { weight: 4, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 }) },
    { weight: 2, arbitrary: fc.lorem({ maxCount: 30, mode: 'sentences' }) },
    { weight: 1, arbitrary: fc.constantFrom('👨‍👩‍👧‍👦'.repeat(40), 'שלום עולם. '.repeat(60), '人人生而自由，在尊严和权利上一律平等。'.repeat(20), 'a'.repeat(3_000), 'e\u0301'.repeat(500), '🇮🇱🇩🇪🇯🇵'.repeat(50), ' '.repeat(900), '<|endoftext|> <|fim_prefix|>') },
  );
  const blocks = fc.array(fc.record({
    text: piece.map((text) => text.toWellFormed().replace(/\r/g, '')).filter((text) => text.trim() !== ''),
    kind: fc.constantFrom<BlockKind>('paragraph', 'heading', 'list_item', 'table_row', 'code'),
  }), { minLength: 1, maxLength: 12 }).map((pieces) => pieces.map((one, at) => (one.kind === 'table_row' ? { ...one, table: 1 + Math.floor(at / 4), header: at % 4 === 0 } : one)));
  const options = fc.integer({ min: 24, max: 400 }).chain((size) => fc.record({ size: fc.constant(size), overlap: fc.integer({ min: 0, max: Math.floor(size / 2) }) }));

  test('every character is in a chunk, offsets reproduce it, tokens are counted and kept to, no character is cut', () => {
    const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });
    fc.assert(fc.property(blocks, options, (pieces, { size, overlap }) => {
      const { text, blocks: made } = document(pieces);
      const chunks = [...chunkText(text, made, { size, overlap }, count)];
      const boundaries = new Set([text.length, ...Array.from(segmenter.segment(text), ({ index }) => index)]);
      let reached = 0;
      let begun = -1;
      for (const [index, chunk] of chunks.entries()) {
        expect(chunk.index).toBe(index);
        expect(chunk.text).toBe(text.slice(chunk.start, chunk.end));
        expect(chunk.text.isWellFormed()).toBe(true);
        expect(chunk.tokens).toBe(count(chunk.text));
        expect(chunk.start).toBeLessThanOrEqual(reached);
        expect(chunk.start).toBeGreaterThan(begun);
        expect(chunk.end).toBeGreaterThan(reached);
        expect(boundaries.has(chunk.start) && boundaries.has(chunk.end)).toBe(true);
        // More only where a single character has more.
        if (chunk.tokens > size) expect([...segmenter.segment(chunk.text)].length).toBeLessThanOrEqual(2);
        if (chunk.start < reached) expect(count(text.slice(chunk.start, reached))).toBeLessThanOrEqual(overlap + 4);
        [reached, begun] = [chunk.end, chunk.start];
      }
      expect(reached).toBe(text.length);
    }), { numRuns: 150, seed: 6 });
  });

  test('it is the same whenever it is done', () => {
    fc.assert(fc.property(blocks, options, (pieces, settings) => {
      expect(chunked(pieces, settings)).toEqual(chunked(pieces, settings));
    }), { numRuns: 30, seed: 7 });
  });
});

describe('where it is cut', () => {
  test('before a heading, rather than at the end of a sentence', () => {
    const chunks = chunked([{ text: sentences(12) }, { kind: 'heading', level: 1, text: 'The second part' }, { text: sentences(20, 12) }], { size: 200, overlap: 0 });
    expect(chunks[1]?.text).toMatch(/^The second part\n\nSentence number 12/);
    expect(chunks.map(({ headings }) => headings)).toEqual([[], ...chunks.slice(1).map(() => ['The second part'])]);
  });

  test('before a paragraph, rather than in it; before a sentence, rather than in it', () => {
    const paragraphs = Array.from({ length: 8 }, (_, at) => ({ text: sentences(4, at * 4) }));
    for (const { text } of chunked(paragraphs, { size: 120, overlap: 0 })) expect(text).toMatch(/^Sentence number (0|4|8|12|16|20|24|28) /);
    for (const { text } of chunked([{ text: sentences(100) }], { size: 120, overlap: 30 })) expect(text).toMatch(/^Sentence number \d+ says/);
  });

  test('a heading never stands at the end of a chunk alone', () => {
    const chapters = Array.from({ length: 30 }, (_, at): Piece[] => [{ kind: 'heading', level: 2, text: `Chapter ${at}` }, { text: sentences(3, at * 3) }]).flat();
    for (const { text } of chunked(chapters, { size: 100, overlap: 20 })) expect(text).not.toMatch(/Chapter \d+\n*$/);
  });

  test('neighbours repeat whole sentences, about as much as was asked for', () => {
    const chunks = chunked([{ text: sentences(200) }], { size: 240, overlap: 60 });
    for (const [at, { start, text }] of chunks.slice(1).entries()) {
      const repeated = text.slice(0, chunks[at]!.end - start);
      expect(repeated).toMatch(/^Sentence number/);
      expect(count(repeated)).toBeGreaterThanOrEqual(30);
      expect(count(repeated)).toBeLessThanOrEqual(62);
    }
  });

  test('by default 1,200 tokens and 200 of them again', () => {
    const chunks = chunked([{ text: sentences(600) }]);
    expect(chunks.length).toBeGreaterThan(5);
    for (const { tokens } of chunks.slice(0, -1)) expect(tokens).toBeGreaterThan(0.8 * 1_200);
  });
});

describe('what a chunk knows', () => {
  test('its pages, and the headings above it', () => {
    const chunks = chunked([
      { kind: 'heading', level: 1, text: 'Part', page: 1 }, { kind: 'heading', level: 2, text: 'Chapter', page: 1 }, { text: sentences(10), page: 1 },
      { text: sentences(10, 10), page: 2 }, { kind: 'heading', level: 2, text: 'Another', page: 3 }, { text: sentences(10, 20), page: 3 },
    ], { size: 150, overlap: 0 });
    expect(chunks[0]).toMatchObject({ pageStart: 1, headings: ['Part', 'Chapter'] });
    expect(chunks.at(-1)).toMatchObject({ pageEnd: 3, headings: ['Part', 'Another'] });
    expect(chunks.find(({ text }) => text.includes('Sentence number 12 '))).toMatchObject({ pageEnd: 2 });
  });

  test('rows of a table stay whole, and those that follow have its header', () => {
    const rows = Array.from({ length: 60 }, (_, at): Piece => ({ kind: 'table_row', table: 1, text: `| Row ${at} | ${'value '.repeat(5)}|` }));
    const header: Piece[] = [{ kind: 'table_row', table: 1, header: true, text: '| Name | Value |' }, { kind: 'table_row', table: 1, header: true, text: '| --- | --- |' }];
    const chunks = chunked([{ text: 'Before.' }, ...header, ...rows], { size: 150, overlap: 30 });
    expect(chunks.length).toBeGreaterThan(4);
    for (const [at, { text, tokens, tableHeader }] of chunks.entries()) {
      for (const line of text.trimEnd().split('\n').filter((one) => one.startsWith('|'))) expect(line).toMatch(/^\|.*\|$/);
      expect(tableHeader).toBe(at === 0 ? undefined : '| Name | Value |\n| --- | --- |');
      expect(tokens + count(tableHeader ?? '')).toBeLessThanOrEqual(150);
    }
  });

  test('only the main text, where only that is wanted', () => {
    const pieces: Piece[] = [{ text: 'Menu', aside: true }, { text: sentences(3) }, { text: 'Advertisement', aside: true }, { text: sentences(3, 3) }];
    const main = chunked(pieces, { mainOnly: true });
    expect(main.map(({ text }) => text).join(' ')).not.toMatch(/Menu|Advertisement/);
    expect(main.map(({ index }) => index)).toEqual([0, 1]);
    expect(chunked(pieces)[0]?.text).toContain('Advertisement');
  });
});

describe('tokens', () => {
  test.each(TOKEN_ENCODINGS)('by the encoding %s', async (encoding) => {
    const counts = await tokenCounter(encoding);
    expect(counts('hello world')).toBe(2);
    expect(counts('<|endoftext|>')).toBeGreaterThan(1);
    expect(counts('')).toBe(0);
  });

  test.each(TOKEN_ENCODINGS)('of any part of a text, by the encoding %s', async (encoding) => {
    const counts = await tokenCounter(encoding);
    const piece = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constantFrom(' word', ' ', '\n\n', ", it's", '.\n', '，在', '1234', ' …', 'x'.repeat(450), '👍🏽', 'e\u0301', ' <|endoftext|>'));
    fc.assert(fc.property(fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')), fc.nat(), fc.nat(), (text, one, other) => {
      const [from, to] = [one % (text.length + 1), other % (text.length + 1)].sort((a, b) => a - b) as [number, number];
      expect(countWithin(text, counts)(from, to)).toBe(counts(text.slice(from, to)));
    }), { numRuns: 150, seed: 6 });
  });

  test('of a word of a million letters, and of as many spaces', () => {
    expect(count('a'.repeat(1_000_000))).toBeGreaterThan(100_000);
    expect(count(' '.repeat(1_000_000))).toBeGreaterThan(1_000);
  });

  test.each([{ size: 10 }, { size: 1.5 }, { size: 200_000 }, { size: 100, overlap: 51 }, { overlap: -1 }])('settings that cannot be: %j', (options) => {
    expect(() => chunked([{ text: 'x' }], options)).toThrow(expect.objectContaining({ code: 'invalid_options' }) as Error);
  });
});
