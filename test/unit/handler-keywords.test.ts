import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fold, keywordMatcher } from '../../src/handlers/keywords.ts';

test('finds exactly the places that a plain search for whole words finds', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' ', '-'), minLength: 1, maxLength: 6 });
  fc.assert(fc.property(fc.array(word, { maxLength: 12 }), fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' ', '-', 'c'), maxLength: 40 }), (keywords, text) => {
    const found: number[] = keywords.map(() => 0);
    keywordMatcher(keywords)(text, (keyword) => void found[keyword]!++);
    const plain = keywords.map((keyword) => {
      const wanted = fold(keyword).trim();
      if (wanted === '') return 0;
      const isLetter = (character: string | undefined): boolean => character !== undefined && /[abcé]/.test(character);
      const inText = fold(text);
      let count = 0;
      for (let at = inText.indexOf(wanted); at !== -1; at = inText.indexOf(wanted, at + 1)) {
        const joinsLeft = isLetter(wanted[0]) && isLetter(inText[at - 1]);
        const joinsRight = isLetter(wanted.at(-1)) && isLetter(inText[at + wanted.length]);
        if (!joinsLeft && !joinsRight) count++;
      }
      return count;
    });
    expect(found).toEqual(plain);
  }), { numRuns: 2000 });
});

test('folding twice changes nothing more', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => {
    expect(fold(fold(text))).toBe(fold(text));
  }), { numRuns: 2000 });
});
