/** The languages of a text, told piece by piece and script by script. */
import { eld } from 'eld/small';
import type { LanguageShare } from './document.ts';

/** Characters of a piece whose language is told, and pieces that are looked at. */
const PIECE_CHARS = 600;
const MOST_PIECES = 400;
/** Letters without which nothing is told of a script that many languages share; of one that few do, some suffice. */
const LEAST_LETTERS = 20;
const LEAST_OWN_LETTERS = 4;
const LEAST_SHARE = 0.02;
const MOST_LANGUAGES = 10;

const LETTER = /\p{L}/gu;
const LATIN_ONLY = /^[\p{Script=Latin}\P{L}]*$/u;
/** Scripts that are written side by side in one language count as one. */
const SCRIPTS = [
  { letters: /\p{Script=Latin}/gu, shared: true },
  { letters: /\p{Script=Cyrillic}/gu, shared: true },
  { letters: /\p{Script=Arabic}/gu, shared: true },
  { letters: /\p{Script=Devanagari}/gu, shared: true },
  { letters: /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/gu, shared: false },
  { letters: /[^\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Arabic}\p{Script=Devanagari}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\P{L}]/gu, shared: false },
];

/** By share; empty where there is too little to tell. */
export function languagesOf(text: string): LanguageShare[] {
  const found = new Map<string, { letters: number; score: number }>();
  let all = 0;
  for (const { part, letters, among } of partsOf(text)) {
    const { language, ...result } = eld.detect(part);
    // A name or an address among words of another script is no language of the text.
    if (letters < among / 2 && !result.isReliable()) continue;
    all += letters;
    if (language === '') continue;
    const score = result.getScores()[language] ?? 0;
    const known = found.get(language) ?? { letters: 0, score: 0 };
    known.letters += letters;
    known.score += letters * (result.isReliable() ? Math.max(score, 0.5) : score / 2);
    found.set(language, known);
  }
  return [...found]
    .map(([language, { letters, score }]) => ({ language, share: round(letters / all), confidence: round(Math.min(1, score / letters)) }))
    .filter(({ share }) => share >= LEAST_SHARE)
    .sort((one, other) => other.share - one.share)
    .slice(0, MOST_LANGUAGES);
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

/** A piece's words by their script: together they would be told as the language of most of them, or as none of theirs. `among`: letters of the whole piece. */
function* partsOf(text: string): Generator<{ part: string; letters: number; among: number }> {
  for (const piece of piecesOf(text)) {
    const among = count(piece, LETTER);
    if (LATIN_ONLY.test(piece)) {
      if (among >= LEAST_LETTERS) yield { part: piece, letters: among, among };
      continue;
    }
    const words = piece.split(/\s+/);
    for (const { letters: ofScript, shared } of SCRIPTS) {
      const letters = count(piece, ofScript);
      if (letters >= (shared ? LEAST_LETTERS : LEAST_OWN_LETTERS)) yield { part: words.filter((word) => word.search(ofScript) >= 0).join(' '), letters, among };
    }
  }
}

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

/** Lines put together up to some hundred characters; of a long text evenly many. */
function* piecesOf(text: string): Generator<string> {
  const step = Math.max(PIECE_CHARS, Math.floor(text.length / MOST_PIECES));
  for (let from = 0; from < text.length; from += step) {
    const piece = text.slice(from, from + PIECE_CHARS);
    const paragraphs = piece.split(/\n\n+/);
    // A paragraph has one language, mostly; one beside it may have another.
    let joined = '';
    for (const paragraph of paragraphs) {
      if (paragraph.length >= 80) yield paragraph;
      else joined += `${paragraph} `;
    }
    if (joined !== '') yield joined;
  }
}
