/** A1 notation: which rows and columns of a sheet somebody means. */
import { SheafError } from '../contracts/errors.ts';

/** What a spreadsheet program can number: rows to 1,048,576 and columns to XFD. */
export const LAST_ROW = 1_048_576;
export const LAST_COLUMN = 16_384;

/** Rows are 1-based and columns 0-based, both ends included; `null`: open to that side. */
export interface SheetRange {
  /** The `Sheet!` before the range; null when there is none. */
  sheet: string | null;
  firstRow: number;
  lastRow: number | null;
  firstColumn: number;
  lastColumn: number | null;
}

/** 0 → A, 25 → Z, 26 → AA. */
export function columnLetter(index: number): string {
  let letters = '';
  for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / 26)) {
    letters = String.fromCharCode(65 + ((rest - 1) % 26)) + letters;
  }
  return letters;
}

/** A → 0, XFD → 16383; any case. */
export function columnIndex(letters: string): number {
  let index = 0;
  for (const letter of letters.toUpperCase()) index = index * 26 + letter.charCodeAt(0) - 64;
  return index - 1;
}

const END = /^\$?([A-Za-z]{1,3})?\$?([1-9]\d{0,8})?$/;

/**
 * `B2:F100`, `A:D`, `2:50`, `B2`, `B2:F` (open below), with or without `$`, and with an optional sheet before it
 * (`Sheet1!B2`, `'Two words'!A:D`; a quote inside the name is doubled). CSV files may have more rows than a
 * spreadsheet program numbers, so rows are not bounded. Throws `invalid_range`.
 */
export function parseRange(text: string): SheetRange {
  const wrong = (why: string): SheafError =>
    new SheafError('invalid_range', `The range ${why}`, {
      remedy: 'Write it as a spreadsheet program does, for example B2:F100, A:D, 2:50 or Sheet1!B2:F100',
      place: { field: 'range' },
    });
  const parts = /^(?:(?:'((?:[^']|'')+)'|([^'!]+))!)?([^!]+)$/.exec(text.trim());
  if (!parts) throw wrong('is not in A1 notation');
  const sheet = parts[1]?.replaceAll("''", "'") ?? parts[2] ?? null;
  const ends = (parts[3] ?? '').split(':').map((end) => END.exec(end.trim()));
  const first = ends[0];
  const last = ends.length === 1 ? first : ends[1];
  if (!first || !last || ends.length > 2 || first[0] === '' || last[0] === '' || /^\$+$/.test(first[0]) || /^\$+$/.test(last[0])) {
    throw wrong('is not in A1 notation');
  }
  const [firstLetters, lastLetters] = [first[1], last[1]];
  const [firstDigits, lastDigits] = [first[2], last[2]];
  if (ends.length === 1 && (!firstLetters || !firstDigits)) throw wrong('names a whole row or column by one end only; write A:A or 2:2');
  if (Boolean(firstLetters) !== Boolean(lastLetters)) throw wrong('has a column at one end only');
  if (!firstDigits && lastDigits) throw wrong('has a row at its second end only');

  let firstColumn = firstLetters ? columnIndex(firstLetters) : 0;
  let lastColumn = lastLetters ? columnIndex(lastLetters) : null;
  let firstRow = firstDigits ? Number(firstDigits) : 1;
  let lastRow = lastDigits ? Number(lastDigits) : null;
  if (lastColumn !== null && lastColumn < firstColumn) [firstColumn, lastColumn] = [lastColumn, firstColumn];
  if (lastRow !== null && lastRow < firstRow) [firstRow, lastRow] = [lastRow, firstRow];
  if (Math.max(firstColumn, lastColumn ?? 0) >= LAST_COLUMN) throw wrong('goes beyond column XFD');
  return { sheet, firstRow, lastRow, firstColumn, lastColumn };
}
