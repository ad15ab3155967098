/** How a preview of a sheet looks to a person. */
import type { PreviewAnswer } from '../contracts/sheet-api.ts';
import { count, fit, printable } from './format.ts';
import { printFacts, printTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** Of a cell; more says nothing in a table and costs time to measure. */
const MOST_CHARACTERS = 60;
const MOST_COLUMNS = 30;

export function printPreview(terminal: Terminal, preview: PreviewAnswer): void {
  const { columns, warnings } = preview;
  printFacts(terminal, [
    ['format', preview.format],
    ['sheet', preview.sheet === null ? null : `${preview.sheet}${preview.sheets.length > 1 ? `  (of ${preview.sheets.join(', ')})` : ''}`],
    ['rows', preview.rowCount === null ? 'not known before all is read' : count(preview.rowCount)],
    ['columns', count(columns.length)],
  ]);
  if (columns.length > 0) printColumns(terminal, preview);
  printWarnings(terminal, warnings);
}

function printColumns(terminal: Terminal, { columns, rows }: PreviewAnswer): void {
  terminal.print('');
  const shown = columns.slice(0, MOST_COLUMNS);
  const cell = (value: string | number | boolean | null | undefined): string =>
    value === null || value === undefined ? '' : fit(printable(String(value).slice(0, 4 * MOST_CHARACTERS)), MOST_CHARACTERS);
  printTable(
    terminal,
    [{ title: '' }, { title: 'column', shrinks: true }, { title: 'type' }, { title: 'header in the sheet', shrinks: true }, { title: 'first values', shrinks: true }],
    shown.map((column, index) => [
      column.letter,
      cell(column.name),
      column.type,
      column.header === column.name ? '' : column.header === null ? '(empty)' : cell(column.header),
      rows.slice(0, 3).map(({ cells }) => cell(cells[index])).filter((text) => text !== '').join(' · '),
    ]),
  );
  if (columns.length > shown.length) terminal.print(`… and ${count(columns.length - shown.length)} more columns (--json shows all)`);
  if (rows.length > 0) {
    terminal.print('');
    const narrow = rowColumns(terminal, shown.length);
    printTable(
      terminal,
      [{ title: 'row', align: 'right' }, ...shown.slice(0, narrow).map(({ name }) => ({ title: cell(name), shrinks: true }))],
      rows.map(({ row, cells }) => [String(row), ...shown.slice(0, narrow).map((_, index) => cell(cells[index]))]),
    );
    if (narrow < columns.length) terminal.print(`… and ${count(columns.length - narrow)} more columns`);
  }
}

/** Each with its place, where the message does not name it. */
export function printWarnings(terminal: Terminal, warnings: PreviewAnswer['warnings']): void {
  for (const { message, row, column } of warnings) {
    const place = [row === undefined ? '' : `row ${row}`, column === undefined ? '' : `column ${column}`]
      .filter((part) => part !== '' && !message.toLowerCase().includes(part.toLowerCase()));
    terminal.print(`${terminal.paint('yellow', 'warning:')} ${printable(message)}${place.length === 0 ? '' : ` (${printable(place.join(', '))})`}`);
  }
}

/** As many columns as stay readable beside each other. */
function rowColumns(terminal: Terminal, columns: number): number {
  const width = terminal.width();
  return width === null ? columns : Math.min(columns, Math.max(1, Math.floor((width - 6) / 10)));
}
