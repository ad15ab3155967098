/**
 * What full text search sees of a row, and of a query: the same words for every store, separated by spaces.
 * NFKC, lower case, accents and niqqud stripped; numbers and ids as they are; scripts that write no spaces as single
 * characters. These come in the order of the row, so that phrases are neighbours; after a `·` follow what else each is found
 * by: Hebrew words without their prefixes, pairs of characters. Words hold letters, digits and marks only, so a store's own
 * tokenizer has nothing left to decide: split at spaces (and at ASCII punctuation).
 */
import { SheafError } from '../contracts/errors.ts';
import type { Json, RowInput } from '../contracts/row.ts';
import type { SearchClause, SearchTerms } from '../contracts/search.ts';

/** Characters of text indexed of one row; what follows is not found. */
export const MAX_TEXT = 20_000;
/** The same of one passage, which has at most 4,000 tokens. */
const MAX_PASSAGE = 100_000;
/** Characters of a word that count; two longer words with the same beginning are the same word. */
const MAX_WORD = 64;
/** Of a query. */
const MAX_QUERY = 500;
const MAX_QUERY_WORDS = 32;
/** Stands between words that are no neighbours in the row; no query has it. */
const GAP = '·';

// Accents, niqqud, Arabic vowel signs. Not every mark: in Indic scripts marks are vowels, and two Japanese ones make another letter.
const ACCENTS = /[[[\p{Script=Inherited}\p{Script=Hebrew}\p{Script=Arabic}]&&\p{Mn}]--[\u3099\u309a]]/gv;
// The quote inside of an abbreviation as צה"ל is part of the word.
export const QUOTE_IN_HEBREW = /(?<=[א-ת])["'׳״](?=[א-ת])/g;
export const WORD = /[\p{L}\p{N}\p{M}]+/gu;
const UNSPACED_RUN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}ー]+/gu;
const UNSPACED = new RegExp(UNSPACED_RUN.source, 'u');
const HEBREW = /^[א-ת]{3,}$/;
const NOT_ASCII = /[^\x00-\x7f]/;
const NOT_ASCII_WORD = /[^a-z0-9 ]+/g;
const LONG_ASCII_WORDS = new RegExp(`([a-z0-9]{${MAX_WORD}})[a-z0-9]+`, 'g');

const HEBREW_PREFIXES = new Set('והבלמשכ');
const HEBREW_PREFIX_PAIRS = new Set(['וה', 'וב', 'ול', 'ומ', 'וש', 'וכ', 'שה', 'שב', 'של', 'שמ', 'שכ', 'מה', 'כש', 'בש', 'לכ', 'מש']);

/** The word without its prefixes, longest first; `shortest` letters must remain, and three of a pair: else most are chance. */
export function hebrewStems(word: string, shortest: number): string[] {
  if (!HEBREW.test(word)) return [];
  const stems: string[] = [];
  if (HEBREW_PREFIXES.has(word[0] ?? '') && word.length - 1 >= shortest) stems.push(word.slice(1));
  if (HEBREW_PREFIX_PAIRS.has(word.slice(0, 2)) && word.length - 2 >= 3) stems.push(word.slice(2));
  return stems;
}

/** All but the quotes inside of Hebrew abbreviations. What it makes of a text it makes of each character with its marks. */
export const folded = (text: string): string =>
  text.normalize('NFKD').toLowerCase().replaceAll('ς', 'σ').replace(ACCENTS, '').normalize('NFC');

const normalized = (text: string): string => folded(text).replace(QUOTE_IN_HEBREW, '');

const pairsOf = (characters: string[]): string[] => characters.slice(1).map((character, index) => `${characters[index]}${character}`);

export interface Piece {
  /** At most 64 characters, unless it is of a script without spaces. */
  text: string;
  /** Where it begins in the word. */
  at: number;
  unspaced: boolean;
}

