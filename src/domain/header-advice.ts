/** Whether the header row is one, told by the rows below it. */
import type { Cell, SheetWarning } from '../contracts/row.ts';
import { typeOfCell, type CellType } from './infer.ts';

/** A header fills at least so much of the widest row. */
const HEADER_SHARE = 0.7;

interface AdvisedRow {
  row: number;
  cells: Cell[];
}

/** `header`: its cells in the order of the columns. `rows`: the first ones below it. Null: nothing to say. */
export function adviseHeader(headerRow: number, header: Cell[], rows: AdvisedRow[]): SheetWarning | null {
  const width = Math.max(0, ...rows.map(({ cells }) => filled(cells).length));
  const named = filled(header).length;
  if (named * 2 < width) {
    const likely = rows.find(({ cells }) => looksLikeHeader(cells, width));
    const looks = named === 0 ? 'is empty' : 'looks like a title';
    return {
      code: 'header_looks_like_title',
      message: `Row ${headerRow} ${looks}; ${likely ? `row ${likely.row} looks like the header` : 'no row after it looks like a header'}`,
      row: likely?.row ?? headerRow,
    };
  }
  if (looksLikeData(header, rows)) {
    return {
      code: 'header_looks_like_data',
      message: `Row ${headerRow} looks like data; if the sheet has no header, say so with headerRow 0`,
      row: headerRow,
    };
  }
  return null;
}

const filled = (cells: Cell[]): Cell[] => cells.filter((cell) => cell !== null && !(typeof cell === 'string' && cell.trim() === ''));

function looksLikeHeader(cells: Cell[], width: number): boolean {
  const names = filled(cells);
  const texts = names.filter((cell) => ['text', 'year'].includes(kindOf(cell) ?? ''));
  return names.length >= Math.max(2, width * HEADER_SHARE) && texts.length === names.length && kindOf(names[0] ?? null) === 'text' && new Set(names).size === names.length;
}

/** At least half of its cells are no text and of the same kind as most cells below them. */
function looksLikeData(header: Cell[], rows: AdvisedRow[]): boolean {
  const alike = header.filter((cell, column) => {
    const kind = kindOf(cell);
    if (kind === null || kind === 'text') return false;
    const below = rows.map(({ cells }) => kindOf(cells[column] ?? null)).filter((other) => other !== null);
    return below.length > 0 && below.filter((other) => other === kind).length * 2 > below.length;
  });
  return alike.length > 0 && alike.length * 2 >= filled(header).length;
}

/** Years are often headers, and are data only above other years. */
function kindOf(cell: Cell): Exclude<CellType, 'integer'> | 'year' | null {
  const type = typeOfCell(cell);
  if (type !== 'integer') return type;
  return Number(cell) >= 1900 && Number(cell) <= 2100 ? 'year' : 'number';
}
