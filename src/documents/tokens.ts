/** Tokens by the encodings of language models. */
import type { TokenEncoding } from './document.ts';

/**
 * Signs, or spaces, in a row that are counted as one piece: the time of a byte pair encoder grows with the square of it,
 * and no language has such words. Longer runs are counted in pieces, which changes the sum by little.
 */
const LONGEST_RUN = 400;
const PIECES = new RegExp(`[^\\s]{1,${LONGEST_RUN}}|\\s{1,${LONGEST_RUN}}`, 'gu');

/** Words such as `<|endoftext|>` mean something to a model; here they are text. */
const AS_TEXT = { disallowedSpecial: new Set<string>() };

interface Encoder {
  countTokens(text: string, options?: typeof AS_TEXT): number;
}

const ENCODERS: Record<TokenEncoding, () => Promise<Encoder>> = {
  o200k_base: () => import('gpt-tokenizer/encoding/o200k_base'),
  o200k_harmony: () => import('gpt-tokenizer/encoding/o200k_harmony'),
  cl100k_base: () => import('gpt-tokenizer/encoding/cl100k_base'),
  p50k_base: () => import('gpt-tokenizer/encoding/p50k_base'),
  p50k_edit: () => import('gpt-tokenizer/encoding/p50k_edit'),
  r50k_base: () => import('gpt-tokenizer/encoding/r50k_base'),
};

export type CountTokens = (text: string) => number;

export async function tokenCounter(encoding: TokenEncoding): Promise<CountTokens> {
  const { countTokens } = await ENCODERS[encoding]();
  // Options are costly for texts of a sentence.
  const count = (text: string): number => (text.includes('<|') ? countTokens(text, AS_TEXT) : countTokens(text));
  return (text) => {
    if (!hasLongRun(text)) return count(text);
    let sum = 0;
    let usual = '';
    for (const [piece] of text.matchAll(PIECES)) {
      if (piece.length < LONGEST_RUN / 2) usual += piece;
      else {
        sum += count(usual) + count(piece);
        usual = '';
      }
    }
    return sum + count(usual);
  };
}

/** Looks at a few characters of every run's length only: the last one, and back from it to where the run breaks. */
function hasLongRun(text: string): boolean {
  for (let start = 0; start + LONGEST_RUN <= text.length;) {
    let at = start + LONGEST_RUN - 1;
    const space = isSpace(text, at);
    while (at > start && isSpace(text, at - 1) === space) at -= 1;
    if (at === start) return true;
    start = at;
  }
  return false;
}

const isSpace = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at);
  return code === 32 || (code >= 9 && code <= 13) || (code >= 0xa0 && /\s/.test(text[at]!));
};
