/** A table of aligned columns without lines around it; wide characters count as wide as they show. */
import stringWidth from 'string-width';
import { fit, isolate, pad, printable } from './format.ts';
import type { Terminal } from './terminal.ts';

export interface TableColumn {
  title: string;
  align?: 'left' | 'right';
  /** May be cut where the terminal is narrow; ids and numbers never are. */
  shrinks?: boolean;
}

const GAP = 2;
const NARROWEST = 6;

/** Lines, the heading first. Nothing is cut where the output is no terminal. */
export function tableLines(columns: TableColumn[], rows: string[][], terminal: Terminal): string[] {
  const cells = rows.map((row) => columns.map((_, index) => printable(row[index] ?? '')));
  const widths = columns.map(({ title }, index) =>
    cells.reduce((widest, row) => Math.max(widest, stringWidth(row[index] ?? '')), stringWidth(title)));
  const room = terminal.width();
  if (room !== null) shrink(columns, widths, room);

  const line = (row: string[]): string =>
    row.map((cell, index) => {
      const { align = 'left' } = columns[index] ?? {};
      const width = widths[index] ?? 0;
      const shown = room === null ? cell : isolate(fit(cell, width));
      return pad(shown, width, align);
    }).join(' '.repeat(GAP)).trimEnd();

  return [terminal.paint('bold', line(columns.map(({ title }) => title))), ...cells.map(line)];
}

/** Takes the width that is missing from the widest of the columns that may shrink. */
function shrink(columns: TableColumn[], widths: number[], room: number): void {
  for (const [index, column] of columns.entries()) {
    if (column.shrinks === true) widths[index] = Math.min(widths[index] ?? 0, room);
  }
  let excess = widths.reduce((sum, width) => sum + width, GAP * (widths.length - 1)) - room;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const width = widths[index] ?? 0;
      if (column.shrinks === true && width > NARROWEST && width > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
}

export function printTable(terminal: Terminal, columns: TableColumn[], rows: string[][]): void {
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

/** `name  value` lines; entries without a value are left out. */
export function printFacts(terminal: Terminal, facts: [name: string, value: string | null | undefined][]): void {
  const given = facts.filter((fact): fact is [string, string] => fact[1] !== null && fact[1] !== undefined && fact[1] !== '');
  const width = Math.max(...given.map(([name]) => stringWidth(name)));
  for (const [name, value] of given) {
    terminal.print(`${terminal.paint('dim', pad(name, width))}  ${printable(value)}`);
  }
}
