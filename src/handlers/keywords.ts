/**
 * Finds thousands of keywords in one pass over a text (Aho and Corasick, 1975), as whole words, whatever their case.
 *
 * - Text is compared folded: compatibility forms, case, Hebrew and Arabic points, typographic hyphens and apostrophes
 *   and runs of white space make no difference; accents do.
 * - A keyword's edge that is a letter, digit or mark must be the edge of a word. Scripts that are written without
 *   spaces (Chinese, Japanese, Thai, …) have no such edges: there a keyword is found anywhere.
 * - A Hebrew keyword of three letters or more is also found behind up to three of the letters that Hebrew writes in
 *   front of a word (ו ה ב כ ל מ ש).
 */

const ASCII = /^[\x00-\x7f]*$/;
const UNSEEN = /[\u0640\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u0652\u0670\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const WORD = /[\p{L}\p{N}\p{M}_]/u;
const UNSPACED = /[\p{scx=Han}\p{scx=Hiragana}\p{scx=Katakana}\p{scx=Thai}\p{scx=Lao}\p{scx=Khmer}\p{scx=Myanmar}]/u;
const HEBREW = /^[\u05d0-\u05ea]{3}/;
const HEBREW_PREFIXES = 'והבכלמש';
const MOST_PREFIXES = 3;

export function fold(text: string): string {
  const folded = ASCII.test(text)
    ? text.toLowerCase()
    : text.normalize('NFKC').toLowerCase().replace(UNSEEN, '').replace(/ß/g, 'ss').replace(/ς/g, 'σ')
      .replace(/[\u2018\u2019\u05f3]/g, "'").replace(/\u05f4/g, '"').replace(/[\u2010-\u2015\u2212\u05be]/g, '-');
  return folded.replace(/\s+/g, ' ');
}

/** Calls `found` with a keyword's index for each place where it stands, in the order of the places. */
export type KeywordMatcher = (text: string, found: (keyword: number) => void) => void;

interface Edges {
  length: number;
  left: boolean;
  right: boolean;
  hebrew: boolean;
}

/** Keywords that fold to nothing are never found. */
export function keywordMatcher(keywords: readonly string[]): KeywordMatcher {
  const folded = keywords.map((keyword) => fold(keyword).trim());
  const edges: Edges[] = folded.map((text) => ({ length: text.length, left: joins(text, 0), right: joins(text, text.length - 1), hebrew: HEBREW.test(text) }));

  // Characters are numbered; 0 is every one that no keyword has.
  const classes = new Uint16Array(65_536);
  let width = 1;
  for (const text of folded) {
    for (let index = 0; index < text.length; index++) classes[text.charCodeAt(index)] ||= width++;
  }
  const next = new Map<number, number>(); // state * width + class → state
  const ends: number[][] = [[]]; // keywords that end in a state
  const parents: [state: number, by: number][] = [[0, 0]];
  folded.forEach((text, keyword) => {
    if (text === '') return;
    let state = 0;
    for (let index = 0; index < text.length; index++) {
      const by = classes[text.charCodeAt(index)]!;
      let child = next.get(state * width + by);
      if (child === undefined) {
        child = ends.push([]) - 1;
        parents.push([state, by]);
        next.set(state * width + by, child);
      }
      state = child;
    }
    ends[state]!.push(keyword);
  });

  const fromRoot = Int32Array.from({ length: width }, (_, by) => next.get(by) ?? 0);
  const fallback = new Int32Array(ends.length);
  const step = (state: number, by: number): number => {
    for (let at = state; at !== 0; at = fallback[at]!) {
      const child = next.get(at * width + by);
      if (child !== undefined) return child;
    }
    return fromRoot[by]!;
  };
  // Shallow states first: a state's fallback is shorter than it.
  const depth = new Int32Array(ends.length);
  for (let state = 1; state < ends.length; state++) depth[state] = depth[parents[state]![0]]! + 1;
  for (const state of [...depth.keys()].sort((a, b) => depth[a]! - depth[b]!)) {
    const [parent, by] = parents[state]!;
    if (parent === 0) continue;
    fallback[state] = step(fallback[parent]!, by);
    ends[state]!.push(...ends[fallback[state]!]!);
  }

  return (raw, found) => {
    const text = fold(raw);
    let state = 0;
    for (let index = 0; index < text.length; index++) {
      const by = classes[text.charCodeAt(index)]!;
      state = by === 0 ? 0 : step(state, by);
      for (const keyword of ends[state]!) if (isWhole(text, index, edges[keyword]!)) found(keyword);
    }
  };
}

/** Whether the keyword that ends at `last` stands there as a word. */
function isWhole(text: string, last: number, { length, left, right, hebrew }: Edges): boolean {
  if (right && joins(text, last + 1)) return false;
  const first = last - length + 1;
  if (!left || !joins(text, first - 1)) return true;
  if (!hebrew) return false;
  for (let back = 1; back <= MOST_PREFIXES && HEBREW_PREFIXES.includes(text[first - back] ?? ' '); back++) {
    if (!joins(text, first - back - 1)) return true;
  }
  return false;
}

const UNKNOWN = 0;
const JOINS = 1;
const STANDS = 2;
const kinds = new Uint8Array(65_536);

/** Whether the character there makes one word with a letter beside it. */
function joins(text: string, index: number): boolean {
  if (index < 0 || index >= text.length) return false;
  const unit = text.charCodeAt(index);
  if (unit >= 0xd800 && unit <= 0xdfff) {
    const start = unit >= 0xdc00 && index > 0 ? index - 1 : index;
    return isJoining(String.fromCodePoint(text.codePointAt(start)!));
  }
  if (kinds[unit] === UNKNOWN) kinds[unit] = isJoining(text[index]!) ? JOINS : STANDS;
  return kinds[unit] === JOINS;
}

const isJoining = (character: string): boolean => WORD.test(character) && !UNSPACED.test(character);
