/**
 * The two files that a job keeps of each page, both lines of JSON under zstd: the snapshot page (the rows as read) and
 * the page's result (what became of them). A page is bounded by its cut, so it is read and written whole.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Cell, Json, Outcome, PageResult, PageRow, RowFailure, RowResult } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Blobs } from './blobs.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** Chunks of some of a page's size: with the default of 16 KB a page would go back and forth between threads dozens of times. */
const FASTEST = { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: 1 << 18 };
const UNPACKED = { chunkSize: 1 << 20 };

/** Text under zstd. */
export async function writeText(blobs: Blobs, key: string, text: string | Uint8Array): Promise<void> {
  await blobs.put(key, await compress(text, FASTEST));
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

type PageHead = [row: number, key: string | null, rowHash: string];

/**
 * A row's line in its page: what names it, a tab (which JSON never has raw), its cells. Its length is what pages are cut by.
 */
export const pageLine = ({ row, key, rowHash, cells }: PageRow): string =>
  `${JSON.stringify([row, key, rowHash] satisfies PageHead)}\t${JSON.stringify(cells)}\n`;

/** `lines`: of `pageLine`, as UTF-8 where that is not a string. */
export const writePageFile = (blobs: Blobs, key: string, lines: string | Uint8Array): Promise<void> => writeText(blobs, key, lines);

/** A row as its line, whether it was parsed or not. */
export const lineOf = (row: PageRow): string => pageLine({ row: row.row, key: row.key, rowHash: row.rowHash, cells: row.cells });

/**
 * A row that stays text until somebody asks: of a page that is unchanged nobody does, and what lives as long as its page is
 * copied by the collector. Hash and cells are read with every call.
 */
class StoredRow implements PageRow {
  readonly row: number;
  readonly key: string | null;
  readonly #page: string;
  readonly #hash: number;
  readonly #tab: number;
  readonly #end: number;

  constructor(page: string, start: number, tab: number, end: number) {
    const comma = page.indexOf(',', start);
    const last = page.lastIndexOf(',', tab); // a key may have commas, a hash has none
    this.row = Number(page.slice(start + 1, comma));
    this.key = JSON.parse(page.slice(comma + 1, last)) as string | null;
    this.#page = page;
    this.#hash = last + 1;
    this.#tab = tab;
    this.#end = end;
  }

  get rowHash(): string {
    return JSON.parse(this.#page.slice(this.#hash, this.#tab - 1)) as string;
  }

  get cells(): Cell[] {
    return JSON.parse(this.#page.slice(this.#tab + 1, this.#end)) as Cell[];
  }
}

export async function readPageFile(blobs: Blobs, key: string): Promise<PageRow[]> {
  const page = await readText(blobs, key);
  const rows: PageRow[] = [];
  for (let start = 0; start < page.length; ) {
    const tab = page.indexOf('\t', start);
    const end = page.indexOf('\n', tab);
    if (tab < 0 || end < 0) throw damaged(key, new Error('A line is incomplete.'));
    rows.push(new StoredRow(page, start, tab, end));
    start = end + 1;
  }
  return rows;
}

export type ResultHead = Omit<PageResult, 'rows'>;
type ResultLine = [row: number, state: Outcome, output: Json, error?: RowFailure | null, cached?: 1];

export function resultLine({ row, state, output, error, cached, line: known }: RowResult): string {
  if (known !== undefined) return known;
  const line: ResultLine = error ? [row, state, output, error] : cached ? [row, state, output, null, 1] : [row, state, output];
  return `${JSON.stringify(line)}\n`;
}

/** `lines`: of `resultLine`, in the sheet's order. */
export const writeResultFile = (blobs: Blobs, key: string, head: ResultHead, lines: readonly string[]): Promise<void> =>
  writeText(blobs, key, `${JSON.stringify(head)}\n${lines.join('')}`);

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
