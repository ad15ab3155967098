/**
 * From the rows of a format to the sheet that somebody asked for: range, header row, first row and number of rows,
 * column names, blank rows, columns that grow. The one place where these rules live; every adapter uses it.
 */
import type { Cell, Column } from '../contracts/row.ts';
import type { SheetOptions } from '../contracts/job.ts';
import { SheafError } from '../contracts/errors.ts';
import { columnWithoutHeader, nameColumns, renameReason } from '../domain/header.ts';
import { parseRange, type SheetRange } from '../domain/range.ts';
import type { OpenSheet, SheetLimits, SourceRow } from './source.ts';
import type { Warnings } from './warnings.ts';

/** Rows in one batch at most, and rows looked at when a sheet is opened, to know its columns. */
const BATCH = 500;

/** A sheet as its format holds it, before range and header. */
export interface RawSheet {
  sheet: string | null;
  sheets: string[];
  format: string;
  fingerprint: string;
  /**
   * From the top, in ascending order; blank rows may be missing. Cells from column A on, shared with nobody; empty
   * ones are null. Called once for every reading.
   */
  rows(signal: AbortSignal | undefined): AsyncIterable<SourceRow[]>;
  close(): Promise<void>;
}

/** The part of a sheet that is read. Rows are 1-based, both ends included. */
export interface Window {
  range: SheetRange;
  headerRow: number;
  firstRow: number;
  lastRow: number;
}

const WHOLE: SheetRange = { sheet: null, firstRow: 1, lastRow: null, firstColumn: 0, lastColumn: null };

export function windowOf(options: SheetOptions): Window {
  const range = options.range === undefined ? WHOLE : parseRange(options.range);
  const headerRow = options.headerRow ?? range.firstRow;
  if (options.startRow !== undefined && options.startRow <= headerRow) {
    throw new SheafError('invalid_range', `startRow ${options.startRow} is not below the header row ${headerRow}`, {
      remedy: 'Give a later startRow, or headerRow 0 if the sheet has no header',
      place: { field: 'startRow' },
    });
  }
  const firstRow = Math.max(range.firstRow, headerRow + 1, options.startRow ?? 1);
  const lastRow = Math.min(range.lastRow ?? Infinity, firstRow + (options.numRows ?? Infinity) - 1);
  return { range, headerRow, firstRow, lastRow };
}

/** The sheet that the options name, by `sheet` or in front of the range. Throws `invalid_range` when they disagree. */
export function wantedSheet(options: SheetOptions): string | number | undefined {
  const inRange = options.range === undefined ? null : parseRange(options.range).sheet;
  if (inRange === null) return options.sheet;
  if (options.sheet !== undefined && String(options.sheet).toLowerCase() !== inRange.toLowerCase()) {
    throw new SheafError('invalid_range', 'The range names another sheet than the option "sheet"', {
      remedy: 'Name the sheet in one of the two places',
      place: { field: 'range' },
    });
  }
  return inRange;
}

export async function openTable(
  raw: RawSheet, options: SheetOptions, limits: SheetLimits, warnings: Warnings,
): Promise<OpenSheet> {
  const window = windowOf(options);
  const beginning = await readBeginning(raw, window);
  const columns = new Columns(window, beginning.header, limits, warnings);
  for (const row of beginning.rows) columns.make(row);
  if (!beginning.anything) warnings.add({ code: 'empty_sheet', message: 'The sheet is empty' });

  return {
    sheet: raw.sheet,
    sheets: raw.sheets,
    columns: columns.list,
    rowCount: beginning.anything ? null : 0,
    fingerprint: raw.fingerprint,
    format: raw.format,
    warnings: warnings.list,
    rows: ({ fromRow = 1, signal } = {}) => {
      warnings.restart();
      return readRows(raw, window, columns, fromRow, signal);
    },
    close: () => raw.close(),
  };
}

interface Beginning {
  /** The header row's cells within the range; empty without a header. */
  header: Cell[];
  /** The first rows below it, within the range. */
  rows: SourceRow[];
  /** Whether the sheet has any cell at all, in the range or not. */
  anything: boolean;
}

async function readBeginning(raw: RawSheet, window: Window): Promise<Beginning> {
  const { headerRow, firstRow, lastRow } = window;
  const beginning: Beginning = { header: [], rows: [], anything: false };
  let reached = 0;
  reading: for await (const batch of raw.rows(undefined)) {
    for (const { row, cells } of batch) {
      reached = row;
      const inRange = within(cells, window.range);
      beginning.anything ||= cells.some((cell) => cell !== null);
      if (row === headerRow) beginning.header = inRange;
      if (row >= firstRow && row <= lastRow) beginning.rows.push({ row, cells: inRange });
      if (beginning.anything && row >= headerRow && (row >= lastRow || beginning.rows.length === BATCH)) break reading;
    }
  }
  if (beginning.anything && reached < headerRow) {
    throw new SheafError('header_not_found', `The header row is ${headerRow}, but the sheet ends at row ${reached}`, {
      remedy: 'Give the number of the row that holds the column names, or 0 if there is none',
      place: { field: 'headerRow', row: headerRow },
    });
  }
  return beginning;
}

