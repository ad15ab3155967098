/** What a text is about, as far as counting tells: languages, words, keywords, title, reading time. */
import * as stopword from 'stopword';
import type { Analysis, Block, Extraction, LanguageShare } from './document.ts';
import { languagesOf } from './languages.ts';
import { similaritySignature } from './similarity.ts';
import { countWithin, type CountTokens } from './tokens.ts';

const MOST_KEYWORDS = 12;
const WORDS_A_MINUTE = 230;
/** Of scripts that write no spaces between words: characters read in a minute. */
const SIGNS_A_MINUTE = 450;
const MAX_TITLE = 200;
/** Characters that keywords are looked for in. */
const KEYWORD_CHARS = 500_000;

const WORD = /[\p{L}\p{N}\p{M}]+(?:['’״׳"-][\p{L}\p{N}\p{M}]+)*/gu;
const SIGN = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu;

export function analyseText(text: string, blocks: readonly Block[], extraction: Extraction, count: CountTokens): Analysis {
  const languages = languagesOf(text);
  const signs = text.match(SIGN)?.length ?? 0;
  const spaced = countWords(signs === 0 ? text : text.replace(SIGN, ' '));
  return {
    languages,
    tokens: countWithin(text, count)(0, text.length),
    words: spaced + signs,
    characters: text.length,
    pages: extraction.pages,
    title: titleOf(text, blocks, extraction),
    keywords: keywordsOf(text, languages),
    readingMinutes: Math.max(text.length > 0 ? 1 : 0, Math.round(spaced / WORDS_A_MINUTE + signs / SIGNS_A_MINUTE)),
    similarity: similaritySignature(text),
  };
}

function countWords(text: string): number {
  let words = 0;
  // Without what a match of each would hold.
  for (WORD.lastIndex = 0; WORD.test(text);) words += 1;
  return words;
}

function titleOf(text: string, blocks: readonly Block[], { metadata }: Extraction): string | null {
  if (metadata.title !== undefined && !/^(untitled|microsoft word - |document\d*$|slide \d+$|powerpoint presentation$|presentation$|title$)/i.test(metadata.title)) return metadata.title;
  const main = blocks.filter(({ aside }) => aside !== true);
  const says = ({ start, end }: Block): boolean => /\p{L}{2}/u.test(text.slice(start, end));
  const block = main.find((one) => one.kind === 'heading' && says(one)) ?? main.find((one) => one.kind !== 'table_row' && says(one)) ?? main[0];
  if (!block) return null;
  const line = text.slice(block.start, block.end).trim().split('\n', 1)[0]!;
  return (line.length <= MAX_TITLE ? line : `${line.slice(0, MAX_TITLE - 1).toWellFormed().trimEnd()}…`) || null;
}

/** Words and pairs that stand often, weighed by their length; words that every text of the language has are none. */
function keywordsOf(text: string, languages: readonly LanguageShare[]): string[] {
  const common = commonWords(languages);
  /** By word as it is written: in small letters; null where it says nothing. */
  const telling = new Map<string, string | null>();
  const counts = new Map<string, { count: number; shown: string }>();
  const add = (key: string, shown: string): void => {
    const known = counts.get(key);
    if (known) known.count += 1;
    else counts.set(key, { count: 1, shown });
  };
  let before: { word: string; shown: string; end: number } | null = null;
  const sample = text.slice(0, KEYWORD_CHARS);
  for (const { 0: shown, index } of sample.matchAll(WORD)) {
    let word = telling.get(shown);
    if (word === undefined) telling.set(shown, (word = isTelling(shown, common) ? shown.toLowerCase() : null));
    if (word === null) {
      before = null;
      continue;
    }
    add(word, shown);
    if (before && sample.slice(before.end, index) === ' ') add(`${before.word} ${word}`, `${before.shown} ${shown}`);
    before = { word, shown, end: index + shown.length };
  }
  const scored = [...counts]
    .filter(([key, { count }]) => count >= (key.includes(' ') ? 3 : 2) || counts.size < 30)
    .map(([key, { count, shown }]) => ({ key, shown, score: count * (key.includes(' ') ? 2.2 : Math.min(1.5, 0.6 + key.length / 12)) }))
    .sort((one, other) => other.score - one.score || (one.key < other.key ? -1 : 1));
  const chosen: typeof scored = [];
  for (const candidate of scored) {
    if (chosen.length === MOST_KEYWORDS) break;
    // A pair says more than the words in it.
    if (!chosen.some(({ key }) => key.split(' ').includes(candidate.key) || candidate.key.split(' ').includes(key))) chosen.push(candidate);
  }
  return chosen.map(({ shown }) => shown);
}

function isTelling(shown: string, common: ReadonlySet<string>): boolean {
  const word = shown.toLowerCase();
  if (!/\p{L}{2}/u.test(word) || common.has(word) || common.has(word.replace(/['’].*$/, '')) || /^(https?|www)$/.test(word)) return false;
  // Three letters in a row are an abbreviation, or little.
  return word.length >= 4 || shown === shown.toUpperCase() || !/^[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}]+$/u.test(word);
}

/** What the list of English lacks. */
const MORE_ENGLISH = [
  'about', 'after', 'also', 'away', 'because', 'been', 'before', 'between', 'both', 'came', 'could', 'does', 'done', 'down', 'each', 'even', 'ever', 'every', 'first', 'from', 'good', 'great', 'have', 'here', 'into',
  'just', 'know', 'like', 'little', 'long', 'made', 'make', 'many', 'might', 'more', 'most', 'much', 'must', 'never', 'only', 'other', 'over', 'said', 'same', 'says', 'shall', 'should', 'since', 'some', 'still', 'such',
  'than', 'that', 'their', 'them', 'then', 'there', 'these', 'they', 'thing', 'things', 'this', 'those', 'through', 'thus', 'time', 'under', 'until', 'upon', 'very', 'well', 'went', 'were', 'what', 'when', 'where', 'which',
  'while', 'whom', 'whose', 'will', 'with', 'within', 'without', 'would', 'your',
];

/** By language of the text; English besides, which stands in all. */
function commonWords(languages: readonly LanguageShare[]): Set<string> {
  const lists = stopword as unknown as Record<string, readonly string[]>;
  const words = new Set(MORE_ENGLISH);
  for (const language of ['en', ...languages.slice(0, 4).map((one) => one.language)]) {
    for (const word of lists[ISO_639_3[language] ?? language] ?? []) words.add(word.toLowerCase());
  }
  return words;
}

/** The names of the lists. */
const ISO_639_3: Record<string, string> = {
  af: 'afr', ar: 'ara', hy: 'hye', eu: 'eus', bn: 'ben', pt: 'por', br: 'bre', bg: 'bul', ca: 'cat', zh: 'zho', hr: 'hrv', cs: 'ces', da: 'dan', nl: 'nld', en: 'eng', eo: 'epo',
  et: 'est', fa: 'fas', fi: 'fin', fr: 'fra', gl: 'glg', de: 'deu', el: 'ell', gu: 'guj', ha: 'hau', he: 'heb', hi: 'hin', hu: 'hun', id: 'ind', ga: 'gle', it: 'ita', ja: 'jpn',
  ko: 'kor', ku: 'kur', la: 'lat', lt: 'lit', lv: 'lav', ms: 'msa', mr: 'mar', no: 'nob', pl: 'pol', pa: 'panGu', ro: 'ron', ru: 'rus', sk: 'slk', sl: 'slv', so: 'som', st: 'sot',
  es: 'spa', sw: 'swa', sv: 'swe', th: 'tha', tl: 'tgl', tr: 'tur', ur: 'urd', uk: 'ukr', vi: 'vie', yo: 'yor', zu: 'zul',
};
