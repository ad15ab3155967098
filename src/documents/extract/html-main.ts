/** Which blocks of a page are its main text, by Readability, the reader view of Firefox. */
import type { TreeElement } from './html-tree.ts';

/** Readability tries several times over the whole page: on a large one that takes minutes. */
const MAX_CHARS = 1_000_000;
const MOST_ELEMENTS = 20_000;
/** linkedom and Readability recurse. */
const DEEPEST = 150;
/** A text shorter than this is no article: then all of the page is. */
const SHORTEST = 250;

const KEPT_ATTRIBUTES = ['class', 'id', 'role', 'href'] as const;
const escaped = (text: string): string => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;');

/** The page again as it was read: only what is seen, well nested, each block with its number. */
export class Marked {
  #html: string | null;
  #mark = 0;
  #elements = 0;
  /** Elements that were opened, or not because they are too deep. */
  readonly #open: boolean[] = [];

  constructor(wanted: boolean) {
    this.#html = wanted ? '' : null;
  }

  /** Null: it is too large for Readability. */
  get html(): string | null {
    return this.#html;
  }

  next(): number {
    return ++this.#mark;
  }

  text(text: string): void {
    if (this.#html === null) return;
    this.#html += escaped(text);
    if (this.#html.length > MAX_CHARS) this.#html = null;
  }

  open({ name, attribs }: TreeElement, mark: number): void {
    const shown = this.#open.length < DEEPEST && /^[a-z][a-z0-9]*$/.test(name) && !/^(html|head|body)$/.test(name);
    this.#open.push(shown);
    if (this.#html === null || !shown) return;
    if (++this.#elements > MOST_ELEMENTS) {
      this.#html = null;
      return;
    }
    const attributes = KEPT_ATTRIBUTES.flatMap((key) => (attribs[key] === undefined ? [] : [` ${key}="${escaped(attribs[key].slice(0, 200))}"`])).join('');
    this.#html += `<${name}${attributes}${mark > 0 ? ` data-mark="${mark}"` : ''}>`;
  }

  close({ name }: TreeElement): void {
    if (this.#open.pop() === true && this.#html !== null) this.#html += `</${name}>`;
  }

  table(rows: string[][], mark: number): void {
    if (this.#html === null) return;
    this.#elements += rows.length;
    this.#html += `<table data-mark="${mark}">${rows.map((row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`).join('')}</table>`;
  }
}

/** The marks of the main text's blocks; null when that cannot be told. */
export async function mainBlocks(marked: Marked): Promise<Set<number> | null> {
  if (marked.html === null) return null;
  const [{ parseHTML }, { Readability }] = await Promise.all([import('linkedom'), import('@mozilla/readability')]);
  try {
    const { document } = parseHTML(`<!doctype html><html><head></head><body>${marked.html}</body></html>`);
    const article = new Readability(document, { charThreshold: SHORTEST, keepClasses: true }).parse();
    if (!article || (article.textContent ?? '').trim().length < SHORTEST) return null;
    return new Set([...(article.content ?? '').matchAll(/data-mark="(\d+)"/g)].map(([, mark]) => Number(mark)));
  } catch {
    // A page that Readability cannot digest is read all the same.
    return null;
  }
}
