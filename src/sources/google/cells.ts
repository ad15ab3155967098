/** Cells of a part of a sheet at Google, typed: what is a date there is ISO 8601 here, empty and error cells are null. */
import { z } from 'zod';
import type { Cell } from '../../contracts/row.ts';
import { columnLetter } from '../../domain/range.ts';
import { isoOf, type DateKind } from '../serial-dates.ts';
import type { GoogleClient } from './client.ts';
import { a1 } from './workbook.ts';

const answered = z.object({ valueRanges: z.array(z.object({ values: z.array(z.array(z.union([z.string(), z.number(), z.boolean(), z.null()]))).default([]) })).default([]) });

/** Columns (0-based) side by side, both ends included. */
export type ColumnSpan = readonly [first: number, last: number];

/** Rows are 1-based, both ends included. */
export interface Block {
  title: string;
  firstRow: number;
  lastRow: number;
  columns: readonly ColumnSpan[];
  /** A row of which all cells are read along, in the same moment. */
  headerRow?: { row: number; lastColumn: number };
}

/** What Google shows in cells of which the formula came to nothing. */
const ERRORS = new Set(['#NULL!', '#DIV/0!', '#VALUE!', '#REF!', '#NAME?', '#NUM!', '#N/A', '#ERROR!']);

export interface BlockCells {
  /** As many as have cells: index 0 is `firstRow`. Cells by their column in the sheet, those of no span null; rows end early. */
  rows: Cell[][];
  /** Of the header row, where that was asked for. */
  header: Cell[];
  /** Cells with errors, and where the first of them stands. */
  errors: { cells: number; row: number; column: string } | null;
  /** Characters that came for it. */
  size: number;
}

export async function readBlock(client: GoogleClient, block: Block): Promise<BlockCells> {
  const { title, firstRow, lastRow, columns, headerRow } = block;
  const range = ([first, last]: ColumnSpan): string => a1(title, first, firstRow, last, lastRow);
  const answer = await client.values([...columns.map(range), ...(headerRow ? [a1(title, 0, headerRow.row, headerRow.lastColumn, headerRow.row)] : [])], false);
  const ranges = answered.parse(answer.value).valueRanges;
  const header = (headerRow && ranges.pop()?.values[0])?.map((cell) => (cell === '' ? null : cell)) ?? [];
  const rows: Cell[][] = [];
  const numbers = new Set<number>();
  let errors: BlockCells['errors'] = null as BlockCells['errors'];
  ranges.forEach(({ values }, span) => {
    const left = columns[span]![0];
    values.forEach((line, down) => {
      const cells = (rows[down] ??= []);
      for (let right = 0; right < line.length; right++) {
        const value = line[right]!;
        const column = left + right;
        if (typeof value === 'number') numbers.add(column);
        while (cells.length < column) cells.push(null);
        cells[column] = value === '' ? null : value;
        if (typeof value === 'string' && value.startsWith('#') && ERRORS.has(value)) {
          cells[column] = null;
          errors ??= { cells: 0, row: firstRow + down, column: columnLetter(column) };
          errors.cells++;
        }
      }
    });
  });
  for (let down = 0; down < rows.length; down++) rows[down] ??= [];
  const size = answer.size + (numbers.size > 0 ? await dateCells(client, block, rows, spansOf(numbers)) : 0);
  return { rows, header, errors, size };
}

/** Asks again for the columns that hold numbers: those that come as text this time are dates. */
async function dateCells(client: GoogleClient, { title, firstRow, lastRow }: Block, rows: Cell[][], spans: ColumnSpan[]): Promise<number> {
  const answer = await client.values(spans.map(([first, last]) => a1(title, first, firstRow, last, Math.min(lastRow, firstRow + rows.length - 1))), true);
  answered.parse(answer.value).valueRanges.forEach(({ values }, span) => {
    const left = spans[span]![0];
    values.forEach((line, down) => line.forEach((shown, right) => {
      const serial = rows[down]?.[left + right];
      if (typeof serial !== 'number' || typeof shown !== 'string') return;
      rows[down]![left + right] = isoOf(serial, kindOf(serial, shown), 'google') ?? serial;
    }));
  });
  return answer.size;
}

/** What kind of date a number is, by how it is shown: in any order, with any separators, in any language. */
function kindOf(serial: number, shown: string): DateKind {
  const groups = shown.match(/\d+/g)?.length ?? 0;
  const clock = shown.includes(':');
  const bare = /^[-\d:.,\s]+(?:[ap]\.?\s?m\.?)?$/i.test(shown);
  if (clock && bare && groups <= 4 && !/\d[-/.]\d+[-/.]\d/.test(shown)) return serial >= 0 && serial < 1 ? 'time' : 'duration';
  if (serial > 0 && serial < 1) return 'time';
  return clock || groups >= 5 || !Number.isInteger(serial) ? 'datetime' : 'date';
}

/** Columns side by side as spans. */
export function spansOf(columns: Iterable<number>): ColumnSpan[] {
  const spans: [number, number][] = [];
  for (const column of [...columns].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    if (last && column === last[1] + 1) last[1] = column;
    else spans.push([column, column]);
  }
  return spans;
}
