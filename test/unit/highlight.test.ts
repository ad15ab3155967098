import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Json, RowInput } from '../../src/contracts/row.ts';
import { highlights, tokensOf } from '../../src/domain/highlight.ts';
import { searchTerms, searchText } from '../../src/domain/search-text.ts';

/** Each fragment as `name: text` with the marked parts in brackets. */
const marked = (query: string, input: RowInput, output: Json = null): string[] =>
  highlights(input, output, searchTerms(query)).map(({ name, parts }) => `${name}: ${parts.map(({ text, match }) => (match ? `[${text}]` : text)).join('')}`);
const inText = (query: string, text: string): string => marked(query, { t: text })[0] ?? '';

describe('highlights', () => {
  it.each([
    ['words as they stand in the cell', 'hotel GRAND', 'The Grand Hotel, and a grand-hotel', 't: The [Grand] [Hotel], and a [grand]-[hotel]'],
    ['numbers and ids', 't 1001', 'T-1001', 't: [T]-[1001]'],
    ['whole words only', 'art', 'art party', 't: [art] party'],
    ['accents and compatibility forms', 'zoe finance', 'Zoë, Zoe\u0308 and ﬁnance', 't: [Zoë], [Zoe\u0308] and [ﬁnance]'],
    ['capitals whose small letters depend on the place', 'ΟΔΟΣ', 'Οδός', 't: [Οδός]'],
    ['pointed Hebrew', 'שלום', 'שָׁלוֹם עולם', 't: [שָׁלוֹם] עולם'],
    ['prefixed Hebrew', 'חשבונית', 'והחשבונית לירושלים', 't: [והחשבונית] לירושלים'],
    ['abbreviations', 'צהל', 'אמר צה"ל היום', 't: אמר [צה"ל] היום'],
    ['Chinese runs', '中国人', '我是中国人。', 't: 我是[中国人]。'],
    ['a single character', '京', '東京都', 't: 東[京]都'],
    ['scripts side by side', '2024 東京', '東京2024年', 't: [東京2024]年'],
    ['half-width voiced marks', 'バス', 'ﾊﾞｽ停', 't: [ﾊﾞｽ]停'],
    ['Korean written as jamo', '인간', '인간은'.normalize('NFD'), `t: [${'인간'.normalize('NFD')}]${'은'.normalize('NFD')}`],
    ['characters beyond the first plane', 'wine', '🍷🍷 wine 👩‍👩‍👧', 't: 🍷🍷 [wine] 👩‍👩‍👧'],
    ['phrases, and their words nowhere else', '"old hotel"', 'hotel old hotel old', 't: hotel [old hotel] old'],
    ['nothing of what is left out', 'wine -red', 'wine', 't: [wine]'],
  ])('mark %s', (_, query, text, expected) => {
    expect(inText(query, text)).toBe(expected);
  });

  it('name the cell or the place in the output, those first that answer most of the query', () => {
    const input = { id: 7, name: 'old hotel', note: 'an old grand hotel', city: 'Rome', same: 'old' };
    expect(marked('old grand hotel', input, { same: 'old', more: { labels: ['x', 'old'] }, list: ['y'] }))
      .toEqual(['note: an [old] [grand] [hotel]', 'name: [old] [hotel]', 'same: [old]']);
    expect(marked('labelled', {}, { labels: ['x', 'labelled'] })).toEqual(['labels.1: [labelled]']);
    expect(highlights({}, 'a plain answer', searchTerms('plain'))[0]).toMatchObject({ in: 'output', name: '' });
    expect(marked('7', input)).toEqual(['id: [7]']);
    expect(marked('absent', input)).toEqual([]);
  });

  it('show the part of a long text that answers most of the query, cut between words', () => {
    const far = `${'filler wine '.repeat(40)}${'word '.repeat(60)}red wine from Lisbon ${'word '.repeat(60)}`;
    const shown = inText('red wine lisbon', far);
    expect(shown).toMatch(/^t: …(word )+\[red\] \[wine\] from \[Lisbon\] (word )+…$/);
    expect(shown.length).toBeLessThan(200);
    expect(inText('word', 'word '.repeat(1_000)).length).toBeLessThan(400);
  });

  it('are found in the first 20,000 characters of a row, as what is indexed', () => {
    expect(marked('end', { a: 'x'.repeat(19_000), b: `${'y '.repeat(5_000)}end` })).toEqual([]);
    expect(marked('end', { a: 'x'.repeat(19_000), b: 'end' })).toEqual(['b: [end]']);
  });

  it('split a text into the words that are indexed of it, each where the text has it', () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.stringMatching(/^[א-תA-zé"׳ \u05b0ﾊﾞ中한Σς]*$/)), (text) => {
      const indexed = searchText({ text }, null).split(' ').filter(Boolean);
      const end = indexed.indexOf('·');
      expect(tokensOf(text).map(({ word }) => word)).toEqual(end === -1 ? indexed : indexed.slice(0, end));
      for (const { start, end: last } of tokensOf(text)) expect(last).toBeGreaterThan(start);
    }), { numRuns: 500 });
  });

  it('are made of the text, whatever it holds', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 400 }), (text) => {
      const around = `${text} wine ${text}`;
      const [highlight] = highlights({ t: around }, null, searchTerms('wine'));
      const shown = highlight!.parts.map((part) => part.text).join('');
      const inner = shown.slice(shown.startsWith('…') && !around.startsWith(shown[0]!) ? 1 : 0, shown.endsWith('…') && !around.endsWith('…') ? -1 : undefined);
      expect(around).toContain(inner.replace(/^…|…$/g, ''));
      expect(highlight!.parts.some((part) => part.match && part.text.toLowerCase().normalize('NFKC').includes('wine'))).toBe(true);
    }));
  });
});