/** Splits a word at the borders of scripts without spaces: 東京2024 is 東京 and 2024. */
export function pieces(word: string): Piece[] {
  if (!UNSPACED.test(word)) return [{ text: word.slice(0, MAX_WORD), at: 0, unspaced: false }];
  const found: Piece[] = [];
  const spaced = (from: number, to: number): void => {
    if (to > from) found.push({ text: word.slice(from, Math.min(to, from + MAX_WORD)), at: from, unspaced: false });
  };
  let end = 0;
  for (const run of word.matchAll(UNSPACED_RUN)) {
    spaced(end, run.index);
    found.push({ text: run[0], at: run.index, unspaced: true });
    end = run.index + run[0].length;
  }
  spaced(end, word.length);
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
function indexedWords(text: string, most: number): string {
  if (!NOT_ASCII.test(text)) {
    const words = text.toLowerCase().replace(NOT_ASCII_WORD, ' ');
    return hasLongWord(words) ? words.replace(LONG_ASCII_WORDS, '$1') : words;
  }
  let words = '';
  let more = '';
  /** False when the text is full: then it has of its beginning everything that it is found by. */
  const add = (word: string, others: string): boolean => {
    if (words.length + more.length + word.length + others.length + 2 > most) return false;
    words += `${word} `;
    more += others;
    return true;
  };
  const whole = (): string => (more === '' ? words : `${words}${GAP} ${more}`).trimEnd();
  for (const [word] of normalized(text).matchAll(WORD)) {
    for (const piece of pieces(word)) {
      if (piece.unspaced) {
        let before = '';
        for (const character of piece.text) {
          if (!add(character, before === '' ? '' : `${before}${character} `)) return whole();
          before = character;
        }
      } else {
        const stems = hebrewStems(piece.text, 2);
        if (!add(piece.text, stems.length === 0 ? '' : `${stems.join(' ')} ${GAP} `)) return whole();
      }
    }
  }
  return whole();
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
  return wordsOf(text, MAX_TEXT);
}

/** What is indexed of a passage: its text, after the header of the table that it begins in. */
export const passageText = (text: string, tableHeader: string | null): string => wordsOf(tableHeader === null ? text : `${tableHeader}\n${text}`, MAX_PASSAGE);

function wordsOf(text: string, most: number): string {
  const words = indexedWords(text.length > most ? text.slice(0, most) : text, most);
  return words.length <= most ? words : words.slice(0, words.lastIndexOf(' ', most));
}

// A quote that opens stands before a word, one that closes after a word: that of צה"ל does neither.
const QUERY_PART = /(?<!\S)(-?)(?:["“„«](?=\S)(.+?)["“”»](?![\p{L}\p{N}])|(\S+))/gsu;

/**
 * What a query asks for: all of its words, `"words in this order"`, not `-this`. Hebrew words are found with prefixes and
 * without, but not in phrases. A word of several (`e-mail`) asks for each of them. Throws `invalid_query`.
 */
export function searchTerms(query: string): SearchTerms {
  if (query.length > MAX_QUERY) throw invalidQuery(`The query is longer than ${MAX_QUERY} characters.`, 'Search for fewer words.');
  const terms: SearchTerms = { all: [], none: [] };
  for (const [, minus, phrase, word] of query.matchAll(QUERY_PART)) {
    const inOrder = phraseOf(phrase ?? word ?? '');
    if (inOrder.length === 0) continue;
    const clauses = phrase === undefined ? clausesOf(word ?? '') : [[inOrder]];
    if (minus === '') terms.all.push(...clauses);
    else terms.none.push(clauses.length === 1 && clauses[0] ? clauses[0] : [inOrder]);
  }
  if (terms.all.length === 0) {
    throw invalidQuery(terms.none.length === 0 ? 'The query has no word.' : 'The query only says what to leave out.', 'Search for a word or a number.');
  }
  const words = [...terms.all, ...terms.none].reduce((sum, [longest]) => sum + (longest?.length ?? 0), 0);
  if (words > MAX_QUERY_WORDS) throw invalidQuery(`The query has more than ${MAX_QUERY_WORDS} words.`, 'Search for fewer words.');
  return terms;
}

const invalidQuery = (message: string, remedy: string): SheafError => new SheafError('invalid_query', message, { remedy, place: { field: 'q' } });

function* piecesOf(text: string): Generator<Piece> {
  for (const [word] of normalized(text).matchAll(WORD)) yield* pieces(word);
}

/** The words as they stand side by side in an indexed text. */
const phraseOf = (text: string): string[] => [...piecesOf(text)].flatMap((piece) => (piece.unspaced ? [...piece.text] : [piece.text]));

function clausesOf(text: string): SearchClause[] {
  return [...piecesOf(text)].flatMap((piece): SearchClause[] => {
    // Three letters of a Hebrew word at least: two would find too much.
    if (!piece.unspaced) return [[[piece.text], ...hebrewStems(piece.text, 3).map((stem) => [stem])]];
    const characters = [...piece.text];
    // Pairs alone where there is one: they say more.
    return (characters.length === 1 ? characters : pairsOf(characters)).map((term) => [[term]]);
  });
}
