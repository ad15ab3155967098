/** The cells of one worksheet, streamed row by row (ECMA-376, 18.3.1). */
import type { Cell } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import { columnIndex, columnLetter, LAST_COLUMN, LAST_ROW } from '../domain/range.ts';
import type { SheetLimits, SourceRow } from './source.ts';
import type { Warnings } from './warnings.ts';
import { isoOf, type DateKind } from './serial-dates.ts';
import { StringItem, unescapeText, type SharedStrings } from './xlsx-strings.ts';
import { parseXml, type Attributes, type XmlHandler } from './xlsx-xml.ts';
import { corrupt } from './xlsx-zip.ts';

/** A merged area; rows 1-based, columns 0-based, both ends included. */
export interface Merge {
  firstRow: number;
  lastRow: number;
  firstColumn: number;
  lastColumn: number;
}

/** What the cells of a sheet refer to, and where it is. */
export interface SheetFrame {
  part: string;
  strings: SharedStrings;
  /** By cell format. */
  dateKinds: (DateKind | null)[];
  date1904: boolean;
  /** By first row. */
  merges: Merge[];
}

export async function* readCells(
  chunks: AsyncIterable<Buffer>, frame: SheetFrame, limits: SheetLimits, warnings: Warnings, signal: AbortSignal | undefined,
): AsyncGenerator<SourceRow[], void, undefined> {
  const reader = new CellReader(frame, limits, warnings);
  for await (const _ of parseXml(chunks, frame.part, limits.maxRecordChars, reader)) {
    signal?.throwIfAborted();
    if (reader.rows.length > 0) {
      yield reader.rows;
      reader.rows = [];
    }
  }
  if (reader.rows.length > 0) yield reader.rows;
}

class CellReader implements XmlHandler {
  /** Whole rows that nobody has taken yet. */
  rows: SourceRow[] = [];

  readonly #frame: SheetFrame;
  readonly #limits: SheetLimits;
  readonly #warnings: Warnings;
  readonly #merged: MergedCells;
  readonly #inline = new StringItem();

  #row = 0;
  #cells: Cell[] = [];
  #inData = false;
  #inRow = false;
  #column = -1;
  #inCell = false;
  #type = 'n';
  #style = 0;
  #value = '';
  #inValue = false;
  #inInline = false;
  #hasInline = false;
  #hasFormula = false;

  constructor(frame: SheetFrame, limits: SheetLimits, warnings: Warnings) {
    this.#frame = frame;
    this.#limits = limits;
    this.#warnings = warnings;
    this.#merged = new MergedCells(frame.merges);
  }

