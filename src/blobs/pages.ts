/**
 * The two files that a job keeps of each page, both lines of JSON under zstd: the snapshot page (the rows as read) and
 * the page's result (what became of them). A page is bounded by its cut, so it is read and written whole.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import type { Cell, Json, Outcome, PageResult, PageRow, RowFailure } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Blobs } from './blobs.ts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);
const FASTEST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

async function writeLines(blobs: Blobs, key: string, lines: string): Promise<void> {
  await blobs.put(key, await compress(lines, FASTEST));
}

async function readLines(blobs: Blobs, key: string): Promise<unknown[]> {
  const packed = await blobs.get(key);
  try {
    // One parse of the whole page is faster than one a line.
    const text = (await decompress(packed)).toString();
    return JSON.parse(`[${text.trimEnd().replaceAll('\n', ',')}]`) as unknown[];
  } catch (error) {
    throw new SheafError('blob_not_found', `The stored page ${key} is damaged.`, {
      remedy: 'Restore it from a backup, or run the job again from its source.', cause: error,
    });
  }
}

type PageLine = [row: number, key: string | null, rowHash: string, cells: Cell[]];

/** A row's line in its page; its length is what pages are cut by. */
export const pageLine = ({ row, key, rowHash, cells }: PageRow): string =>
  `${JSON.stringify([row, key, rowHash, cells] satisfies PageLine)}\n`;

export const writePageFile = (blobs: Blobs, key: string, lines: string): Promise<void> => writeLines(blobs, key, lines);

export async function readPageFile(blobs: Blobs, key: string): Promise<PageRow[]> {
  const lines = (await readLines(blobs, key)) as PageLine[];
  return lines.map(([row, rowKey, rowHash, cells]) => ({ row, key: rowKey, rowHash, cells }));
}

type ResultHead = Omit<PageResult, 'rows'>;
type ResultLine = [row: number, state: Outcome, output: Json, error?: RowFailure];

export async function writeResultFile(blobs: Blobs, key: string, result: PageResult): Promise<void> {
  let lines = `${JSON.stringify({ attempt: result.attempt, tried: result.tried, faults: result.faults } satisfies ResultHead)}\n`;
  for (const { row, state, output, error } of result.rows) {
    const line: ResultLine = error ? [row, state, output, error] : [row, state, output];
    lines += `${JSON.stringify(line)}\n`;
  }
  await writeLines(blobs, key, lines);
}

export async function readResultFile(blobs: Blobs, key: string): Promise<PageResult> {
  const [head, ...lines] = (await readLines(blobs, key)) as [ResultHead, ...ResultLine[]];
  return {
    ...head,
    rows: lines.map(([row, state, output, error]) => ({ row, state, output, ...(error && { error }) })),
  };
}
