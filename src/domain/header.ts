/** From a header row to column names: unique, bounded, and traceable to what stands in the sheet. */
import type { Cell, Column } from '../contracts/row.ts';
import { columnLetter } from './range.ts';

/** Characters; longer headers are cut. */
export const LONGEST_HEADER = 200;

/** Why a column is not called what its header says. `whitespace`: only blanks and line breaks were tidied. */
export type RenameReason = 'empty' | 'duplicate' | 'too_long' | 'reserved' | 'whitespace';

/** Names that would not survive as a property of a row. */
const RESERVED = ['__proto__'];

/** Whitespace (line breaks and byte order marks too) collapsed; marks of direction and the text itself stay. */
const tidy = (header: string): string => header.replace(/\s+/g, ' ').trim();

const cut = (header: string): string =>
  header.length <= LONGEST_HEADER ? header : Array.from(header).slice(0, LONGEST_HEADER).join('').trimEnd();

/**
 * Columns for the header cells from column `firstIndex` (0 for A) on. A column without a header is called by its
 * letter; of equal headers the first keeps the name and the others become `Name_2`, `Name_3`, … around names that
 * other headers have.
 */
export function nameColumns(cells: Cell[], firstIndex: number): Column[] {
  const headers = cells.map((cell) => (cell === null ? null : String(cell)));
  const wanted = headers.map((header) => (header === null ? '' : cut(tidy(header))));
  const taken = new Set([...RESERVED, ...wanted]);
  const first = new Set<string>();
  return wanted.map((name, position) => {
    const letter = columnLetter(firstIndex + position);
    const header = headers[position] ?? null;
    const column = { header: name === '' ? null : header, index: firstIndex + position, letter };
    if (name !== '' && !first.has(name) && !RESERVED.includes(name)) {
      first.add(name);
      return { name, ...column };
    }
    const unique = freeName(name === '' ? letter : name, taken);
    return { name: unique, ...column };
  });
}

/** The column `index`, which has no header, beside those that are there. */
export function columnWithoutHeader(index: number, others: Column[]): Column {
  const letter = columnLetter(index);
  return { name: freeName(letter, new Set(others.map((column) => column.name))), header: null, index, letter };
}

function freeName(base: string, taken: Set<string>): string {
  let name = base;
  for (let number = 2; taken.has(name); number++) name = `${base}_${number}`;
  taken.add(name);
  return name;
}

/** Null when the column is called exactly what its header says. */
export function renameReason(column: Column): RenameReason | null {
  if (column.header === null) return 'empty';
  if (column.name === column.header) return null;
  const tidied = tidy(column.header);
  if (column.name === tidied) return 'whitespace';
  if (RESERVED.includes(tidied)) return 'reserved';
  return column.name === cut(tidied) ? 'too_long' : 'duplicate';
}
