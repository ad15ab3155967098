/** Cells on their way to Google: as text that a cell can hold, in requests of a megabyte or two. */
import type { Cell } from '../../contracts/row.ts';
import type { GoogleClient } from './client.ts';
import { a1 } from './workbook.ts';

/** Characters that Google puts into a cell at most. */
const LONGEST_CELL = 50_000;
const TARGET_SIZE = 1_500_000;

export interface WrittenBlock {
  firstRow: number;
  firstColumn: number;
  /** Undefined leaves a cell as it is, null empties it. All of the same width. */
  lines: (Cell | undefined)[][];
}

export function cellText(value: Cell | undefined): { text: Cell | undefined; cut: boolean } {
  if (value === '') return { text: null, cut: false };
  if (typeof value !== 'string' || value.length <= LONGEST_CELL) return { text: value, cut: false };
  return { text: `${value.slice(0, LONGEST_CELL - 1)}…`, cut: true };
}

export async function writeBlocks(client: GoogleClient, title: string, blocks: readonly WrittenBlock[]): Promise<void> {
  let data: { range: string; values: (string | number | boolean | null)[][] }[] = [];
  let size = 0;
  const send = async (): Promise<void> => {
    if (data.length > 0) await client.write(data);
    data = [];
    size = 0;
  };
  for (const { firstRow, firstColumn, lines } of blocks) {
    let from = 0;
    let values: (string | number | boolean | null)[][] = [];
    const close = (): void => {
      // What is left as it is at either end need not be sent.
      while (values.length > 0 && isLeft(values.at(-1)!)) values.pop();
      const skipped = values.findIndex((line) => !isLeft(line));
      if (skipped > 0) values = values.slice(skipped);
      if (values.length > 0) {
        const top = firstRow + from + Math.max(0, skipped);
        data.push({ range: a1(title, firstColumn, top, firstColumn + values[0]!.length - 1, top + values.length - 1), values });
      }
    };
    for (const [down, line] of lines.entries()) {
      const sent = line.map((value) => (value === undefined ? null : value ?? ''));
      values.push(sent);
      size += JSON.stringify(sent).length;
      if (size < TARGET_SIZE) continue;
      close();
      await send();
      from = down + 1;
      values = [];
    }
    close();
  }
  await send();
}

const isLeft = (line: readonly Cell[]): boolean => line.every((cell) => cell === null);
