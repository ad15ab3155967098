import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { searchTerms, searchText } from '../../src/domain/search-text.ts';

const words = (text: string): string[] => searchText({ text }, null).split(' ').filter(Boolean);

describe('the searchable text of a row', () => {
  it('holds the cells and what the output adds, numbers and ids among them', () => {
    expect(searchText({ id: 'AB-123', amount: 12.5, paid: true, none: null }, { id: 'AB-123', amount: '12.5', tags: ['New', { by: 'Ann' }], score: 7, none: null }).trim())
      .toBe('ab 123 12 5 new ann 7');
    expect(searchText({ a: 'x' }, 'plain output').trim()).toBe('x plain output');
    expect(searchText({ a: 'x' }, ['list', 3]).trim()).toBe('x list 3');
    expect(searchText({ constructor: 'x' }, { toString: 'y' }).trim()).toBe('x y');
  });

  it.each([
    ['accents', 'Zoë ÉTÉ Łódź', ['zoe', 'ete', 'łodz']],
    ['compatibility forms', 'ﬁnance ＡＢＣ １２', ['finance', 'abc', '12']],
    ['capitals of other scripts', 'ПРИВЕТ ΑΘΉΝΑ', ['привет', 'αθηνα']],
    ['niqqud', 'שָׁלוֹם', ['שלום', '·', 'לום', '·']],
    ['Hebrew prefixes', 'והבית הים', ['והבית', 'הים', '·', 'הבית', 'בית', '·', 'ים', '·']],
    ['abbreviations', 'צה"ל', ['צהל']],
    ['short Hebrew words', 'של בא', ['של', 'בא']],
    ['final letters', 'ΘΕΌΣ', ['θεοσ']],
    ['Arabic vowel signs', 'مُحَمَّد', ['محمد']],
    ['vowels that are marks', 'हिन्दी', ['हिन्दी']],
    ['Chinese', '中国人', ['中', '国', '人', '·', '中国', '国人']],
    ['Chinese beside Latin', 'A股100', ['a', '股', '100']],
    ['Japanese voiced marks', 'ガ', ['ガ']],
    ['Korean', '인간', ['인', '간', '·', '인간']],
    ['punctuation', 'a.b,c;d—e', ['a', 'b', 'c', 'd', 'e']],
    ['emoji', 'good 👍 day', ['good', 'day']],
  ])('normalises %s', (_, text, expected) => {
    expect(words(text)).toEqual(expected);
  });

  it('is bounded, in whole and by word, and cut between words', () => {
    const long = words('word '.repeat(100_000));
    expect(long.join(' ').length).toBeLessThanOrEqual(20_000);
    expect(new Set(long)).toEqual(new Set(['word']));
    expect(words('中'.repeat(50_000)).join(' ').length).toBeLessThanOrEqual(20_000);
    expect(words('x'.repeat(1_000))).toEqual(['x'.repeat(64)]);
    expect(words(`é${'x'.repeat(1_000)}`)).toEqual([`e${'x'.repeat(63)}`]);
    expect(searchText({ text: 'x'.repeat(1e6) }, { deep: [['y'.repeat(1e6)], 'z'.repeat(1e6)] }).length).toBeLessThanOrEqual(20_000);
  });

  it('holds letters, digits and marks only, beside its own dot, whatever the row holds', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const word of words(text)) expect(word).toMatch(/^([\p{L}\p{N}\p{M}]+|·)$/u);
    }));
  });

  it('is the same for a text that is plain ASCII and for one that is not', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      expect(words(`${text} é`)).toEqual([...words(text), 'e']);
    }));
  });
});

describe('the terms of a query', () => {
  const all = (query: string) => searchTerms(query).all;

  it('are the words, with stems as alternatives for Hebrew and pairs for scripts without spaces', () => {
    expect(all('Grand HOTEL')).toEqual([[['grand']], [['hotel']]]);
    expect(all('e-mail')).toEqual([[['e']], [['mail']]]);
    expect(all('והבית')).toEqual([[['והבית'], ['הבית'], ['בית']]]);
    expect(all('הים')).toEqual([[['הים']]]);
    expect(all('中国人')).toEqual([[['中国']], [['国人']]]);
    expect(all('中')).toEqual([[['中']]]);
  });

  it('are phrases within quotes of any kind, and words where a quote is none', () => {
    expect(all('"Grand Hotel" Lisbon')).toEqual([[['grand', 'hotel']], [['lisbon']]]);
    expect(all('“Grand Hotel” «Lisboa»')).toEqual([[['grand', 'hotel']], [['lisboa']]]);
    expect(all('"中国 2024"')).toEqual([[['中', '国', '2024']]]);
    expect(all('"צה"ל הודיע"')).toEqual([[['צהל', 'הודיע']]]);
    expect(all('צה"ל ומע"מ')).toEqual([[['צהל']], [['ומעמ'], ['מעמ']]]);
    expect(all('"grand hotel')).toEqual([[['grand']], [['hotel']]]);
    expect(all('5" pipe')).toEqual([[['5']], [['pipe']]]);
  });

  it('are left out after a minus', () => {
    expect(searchTerms('hotel -grand -"old town" -e-mail -הבית -中国人').none).toEqual([[['grand']], [['old', 'town']], [['e', 'mail']], [['הבית'], ['בית']], [['中', '国', '人']]]);
    expect(searchTerms('hotel - grand well-known').none).toEqual([]);
  });

  it.each([['', 'no word'], [' "*-() ', 'no word'], ['-hotel', 'only says what to leave out'], ['w '.repeat(33), 'more than 32 words'], [`"${'w '.repeat(33)}"`, 'more than 32 words'],
    ['x'.repeat(501), 'longer than 500'], ['中'.repeat(100), 'more than 32 words']])('refuse %j', (query, message) => {
    expect(() => searchTerms(query)).toThrow(expect.objectContaining({ code: 'invalid_query', message: expect.stringContaining(message) }));
  });

  it('find every text that holds the query, as words and as a phrase', () => {
    const inText = (indexed: string[], phrase: string[]) => indexed.some((_, at) => phrase.every((word, n) => indexed[at + n] === word));
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
      const query = text.replaceAll(/["“”„«»-]/g, ' ');
      const indexed = words(`before ${query} and more`);
      for (const clause of [...all(`${query} more`), ...all(`"${query} and"`)]) {
        expect(clause.some((phrase) => inText(indexed, phrase))).toBe(true);
      }
    }));
  });
});
