import type { Cell } from '../contracts/row.ts';

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;
const MOST_DIGITS = 15;

/**
 * The value that a cell's text stands for. `42`, `-3.5` become numbers, `TRUE`, `false` (any case) booleans; everything
 * else stays the text that it is: leading zeros, plus signs, exponents, separators and spaces all may carry meaning,
 * and more than 15 digits do not fit a number.
 */
export function typedCell(cell: Cell): Cell {
  if (typeof cell !== 'string') return cell;
  const first = cell.charCodeAt(0);
  // Most text is told by its first character: a digit or minus, or the t and f of the booleans.
  if ((first >= 48 && first <= 57) || first === 45) {
    if (cell.length > MOST_DIGITS + 2 || !NUMBER.test(cell)) return cell;
    const digits = cell.length - (first === 45 ? 1 : 0) - (cell.includes('.') ? 1 : 0);
    if (digits > MOST_DIGITS) return cell;
    const value = Number(cell);
    return value === 0 ? 0 : value; // no negative zero: JSON does not have it
  }
  const length = cell.length;
  if (length === 4 && (first | 32) === 116 && cell.toLowerCase() === 'true') return true;
  if (length === 5 && (first | 32) === 102 && cell.toLowerCase() === 'false') return false;
  return cell;
}
