/**
 * The two files that a job keeps of each page, both lines of JSON under zstd: the snapshot page (the rows as read) and
 * the page's result (what became of them). A page is bounded by its cut, so it is read and written whole.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Cell, Json, Outcome, PageResult, PageRow, RowFailure, RowResult } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import { cellJson } from '../domain/hashing.ts';
import type { Blobs } from './blobs.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** Chunks of some of a page's size: with the default of 16 KB a page would go back and forth between threads dozens of times. */
const FASTEST = { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: 1 << 18 };
const UNPACKED = { chunkSize: 1 << 20 };

/** Text under zstd. */
export const packText = (text: string | Uint8Array): Promise<Uint8Array> => compress(text, FASTEST);

export async function writeText(blobs: Blobs, key: string, text: string | Uint8Array): Promise<void> {
  await blobs.put(key, await packText(text));
}

/** Rejects with `blob_not_found`. */
export async function readText(blobs: Blobs, key: string): Promise<string> {
  const packed = await blobs.get(key);
  try {
    return (await decompress(packed, UNPACKED)).toString();
  } catch (error) {
    throw damaged(key, error);
  }
}

const damaged = (key: string, cause: unknown): SheafError =>
  new SheafError('blob_not_found', `The stored page ${key} is damaged.`, {
    remedy: 'Restore it from a backup, or run the job again from its source.', cause,
  });

/** One parse of all lines is faster than one a line. */
const parseLines = (lines: readonly string[]): unknown[] => JSON.parse(`[${lines.join(',')}]`) as unknown[];

/**
 * A row's line in its page: an array of what names it, a tab (which JSON never has raw), its cells. Its length is what pages are cut by.
 */
export const pageLine = ({ row, key, rowHash, cells }: PageRow): string => pageLineOf(row, key, rowHash, `[${cells.map(cellJson).join(',')}]`);

/** For who has put the cells into JSON already. */
export const pageLineOf = (row: number, key: string | null, rowHash: string, cells: string): string => `[${row},${JSON.stringify(key)},"${rowHash}"]\t${cells}\n`;

/** `lines`: of `pageLine`. */
export const writePageFile = (blobs: Blobs, key: string, lines: string): Promise<void> => writeText(blobs, key, lines);

/**
 * A row that stays text until somebody asks: of a page that is unchanged nobody does, and what lives as long as its page is
 * copied by the collector. All but the number is read with every call.
 */
class StoredRow implements PageRow {
  readonly row: number;
  readonly #page: string;
  readonly #key: number;
  readonly #tab: number;

  constructor(page: string, start: number, tab: number) {
    const comma = page.indexOf(',', start);
    this.row = Number(page.slice(start + 1, comma));
    this.#page = page;
    this.#key = comma + 1;
    this.#tab = tab;
  }

  get key(): string | null {
    return parsedCell(this.#page.slice(this.#key, this.#hash - 2)) as string | null;
  }

  get rowHash(): string {
    return this.#page.slice(this.#hash, this.#tab - 2);
  }

  /** Where it begins: the line's head ends in `"hash"]`, and a hash has no quote. */
  get #hash(): number {
    return this.#page.lastIndexOf('"', this.#tab - 3) + 1;
  }

  get cells(): Cell[] {
    return parsedCells(this.#page.slice(this.#tab + 1, this.#page.indexOf('\n', this.#tab)));
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

export async function readPageFile(blobs: Blobs, key: string): Promise<PageRow[]> {
  const page = await readText(blobs, key);
  const rows: PageRow[] = [];
  for (let start = 0; start < page.length; ) {
    const tab = page.indexOf('\t', start);
    const end = page.indexOf('\n', tab);
    if (tab < 0 || end < 0) throw damaged(key, new Error('A line is incomplete.'));
    rows.push(new StoredRow(page, start, tab));
    start = end + 1;
  }
  return rows;
}

export type ResultHead = Omit<PageResult, 'rows'>;
/** As `lineOfOutcome` writes it. */
type ResultLine = [row: number, state: Outcome, output: Json, error?: RowFailure | null, cached?: 1];

export function resultLine({ row, state, output, error, cached, line: known }: RowResult): string {
  return known ?? lineOfOutcome(row, state, JSON.stringify(output), error, cached);
}

/** `output`: JSON, for who has it as text already. */
export const lineOfOutcome = (row: number, state: Outcome, output: string, error?: RowFailure | null, cached?: boolean): string =>
  `[${row},"${state}",${output}${error ? `,${JSON.stringify(error)}` : cached ? ',null,1' : ''}]\n`;

/** `lines`: of `resultLine`, in the sheet's order. */
export const writeResultFile = (blobs: Blobs, key: string, head: ResultHead, lines: Uint8Array): Promise<void> =>
  writeText(blobs, key, Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), lines]));

export async function readResultFile(blobs: Blobs, key: string): Promise<PageResult> {
  const text = await readText(blobs, key);
  const [head, ...lines] = parseLines(text.trimEnd().split('\n')) as [ResultHead, ...ResultLine[]];
  return {
    ...head,
    rows: lines.map(([row, state, output, error, cached]) => ({ row, state, output, ...(error && { error }), ...(cached === 1 && state === 'done' && { cached: true }) })),
  };
}

/** A page's result with the outputs left as text. */
export interface ResultText {
  head: ResultHead;
  rows: Map<number, { state: Outcome; line: string }>;
}

const LINE_START = /^\[(\d+),"(\w+)"/;

export async function readResultText(blobs: Blobs, key: string): Promise<ResultText> {
  const [first = '', ...lines] = (await readText(blobs, key)).trimEnd().split('\n');
  const rows: ResultText['rows'] = new Map();
  for (const line of lines) {
    const start = LINE_START.exec(line);
    if (!start) throw damaged(key, new Error('A line does not begin as one does.'));
    rows.set(Number(start[1]), { state: start[2] as Outcome, line: `${line}\n` });
  }
  return { head: JSON.parse(first) as ResultHead, rows };
}

/** The failure that a result's line tells. */
export const failureOf = (line: string): RowFailure | undefined => (JSON.parse(line) as ResultLine)[3] ?? undefined;

/** A line of a row that was done, as that of one that is unchanged. */
export const unchangedLine = (line: string): string => line.replace('"done"', '"unchanged"');

/**
 * Writes a result whose rows all were done, unchanged or skipped once more, as one where nothing changed; `head` is the
 * new one's. The rows stay text throughout. False, and nothing is written, where another handler made it.
 */
export async function copyUnchanged(blobs: Blobs, from: string, to: string, head: ResultHead): Promise<boolean> {
  const text = await readText(blobs, from);
  const end = text.indexOf('\n') + 1;
  if ((JSON.parse(text.slice(0, end)) as ResultHead).handlerHash !== head.handlerHash) return false;
  await writeText(blobs, to, `${JSON.stringify(head)}\n${text.slice(end).replaceAll(/^(\[\d+,)"done"/gm, '$1"unchanged"')}`);
  return true;
}
