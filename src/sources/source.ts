/**
 * The port to sheets. An adapter opens a sheet (headers, size when known, fingerprint) and streams its rows from a
 * position. It knows nothing of jobs, keys or handlers.
 */
import type { Readable } from 'node:stream';
import type { Cell, Column, SheetWarning } from '../contracts/row.ts';
import type { SheetOptions } from '../contracts/job.ts';

/** A file to read, wherever it lives. Streams may be opened as often as needed. */
export interface SheetFile {
  /** As the user knows it; its extension is a hint, its content decides. */
  name: string;
  /** Bytes. */
  size: number;
  /** Changes when the content changes: cheap (size and time, or a blob's key). */
  fingerprint: string;
  /** `start` inclusive, `end` exclusive, in bytes. What it gives is the reader's alone, who may give its memory back. */
  stream(range?: { start?: number; end?: number }): Promise<Readable>;
}

/** A sheet that is no file: whoever holds it answers for it. */
export interface RemoteSheet {
  /** As people know it. */
  name: string;
  /** Changes when the content changes, and is known without reading it; null: nobody can say. */
  fingerprint: string | null;
  /** Names of the visible sheets with cells, in order. Rejects as `open` does. */
  sheets(): Promise<string[]>;
  /** Rejects with a `SheafError`. The caller closes what it opened. */
  open(options: SheetOptions, limits: SheetLimits): Promise<OpenSheet>;
}

/** Where rows come from, once it is known to be there. */
export type FoundSheet = SheetFile | RemoteSheet;

export interface SourceRow {
  /** 1-based, as a spreadsheet program numbers it. */
  row: number;
  /** By column index within `columns`; may be shorter (the rest is null), or longer where a row is wider than any before. */
  cells: Cell[];
}

export interface OpenSheet {
  /** The sheet's name; null for CSV. */
  sheet: string | null;
  /** Names of all sheets of the workbook; empty for CSV. */
  sheets: string[];
  /** Grows at the right while `rows()` meets wider rows (a CSV line with more cells than the header): read it again at the end. */
  columns: Column[];
  /** Data rows, when the format says so without reading all. */
  rowCount: number | null;
  fingerprint: string;
  /** What the format turned out to be, for people: `CSV, UTF-8, delimiter ";"`. */
  format: string;
  /** Grows while `rows()` reads; bounded: at most 100, further ones are counted in the last. */
  warnings: SheetWarning[];
  /**
   * Data rows in order, in batches of some hundred at most, from row number `fromRow` (default: the first) on.
   * Blank rows come as rows without cells. Rejects with a `SheafError` that names the place.
   */
  rows(options?: { fromRow?: number; signal?: AbortSignal }): AsyncIterable<SourceRow[]>;
  close(): Promise<void>;
}

/** Limits that no sheet may pass; configuration, because a 24 GiB server and a laptop differ. */
export interface SheetLimits {
  /** Characters in one record of a CSV, or one cell of an XLSX. */
  maxRecordChars: number;
  maxColumns: number;
  /** Inflated bytes of an XLSX, all parts together. */
  maxInflatedBytes: number;
}

export interface SheetSource {
  /** Whether this adapter reads the file; looks at the first bytes and the name. */
  recognises(file: SheetFile, head: Buffer): boolean;
  /** Names of the visible sheets with cells, in order; left out where the format has no sheets. Rejects as `open` does. */
  sheets?(file: SheetFile, limits: SheetLimits): Promise<string[]>;
  /** Rejects with a `SheafError`. The caller closes what it opened. */
  open(file: SheetFile, options: SheetOptions, limits: SheetLimits): Promise<OpenSheet>;
}
