/** A row as the bare scripts make it of a CSV's cells: what the handler `store` makes of it. */
import type { Json, RowInput } from '../src/contracts/row.ts';
import { typedCell } from '../src/domain/infer.ts';

export function bareRow(columns: string[], cells: string[]): { input: RowInput; output: Record<string, Json> } {
  const input: RowInput = {};
  const output: Record<string, Json> = {};
  for (let index = 0; index < columns.length; index++) {
    const cell = cells[index] === '' ? null : (cells[index] ?? null);
    input[columns[index]!] = cell;
    output[columns[index]!] = typedCell(cell);
  }
  return { input, output };
}
