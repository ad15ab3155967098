/** Tokens by the encodings of language models. */
import type { TokenEncoding } from './document.ts';
import { wordStarts } from './token-words.ts';

/**
 * Signs, or spaces, in a row that are counted as one piece: the time of a byte pair encoder grows with the square of it,
 * and no language has such words. Longer runs are counted in pieces, which changes the sum by little.
 */
const LONGEST_RUN = 400;
const PIECES = new RegExp(`[^\\s]{1,${LONGEST_RUN}}|\\s{1,${LONGEST_RUN}}`, 'gu');
/** Of words whose tokens are remembered. */
const LONGEST_WORD = 40;
const MOST_WORDS = 100_000;

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
/** `count(text.slice(from, to))` of one text. */
export type CountWithin = (from: number, to: number) => number;

export async function tokenCounter(encoding: TokenEncoding): Promise<CountTokens> {
  const { countTokens } = await ENCODERS[encoding]();
  // Options are costly for texts of a sentence.
  const count = (text: string): number => (text.includes('<|') ? countTokens(text, AS_TEXT) : countTokens(text));
  const countInPieces = (word: string): number => {
    let sum = 0;
    let usual = '';
    for (const [piece] of word.matchAll(PIECES)) {
      if (piece.length < LONGEST_RUN) usual += piece;
      else {
        sum += count(usual) + count(piece);
        usual = '';
      }
    }
    return sum + count(usual);
  };
  return (text) => {
    if (!hasLongRun(text)) return count(text);
    let sum = 0;
    let from = 0;
    for (const to of [...wordStarts(text), text.length]) {
      sum += countInPieces(text.slice(from, to));
      from = to;
    }
    return sum;
  };
}

/** Counts every word of the text once: whatever is asked of its parts then is a difference, and a word at either end. */
export function countWithin(text: string, count: CountTokens): CountWithin {
  const starts = wordStarts(text);
  /** Tokens before each of them. */
  const before = new Uint32Array(starts.length);
  const known = new Map<string, number>();
  let sum = 0;
  let from = 0;
  for (let at = 0; at < starts.length; at++) {
    const to = starts[at]!;
    const word = text.slice(from, to);
    let tokens = word.length > LONGEST_WORD ? count(word) : known.get(word);
    if (tokens === undefined) {
      tokens = count(word);
      if (known.size < MOST_WORDS) known.set(word, tokens);
    }
    before[at] = sum += tokens;
    from = to;
  }
  return (begin, end) => {
    const first = firstFrom(starts, begin);
    const last = firstFrom(starts, end + 1) - 1;
    if (first >= last) return count(text.slice(begin, end));
    const [head, tail] = [starts[first]!, starts[last]!];
    return (head > begin ? count(text.slice(begin, head)) : 0) + before[last]! - before[first]! + (end > tail ? count(text.slice(tail, end)) : 0);
  };
}

/** Index of the first of the ascending numbers that is not below `least`. */
function firstFrom(numbers: Uint32Array, least: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (numbers[middle]! < least) low = middle + 1;
    else high = middle;
  }
  return low;
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
