/**
 * What full text search sees of a row, and of a query: the same words for every store, separated by spaces.
 * NFKC, lower case, accents and niqqud stripped; Hebrew words also without their one-letter prefixes; scripts that
 * write no spaces as single characters and pairs of neighbours; numbers and ids as they are. Words hold letters, digits
 * and marks only, so a store's own tokenizer has nothing left to decide: split at spaces (and at ASCII punctuation).
 */
import type { Json, RowInput } from '../contracts/row.ts';

/** Characters of text indexed of one row; what follows is not found. */
const MAX_TEXT = 20_000;
/** Characters of a word that count; two longer words with the same beginning are the same word. */
const MAX_WORD = 64;
/** Words of a query that count. */
const MAX_QUERY_WORDS = 32;

// Accents, niqqud, Arabic vowel signs. Not every mark: in Indic scripts marks are vowels, and two Japanese ones make another letter.
const ACCENTS = /[[[\p{Script=Inherited}\p{Script=Hebrew}\p{Script=Arabic}]&&\p{Mn}]--[\u3099\u309a]]/gv;
// The quote inside of an abbreviation as צה"ל is part of the word.
const QUOTE_IN_HEBREW = /(?<=[א-ת])["'׳״](?=[א-ת])/g;
const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const UNSPACED_RUN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]+/gu;
const UNSPACED = new RegExp(UNSPACED_RUN.source, 'u');
const HEBREW = /^[א-ת]{3,}$/;
const NOT_ASCII = /[^\x00-\x7f]/;
const NOT_ASCII_WORD = /[^a-z0-9 ]+/g;
const LONG_ASCII_WORDS = new RegExp(`([a-z0-9]{${MAX_WORD}})[a-z0-9]+`, 'g');

const HEBREW_PREFIXES = new Set('והבלמשכ');
const HEBREW_PREFIX_PAIRS = new Set(['וה', 'וב', 'ול', 'ומ', 'וש', 'וכ', 'שה', 'שב', 'של', 'שמ', 'שכ', 'מה', 'כש', 'בש', 'לכ', 'מש']);

/** The word without its prefixes, longest first; `shortest` letters must remain, and three of a pair: else most are chance. */
function hebrewStems(word: string, shortest: number): string[] {
  if (!HEBREW.test(word)) return [];
  const stems: string[] = [];
  if (HEBREW_PREFIXES.has(word[0] ?? '') && word.length - 1 >= shortest) stems.push(word.slice(1));
  if (HEBREW_PREFIX_PAIRS.has(word.slice(0, 2)) && word.length - 2 >= 3) stems.push(word.slice(2));
  return stems;
}

const normalized = (text: string): string =>
  text.normalize('NFKD').toLowerCase().replace(ACCENTS, '').normalize('NFC').replace(QUOTE_IN_HEBREW, '');

/** Single characters and pairs of a run without spaces; pairs alone where a query has one, because they say more. */
function unspacedTerms(run: string, singles: boolean): string[] {
  const characters = [...run];
  const pairs = characters.slice(1).map((character, index) => `${characters[index]}${character}`);
  return singles || pairs.length === 0 ? [...characters, ...pairs] : pairs;
}

/** Splits a word at the borders of scripts without spaces: 東京2024 is 東京 and 2024. */
function pieces(word: string): { text: string; unspaced: boolean }[] {
  if (!UNSPACED.test(word)) return [{ text: word, unspaced: false }];
  const found: { text: string; unspaced: boolean }[] = [];
  let end = 0;
  for (const run of word.matchAll(UNSPACED_RUN)) {
    if (run.index > end) found.push({ text: word.slice(end, run.index), unspaced: false });
    found.push({ text: run[0], unspaced: true });
    end = run.index + run[0].length;
  }
  if (end < word.length) found.push({ text: word.slice(end), unspaced: false });
  return found;
}

/** A loop: four times as fast as a pattern, for every row. */
function hasLongWord(words: string): boolean {
  for (let start = 0, end = 0; end !== words.length; start = end + 1) {
    end = words.indexOf(' ', start);
    if (end === -1) end = words.length;
    if (end - start > MAX_WORD) return true;
  }
  return false;
}

/** Words of any text as they are indexed. */
function indexedWords(text: string): string {
  if (!NOT_ASCII.test(text)) {
    const words = text.toLowerCase().replace(NOT_ASCII_WORD, ' ');
    return hasLongWord(words) ? words.replace(LONG_ASCII_WORDS, '$1') : words;
  }
  const terms: string[] = [];
  for (const [word] of normalized(text).matchAll(WORD)) {
    for (const piece of pieces(word)) {
      if (piece.unspaced) terms.push(...unspacedTerms(piece.text, true));
      else {
        const cut = piece.text.slice(0, MAX_WORD);
        terms.push(cut, ...hebrewStems(cut, 2));
      }
    }
  }
  return terms.join(' ');
}
/** Strings and numbers in a value, as deep as it goes. */
function gathered(value: Json): string {
  if (typeof value === 'string' || typeof value === 'number') return `${value} `;
  if (value === null || typeof value !== 'object') return '';
  let text = '';
  for (const entry of Array.isArray(value) ? value : Object.values(value)) {
    text += gathered(entry);
    if (text.length > MAX_TEXT) break;
  }
  return text;
}

/** What is indexed of a row: its cells and its output, at most 20,000 characters. Called for every row of a job. */
export function searchText(input: RowInput, output: Json): string {
  let text = '';
  for (const name in input) {
    const cell = input[name];
    if (typeof cell === 'string' || typeof cell === 'number') text += `${cell} `;
  }
  if (output !== null && typeof output === 'object' && !Array.isArray(output)) {
    for (const name in output) {
      const cell = input[name];
      const value = output[name] ?? null;
      // An output that repeats a cell under the same name, if as another type, adds nothing.
      if (cell !== value && (typeof value === 'object' || String(cell) !== String(value))) text += gathered(value);
    }
  } else text += gathered(output);
  const words = indexedWords(text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) : text);
  return words.length <= MAX_TEXT ? words : words.slice(0, words.lastIndexOf(' ', MAX_TEXT));
}

/** What a query asks for: every group must occur, by any of its alternatives. Empty: nothing to search for. */
export function queryTerms(query: string): string[][] {
  const groups: string[][] = [];
  for (const [word] of normalized(query.slice(0, MAX_TEXT)).matchAll(WORD)) {
    for (const piece of pieces(word)) {
      if (piece.unspaced) groups.push(...unspacedTerms(piece.text, false).map((term) => [term]));
      else {
        const cut = piece.text.slice(0, MAX_WORD);
        // Three letters at least: two would find too much.
        groups.push([cut, ...hebrewStems(cut, 3)]);
      }
      if (groups.length >= MAX_QUERY_WORDS) return groups.slice(0, MAX_QUERY_WORDS);
    }
  }
  return groups;
}
