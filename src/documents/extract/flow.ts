/** Paragraphs and tables as word processors and web pages nest them, made flat: what is in a cell becomes its text. */
import type { BlockKind } from '../document.ts';
import type { BlockOptions, DocumentWriter } from './writer.ts';

/** Cells that a span may stand for, and cells of a row: more are an attack. */
const MOST_CELLS = 1_000;

interface OpenTable {
  rows: { row(cells: readonly string[]): void } | null;
  /** Of a table inside of a cell: its text. */
  text: string[];
  cells: string[];
  cell: string[] | null;
}

export class Flow {
  readonly #out: DocumentWriter;
  readonly #tables: OpenTable[] = [];

  constructor(out: DocumentWriter) {
    this.#out = out;
  }

  get inTable(): boolean {
    return this.#tables.length > 0;
  }

  paragraph(kind: BlockKind, text: string, options: BlockOptions = {}): void {
    const cell = this.#tables.at(-1)?.cell;
    if (cell) {
      if (text.trim() !== '') cell.push(text);
    } else this.#out.block(kind, text, options);
  }

  openTable(options: { aside?: boolean; header?: boolean } = {}): void {
    const rows = this.inTable ? null : this.#out.startTable(options);
    this.#tables.push({ rows, text: [], cells: [], cell: null });
  }

  openRow(): void {
    const table = this.#tables.at(-1);
    if (table) table.cells = [];
  }

  openCell(): void {
    const table = this.#tables.at(-1);
    if (table) table.cell = [];
  }

  /** `span`: columns that it covers; `repeat`: times that it stands there. */
  closeCell({ span = 1, repeat = 1, blank = false } = {}): void {
    const table = this.#tables.at(-1);
    if (!table?.cell) return;
    const text = blank ? '' : table.cell.join('\n');
    for (let at = 0; at < repeat && table.cells.length < MOST_CELLS; at++) table.cells.push(text);
    for (let at = 1; at < span && table.cells.length < MOST_CELLS; at++) table.cells.push('');
    table.cell = null;
  }

  /** `repeat`: times that it stands there. */
  closeRow(repeat = 1): void {
    const table = this.#tables.at(-1);
    if (!table) return;
    this.closeCell();
    if (table.rows) for (let at = 0; at < repeat; at++) table.rows.row(table.cells);
    else table.text.push(table.cells.filter((cell) => cell.trim() !== '').join(' '));
    table.cells = [];
  }

  closeTable(): void {
    const table = this.#tables.at(-1);
    if (!table) return;
    if (table.cells.length > 0 || table.cell) this.closeRow();
    this.#tables.pop();
    if (table.rows === null) this.#tables.at(-1)?.cell?.push(...table.text.filter((text) => text !== ''));
  }

  /** What was begun before a file broke off. */
  end(): void {
    while (this.inTable) this.closeTable();
  }
}
