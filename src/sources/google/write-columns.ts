/**
 * Results into named columns of the sheet that the rows came from. A row is written to only where what names it stands, looked
 * at just before: it may have moved since it was read. What stands there already is not written again, so all of this may be repeated.
 */
import { hash } from 'node:crypto';
import { SheafError } from '../../contracts/errors.ts';
import type { SheetOptions, SpreadsheetLocation, WriteBackReport } from '../../contracts/job.ts';
import type { Cell } from '../../contracts/row.ts';
import { nameColumns } from '../../domain/header.ts';
import { columnIndex } from '../../domain/range.ts';
import { wantedSheet, windowOf } from '../table.ts';
import { Warnings } from '../warnings.ts';
import { readBlock, spansOf } from './cells.ts';
import type { GoogleClient } from './client.ts';
import { partsOf } from './parts.ts';
import { cellText, writeBlocks, type WrittenBlock } from './write-blocks.ts';
import { a1, chooseTab, readWorkbook, type Tab } from './workbook.ts';

/** A row as it was read, and what is to stand in the columns; undefined leaves a cell as it is. */
export interface RowToWrite {
  row: number;
  identity: string;
  values: (Cell | undefined)[];
}

export type Tally = Omit<WriteBackReport, 'completedAt'>;

export interface ColumnsTarget extends Pick<SheetOptions, 'sheet' | 'range' | 'headerRow'> {
  location: SpreadsheetLocation;
  /** Names of the columns, in the order of the values. */
  columns: readonly string[];
  /** Columns of the sheet as it was read by which a row is known again, and what its cells in them come to. */
  identity: { columns: readonly { name: string; header: string | null; letter: string }[]; of(cells: readonly Cell[]): string | null };
  /** The first column right of all that was read. */
  width: number;
}

export interface ColumnsWriter {
  /** In the order of the sheet. Rejects as `openColumns` does. */
  write(rows: readonly RowToWrite[]): Promise<Tally>;
}

/** Rows further apart than this are asked for one by one. */
const GAP = 200;

/** Where the columns are now. */
interface Positions {
  identity: number[];
  targets: number[];
}

