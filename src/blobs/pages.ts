/**
 * The two files that a job keeps of each page, both lines of JSON under zstd: the snapshot page (the rows as read) and
 * the page's result (what became of them). A page is bounded by its cut, so it is read and written whole.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Json, Outcome, PageResult, PageRow, RowFailure, RowResult } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import { giveBack, giveBackChunk } from '../domain/give-back.ts';
import type { Blobs } from './blobs.ts';
import { StoredRows } from './stored-rows.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
/** Chunks of some of a page's size: with the default of 16 KB a page would go back and forth between threads dozens of times. */
const FASTEST = { params: { [constants.ZSTD_c_compressionLevel]: 1 }, chunkSize: 1 << 18 };
const UNPACKED = { chunkSize: 1 << 20 };

/** Text under zstd, whose memory may be given back with `giveBackChunk`. */
export const packText = (text: string | Uint8Array): Promise<Buffer<ArrayBuffer>> => compress(text, FASTEST) as Promise<Buffer<ArrayBuffer>>;

export async function writeText(blobs: Blobs, key: string, text: string | Uint8Array): Promise<void> {
  const packed = await packText(text);
  await blobs.put(key, packed);
  giveBackChunk(packed);
}

/** Rejects with `blob_not_found`. */
export async function readText(blobs: Blobs, key: string): Promise<string> {
  const bytes = await readBytes(blobs, key);
  const text = bytes.toString();
  giveBackChunk(bytes);
  return text;
}

/** What zlib has made. */
async function readBytes(blobs: Blobs, key: string): Promise<Buffer> {
  const packed = await blobs.get(key);
  try {
    const bytes = await decompress(packed, UNPACKED);
    giveBack(packed);
    return bytes;
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

/** `lines`: of `pageLine`. */
export const writePageFile = (blobs: Blobs, key: string, lines: string): Promise<void> => writeText(blobs, key, lines);

export const readPageFile = async (blobs: Blobs, key: string): Promise<PageRow[]> => [...(await openPageFile(blobs, key))];

/** For who can tell when nothing is asked of the rows any more. Rejects with `blob_not_found`. */
export async function openPageFile(blobs: Blobs, key: string): Promise<StoredRows> {
  const bytes = await readBytes(blobs, key);
  try {
    return new StoredRows(bytes);
  } catch (error) {
    throw damaged(key, error);
  }
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
export async function writeResultFile(blobs: Blobs, key: string, head: ResultHead, lines: Uint8Array): Promise<void> {
  const text = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), lines]);
  await writeText(blobs, key, text);
  giveBack(text);
}

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
