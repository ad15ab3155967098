/** From a page's lines to headings, paragraphs and lists: by the size of the type, the gaps and where lines end. */
import type { Element, Line } from './pdf-layout.ts';
import type { DocumentWriter } from './writer.ts';

/** A heading is so much larger than running text, and no longer than this. */
const HEADING_SIZE = 1.15;
const HEADING_CHARS = 200;
const LEVELS = [1.8, 1.4] as const;

const BULLET = /^(?:[•◦▪■●○‣⁃∙·–*-]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)])\s+\S/i;
/** A line of a table of contents. */
const LEADER = /[.…·]{4,}\s*\S{1,8}$/;
const SENTENCE_END = /[.!?:;。！？׃؟]["'”’»)\]]*$/;

type LineElement = Extract<Element, { kind: 'line' }>;

interface Open {
  kind: 'heading' | 'paragraph' | 'list_item';
  text: string;
  last: LineElement;
  /** Distance of its last two lines; null while it has one. */
  step: number | null;
}

export class Paragraphs {
  readonly #out: DocumentWriter;
  /** Characters by size of type, in half points: the commonest is the running text's. */
  readonly #sizes = new Map<number, number>();
  readonly #words = new Words();
  #body = 10;
  #open: Open | null = null;

  constructor(out: DocumentWriter) {
    this.#out = out;
  }

  /** Before pages are written: what size running text has. */
  learn(elements: Element[]): void {
    for (const element of elements) {
      if (element.kind === 'line') this.#words.learn(element.line.text);
      const [size, characters] = element.kind === 'line' ? [element.line.size, element.line.text.length] : [element.size, element.rows.flat().join('').length];
      const key = Math.round(size * 2);
      this.#sizes.set(key, (this.#sizes.get(key) ?? 0) + characters);
    }
    let most = 0;
    for (const [size, characters] of this.#sizes) if (characters > most) [this.#body, most] = [size / 2, characters];
  }

  write(page: number, elements: Element[]): void {
    this.end();
    this.#out.page = page;
    for (const element of elements) {
      if (element.kind === 'table') {
        this.end();
        this.#out.table(element.rows);
      } else this.#line(element);
    }
    this.end();
  }

  end(): void {
    const open = this.#open;
    this.#open = null;
    if (!open) return;
    const level = open.kind === 'heading' ? this.#level(open.last.line.size) : undefined;
    this.#out.block(open.kind, open.text, level === undefined ? {} : { level });
  }

  #line(element: LineElement): void {
    const { line } = element;
    const open = this.#open;
    if (open && this.#continues(open, element)) {
      open.text = joined(open.text, open.last.line.text, line.text, this.#words);
      open.step = line.baseline - open.last.line.baseline;
      open.last = element;
      return;
    }
    this.end();
    const heading = line.size >= HEADING_SIZE * this.#body && line.text.length <= HEADING_CHARS && /\p{L}|\p{N}/u.test(line.text);
    this.#open = { kind: heading ? 'heading' : BULLET.test(line.text) ? 'list_item' : 'paragraph', text: line.text, last: element, step: null };
  }

  #continues(open: Open, element: LineElement): boolean {
    const { line } = element;
    const last = open.last.line;
    if (BULLET.test(line.text) || LEADER.test(last.text) || Math.abs(line.size - last.size) > 0.1 * Math.max(line.size, last.size)) return false;
    const step = line.baseline - last.baseline;
    // Upwards: the next column. Where lines end raggedly, a small letter says that it goes on.
    if (step <= 0) return open.kind !== 'heading' && !SENTENCE_END.test(last.text) && (last.right > open.last.columnRight - 0.1 * width(open.last) || /^\p{Ll}/u.test(line.text));
    if (step > 2.1 * line.size || (open.step !== null && open.step > 0 && step > 1.3 * open.step)) return false;
    if (open.kind === 'heading') return open.text.length + line.text.length <= HEADING_CHARS;
    const indented = line.left - last.left > 0.8 * line.size && open.kind === 'paragraph' && isFlush(open.last);
    if (indented && SENTENCE_END.test(last.text)) return false;
    const short = last.right < open.last.columnRight - 0.15 * width(open.last) && last.left < open.last.columnLeft + 0.5 * width(open.last);
    return !(short && (SENTENCE_END.test(last.text) || startsAnew(line, last)));
  }

  #level(size: number): number {
    const ratio = size / this.#body;
    const at = LEVELS.findIndex((least) => ratio >= least);
    return at === -1 ? LEVELS.length + 1 : at + 1;
  }
}

const width = ({ columnLeft, columnRight }: LineElement): number => columnRight - columnLeft;
const isFlush = ({ line, columnLeft }: LineElement): boolean => line.left - columnLeft < 0.8 * line.size;
/** After a line that ends early: the next begins with a capital, as addresses and short lists do. */
const startsAnew = (line: Line, last: Line): boolean => /^[\p{Lu}\p{N}"“]/u.test(line.text) && last.right - last.left < 0.75 * Math.max(line.right - line.left, last.right - last.left);

/** Words of the document so far; looked into only where a line ends with a hyphen, and cut up then. */
class Words {
  #lines: string[] = [];
  readonly #known = new Set<string>();

  learn(line: string): void {
    if (this.#known.size < MOST_WORDS) this.#lines.push(line);
  }

  has(word: string): boolean {
    for (const line of this.#lines) {
      // Not the parts of words that a line's end has parted.
      for (const [found] of line.matchAll(WHOLE_WORD)) this.#known.add(found.toLowerCase());
    }
    this.#lines = [];
    return this.#known.has(word.toLowerCase());
  }
}
const MOST_WORDS = 50_000;
const WHOLE_WORD = /(?<![\p{L}\p{M}-])\p{L}[\p{L}\p{M}]{2,}(?![\p{L}\p{M}-])/gu;

/** `last` is the line that `text` ends with. A word that was hyphenated at the line's end is whole again; one of two words (“carbon-free”) keeps its hyphen. */
function joined(text: string, last: string, next: string, words: Words): string {
  if (/\p{Ll}[-\u2010]$/u.test(last.slice(-3)) && /^\p{Ll}{2}/u.test(next)) {
    const [before, after] = [/\p{L}+(?=.$)/u.exec(text)?.[0] ?? '', /^\p{L}+/u.exec(next)?.[0] ?? ''];
    return (words.has(before) && words.has(after) && !words.has(before + after) ? text : text.slice(0, -1)) + next;
  }
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uff60]$/u.test(last.slice(-2)) && /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uff60]/u.test(next)
    ? text + next
    : `${text} ${next}`;
}
