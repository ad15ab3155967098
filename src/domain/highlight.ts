/** Where a search's words stand in a row: short pieces of its cells and of its output, for every store the same. */
import type { Json, RowInput } from '../contracts/row.ts';
import type { Highlight, SearchTerms } from '../contracts/search.ts';
import { folded, hebrewStems, MAX_TEXT, pieces, QUOTE_IN_HEBREW, WORD } from './search-text.ts';

/** Of one row. */
const MOST_FRAGMENTS = 3;
/** Characters of a fragment, and of them those before its first match. */
const LENGTH = 160;
const LEAD = 40;
/** How far a cut may move to fall between words. */
const SLACK = 20;

const NOT_ASCII = /[^\x00-\x7f]/;
/** A character and what changes it: marks, jamo after the first, half-width voiced marks. */
const CHARACTER = /.[\p{M}\u1160-\u11ff\uff9e\uff9f]*/gsu;

/** A word of a text, where the text has it. */
interface Token {
  word: string;
  start: number;
  end: number;
  /** Characters of one run of a script without spaces have the same number; other words have none. */
  run?: number;
}

interface Span {
  start: number;
  end: number;
  /** Which clauses of the query it answers. */
  clauses: Set<number>;
}

interface Field {
  in: Highlight['in'];
  name: string;
  text: string;
}

/** At most three, those that answer most of the query first; none where the words lie beyond what is indexed. */
export function highlights(input: RowInput, output: Json, terms: SearchTerms): Highlight[] {
  const found: { highlight: Highlight; clauses: number }[] = [];
  let room = MAX_TEXT;
  for (const field of fieldsOf(input, output)) {
    const text = field.text.slice(0, room);
    room -= text.length;
    const spans = spansIn(tokensOf(text), terms);
    if (spans.length > 0) {
      found.push({ highlight: { in: field.in, name: field.name, parts: fragment(text, spans, terms.all.length) }, clauses: new Set(spans.flatMap((span) => [...span.clauses])).size });
    }
    if (room <= 0) break;
  }
  return found.sort((one, other) => other.clauses - one.clauses).slice(0, MOST_FRAGMENTS).map(({ highlight }) => highlight);
}

/** The cells, then what the output adds to them. */
function* fieldsOf(input: RowInput, output: Json): Generator<Field> {
  for (const [name, cell] of Object.entries(input)) {
    if (typeof cell === 'string' || typeof cell === 'number') yield { in: 'input', name, text: String(cell) };
  }
  if (output === null || typeof output !== 'object' || Array.isArray(output)) return yield* leaves('', output);
  for (const [name, value] of Object.entries(output)) {
    if (String(input[name]) !== String(value)) yield* leaves(name, value);
  }
}

function* leaves(name: string, value: Json): Generator<Field> {
  if (typeof value === 'string' || typeof value === 'number') yield { in: 'output', name, text: String(value) };
  if (value === null || typeof value !== 'object') return;
  for (const [key, entry] of Object.entries(value)) yield* leaves(name === '' ? key : `${name}.${key}`, entry);
}

/** The words of a text in order, as `searchText` indexes them. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  const { normal, starts, ends } = aligned(text);
  const add = (word: string, from: number, to: number, run?: number): void => {
    tokens.push({ word, start: starts(from), end: ends(to - 1), ...(run !== undefined && { run }) });
  };
  for (const match of normal.matchAll(WORD)) {
    for (const piece of pieces(match[0])) {
      let at = match.index + piece.at;
      if (!piece.unspaced) add(piece.text, at, at + piece.text.length);
      else {
        const run = at;
        for (const character of piece.text) add(character, at, at += character.length, run);
      }
    }
  }
  return tokens;
}

/** The text normalised, and for each character of that where the text's own begins and ends. */
function aligned(text: string): { normal: string; starts(at: number): number; ends(at: number): number } {
  if (!NOT_ASCII.test(text)) return { normal: text.toLowerCase(), starts: (at) => at, ends: (at) => at + 1 };
  let normal = '';
  let starts: number[] = [];
  let ends: number[] = [];
  for (const { 0: character, index } of text.matchAll(CHARACTER)) {
    const one = folded(character);
    normal += one;
    for (let unit = 0; unit < one.length; unit++) {
      starts.push(index);
      ends.push(index + character.length);
    }
  }
  const quotes = new Set(Array.from(normal.matchAll(QUOTE_IN_HEBREW), ({ index }) => index));
  if (quotes.size > 0) {
    normal = normal.replace(QUOTE_IN_HEBREW, '');
    starts = starts.filter((_, index) => !quotes.has(index));
    ends = ends.filter((_, index) => !quotes.has(index));
  }
  return { normal, starts: (at) => starts[at] ?? text.length, ends: (at) => ends[at] ?? text.length };
}