/** Rejects with `write_back_conflict`, `sheet_not_found`, and as every call of Google does. */
export async function openColumns(client: GoogleClient, target: ColumnsTarget): Promise<ColumnsWriter> {
  const window = windowOf(target);
  const { headerRow } = window;
  let tab: Tab;
  let header: Cell[] = [];
  /** The header row when it was looked at last. */
  let seen = '';
  let positions: Positions;
  let index: Promise<Map<number, number>> | null = null;

  const conflict = (message: string): SheafError => new SheafError('write_back_conflict', message, { remedy: 'Put the column back, or run the job again: it reads the sheet anew' });
  const wholeHeader = () => ({ row: headerRow, lastColumn: tab.columnCount - 1 });
  const readHeader = async (): Promise<void> => {
    const block = await readBlock(client, { title: tab.title, firstRow: headerRow, lastRow: headerRow, columns: [[0, tab.columnCount - 1]], headerRow: wholeHeader() });
    header = block.rows[0] ?? [];
    seen = JSON.stringify(block.header);
  };

  /** Answers the names of the columns that there are none of. */
  const resolve = (): string[] => {
    const { firstColumn, lastColumn } = window.range;
    const read = nameColumns(trimmed(header.slice(firstColumn, lastColumn === null ? undefined : lastColumn + 1)), firstColumn);
    const identity = target.identity.columns.map(({ name, header: text, letter }) => {
      const found = text === null ? columnIndex(letter) : read.find((column) => column.name === name)?.index;
      if (found === undefined) throw conflict(`The column "${name}", by which rows are known again, is not in the sheet any more`);
      return found;
    });
    const all = nameColumns(trimmed(header), 0);
    positions = { identity, targets: target.columns.map((name) => all.find((column) => column.header !== null && column.name === name)?.index ?? -1) };
    return target.columns.filter((_, at) => positions.targets[at]! < 0);
  };

  /** Finds the columns, and makes those that are missing right of everything. */
  const locate = async (): Promise<void> => {
    tab = chooseTab(readWorkbook(await client.describe()), target.location.gid, wantedSheet(target));
    if (headerRow > tab.rowCount) throw conflict(`The sheet ends above its header row ${headerRow}`);
    await readHeader();
    const missing = resolve();
    if (missing.length === 0) return;
    let edge = Math.max(trimmed(header).length, target.width);
    for (; edge < tab.columnCount; edge++) {
      const last = Math.min(edge + missing.length, tab.columnCount) - 1;
      const { rows } = await readBlock(client, { title: tab.title, firstRow: 1, lastRow: tab.rowCount, columns: [[edge, last]] });
      if (rows.length === 0) break;
    }
    const lacking = edge + missing.length - tab.columnCount;
    if (lacking > 0) await client.change([{ appendDimension: { sheetId: tab.id, dimension: 'COLUMNS', length: lacking } }]);
    tab = { ...tab, columnCount: tab.columnCount + Math.max(0, lacking) };
    await client.write([{ range: a1(tab.title, edge, headerRow, edge + missing.length - 1, headerRow), values: [missing] }]);
    await readHeader();
    if (resolve().length > 0) throw headerChanged();
  };

  /** Where rows stand now, by what names them; -1 where several are named so. */
  const whereabouts = (): Promise<Map<number, number>> => (index ??= (async () => {
    const rows = new Map<number, number>();
    const columns = spansOf(positions.identity);
    const parts = partsOf({ client, title: tab.title, spans: [[window.firstRow, tab.rowCount]], columns, warnings: new Warnings(), fetched: null, twice: false });
    for await (const batch of parts.rows(undefined)) {
      for (const { row, cells } of batch) {
        const identity = identityOf(cells);
        if (identity !== null) rows.set(short(identity), rows.has(short(identity)) ? -1 : row);
      }
    }
    return rows;
  })());

  const identityOf = (cells: readonly Cell[]): string | null => target.identity.of(positions.identity.map((column) => cells[column] ?? null));

  /** Writes the rows that stand where they are said to; answers the others. */
  const writeSpan = async (rows: readonly RowToWrite[], tally: Tally, moved: boolean, again = false): Promise<RowToWrite[]> => {
    const [firstRow, lastRow] = [rows[0]!.row, Math.min(rows.at(-1)!.row, tab.rowCount)];
    if (firstRow > lastRow) return [...rows];
    const block = await readBlock(client, { title: tab.title, firstRow, lastRow, columns: spansOf([...positions.identity, ...positions.targets]), headerRow: wholeHeader() });
    if (JSON.stringify(block.header) !== seen) {
      if (again) throw headerChanged();
      index = null;
      await locate();
      return writeSpan(rows, tally, moved, true);
    }
    const elsewhere: RowToWrite[] = [];
    const changed: { row: number; values: (Cell | undefined)[] }[] = [];
    for (const one of rows) {
      const cells = block.rows[one.row - firstRow] ?? [];
      if (identityOf(cells) !== one.identity) {
        elsewhere.push(one);
        continue;
      }
      const values = one.values.map((value) => {
        const { text, cut } = cellText(value);
        if (cut) tally.cut++;
        return text;
      });
      tally.current++;
      if (moved) tally.moved++;
      if (values.every((value, at) => value === undefined || value === (cells[positions.targets[at]!] ?? null))) continue;
      tally.written++;
      changed.push({ row: one.row, values });
    }
    const lines = Array.from({ length: lastRow - firstRow + 1 }, (): (Cell | undefined)[] => []);
    for (const { row, values } of changed) lines[row - firstRow] = values;
    if (changed.length > 0) await writeBlocks(client, tab.title, blocksOf(firstRow, lines, positions.targets));
    return elsewhere;
  };

  await locate();
  return {
    async write(rows) {
      const tally: Tally = { current: 0, written: 0, moved: 0, missing: 0, cut: 0 };
      const elsewhere: RowToWrite[] = [];
      for (const span of spansOfRows(rows)) elsewhere.push(...(await writeSpan(span, tally, false)));
      if (elsewhere.length === 0) return tally;
      const now = await whereabouts();
      const found = elsewhere.map((one) => ({ ...one, row: now.get(short(one.identity)) ?? -1 })).filter(({ row }) => row > 0).sort((a, b) => a.row - b.row);
      tally.missing = elsewhere.length - found.length;
      for (const span of spansOfRows(found)) tally.missing += (await writeSpan(span, tally, true)).length;
      return tally;
    },
  };
}

const headerChanged = (): SheafError => new SheafError('source_changed', 'The header row was changed while results were written', { remedy: 'It is looked at again; keep it still for a moment' });

function trimmed(cells: Cell[]): Cell[] {
  let length = cells.length;
  while (length > 0 && (cells[length - 1] ?? null) === null) length--;
  return cells.slice(0, length);
}

/** 48 bits: what they point at is compared as a whole before it is written to. */
const short = (identity: string): number => parseInt(hash('sha256', identity, 'hex').slice(0, 12), 16);

/** Rows that stand close to each other, together. */
function spansOfRows(rows: readonly RowToWrite[]): RowToWrite[][] {
  const spans: RowToWrite[][] = [];
  for (const row of rows) {
    const last = spans.at(-1);
    if (last && row.row - last.at(-1)!.row <= GAP) last.push(row);
    else spans.push([row]);
  }
  return spans;
}

/** A block for each run of columns side by side; lines without values leave their row as it is. */
function blocksOf(firstRow: number, lines: (Cell | undefined)[][], columns: readonly number[]): WrittenBlock[] {
  return spansOf(columns).map(([first, last]) => ({
    firstRow, firstColumn: first,
    lines: lines.map((values) => Array.from({ length: last - first + 1 }, (_, right) => values[columns.indexOf(first + right)])),
  }));
}
