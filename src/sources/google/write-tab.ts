/** Results into a tab of their own, a line for each row, in the order of the sheet. What stands there already is not written again. */
import { SheafError } from '../../contracts/errors.ts';
import type { Cell } from '../../contracts/row.ts';
import { readBlock } from './cells.ts';
import type { GoogleClient } from './client.ts';
import type { Tally } from './write-columns.ts';
import { cellText, writeBlocks } from './write-blocks.ts';
import { a1, readWorkbook, type Tab } from './workbook.ts';

export interface TabWriter {
  /** `from`: 1 for the line below the header. */
  write(from: number, lines: readonly Cell[][]): Promise<Tally>;
  /** Empties what stands below so many lines. */
  end(lines: number): Promise<void>;
}

/** Rows that are looked at for whether a tab is somebody else's. */
const LOOKED_AT = 100;

/** The tab is made where there is none. Rejects with `write_back_conflict` where there is one with other columns. */
export async function openTab(client: GoogleClient, title: string, header: readonly string[], lines: number): Promise<TabWriter> {
  const lastColumn = header.length - 1;
  const find = async (): Promise<Tab | undefined> => readWorkbook(await client.describe()).tabs.find((tab) => tab.title === title);
  let tab = await find();
  if (!tab) {
    await client.change([{ addSheet: { properties: { title, gridProperties: { rowCount: lines + 1, columnCount: header.length } } } }]);
    tab = await find();
  }
  const conflict = (why: string): SheafError => new SheafError('write_back_conflict', `The tab "${title}" ${why}`, { remedy: 'Name a tab that does not exist yet, or empty this one' });
  if (!tab?.grid) throw conflict('holds no cells');
  const { id, rowCount, columnCount } = tab;
  const { rows } = await readBlock(client, { title, firstRow: 1, lastRow: Math.min(LOOKED_AT, rowCount), columns: [[0, columnCount - 1]] });
  const first = JSON.stringify(rows[0] ?? []);
  if (rows.length > 0 && first !== JSON.stringify(header)) throw conflict('holds something else');
  const lacking = [
    { dimension: 'ROWS', length: lines + 1 - rowCount }, { dimension: 'COLUMNS', length: header.length - columnCount },
  ].filter(({ length }) => length > 0);
  if (lacking.length > 0) await client.change(lacking.map((one) => ({ appendDimension: { sheetId: id, ...one } })));
  if (rows.length === 0) await writeBlocks(client, title, [{ firstRow: 1, firstColumn: 0, lines: [[...header]] }]);

  return {
    async write(from, wanted) {
      const firstRow = from + 1;
      const block = await readBlock(client, { title, firstRow, lastRow: firstRow + wanted.length - 1, columns: [[0, lastColumn]] });
      const tally: Tally = { current: wanted.length, written: 0, moved: 0, missing: 0, cut: 0 };
      const changed = wanted.map((line, down): (Cell | undefined)[] => {
        const cells = line.map((cell) => {
          const { text, cut } = cellText(cell);
          if (cut) tally.cut++;
          return text ?? null;
        });
        if (cells.every((cell, column) => cell === (block.rows[down]?.[column] ?? null))) return cells.map(() => undefined);
        tally.written++;
        return cells;
      });
      await writeBlocks(client, title, [{ firstRow, firstColumn: 0, lines: changed }]);
      return tally;
    },

    async end(written) {
      if (rowCount > written + 1) await client.clear(a1(title, 0, written + 2, lastColumn, rowCount));
    },
  };
}
