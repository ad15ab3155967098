/** A job's results as a table: the sheet's columns, the output's, and what became of each row. For CSV and XLSX. */
import type { Manifest } from '../contracts/job.ts';
import type { Cell, Json } from '../contracts/row.ts';
import { typedCell } from '../domain/infer.ts';
import type { JobRow } from './job-rows.ts';

export interface ResultColumn {
  name: string;
  of(row: JobRow): Cell;
}

/** Outputs with more different fields than this go into one column as JSON. */
const MAX_OUTPUT_COLUMNS = 1000;

/** What must be known of the outputs before the first line can be written. */
export class OutputFields {
  readonly names = new Set<string>();
  /** Fields that are called as a column of the sheet, and differ from it in some row. */
  readonly changed = new Set<string>();
  /** Some outputs are not objects. */
  plain = false;
  readonly #columnIndex: Map<string, number>;

  constructor(manifest: Manifest) {
    this.#columnIndex = new Map(manifest.columns.map(({ name }, index) => [name, index]));
  }

  add(rows: readonly JobRow[]): void {
    for (const { output, cells } of rows) {
      if (!isObject(output)) {
        this.plain ||= output !== null;
        continue;
      }
      for (const name in output) {
        this.names.add(name);
        const index = this.#columnIndex.get(name);
        if (index === undefined || this.changed.has(name)) continue;
        const cell = cells[index] ?? null;
        if (output[name] !== cell && output[name] !== typedCell(cell)) this.changed.add(name);
      }
    }
  }
}

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value);

const cellOf = (value: Json | undefined): Cell =>
  value === undefined ? null : typeof value === 'object' && value !== null ? JSON.stringify(value) : value;

/**
 * Columns in order: the sheet's, the output's fields (one level deep), then `row`, `state`, `error_code`, `error_message`.
 * Names are unique. A field that only repeats the sheet's column of its name, as `store` does, has none of its own; with
 * `typed` its value, which may be a number where the sheet has text, then stands in the sheet's column.
 */
export function resultColumns(manifest: Manifest, fields: OutputFields, typed: boolean): ResultColumn[] {
  const taken = new Set<string>();
  const unique = (name: string, prefix: string): string => {
    let found = taken.has(name) ? `${prefix}.${name}` : name;
    for (let n = 2; taken.has(found); n++) found = `${prefix}.${name} ${n}`;
    taken.add(found);
    return found;
  };
  const repeated = (name: string): boolean => fields.names.has(name) && !fields.changed.has(name);
  const field = (output: Json, name: string): Cell => (isObject(output) && Object.hasOwn(output, name) ? cellOf(output[name]) : null);

  const columns: ResultColumn[] = manifest.columns.map(({ name }, index) => ({
    name: unique(name, 'column'),
    of: typed && repeated(name) ? ({ cells, output }) => field(output, name) ?? cells[index] ?? null : ({ cells }) => cells[index] ?? null,
  }));
  const own = [...fields.names].filter((name) => !(taken.has(name) && repeated(name)));
  const tooMany = own.length > MAX_OUTPUT_COLUMNS;
  for (const name of tooMany ? [] : own) columns.push({ name: unique(name, 'output'), of: ({ output }) => field(output, name) });
  if (fields.plain || tooMany) {
    columns.push({ name: unique('output', 'output'), of: ({ output }) => (isObject(output) && !tooMany ? null : cellOf(output)) });
  }
  columns.push(
    { name: unique('row', 'sheaf'), of: ({ row }) => row },
    { name: unique('state', 'sheaf'), of: ({ state }) => state },
    { name: unique('error_code', 'sheaf'), of: ({ error }) => error?.code ?? null },
    { name: unique('error_message', 'sheaf'), of: ({ error }) => error?.message ?? null },
  );
  return columns;
}

/** Begins like something that a spreadsheet program would run; full-width forms too, which some take for the same. */
const FORMULA_START = /^[=+\-@\t\r＝＋－＠]/u;
const PLAIN_NUMBER = /^-\d+(\.\d+)?$/;

/** An apostrophe before text that would run as a formula. Negative numbers, also as text, are harmless and stay. */
const escaped = (cell: Cell): Cell => (typeof cell === 'string' && FORMULA_START.test(cell) && !PLAIN_NUMBER.test(cell) ? `'${cell}` : cell);

const QUOTED = /[",\r\n]/;

const csvCell = (cell: Cell): string => {
  const text = cell === null ? '' : String(cell);
  return QUOTED.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Lines of CSV after RFC 4180. */
export const csvLines = (rows: Cell[][], escape: boolean): string =>
  rows.map((row) => `${(escape ? row.map(escaped) : row).map(csvCell).join(',')}\r\n`).join('');