/** The cells of a row that lie in the range's columns. */
function within(cells: Cell[], range: SheetRange): Cell[] {
  return range.firstColumn === 0 && range.lastColumn === null
    ? cells
    : cells.slice(range.firstColumn, range.lastColumn === null ? undefined : range.lastColumn + 1);
}

function trimEnd(cells: Cell[]): void {
  let length = cells.length;
  while (length > 0 && (cells[length - 1] ?? null) === null) length--;
  cells.length = length;
}

const WHY_RENAMED = {
  empty: 'has no header and is called by its letter',
  duplicate: 'has the same header as another and got a number at the end of its name',
  too_long: 'has a very long header, of which the beginning is its name',
  reserved: 'has a header that cannot be a name and got a number at its end',
};

/** The columns so far, growing at the right with every wider row. */
class Columns {
  readonly list: Column[];
  readonly #window: Window;
  readonly #limits: SheetLimits;
  readonly #warnings: Warnings;
  /** Cells of the header row, empty ones at its end included. */
  readonly #headerWidth: number;
  readonly #renamed = new Map<string, number>();

  constructor(window: Window, header: Cell[], limits: SheetLimits, warnings: Warnings) {
    this.#window = window;
    this.#limits = limits;
    this.#warnings = warnings;
    this.#headerWidth = header.length;
    const named = [...header];
    trimEnd(named);
    if (named.length > limits.maxColumns) throw this.#tooMany(named.length, window.headerRow);
    this.list = nameColumns(named, window.range.firstColumn);
    for (const column of this.list) this.#warnOfName(column);
  }

  /** Drops what is empty at the row's end and makes the columns that its cells need. */
  make(row: SourceRow): void {
    trimEnd(row.cells);
    if (row.cells.length > this.list.length) this.#grow(row.cells.length, row.row);
  }

  #grow(width: number, row: number): void {
    if (width > this.#limits.maxColumns) throw this.#tooMany(width, row);
    const hasHeader = this.#window.headerRow > 0;
    const firstNew = this.list.length;
    while (this.list.length < width) {
      const column = columnWithoutHeader(this.#window.range.firstColumn + this.list.length, this.list);
      this.list.push(column);
      if (hasHeader && column.index - this.#window.range.firstColumn < this.#headerWidth) this.#warnOfName(column);
    }
    const widened = this.list[Math.max(firstNew, this.#headerWidth)];
    if (hasHeader && widened && !this.#warnings.list.some(({ code }) => code === 'wider_row')) {
      this.#warnings.add({
        code: 'wider_row',
        message: `Row ${row} is wider than the header row; columns without a header are called by their letters, from "${widened.name}" on`,
        row,
        column: widened.letter,
      });
    }
  }

  /** One warning for each reason; it names the first column, the mapping of columns tells the rest. */
  #warnOfName(column: Column): void {
    const reason = renameReason(column);
    if (reason === null || reason === 'whitespace') return;
    const code = `${reason}_header`;
    const known = this.#warnings.list.find((warning) => warning.code === code);
    const count = (this.#renamed.get(code) ?? 0) + 1;
    this.#renamed.set(code, count);
    const message = `Column ${known?.column ?? column.letter} ${WHY_RENAMED[reason]}${count === 1 ? '' : `, and ${count - 1} more with it`}`;
    if (known) known.message = message;
    else this.#warnings.add({ code, message, row: this.#window.headerRow, column: column.letter });
  }

  #tooMany(width: number, row: number): SheafError {
    return new SheafError('too_many_columns', `Row ${row} has ${width} columns, more than the ${this.#limits.maxColumns} that are allowed`, {
      remedy: 'Check the delimiter, read a range of columns, or raise SHEAF_MAX_COLUMNS',
      place: { row },
    });
  }
}

/** Blank rows between others come as rows without cells; those below the last cell are no rows. */
async function* readRows(
  raw: RawSheet, window: Window, columns: Columns, fromRow: number, signal: AbortSignal | undefined,
): AsyncGenerator<SourceRow[], void, undefined> {
  let next = Math.max(window.firstRow, fromRow);
  if (next > window.lastRow) return;
  const plain = window.range.firstColumn === 0 && window.range.lastColumn === null;
  for await (const rows of raw.rows(signal)) {
    signal?.throwIfAborted();
    let batch: SourceRow[] = [];
    for (const row of rows) {
      if (row.row > window.lastRow) {
        if (batch.length > 0) yield batch;
        return;
      }
      if (row.row < next) continue;
      if (!plain) row.cells = within(row.cells, window.range);
      columns.make(row);
      if (row.cells.length === 0) continue;
      while (next < row.row) {
        batch.push({ row: next++, cells: [] });
        if (batch.length >= BATCH) {
          yield batch;
          signal?.throwIfAborted();
          batch = [];
        }
      }
      batch.push(row);
      next = row.row + 1;
      if (batch.length >= BATCH) {
        yield batch;
        signal?.throwIfAborted();
        batch = [];
      }
    }
    // No more is held than the format gave at once: its rows may be long.
    if (batch.length > 0) yield batch;
  }
}
