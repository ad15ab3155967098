/** What a spreadsheet at Google is made of, and which of its sheets somebody means. */
import { z } from 'zod';
import { SheafError } from '../../contracts/errors.ts';
import type { SheetOptions } from '../../contracts/job.ts';
import { columnLetter } from '../../domain/range.ts';
import type { Answered } from './client.ts';

const described = z.object({
  properties: z.object({ title: z.string() }),
  sheets: z.array(z.object({
    properties: z.object({
      sheetId: z.number().default(0), title: z.string(), sheetType: z.string().default('GRID'), hidden: z.boolean().default(false),
      gridProperties: z.object({ rowCount: z.number().default(0), columnCount: z.number().default(0) }).default({ rowCount: 0, columnCount: 0 }),
    }),
    merges: z.array(z.object({ startRowIndex: z.number().default(0) })).default([]),
  })).default([]),
});

export interface Tab {
  /** Google's `gid`. */
  id: number;
  title: string;
  hidden: boolean;
  /** Holds cells; charts on sheets of their own do not. */
  grid: boolean;
  /** As large as the sheet is on the screen; most of it may be empty. */
  rowCount: number;
  columnCount: number;
  /** First rows (1-based) of merged areas. */
  merges: number[];
}

export interface Workbook {
  title: string;
  tabs: Tab[];
}

export function readWorkbook({ value }: Answered): Workbook {
  const { properties, sheets } = described.parse(value);
  return {
    title: properties.title,
    tabs: sheets.map(({ properties: { sheetId, title, sheetType, hidden, gridProperties }, merges }) => ({
      id: sheetId, title, hidden, grid: sheetType === 'GRID', ...gridProperties, merges: merges.map(({ startRowIndex }) => startRowIndex + 1),
    })),
  };
}

/** By gid, else by name or number, else the first that is visible. Throws `sheet_not_found`. */
export function chooseTab({ tabs }: Workbook, gid: number | undefined, wanted: SheetOptions['sheet']): Tab {
  const names = tabs.slice(0, 20).map(({ title }) => `"${title}"`).join(', ');
  const notFound = (why: string): SheafError =>
    new SheafError('sheet_not_found', why, { remedy: `The sheets are ${names}${tabs.length > 20 ? ', …' : ''}`, place: { field: 'sheet' } });
  const byName = (name: string): Tab | undefined => tabs.find(({ title }) => title === name) ?? tabs.find(({ title }) => title.toLowerCase() === name.toLowerCase());
  if (wanted !== undefined) {
    const tab = (typeof wanted === 'string' ? byName(wanted) : undefined) ?? (/^\d+$/.test(String(wanted)) ? tabs[Number(wanted) - 1] : undefined);
    if (!tab) throw notFound(`The spreadsheet has no sheet ${typeof wanted === 'number' ? wanted : `"${wanted}"`}`);
    return withCells(tab, notFound);
  }
  if (gid !== undefined) {
    const tab = tabs.find(({ id }) => id === gid);
    if (!tab) throw notFound(`The spreadsheet has no sheet with the gid ${gid}`);
    return withCells(tab, notFound);
  }
  const first = tabs.find(({ hidden, grid }) => grid && !hidden) ?? tabs.find(({ grid }) => grid);
  if (!first) throw notFound('The spreadsheet has no sheet with cells');
  return first;
}

function withCells(tab: Tab, notFound: (why: string) => SheafError): Tab {
  if (!tab.grid) throw notFound(`"${tab.title}" is a chart or a connection to other data, not a sheet with cells`);
  return tab;
}

/** A1 notation; rows 1-based, columns 0-based, all ends included. */
export const a1 = (title: string, firstColumn: number, firstRow: number, lastColumn: number, lastRow: number): string =>
  `'${title.replaceAll("'", "''")}'!${columnLetter(firstColumn)}${firstRow}:${columnLetter(lastColumn)}${lastRow}`;
