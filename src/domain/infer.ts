/** What cells are: types of a column for people, and values of text cells for handlers. */
import type { Cell, RowInput } from '../contracts/row.ts';

export type CellType = 'integer' | 'number' | 'boolean' | 'date' | 'datetime' | 'text';
export type ColumnType = CellType | 'empty' | 'mixed';

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;
/** More do not survive a double. */
const MOST_DIGITS = 15;
const DATE = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/;
const DATETIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;

/**
 * The value that a text cell plainly stands for: a decimal number of at most 15 significant digits, or true/false in
 * any case. Everything that would lose something stays text: leading zeros, plus signs, exponents, long digits.
 */
export function typedCell(cell: Cell): Cell {
  if (typeof cell !== 'string' || cell.length === 0 || cell.length > 40) return cell;
  const first = cell.charCodeAt(0);
  if (first === 45 || (first >= 48 && first <= 57)) return typedNumber(cell);
  if (cell.length === 4 && cell.toLowerCase() === 'true') return true;
  if (cell.length === 5 && cell.toLowerCase() === 'false') return false;
  return cell;
}

function typedNumber(text: string): string | number {
  if (!NUMBER.test(text)) return text;
  if (text.length > MOST_DIGITS) {
    const significant = text.replace(/[-.]/g, '').replace(/^0+/, '').length;
    if (significant > MOST_DIGITS) return text;
  }
  const value = Number(text);
  return value === 0 ? 0 : value;
}

/** Null for an empty cell. */
export function typeOfCell(cell: Cell): CellType | null {
  const value = typedCell(cell);
  if (value === null || value === '') return null;
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  if (typeof value === 'boolean') return 'boolean';
  if (DATE.test(value) && isDay(value)) return 'date';
  return DATETIME.test(value) && isDay(value) ? 'datetime' : 'text';
}

/** The 30th of February is none. */
const isDay = (text: string): boolean => new Date(`${text.slice(0, 10)}T00:00Z`).toISOString().startsWith(text.slice(0, 10));

/** The type of a column whose cells have these types: integers among numbers and dates among datetimes do not mix it. */
export function typeOfColumn(types: ReadonlySet<CellType>): ColumnType {
  const [only] = types;
  if (only === undefined) return 'empty';
  if (types.size === 1) return only;
  if (types.size === 2 && types.has('integer') && types.has('number')) return 'number';
  if (types.size === 2 && types.has('date') && types.has('datetime')) return 'datetime';
  return 'mixed';
}

export function typedRow(input: RowInput): RowInput {
  const output = { ...input }; // a copy first: a column may be called __proto__
  for (const column in output) output[column] = typedCell(output[column]!);
  return output;
}
