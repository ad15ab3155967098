/** CSV and TSV: any delimiter of four, any of four encodings, streamed. */
import { CsvError, parse, type Parser } from 'csv-parse';
import type { Cell } from '../contracts/row.ts';
import { SheafError } from '../contracts/errors.ts';
import { giveBack } from '../domain/give-back.ts';
import { detectEncoding, utf8Chunks, type TextForm } from './csv-encoding.ts';
import { sniffDelimiter, type Delimiter } from './csv-delimiter.ts';
import { foreignFormat } from './foreign.ts';
import { readBytes } from './read-bytes.ts';
import type { SheetFile, SheetLimits, SheetSource, SourceRow } from './source.ts';
import { openTable, wantedSheet } from './table.ts';
import { Warnings } from './warnings.ts';

/** Bytes at the beginning from which the delimiter is told. */
const SAMPLE_BYTES = 256 * 1024;
/** A "delimiter" for a single column: no text holds it. */
const NO_DELIMITER = '\u{10FFFF}\u{10FFFE}';
const QUOTE = 34;

/** How the text is written. */
interface Dialect {
  form: TextForm;
  delimiter: Delimiter | null;
  /** The first line is `sep=;`, which spreadsheet programs obey and hide. */
  hintLine: boolean;
}

export const csvSource: SheetSource = {
  recognises: (file, head) => foreignFormat(file.name, head) === null,

  async open(file, options, limits) {
    const sheet = wantedSheet(options);
    if (sheet !== undefined && sheet !== 1 && sheet !== '1') {
      throw new SheafError('sheet_not_found', 'A CSV file has no sheets to choose from', {
        remedy: 'Leave the sheet out', place: { field: 'sheet' },
      });
    }
    const dialect = await detectDialect(file, options.encoding, options.delimiter);
    const warnings = new Warnings();
    if (dialect.form.damaged > 0) {
      warnings.add({
        code: 'damaged_text',
        message: `The text is UTF-8 except for ${dialect.form.damaged} bytes, which read as "\uFFFD"`,
      });
    }
    return openTable(
      {
        sheet: null,
        sheets: [],
        format: describe(dialect),
        fingerprint: file.fingerprint,
        rows: (signal) => parseRows(file, dialect, limits, signal),
        close: async () => {},
      },
      options, limits, warnings,
    );
  },
};

async function detectDialect(file: SheetFile, encoding: TextForm['encoding'] | undefined, delimiter: Delimiter | undefined): Promise<Dialect> {
  const form = await detectEncoding(file, await readBytes(file, 0, 4096), encoding);
  const pieces: Buffer[] = [];
  for await (const chunk of utf8Chunks(file, form, SAMPLE_BYTES)) pieces.push(chunk);
  const sample = Buffer.concat(pieces).toString();
  const hint = /^sep=([,;\t|])(?:\r|\n|$)/i.exec(sample)?.[1] as Delimiter | undefined;
  const sniffed = (): Delimiter | null =>
    sniffDelimiter(sample, file.size <= SAMPLE_BYTES, /\.(tsv|tab)$/i.test(file.name) ? '\t' : ',');
  return { form, delimiter: delimiter ?? hint ?? sniffed(), hintLine: hint !== undefined };
}

function describe({ form, delimiter }: Dialect): string {
  const separation = delimiter === null ? 'one column' : delimiter === '\t' ? 'delimiter tab' : `delimiter "${delimiter}"`;
  return `CSV, ${form.encoding === 'windows-1252' ? form.encoding : form.encoding.toUpperCase()}, ${separation}`;
}

/**
 * Records are rows, numbered as a spreadsheet program numbers them: a line break inside quotes starts none, a blank
 * line is one.
 */
