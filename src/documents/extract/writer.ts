/** Where every reader of a format puts what it finds: text and blocks on disk, offsets counted, nothing held back. */
import { closeSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { DOCUMENT_FILES, type Block, type BlockKind, type DocumentMetadata, type DocumentWarning } from '../document.ts';

const BUFFER_CHARS = 1 << 20;
const MOST_WARNINGS = 100;
const MOST_FAILED_PAGES = 1_000;
const MAX_METADATA = 1_000;

// Control and other characters that no reader of text wants to meet; the joiners of Persian and of emoji are none.
const UNWANTED = /[\u0000-\u0008\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\ufeff\ufffe\uffff]/g;
const LINE_ENDS = /\r\n?|[\u000b\u000c\u0085\u2028\u2029]/g;
const SPACES = /[\u00a0\u2007\u202f]/g;

/** The text is as long as is allowed: thrown at readers, to end them. */
export class TextFull extends Error {}

export interface BlockOptions {
  level?: number;
  aside?: boolean;
  /** The text's own spaces and line breaks stay. */
  verbatim?: boolean;
  /** What stands between this block and the one before; white space with a line break. */
  before?: string;
}

/** Line breaks as `\n`; no control characters, no half characters; verbatim or with single spaces. */
export function cleaned(text: string, verbatim = false): string {
  const sound = text.toWellFormed().replace(LINE_ENDS, '\n').replace(UNWANTED, '');
  if (verbatim) return sound;
  // Only where something changes: most spaces stand alone already.
  return sound.replace(SPACES, ' ').replace(/[^\S\n]{2,}|[^\S\n ]/g, ' ').replace(/ \n ?|\n /g, '\n').trim();
}

/** A file that is written in large pieces. */
export class Pieces {
  #text = '';
  readonly #file: number;

  constructor(file: string) {
    this.#file = openSync(file, 'w');
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= BUFFER_CHARS) this.#flush();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#text);
    this.#text = '';
    for (let at = 0; at < bytes.length;) at += writeSync(this.#file, bytes, at);
  }

  close(): void {
    this.#flush();
    closeSync(this.#file);
  }
}

export class DocumentWriter {
  readonly metadata: DocumentMetadata = {};
  readonly warnings: DocumentWarning[] = [];
  readonly failedPages: number[] = [];
  /** Number of pages, slides or sheets, once the reader knows it. */
  pages: number | null = null;
  /** The page that blocks are on from now on. */
  page: number | null = null;
  partial = false;
  characters = 0;
  mainCharacters = 0;
  blocks = 0;
  tables = 0;
  ocrPages = 0;

  readonly #maxChars: number;
  readonly #text: Pieces;
  readonly #blocks: Pieces;
  #last: Block | null = null;
  #furtherWarnings = 0;

  constructor(folder: string, maxChars: number) {
    this.#maxChars = maxChars;
    this.#text = new Pieces(path.join(folder, DOCUMENT_FILES.text));
    this.#blocks = new Pieces(path.join(folder, DOCUMENT_FILES.blocks));
  }

  /** Nothing happens for a text of white space. Throws `TextFull`. */
  block(kind: BlockKind, text: string, options: BlockOptions = {}): void {
    const { level, aside, verbatim = false, before } = options;
    this.#put(cleaned(text, verbatim), { kind, ...(level !== undefined && { level }), ...(aside === true && { aside }) }, before);
  }

  /** A table is rows in a row: `| a | b |`. The first is its header unless `header` is false. */
  table(rows: Iterable<readonly string[]>, options: { header?: boolean; aside?: boolean } = {}): void {
    const table = this.startTable(options);
    for (const row of rows) table.row(row);
  }

  /** For tables whose rows come one at a time. Blank rows are left out. */
  startTable({ header = true, aside = false }: { header?: boolean; aside?: boolean } = {}): { row(cells: readonly string[]): void } {
    let width = 0;
    let number = 0;
    const put = (text: string, isHeader: boolean): void =>
      this.#put(text, { kind: 'table_row', table: number, ...(isHeader && { header: true }), ...(aside && { aside }) });
    return {
      row: (cells) => {
        const texts = cells.map(cellText);
        if (texts.every((text) => text === '')) return;
        const first = width === 0;
        while (texts.length > Math.max(1, width) && texts.at(-1) === '') texts.pop();
        if (first) {
          number = ++this.tables;
          width = texts.length;
        }
        while (texts.length < width) texts.push('');
        put(`| ${texts.join(' | ')} |`, first && header);
        if (first && header) put(`|${' --- |'.repeat(width)}`, true);
      },
    };
  }

  /** What a person should know; with `missing`, because something of the document is not in the text. */
  warn(code: string, message: string, options: { missing?: boolean; page?: number; part?: string } = {}): void {
    const { missing = false, page, part } = options;
    if (missing) this.partial = true;
    const place = part !== undefined ? { part } : page !== undefined ? { part: `page ${page}` } : undefined;
    if (this.warnings.length < MOST_WARNINGS - 1) this.warnings.push({ code, message, ...(place && { place }) });
    else {
      this.#furtherWarnings += 1;
      this.warnings[MOST_WARNINGS - 1] = { code: 'more_warnings', message: `${this.#furtherWarnings} further warnings` };
    }
  }

  failPage(page: number, message: string): void {
    if (this.failedPages.length < MOST_FAILED_PAGES) this.failedPages.push(page);
    this.warn('page_failed', message, { missing: true, page });
  }

  /** What is there already stays. Values are bounded; empty ones are none. */
  describe(found: { [key in keyof DocumentMetadata]: string | null | undefined }): void {
    for (const key of Object.keys(found) as (keyof DocumentMetadata)[]) {
      const value = cleaned(found[key] ?? '').replaceAll('\n', ' ').slice(0, MAX_METADATA).toWellFormed().trim();
      if (value !== '' && this.metadata[key] === undefined) this.metadata[key] = value;
    }
  }

  close(): void {
    this.#text.close();
    this.#blocks.close();
  }

  #put(text: string, kind: Omit<Block, 'start' | 'end' | 'page'>, before?: string): void {
    if (text.trim() === '') return;
    const separator = this.#last === null ? '' : (before ?? this.#separator(kind));
    const room = this.#maxChars - this.characters - separator.length;
    if (room <= 0) throw new TextFull();
    // Not inside of a pair of surrogates.
    const kept = text.length <= room ? text : text.slice(0, room).replace(/[\ud800-\udbff]$/, '');
    const start = this.characters + separator.length;
    const block: Block = { ...kind, start, end: start + kept.length, page: this.page };
    this.#text.add(separator + kept);
    this.#blocks.add(`${JSON.stringify(block)}\n`);
    this.characters = block.end;
    this.blocks += 1;
    if (kind.aside !== true) this.mainCharacters += kept.length;
    this.#last = block;
    if (kept.length < text.length) throw new TextFull();
  }

  #separator(next: Omit<Block, 'start' | 'end' | 'page'>): string {
    const last = this.#last;
    const together = last !== null && last.page === this.page && last.kind === next.kind &&
      (next.kind === 'list_item' || (next.kind === 'table_row' && last.table === next.table));
    return together ? '\n' : '\n\n';
  }
}

/** A cell in a Markdown table: one line, its bars escaped. */
const cellText = (text: string): string => cleaned(text).replace(/\s*\n\s*/g, ' ').replaceAll('\\', '\\\\').replaceAll('|', '\\|');

/** The first that is a date, as ISO 8601; undefined where none is. */
export function isoDate(...texts: (string | null | undefined)[]): string | undefined {
  for (const text of texts) {
    if (!text || text.length > 100) continue;
    const pdf = /^D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:Z|([+-])(\d\d)'?(\d\d)?'?)?/.exec(text);
    const iso = pdf
      ? `${pdf[1]}-${pdf[2] ?? '01'}-${pdf[3] ?? '01'}T${pdf[4] ?? '00'}:${pdf[5] ?? '00'}:${pdf[6] ?? '00'}${pdf[7] ? `${pdf[7]}${pdf[8]}:${pdf[9] ?? '00'}` : 'Z'}`
      : text;
    const time = Date.parse(iso);
    if (!Number.isNaN(time)) return new Date(time).toISOString();
  }
  return undefined;
}