  open(name: string, attributes: Attributes): void {
    if (this.#inCell) this.#openInCell(name);
    else if (name === 'c' && this.#inRow) this.#openCell(attributes);
    else if (name === 'row' && this.#inData) this.#openRow(attributes['r']);
    else if (name === 'sheetData') this.#inData = true;
  }

  text(text: string): void {
    if (this.#inValue) this.#value += text;
    else if (this.#inInline) this.#inline.add(text);
  }

  close(name: string): void {
    if (name === 'c' && this.#inCell) this.#closeCell();
    else if (this.#inCell) this.#closeInCell(name);
    else if (name === 'row' && this.#inRow) {
      this.#inRow = false;
      this.#merged.clear(this.#row, this.#cells);
      this.rows.push({ row: this.#row, cells: this.#cells });
    } else if (name === 'sheetData') this.#inData = false;
  }

  tooLong(): SheafError {
    return new SheafError('cell_too_large', `A cell after row ${this.#row} has more than the ${this.#limits.maxRecordChars} characters that are allowed`, {
      remedy: 'Shorten the cell, or raise SHEAF_MAX_RECORD_CHARS',
      place: { row: Math.max(1, this.#row) },
    });
  }

  /** A row without a number follows the one before it. */
  #openRow(reference: string | undefined): void {
    const row = reference === undefined ? this.#row + 1 : Number(reference);
    if (!Number.isInteger(row) || row < 1 || row > LAST_ROW) throw corrupt(`has a row with an impossible number after row ${this.#row}`, this.#frame.part);
    if (row <= this.#row) throw corrupt(`has row ${row} after row ${this.#row}`, this.#frame.part);
    this.#row = row;
    this.#cells = [];
    this.#column = -1;
    this.#inRow = true;
  }

  #openCell(attributes: Attributes): void {
    const reference = attributes['r'];
    this.#column = reference === undefined ? this.#column + 1 : this.#columnOf(reference);
    if (this.#column >= LAST_COLUMN) throw corrupt(`has a cell beyond column XFD in row ${this.#row}`, this.#frame.part);
    this.#type = attributes['t'] ?? 'n';
    this.#style = Number(attributes['s'] ?? 0);
    this.#value = '';
    this.#hasInline = false;
    this.#hasFormula = false;
    this.#inCell = true;
  }

  /** The letters of `BC17`. */
  #columnOf(reference: string): number {
    let end = 0;
    while (end < reference.length && reference.charCodeAt(end) > 57) end++;
    const letters = reference.slice(0, end);
    if (end < 1 || end > 3 || !/^[A-Za-z]+$/.test(letters)) throw corrupt(`has a cell with an impossible reference in row ${this.#row}`, this.#frame.part);
    return columnIndex(letters);
  }

  #openInCell(name: string): void {
    if (name === 'v') this.#inValue = true;
    else if (name === 'f') this.#hasFormula = true;
    else if (name === 'is') {
      this.#inInline = true;
      this.#hasInline = true;
      this.#inline.start();
    } else if (this.#inInline) this.#inline.open(name);
  }

  #closeInCell(name: string): void {
    if (name === 'v') this.#inValue = false;
    else if (name === 'is') this.#inInline = false;
    else if (this.#inInline) this.#inline.close(name);
  }

  #closeCell(): void {
    this.#inCell = false;
    this.#inValue = false;
    this.#inInline = false;
    const value = this.#cellValue();
    if (typeof value === 'string' && value.length > this.#limits.maxRecordChars) throw this.tooLong();
    while (this.#cells.length <= this.#column) this.#cells.push(null);
    this.#cells[this.#column] = value;
  }

  #cellValue(): Cell {
    if (this.#hasInline) return unescapeText(this.#inline.text) || null;
    const text = this.#value;
    if (this.#type === 's' && text !== '') return this.#sharedString(text);
    if (this.#type === 'str' || this.#type === 'inlineStr') return unescapeText(text) || null;
    if (this.#type === 'e') {
      this.#tally('error_cell', (count) => count === 1 ? 'A cell holds an error and reads as empty' : `${count} cells hold an error and read as empty; this is the first`);
      return null;
    }
    if (text === '') {
      if (this.#hasFormula) {
        this.#tally('formula_without_value', (count) =>
          `${count === 1 ? 'A formula has no stored value and reads' : `${count} formulas have no stored value and read`} as empty; open the file in a spreadsheet program and save it to have them`);
      }
      return null;
    }
    if (this.#type === 'b') return text.trim() === '1' || text.trim() === 'true';
    if (this.#type === 'd') return text;
    return this.#number(text);
  }

  #sharedString(text: string): Cell {
    const value = this.#frame.strings.get(Number(text));
    if (value === undefined) throw corrupt(`refers to a shared string that is not there, in ${this.#place()}`, this.#frame.part);
    return value === '' ? null : value;
  }

  #number(text: string): Cell {
    const value = Number(text);
    if (!Number.isFinite(value)) return text;
    const kind = this.#frame.dateKinds[this.#style];
    if (kind) return isoOf(value, kind, this.#frame.date1904 ? '1904' : '1900') ?? value;
    return value === 0 ? 0 : value;
  }

  #tally(code: string, message: (count: number) => string): void {
    this.#warnings.tally(code, { row: this.#row, column: columnLetter(this.#column) }, message);
  }

  #place(): string {
    return `${columnLetter(this.#column)}${this.#row}`;
  }
}

/** Empties what lies under merged areas: only their top-left cell is seen. Rows come in ascending order. */
class MergedCells {
  readonly #byFirstRow: Merge[];
  readonly #byLastRow: Merge[];
  #started = 0;
  #ended = 0;
  /** By column, the areas that cover it in this row. */
  readonly #covering = new Uint32Array(LAST_COLUMN);

  constructor(merges: Merge[]) {
    this.#byFirstRow = merges;
    this.#byLastRow = [...merges].sort((one, other) => one.lastRow - other.lastRow);
  }

  clear(row: number, cells: Cell[]): void {
    const topLeft = new Set<number>();
    for (let merge = this.#byFirstRow[this.#started]; merge && merge.firstRow <= row; merge = this.#byFirstRow[++this.#started]) {
      this.#cover(merge, 1);
      if (merge.firstRow === row) topLeft.add(merge.firstColumn);
    }
    for (let merge = this.#byLastRow[this.#ended]; merge && merge.lastRow < row; merge = this.#byLastRow[++this.#ended]) this.#cover(merge, -1);
    if (this.#started === this.#ended) return;
    for (let column = 0; column < cells.length; column++) {
      if (this.#covering[column] !== 0 && !topLeft.has(column)) cells[column] = null;
    }
  }

  #cover({ firstColumn, lastColumn }: Merge, by: number): void {
    for (let column = firstColumn; column <= lastColumn; column++) this.#covering[column] = (this.#covering[column] ?? 0) + by;
  }
}

/** Bytes of a sheet's end that are looked at for merged areas. */
const TAIL_BYTES = 16 * 2 ** 20;
/** Columns of all merged areas together; areas that do not overlap reach this in no real sheet. */
const MOST_MERGED_COLUMNS = 20_000_000;

/**
 * Reads the sheet once through to its end, where merged areas are declared, after the cells. This also proves the
 * part whole before a row of it is used.
 */
export async function findMerges(chunks: AsyncIterable<Buffer>, part: string): Promise<Merge[]> {
  let previous: Buffer = Buffer.alloc(0);
  const tail: Buffer[] = [];
  let tailBytes = 0;
  for await (const chunk of chunks) {
    if (tail.length === 0) {
      const window = Buffer.concat([previous, chunk]);
      const end = endOfData(window);
      if (end >= 0) tail.push(window.subarray(end));
      previous = Buffer.from(chunk.subarray(-64));
    } else if (tailBytes < TAIL_BYTES) {
      tail.push(Buffer.from(chunk));
      tailBytes += chunk.length;
    }
  }
  const merges: Merge[] = [];
  let columns = 0;
  const text = Buffer.concat(tail).toString('latin1');
  for (const [, reference] of text.matchAll(/<(?:[\w.-]+:)?mergeCell\s[^<>]*?ref\s*=\s*["']([^"'<>]+)["']/g)) {
    const ends = /^\$?([A-Z]{1,3})\$?(\d{1,7}):\$?([A-Z]{1,3})\$?(\d{1,7})$/.exec(reference ?? '');
    if (!ends) continue;
    const [, firstLetters = '', firstRow, lastLetters = '', lastRow] = ends;
    const merge = { firstRow: Number(firstRow), lastRow: Number(lastRow), firstColumn: columnIndex(firstLetters), lastColumn: columnIndex(lastLetters) };
    if (merge.lastRow < merge.firstRow || merge.lastColumn < merge.firstColumn || merge.lastColumn >= LAST_COLUMN) continue;
    columns += merge.lastColumn - merge.firstColumn + 1;
    if (columns > MOST_MERGED_COLUMNS) throw corrupt('has more merged areas than fit in a sheet', part);
    merges.push(merge);
  }
  return merges.sort((one, other) => one.firstRow - other.firstRow);
}

/** Where `</sheetData>` ends, with or without a prefix; -1: not here. */
function endOfData(bytes: Buffer): number {
  for (let at = bytes.indexOf('sheetData>'); at >= 0; at = bytes.indexOf('sheetData>', at + 1)) {
    if (/<\/([\w.-]+:)?$/.test(bytes.toString('latin1', Math.max(0, at - 40), at))) return at + 'sheetData>'.length;
  }
  return -1;
}