/** What is to be marked, in order and without overlaps. */
function spansIn(tokens: Token[], { all }: SearchTerms): Span[] {
  const words = new Map<string, Set<number>>();
  const phrases: { words: string[]; clause: number }[] = [];
  for (const [clause, alternatives] of all.entries()) {
    for (const phrase of alternatives) {
      const [word] = phrase;
      if (phrase.length > 1) phrases.push({ words: phrase, clause });
      else if (word !== undefined) words.set(word, (words.get(word) ?? new Set()).add(clause));
    }
  }
  const spans: Span[] = [];
  const mark = (first: Token, last: Token, clauses: Iterable<number>): void => {
    const before = spans.at(-1);
    if (before && first.start <= before.end) {
      before.end = Math.max(before.end, last.end);
      for (const clause of clauses) before.clauses.add(clause);
    } else spans.push({ start: first.start, end: last.end, clauses: new Set(clauses) });
  };
  for (const [index, token] of tokens.entries()) {
    const next = tokens[index + 1];
    const forms = token.run === undefined ? [token.word, ...hebrewStems(token.word, 2)] : [token.word];
    for (const form of forms) {
      const clauses = words.get(form);
      if (clauses) mark(token, token, clauses);
    }
    const pair = token.run !== undefined && next?.run === token.run ? words.get(token.word + next.word) : undefined;
    if (pair && next) mark(token, next, pair);
    for (const phrase of phrases) {
      const last = tokens[index + phrase.words.length - 1];
      if (last && phrase.words.every((word, n) => tokens[index + n]?.word === word)) mark(token, last, [phrase.clause]);
    }
  }
  return spans;
}

/** The first part of a text that answers most of the query's `all` clauses, with `…` where it is cut. */
function fragment(text: string, spans: Span[], all: number): Highlight['parts'] {
  let best = spans[0];
  let most = 0;
  for (const [index, span] of spans.entries()) {
    const clauses = new Set<number>();
    for (let n = index; n < spans.length && spans[n]!.end <= span.start + LENGTH - LEAD; n++) for (const clause of spans[n]!.clauses) clauses.add(clause);
    if (clauses.size > most) [best, most] = [span, clauses.size];
    if (most === all) break;
  }
  const first = best?.start ?? 0;
  const from = text.length <= LENGTH ? 0 : between(text, Math.max(0, Math.min(first - LEAD, text.length - LENGTH)), 1, first);
  const to = text.length <= LENGTH ? text.length : between(text, Math.min(text.length, from + LENGTH), -1, from);
  const parts: Highlight['parts'] = [];
  const add = (part: string, match: boolean): void => void (part !== '' && parts.push({ text: part, match }));
  let at = from;
  for (const { start, end } of spans) {
    if (end <= from || start >= to) continue;
    add((at === from && from > 0 ? '…' : '') + text.slice(at, start), false);
    add(text.slice(Math.max(start, from), Math.min(end, to)), true);
    at = Math.min(end, to);
  }
  add(text.slice(at, to) + (to < text.length ? '…' : ''), false);
  return parts;
}

/** The place nearest to `at`, in the direction of `step` and before `limit`, where a space is; else where no character is torn apart. */
function between(text: string, at: number, step: 1 | -1, limit: number): number {
  if (at === 0 || at === text.length) return at;
  for (let n = 0, place = at; n < SLACK && place !== limit; n++, place += step) {
    if (/\s/.test(text[place - 1] ?? '')) return place;
  }
  let place = at;
  while (place !== limit && /^[\p{M}\udc00-\udfff\u200d]/u.test(text.slice(place, place + 2))) place += step;
  return place;
}
