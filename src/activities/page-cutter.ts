/**
 * Cuts the rows of a sheet into pages: names and hashes each row, writes its line, and remembers which keys came before. Rows come as
 * JSON, many to a text, because this may run beside the parser in a thread of its own (`cutting.ts`), where texts are cheap to send.
 */
import { createHash } from 'node:crypto';
import { packText } from '../blobs/pages.ts';
import { pageLineOf, parsedCell } from '../blobs/stored-rows.ts';
import { TextBytes } from '../domain/text-bytes.ts';
import { KeyHashes } from '../domain/duplicates.ts';
import { itemKey, jsonHasher } from '../domain/hashing.ts';
import { pageIsFull, type PageSize } from '../domain/paging.ts';

export interface CutOptions {
  size: PageSize;
  /** Rows are named by key columns, not by their number. */
  keyed: boolean;
}

/** The columns of the rows that follow. */
export interface CutColumns {
  names: string[];
  /** Indexes of the key columns. */
  keys: number[];
}

export interface CutBatch {
  /** With the first batch, and where there are more columns than before. */
  columns?: CutColumns;
  /** Row numbers; a blank row's is negative. */
  rows: number[];
  /** JSON: an array of the cells of each row. */
  cells: string;
}

/** What a sheet came to. */
export interface Cut {
  rows: number;
  pages: number;
  /** Of the pages' lines. */
  bytes: number;
  contentHash: string;
  /** Page number → positions in the page of rows whose key another row may have too. */
  suspects: Map<number, number[]>;
}

export class PageCutter {
  readonly #options: CutOptions;
  readonly #contentHash = createHash('sha256');
  readonly #keys = new KeyHashes();
  #hashRow = jsonHasher([]);
  #keyIndexes: number[] = [];
  #lines = new TextBytes();
  #page = { rows: 0, bytes: 0 };
  #cut = { rows: 0, pages: 0, bytes: 0 };

  constructor(options: CutOptions) {
    this.#options = options;
  }

  /** Answers the lines of each page that is full; who takes them lets go of them. */
  *add({ columns, rows, cells: text }: CutBatch): Generator<TextBytes, void, undefined> {
    if (columns) {
      this.#hashRow = jsonHasher(columns.names);
      this.#keyIndexes = columns.keys;
    }
    const { size, keyed } = this.#options;
    const cells: string[] = [];
    let rowHashes = '';
    let at = 1;
    for (const number of rows) {
      const end = splitRow(text, at, cells);
      const row = Math.abs(number);
      const key = number < 0 ? null : keyed ? itemKey(this.#keyIndexes.map((index) => keyCell(cells[index]))) : String(row);
      const rowHash = this.#hashRow(cells);
      if (keyed) this.#keys.add(key);
      rowHashes += rowHash;
      const line = pageLineOf(row, key, rowHash, text.slice(at, end));
      this.#lines.append(line);
      this.#page.rows++;
      this.#page.bytes += line.length;
      if (pageIsFull(size, this.#page.rows, this.#page.bytes)) yield this.#endPage();
      at = end + 1;
    }
    this.#contentHash.update(rowHashes);
  }

  /** The last page, where one has begun. */
  *rest(): Generator<TextBytes, void, undefined> {
    if (this.#page.rows > 0) yield this.#endPage();
  }

  /** After the rest. */
  result(): Cut {
    return { ...this.#cut, contentHash: this.#contentHash.digest('base64url'), suspects: this.#keys.suspects() };
  }

  #endPage(): TextBytes {
    if (this.#options.keyed) this.#keys.endPage();
    this.#cut.pages++;
    this.#cut.rows += this.#page.rows;
    this.#cut.bytes += this.#page.bytes;
    this.#page = { rows: 0, bytes: 0 };
    const lines = this.#lines;
    this.#lines = new TextBytes();
    return lines;
  }
}

/** A page that is full, as it is stored; its lines are let go. */
export const packPage = (lines: TextBytes): Promise<Buffer<ArrayBuffer>> => packText(lines.bytes).finally(() => lines.letGo());

const keyCell = (json: string | undefined) => (json === undefined ? null : parsedCell(json));

const QUOTE = 34;
const BACKSLASH = 92;
const CLOSE = 93;

/** The JSON of each cell of the array that begins at `start`, as `JSON.stringify` writes it. Answers where the array ends. */
function splitRow(text: string, start: number, cells: string[]): number {
  cells.length = 0;
  let at = start + 1;
  while (text.charCodeAt(at) !== CLOSE) {
    const end = text.charCodeAt(at) === QUOTE ? endOfText(text, at) : endOfValue(text, at);
    cells.push(text.slice(at, end));
    at = text.charCodeAt(end) === CLOSE ? end : end + 1;
  }
  return at + 1;
}

/** A quote ends a text unless an odd number of backslashes stands before it. */
function endOfText(text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); ; quote = text.indexOf('"', quote + 1)) {
    let before = quote;
    while (text.charCodeAt(before - 1) === BACKSLASH) before--;
    if ((quote - before) % 2 === 0) return quote + 1;
  }
}

/** Of a number, `null` or a truth value. */
function endOfValue(text: string, start: number): number {
  let end = start;
  while (text[end] !== ',' && text[end] !== ']') end++;
  return end;
}
