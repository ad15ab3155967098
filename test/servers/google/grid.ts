/** Spreadsheets in memory, as the Sheets API shows them: cells with values and formats, merges, grids that end somewhere. */
import { columnIndex, columnLetter } from '../../../src/domain/range.ts';

export type Value = string | number | boolean | null;
export type Shown = 'DATE' | 'TIME' | 'DATE_TIME' | 'DURATION';
/** A number that is shown as a date or a time. */
export interface Dated { serial: number; shown: Shown }
export type GridCell = Value | Dated;

const DAY = 86_400_000;
const EPOCH = Date.UTC(1899, 11, 30);
export const serialOf = (iso: string): number => (Date.parse(iso.length === 10 ? `${iso}T00:00:00Z` : `${iso}Z`) - EPOCH) / DAY;
export const date = (iso: string): Dated => ({ serial: serialOf(iso), shown: 'DATE' });
export const dateTime = (iso: string): Dated => ({ serial: serialOf(iso), shown: 'DATE_TIME' });
export const time = (hours: number): Dated => ({ serial: hours / 24, shown: 'TIME' });
export const duration = (hours: number): Dated => ({ serial: hours / 24, shown: 'DURATION' });

export interface Merge { startRowIndex: number; endRowIndex: number; startColumnIndex: number; endColumnIndex: number }

export interface Tab {
  sheetId: number;
  title: string;
  hidden: boolean;
  rowCount: number;
  columnCount: number;
  rows: GridCell[][];
  merges: Merge[];
}

export interface Spreadsheet {
  id: string;
  title: string;
  version: number;
  modifiedAt: number;
  tabs: Tab[];
  /** Accounts that may read or write it. */
  shared: Map<string, 'reader' | 'writer'>;
}

export function makeTab(sheetId: number, title: string, rows: GridCell[][], more: Partial<Tab> = {}): Tab {
  const width = rows.reduce((most, row) => Math.max(most, row.length), 0);
  return { sheetId, title, hidden: false, rows, merges: [], rowCount: Math.max(rows.length, 1), columnCount: Math.max(width, 1), ...more };
}

export class BadRange extends Error {}

export interface Area { tab: Tab; firstRow: number; lastRow: number; firstColumn: number; lastColumn: number }

/** `'Title'!A1:B2`, `'Title'!A:C`, `'Title'!2:3`; rows and columns 0-based, both ends included, within the grid. */
export function parseArea(book: Spreadsheet, range: string): Area {
  const parts = /^(?:'((?:[^']|'')+)'|([^'!]+))(?:!(.+))?$/.exec(range);
  const title = parts?.[1]?.replaceAll("''", "'") ?? parts?.[2];
  const tab = book.tabs.find((one) => one.title === title);
  const ends = /^([A-Z]+)?(\d+)?(?::([A-Z]+)?(\d+)?)?$/.exec(parts?.[3] ?? 'A:ZZZ');
  if (!tab || !ends) throw new BadRange(`Unable to parse range: ${range}`);
  const [, firstLetters, firstDigits, lastLetters, lastDigits] = ends;
  const firstRow = firstDigits ? Number(firstDigits) - 1 : 0;
  const firstColumn = firstLetters ? columnIndex(firstLetters) : 0;
  const single = !range.includes(':') && parts?.[3] !== undefined;
  const lastRow = Math.min(lastDigits ? Number(lastDigits) - 1 : single ? firstRow : tab.rowCount - 1, tab.rowCount - 1);
  const lastColumn = Math.min(lastLetters ? columnIndex(lastLetters) : single ? firstColumn : tab.columnCount - 1, tab.columnCount - 1);
  if (firstRow >= tab.rowCount || firstColumn >= tab.columnCount) throw new BadRange(`Range (${range}) exceeds grid limits. Max rows: ${tab.rowCount}, max columns: ${tab.columnCount}`);
  return { tab, firstRow, lastRow, firstColumn, lastColumn };
}

export const nameOf = ({ tab, firstRow, lastRow, firstColumn, lastColumn }: Area): string =>
  `'${tab.title.replaceAll("'", "''")}'!${columnLetter(firstColumn)}${firstRow + 1}:${columnLetter(lastColumn)}${lastRow + 1}`;

/** As `values.get` answers with UNFORMATTED_VALUE: empty cells at the end of rows, and empty rows at the end, are left out. */
export function valuesOf({ tab, firstRow, lastRow, firstColumn, lastColumn }: Area, formatted: boolean): Value[][] {
  const values: Value[][] = [];
  for (let row = firstRow; row <= lastRow; row++) {
    const cells = (tab.rows[row] ?? []).slice(firstColumn, lastColumn + 1).map((cell) => valueOf(cell, formatted));
    while (cells.length > 0 && cells.at(-1) === '') cells.pop();
    values.push(cells);
  }
  while (values.length > 0 && values.at(-1)!.length === 0) values.pop();
  return values;
}

function valueOf(cell: GridCell | undefined, formatted: boolean): Value {
  if (cell === null || cell === undefined) return '';
  if (typeof cell !== 'object') return cell;
  return formatted ? shown(cell) : cell.serial;
}

function shown({ serial, shown: how }: Dated): string {
  const at = new Date(EPOCH + Math.round(serial * DAY));
  const clock = at.toISOString().slice(11, 19);
  const day = `${at.getUTCMonth() + 1}/${at.getUTCDate()}/${at.getUTCFullYear()}`;
  const seconds = Math.round(serial * 86_400);
  const long = `${Math.floor(seconds / 3600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
  return { DATE: day, TIME: clock, DATE_TIME: `${day} ${clock}`, DURATION: long }[how];
}

/** As RAW does it: nulls leave a cell as it is, empty text empties it. Answers how many cells were written. */
export function write(area: Area, values: Value[][]): number {
  let cells = 0;
  values.forEach((line, down) => line.forEach((value, right) => {
    if (value === null) return;
    const [row, column] = [area.firstRow + down, area.firstColumn + right];
    if (row > area.lastRow || column > area.lastColumn) throw new BadRange(`Requested writing within range [${nameOf(area)}], but tried writing to row [${row + 1}]`);
    const cellsOfRow = (area.tab.rows[row] ??= []);
    while (cellsOfRow.length < column) cellsOfRow.push(null);
    cellsOfRow[column] = value === '' ? null : value;
    cells++;
  }));
  for (let row = 0; row < area.tab.rows.length; row++) area.tab.rows[row] ??= [];
  return cells;
}
