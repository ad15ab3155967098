/** A look at a sheet without a job: its columns and what is in them, the first rows, and what to watch out for. */
import type { SheetOptions } from '../contracts/job.ts';
import type { Column, SheetWarning } from '../contracts/row.ts';
import { adviseHeader } from '../domain/header-advice.ts';
import { renameReason, type RenameReason } from '../domain/header.ts';
import { typeOfCell, typeOfColumn, type CellType, type ColumnType } from '../domain/infer.ts';
import { parseRange } from '../domain/range.ts';
import { openSheet } from './index.ts';
import type { FoundSheet, SheetLimits, SourceRow } from './source.ts';

const ROWS_SHOWN = 20;
/** Rows whose cells the types are told from. */
const ROWS_TYPED = 10_000;
/** How long rows are counted. */
const COUNT_MILLISECONDS = 5000;

export interface PreviewColumn extends Column {
  /** Why it is not called what its header says; null: it is. */
  renamed: RenameReason | null;
  /** Told from the first 10,000 rows. */
  type: ColumnType;
}

export interface Preview {
  format: string;
  sheet: string | null;
  sheets: string[];
  columns: PreviewColumn[];
  /** The first 20 data rows. */
  rows: SourceRow[];
  /** Data rows; null when counting took too long. */
  rowCount: number | null;
  /** Rows counted until then. */
  rowCountAtLeast: number;
  warnings: SheetWarning[];
}

/** Rejects as `openSheet` does, and with what is wrong in any row that it reads. */
export async function previewSheet(
  file: FoundSheet, options: SheetOptions, limits: SheetLimits, countMilliseconds = COUNT_MILLISECONDS,
): Promise<Preview> {
  const sheet = await openSheet(file, options, limits);
  try {
    const rows: SourceRow[] = [];
    const types: Set<CellType>[] = [];
    const end = Date.now() + countMilliseconds;
    let count = 0;
    let counted = true;
    for await (const batch of sheet.rows()) {
      if (rows.length < ROWS_SHOWN) rows.push(...batch.slice(0, ROWS_SHOWN - rows.length));
      if (count < ROWS_TYPED) noteTypes(batch, types);
      count += batch.length;
      // What somebody else has to send is not asked for to be counted.
      if (Date.now() > end || ('open' in file && count >= ROWS_TYPED)) {
        counted = false;
        break;
      }
    }
    const headerRow = options.headerRow ?? (options.range === undefined ? 1 : parseRange(options.range).firstRow);
    const advice = headerRow === 0 ? null : adviseHeader(headerRow, sheet.columns.map(({ header }) => header), rows);
    return {
      format: sheet.format,
      sheet: sheet.sheet,
      sheets: sheet.sheets,
      columns: sheet.columns.map((column, position) => ({
        ...column,
        renamed: renameReason(column),
        type: typeOfColumn(types[position] ?? new Set()),
      })),
      rows,
      rowCount: counted ? count : null,
      rowCountAtLeast: count,
      warnings: advice ? [advice, ...sheet.warnings] : sheet.warnings,
    };
  } finally {
    await sheet.close();
  }
}

function noteTypes(batch: SourceRow[], types: Set<CellType>[]): void {
  for (const { cells } of batch) {
    for (let column = 0; column < cells.length; column++) {
      const type = typeOfCell(cells[column] ?? null);
      if (type !== null) (types[column] ??= new Set()).add(type);
    }
  }
}
