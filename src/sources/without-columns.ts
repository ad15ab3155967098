/** A sheet without some of its columns: those that Sheaf itself writes are no part of the rows, or each writing would change them. */
import type { Column } from '../contracts/row.ts';
import type { OpenSheet } from './source.ts';

/** `names`: as the sheet's columns are called; those that are not there are not missed. */
export function withoutColumns(sheet: OpenSheet, names: readonly string[]): OpenSheet {
  if (names.length === 0) return sheet;
  const left = new Set(names);
  let width = 0;
  let columns: Column[] = [];
  let kept: number[] = [];
  const choose = (): void => {
    if (sheet.columns.length === width) return;
    width = sheet.columns.length;
    kept = [...sheet.columns.keys()].filter((index) => !left.has(sheet.columns[index]!.name));
    columns = kept.map((index) => sheet.columns[index]!);
  };
  return {
    ...sheet,
    get columns() {
      choose();
      return columns;
    },
    async *rows(options) {
      for await (const batch of sheet.rows(options)) {
        choose();
        yield batch.map(({ row, cells }) => ({ row, cells: kept.map((index) => cells[index] ?? null) }));
      }
    },
  };
}
