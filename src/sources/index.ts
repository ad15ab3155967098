/** Every kind of sheet that Sheaf reads, and the one door to them. */
import type { SheetOptions } from '../contracts/job.ts';
import { csvSource } from './csv.ts';
import { foreignFormat, refuse } from './foreign.ts';
import { readBytes } from './read-bytes.ts';
import type { FoundSheet, OpenSheet, SheetFile, SheetLimits, SheetSource } from './source.ts';
import { openTable } from './table.ts';
import { Warnings } from './warnings.ts';
import { xlsxSource } from './xlsx.ts';

/** In this order; the first that recognises a file reads it. */
const SOURCES: readonly SheetSource[] = [xlsxSource, csvSource];

/** Bytes of the beginning that tell what a file is. */
const HEAD_BYTES = 4096;

/**
 * Opens a sheet: a file by its content, whatever its name says. Rejects with a `SheafError` that says what is wrong with
 * it and what to do. The caller closes the sheet.
 */
export async function openSheet(file: FoundSheet, options: SheetOptions, limits: SheetLimits): Promise<OpenSheet> {
  if ('open' in file) return file.open(options, limits);
  if (file.size === 0) return openEmpty(file, options, limits);
  const head = await readBytes(file, 0, HEAD_BYTES);
  const source = SOURCES.find((candidate) => candidate.recognises(file, head));
  if (source) return source.open(file, options, limits);
  return refuse(foreignFormat(file.name, head) ?? { what: 'of an unknown kind', remedy: 'Give a CSV, TSV or XLSX file' });
}

/** Names of the visible sheets with cells, in order; none where the format has no sheets. Rejects as `openSheet` does. */
export async function listSheets(file: FoundSheet, limits: SheetLimits): Promise<string[]> {
  if ('open' in file) return file.sheets();
  if (file.size === 0) return [];
  const head = await readBytes(file, 0, HEAD_BYTES);
  return SOURCES.find((candidate) => candidate.recognises(file, head))?.sheets?.(file, limits) ?? [];
}

/** No bytes are no format: a sheet without columns and rows. */
function openEmpty(file: SheetFile, options: SheetOptions, limits: SheetLimits): Promise<OpenSheet> {
  const nothing = { sheet: null, sheets: [], format: 'empty file', fingerprint: file.fingerprint, rows: async function* () {}, close: async () => {} };
  return openTable(nothing, options, limits, new Warnings());
}
