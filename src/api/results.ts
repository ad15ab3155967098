/** A job's results as a file: NDJSON for programs, CSV and XLSX for people. Streamed; memory does not grow with the job. */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Blobs } from '../blobs/blobs.ts';
import { SheafError } from '../contracts/errors.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { Cell, OutcomeOrRemaining } from '../contracts/row.ts';
import type { Store } from '../store/store.ts';
import { itemOf, manifestOf, readJobRows } from './job-rows.ts';
import type { JobRow } from './job-rows.ts';
import { csvLines, OutputFields, resultColumns } from './result-table.ts';
import { MAX_COLUMNS, workbook } from './xlsx.ts';

export const RESULT_FORMATS = {
  ndjson: 'application/x-ndjson',
  csv: 'text/csv; charset=utf-8',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
} as const;
export type ResultFormat = keyof typeof RESULT_FORMATS;

export interface ResultsAsked {
  format: ResultFormat;
  states: OutcomeOrRemaining[] | undefined;
  /** CSV only: for spreadsheet programs (a byte order mark, or Excel takes UTF-8 for Windows' code page; formulas
   *  escaped), or false: for other programs, as it is. */
  escape: boolean;
}

interface Stores {
  store: Store;
  blobs: Blobs;
}

/** Rows between which other requests get their turn. */
const BATCH_ROWS = 500;

/** Chunks of the file. Rejects with `not_ready` before the sheet has been read, `too_many_columns` for XLSX. */
export async function* resultChunks(stores: Stores, job: SheetJobRecord, { format, states, escape }: ResultsAsked, signal: AbortSignal): AsyncGenerator<string | Buffer> {
  const manifest = manifestOf(job);
  const batches = async function* (): AsyncGenerator<JobRow[]> {
    for await (const rows of readJobRows(stores, job, states, signal)) {
      for (let start = 0; start < rows.length; start += BATCH_ROWS) {
        yield rows.slice(start, start + BATCH_ROWS);
        await breathe();
      }
    }
  };
  if (format === 'ndjson') {
    const names = manifest.columns.map(({ name }) => name);
    for await (const rows of batches()) yield rows.map((row) => `${JSON.stringify(itemOf(names, row))}\n`).join('');
    return;
  }
  const fields = new OutputFields(manifest);
  for await (const rows of batches()) fields.add(rows);
  const columns = resultColumns(manifest, fields, format === 'xlsx');
  const header = columns.map(({ name }) => name);
  const table = async function* (): AsyncGenerator<Cell[][]> {
    for await (const rows of batches()) yield rows.map((row) => columns.map((column) => column.of(row)));
  };
  if (format === 'csv') {
    yield (escape ? '\uFEFF' : '') + csvLines([header], escape);
    for await (const rows of table()) yield csvLines(rows, escape);
    return;
  }
  if (header.length > MAX_COLUMNS) {
    throw new SheafError('too_many_columns', `The results have ${header.length} columns; a workbook holds ${MAX_COLUMNS}.`, { remedy: 'Ask for format=csv.' });
  }
  yield* workbook(header, table(), manifest.rows);
}

/** `orders.csv` gives `orders-results.csv`: no path, quote or control character. */
export function resultFileName(job: SheetJobRecord, format: ResultFormat): string {
  const stem = job.request.fileName.replace(/\.[^.]*$/, '').replaceAll(/[\p{Cc}\p{Cf}"\\/:*?<>|;%]/gu, '_').slice(0, 100).trim();
  return `${stem || 'sheet'}-results.${format}`;
}
