/** The rows of a page as they are stored: a line a row. Cut out of their text and not parsed, because there are millions of them. */
import type { Cell, PageRow } from '../contracts/row.ts';
import { doubled } from '../domain/doubled.ts';
import { giveBack, giveBackChunk } from '../domain/give-back.ts';
import { cellJson } from '../domain/hashing.ts';

const LINE_END = 10;

/**
 * A row's line in its page: an array of what names it, a tab (which JSON never has raw), its cells. Its length is what pages are cut by.
 */
export const pageLine = ({ row, key, rowHash, cells }: PageRow): string => pageLineOf(row, key, rowHash, `[${cells.map(cellJson).join(',')}]`);

/** For who has put the cells into JSON already. */
export const pageLineOf = (row: number, key: string | null, rowHash: string, cells: string): string => `[${row},${JSON.stringify(key)},"${rowHash}"]\t${cells}\n`;

/** Bytes of lines that are made text at once: a row asks for the next ones as well, and what they are cut out of dies with them. */
const SOME_LINES = 16_384;

/**
 * A page's rows as they are stored, outside of the heap: what lives as long as its page is copied by the collector. A row is made when
 * it is asked for, and stays text until its cells are; the lines around the one that was asked for last are text too.
 */
export class StoredRows implements Iterable<PageRow> {
  readonly #bytes: Buffer;
  /** Where each line begins, and where the last ends. */
  #starts = new Uint32Array(1 << 13);
  #length = 0;
  #first = 0;
  #some: string[] = [];

  /** `bytes`: lines of `pageLine`, as zlib has made them. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    for (let end = bytes.indexOf(LINE_END); end >= 0; end = bytes.indexOf(LINE_END, end + 1)) {
      if (++this.#length === this.#starts.length) this.#starts = new Uint32Array(doubled(this.#starts));
      this.#starts[this.#length] = end + 1;
    }
    if (this.#starts[this.#length] !== bytes.length) throw new Error('A line is incomplete.');
  }

  get length(): number {
    return this.#length;
  }

  at(index: number): PageRow {
    return new StoredRow(this.#line(index));
  }

  *[Symbol.iterator](): Iterator<PageRow> {
    for (let index = 0; index < this.#length; index++) yield this.at(index);
  }

  /** Nothing is asked of it any more. */
  letGo(): void {
    giveBackChunk(this.#bytes);
    giveBack(this.#starts);
  }

  #line(index: number): string {
    const known = this.#some[index - this.#first];
    if (known !== undefined) return known;
    const start = this.#starts[index]!;
    let end = index + 1;
    while (end < this.#length && this.#starts[end + 1]! - start <= SOME_LINES) end++;
    this.#first = index;
    this.#some = this.#bytes.toString('utf8', start, this.#starts[end]! - 1).split('\n');
    return this.#some[0]!;
  }
}

/** All but the number is read with every call. */
class StoredRow implements PageRow {
  readonly row: number;
  readonly #line: string;
  readonly #comma: number;
  readonly #tab: number;

  constructor(line: string) {
    this.#line = line;
    this.#comma = line.indexOf(',');
    this.#tab = line.indexOf('\t');
    this.row = Number(line.slice(1, this.#comma));
  }

  get key(): string | null {
    return parsedCell(this.#line.slice(this.#comma + 1, this.#hash - 2)) as string | null;
  }

  get rowHash(): string {
    return this.#line.slice(this.#hash, this.#tab - 2);
  }

  get cells(): Cell[] {
    return parsedCells(this.#line.slice(this.#tab + 1));
  }

  /** Where it begins: a line's head ends in `"hash"]`, and a hash has no quote. */
  get #hash(): number {
    return this.#line.lastIndexOf('"', this.#tab - 3) + 1;
  }
}

/**
 * As `JSON.parse`, which looks every short text up in a table of all that the process knows, and keeps it there until the next
 * collection of everything: with the cells of a million rows that is a fifth of the work.
 */
export function parsedCell(json: string): Cell {
  if (json === 'null') return null;
  return json.startsWith('"') && !json.includes('\\') ? json.slice(1, -1) : (JSON.parse(json) as Cell);
}

function parsedCells(json: string): Cell[] {
  if (json.includes('\\')) return JSON.parse(json) as Cell[];
  const cells: Cell[] = [];
  const last = json.length - 1;
  for (let from = 1; from < last; ) {
    let to = json.startsWith('"', from) ? json.indexOf('"', from + 1) + 1 : json.indexOf(',', from);
    if (to < 0) to = last;
    cells.push(parsedCell(json.slice(from, to)));
    from = to + 1;
  }
  return cells;
}
