/** Sheets as documents: each a table of its own, by the readers that sheet jobs use. Legacy XLS by SheetJS. */
import type { Cell } from '../../contracts/row.ts';
import { SheafError } from '../../contracts/errors.ts';
import { openSheet } from '../../sources/index.ts';
import type { SheetFile, SheetLimits } from '../../sources/source.ts';
import { allBytes, checkPages, damaged, passwordRequired, type Input, type Reader } from './input.ts';
import { describePackage, openParts } from './package.ts';
import { isoDate, TextFull, type DocumentWriter } from './writer.ts';

const MAX_CELL_CHARS = 1 << 20;
const MAX_COLUMNS = 16_384;

const sheetLimits = (input: Input): SheetLimits => ({ maxRecordChars: MAX_CELL_CHARS, maxColumns: MAX_COLUMNS, maxInflatedBytes: input.limits.inflatedBytes });

const cellOf = (cell: Cell | undefined): string => (cell === null || cell === undefined ? '' : String(cell));

/** `title` stands above its rows, if there are any. */
async function readTable(file: SheetFile, sheet: number | undefined, input: Input, out: DocumentWriter, title?: string): Promise<void> {
  const open = await openSheet(file, { headerRow: 0, ...(sheet !== undefined && { sheet }) }, sheetLimits(input));
  try {
    const table = out.startTable();
    let titled = title === undefined;
    for await (const rows of open.rows()) {
      for (const { cells } of rows) {
        if (!titled && cells.length > 0) out.block('heading', title ?? '', { level: 1 });
        titled ||= cells.length > 0;
        table.row(cells.map(cellOf));
      }
    }
    for (const { code, message } of open.warnings) if (code !== 'empty_sheet' && code !== 'wider_row') out.warn(code, message);
  } finally {
    await open.close();
  }
}

export const readCsv: Reader = async (input, out) => {
  try {
    await readTable(input.file, undefined, input, out);
  } catch (error) {
    if (!(error instanceof SheafError) || out.blocks === 0) throw error;
    out.warn('part_damaged', error.message, { missing: true });
  }
};

export const readXlsx: Reader = async (input, out) => {
  const { file } = input;
  await describePackage(await openParts(input), out);
  const first = await openSheet(file, { headerRow: 0, sheet: 1 }, sheetLimits(input)).catch((error: unknown) => {
    // A chart may come first; the names of the sheets are with any that has cells.
    if (error instanceof SheafError && error.code === 'sheet_not_found') return openSheet(file, { headerRow: 0 }, sheetLimits(input));
    throw error;
  });
  const { sheets } = first;
  await first.close();
  checkPages(sheets.length, input.limits);
  out.pages = sheets.length;
  for (const [at, name] of sheets.entries()) {
    out.page = at + 1;
    try {
      await readTable(file, at + 1, input, out, name);
    } catch (error) {
      if (error instanceof TextFull || !(error instanceof SheafError) || error.code === 'archive_too_large') throw error;
      if (error.code === 'sheet_not_found') continue;
      out.failPage(at + 1, `The sheet could not be read whole: ${error.message}`);
    }
  }
  if (out.failedPages.length === sheets.length && out.tables === 0) throw damaged('none of its sheets can be read');
};

/** Excel 97 and before. */
export const readXls: Reader = async (input, out) => {
  const { read, utils } = await import('@e965/xlsx');
  const bytes = await allBytes(input.file);
  let workbook: ReturnType<typeof read>;
  try {
    workbook = read(bytes, { type: 'buffer', cellDates: true, cellFormula: false, cellHTML: false, ...(input.password !== undefined && { password: input.password }) });
  } catch (error) {
    if (error instanceof Error && /password|encrypt/i.test(error.message)) throw passwordRequired();
    throw damaged('the workbook cannot be read', error);
  }
  const { Title, Author, Subject, Keywords, CreatedDate, ModifiedDate, Application } = (workbook.Props ?? {}) as Record<string, unknown>;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const date = (value: unknown): string | undefined => isoDate(value instanceof Date ? (Number.isNaN(value.getTime()) ? '' : value.toISOString()) : text(value));
  out.describe({ title: text(Title), author: text(Author), subject: text(Subject), keywords: text(Keywords), producer: text(Application), created: date(CreatedDate), modified: date(ModifiedDate) });
  checkPages(workbook.SheetNames.length, input.limits);
  out.pages = workbook.SheetNames.length;
  for (const [at, name] of workbook.SheetNames.entries()) {
    const sheet = workbook.Sheets[name];
    out.page = at + 1;
    if (!sheet?.['!ref']) continue;
    out.block('heading', name, { level: 1 });
    out.table(utils.sheet_to_json<unknown[]>(sheet, { header: 1, raw: false, defval: '', blankrows: false }).map((row) => row.map(String)));
  }
};