async function* parseRows(
  file: SheetFile, dialect: Dialect, limits: SheetLimits, signal: AbortSignal | undefined,
): AsyncGenerator<SourceRow[], void, undefined> {
  const delimiter = dialect.delimiter ?? NO_DELIMITER;
  const recent = new RecentBytes();
  let batch: SourceRow[] = [];
  let row = dialect.hintLine ? -1 : 0;

  const parser = parse({
    delimiter,
    columns: false,
    relax_column_count: true,
    relax_quotes: true,
    // One to look for at each character is a seventh of the time less than three.
    record_delimiter: dialect.form.lineFeeds ? '\n' : ['\r\n', '\n', '\r'],
    // Counted in bytes by csv-parse; a character has at most three (four, where it counts as two).
    max_record_size: limits.maxRecordChars * 3,
    on_record: (cells: Cell[], { bytes }) => {
      row += 1;
      let characters = 0;
      for (let at = 0; at < cells.length; at++) {
        const cell = cells[at] as string;
        characters += cell.length;
        if (cell === '') cells[at] = null;
        else if (cell.charCodeAt(0) === QUOTE && /[\r\n]/.test(cell) && !recent.holdsQuoted(cell, bytes)) throw unclosedQuote(row);
      }
      if (characters > limits.maxRecordChars) throw recordTooLong(row, limits);
      recent.recordEnd = bytes;
      if (row > 0) batch.push({ row, cells });
      return null;
    },
  });
  parser.on('error', () => {}); // The write that met it rejects with it.

  try {
    for await (const chunk of utf8Chunks(file, dialect.form)) {
      signal?.throwIfAborted();
      recent.add(chunk);
      await write(parser, chunk);
      if (recent.pending > limits.maxRecordChars * 4 + chunk.length) throw recordTooLong(row + 1, limits);
      if (batch.length > 0) {
        yield batch;
        batch = [];
      }
    }
    await finish(parser);
    if (batch.length > 0) yield batch;
  } catch (error) {
    throw placed(error, row + 1, recent, limits);
  } finally {
    parser.destroy();
  }
}

const write = (parser: Parser, chunk: Buffer): Promise<void> =>
  new Promise((resolve, reject) => {
    parser.write(chunk, (error) => (error ? reject(error) : resolve()));
  });

const finish = (parser: Parser): Promise<void> =>
  new Promise((resolve, reject) => {
    parser.once('error', reject).once('end', resolve);
    parser.end();
    parser.resume();
  });

/** The bytes given to the parser since the last record ended: what a doubtful record looked like. */
class RecentBytes {
  /** Offset of the end of the last record, in bytes given. */
  recordEnd = 0;
  #chunks: Buffer[] = [];
  #start = 0;
  #end = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#end += chunk.length;
  }

  /** Bytes of the record that has not ended; csv-parse counts those of its cells only, not a million delimiters. */
  get pending(): number {
    this.#forget();
    return this.#end - this.recordEnd;
  }

  /** Not the newest: the parser may still have a part of it. */
  #forget(): void {
    for (let first = this.#chunks[0]; first && this.#chunks.length > 1 && this.#start + first.length <= this.recordEnd; first = this.#chunks[0]) {
      this.#start += first.length;
      this.#chunks.shift();
      giveBack(first);
    }
  }

  /** Bytes from the last record's end to `end`. */
  slice(end = this.#end): Buffer {
    this.#forget();
    const first = this.#chunks[0] ?? Buffer.alloc(0);
    const [from, to] = [this.recordEnd - this.#start, end - this.#start];
    return (to <= first.length ? first : Buffer.concat(this.#chunks)).subarray(from, to);
  }

  /**
   * Whether a cell with a quote at its beginning and a line break stands there quoted, its own quotes doubled. If not,
   * a quote was opened and never closed, and the parser took the following rows up to some later quote as the cell.
   */
  holdsQuoted(cell: string, end: number): boolean {
    return this.slice(end).includes(`"${cell.replaceAll('"', '""')}"`);
  }
}

function placed(error: unknown, row: number, recent: RecentBytes, limits: SheetLimits): unknown {
  if (!(error instanceof CsvError)) return error;
  if (error.code === 'CSV_QUOTE_NOT_CLOSED') return unclosedQuote(row);
  if (error.code !== 'CSV_MAX_RECORD_SIZE') return new SheafError('corrupt_file', `Row ${row} cannot be read as CSV`, { place: { row }, cause: error });
  let quotes = 0;
  for (const byte of recent.slice()) if (byte === QUOTE) quotes++;
  return quotes % 2 === 1 ? unclosedQuote(row) : recordTooLong(row, limits);
}

const unclosedQuote = (row: number): SheafError =>
  new SheafError('corrupt_file', `Row ${row} opens a quote that is not closed`, {
    remedy: 'Close the quote, or double it if it is part of the text', place: { row },
  });

const recordTooLong = (row: number, limits: SheetLimits): SheafError =>
  new SheafError('cell_too_large', `Row ${row} has more than the ${limits.maxRecordChars} characters that are allowed`, {
    remedy: 'Check the delimiter and the line ends, or raise SHEAF_MAX_RECORD_CHARS', place: { row },
  });
