/**
 * A sheet at Google, read from top to bottom in parts of a megabyte or two, whatever its rows weigh: a part's size is
 * judged by what came for the one before. What was fetched may be kept, so that whoever takes over need not ask again.
 */
import { SheafError } from '../../contracts/errors.ts';
import { digest } from '../../domain/hashing.ts';
import type { SourceRow } from '../source.ts';
import type { Warnings } from '../warnings.ts';
import { readBlock, type BlockCells, type ColumnSpan } from './cells.ts';
import type { GoogleClient } from './client.ts';

/** Characters of answers for a part. Google recommends 2 MB at most. */
const TARGET_SIZE = 1_500_000;
/** Before anything is known of the rows. */
const FIRST = { cells: 20_000, rows: 500 };
/** A part is at most so many times the one before: rows further down may be longer. */
const GROWTH = 4;
const MOST_ROWS = 100_000;
/** Rows in one batch. */
const BATCH = 500;

/** Keeps parts by number; what is kept is JSON. */
export interface FetchedParts {
  get(part: number): Promise<string | null>;
  put(part: number, content: string): Promise<void>;
}

interface Part extends BlockCells {
  firstRow: number;
  lastRow: number;
}

export interface PartsOptions {
  client: GoogleClient;
  title: string;
  /** Rows to be read, 1-based, both ends included, ascending. */
  spans: readonly (readonly [first: number, last: number])[];
  columns: readonly ColumnSpan[];
  warnings: Warnings;
  fetched: FetchedParts | null;
  /** Nobody can say whether the sheet was changed meanwhile: all parts are read twice, and must be the same. */
  twice: boolean;
}

export interface Parts {
  /** May be called again; the first part is remembered. Rejects with `source_changed` where two readings differ. */
  rows(signal: AbortSignal | undefined): AsyncGenerator<SourceRow[], void, undefined>;
}

export function partsOf(options: PartsOptions): Parts {
  const { client, title, spans, columns, warnings, fetched } = options;
  let first: Part | null = null;

  const fetch = async (number: number, firstRow: number, lastRow: number): Promise<Part> => {
    const kept = await fetched?.get(number);
    if (kept) return JSON.parse(kept) as Part;
    const part = { firstRow, lastRow, ...(await readBlock(client, { title, firstRow, lastRow, columns })) };
    await fetched?.put(number, JSON.stringify(part));
    return part;
  };

  return {
    async *rows(signal) {
      const seen: { firstRow: number; lastRow: number; hash: string }[] = [];
      let number = 0;
      let height = Math.max(1, Math.min(FIRST.rows, Math.floor(FIRST.cells / columns.reduce((width, [first, last]) => width + last - first + 1, 0))));
      for (const [from, to] of spans) {
        for (let next = from; next <= to;) {
          signal?.throwIfAborted();
          const lastRow = Math.min(to, next + height - 1);
          const part: Part = number === 0 && first ? first : await fetch(number, next, lastRow);
          if (number === 0) first = part;
          number++;
          if (options.twice) seen.push({ firstRow: part.firstRow, lastRow: part.lastRow, hash: digest(JSON.stringify(part.rows)) });
          if (part.errors) warnings.tally('error_cell', { row: part.errors.row, column: part.errors.column }, errorCells, part.errors.cells);
          yield* batches(part);
          next = part.lastRow + 1;
          height = nextHeight(part);
        }
      }
      // One answer is of one moment.
      if (seen.length < 2) return;
      for (const { firstRow, lastRow, hash } of seen) {
        const again = await readBlock(client, { title, firstRow, lastRow, columns });
        if (digest(JSON.stringify(again.rows)) !== hash) {
          throw new SheafError('source_changed', 'The sheet was changed while it was read', { remedy: 'It is read again; keep it still for a moment' });
        }
      }
    },
  };
}

const errorCells = (count: number): string => (count === 1 ? 'A cell holds an error and reads as empty' : `${count} cells hold an error and read as empty; this is the first`);

/** The rows are copied: whoever reads them cuts them to size. */
function* batches({ firstRow, rows }: Part): Generator<SourceRow[], void, undefined> {
  let batch: SourceRow[] = [];
  for (let down = 0; down < rows.length; down++) {
    if (rows[down]!.length > 0) batch.push({ row: firstRow + down, cells: [...rows[down]!] });
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function nextHeight({ firstRow, lastRow, size }: Part): number {
  const height = lastRow - firstRow + 1;
  return Math.max(1, Math.min(MOST_ROWS, height * GROWTH, Math.floor((height * TARGET_SIZE) / Math.max(size, 1))));
}
