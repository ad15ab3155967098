import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { queryTerms, searchText } from '../../src/domain/search-text.ts';

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
    ['niqqud', 'שָׁלוֹם', ['שלום', 'לום']],
    ['Hebrew prefixes', 'והבית', ['והבית', 'הבית', 'בית']],
    ['abbreviations', 'צה"ל', ['צהל']],
    ['short Hebrew words', 'של בא', ['של', 'בא']],
    ['Arabic vowel signs', 'مُحَمَّد', ['محمد']],
    ['vowels that are marks', 'हिन्दी', ['हिन्दी']],
    ['Chinese', '中国人', ['中', '国', '人', '中国', '国人']],
    ['Chinese beside Latin', 'A股100', ['a', '股', '100']],
    ['Japanese voiced marks', 'ガ', ['ガ']],
    ['Korean', '인간', ['인', '간', '인간']],
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

  it('holds letters, digits and marks only, whatever the row holds', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const word of words(text)) expect(word).toMatch(/^[\p{L}\p{N}\p{M}]+$/u);
    }));
  });

  it('is the same for a text that is plain ASCII and for one that is not', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      expect(words(`${text} é`)).toEqual([...words(text), 'e']);
    }));
  });
});

describe('the terms of a query', () => {
  it('are the words, with stems as alternatives for Hebrew and pairs for scripts without spaces', () => {
    expect(queryTerms('Grand HOTEL')).toEqual([['grand'], ['hotel']]);
    expect(queryTerms('והבית')).toEqual([['והבית', 'הבית', 'בית']]);
    expect(queryTerms('הים')).toEqual([['הים']]);
    expect(queryTerms('中国人')).toEqual([['中国'], ['国人']]);
    expect(queryTerms('中')).toEqual([['中']]);
    expect(queryTerms(' "*-() ')).toEqual([]);
    expect(queryTerms('w '.repeat(1_000))).toHaveLength(32);
  });

  it('find every text that holds the query', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (query) => {
      const indexed = new Set(words(`${query} and more`));
      for (const alternatives of queryTerms(query)) expect(alternatives.some((term) => indexed.has(term))).toBe(true);
    }));
  });
});
