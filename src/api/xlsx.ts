/**
 * Writes a workbook as a stream (ECMA-376, SpreadsheetML): text as inline strings, no styles, so that nothing has to be
 * known before it is written. No kept-up library streams: exceljs is unmaintained, others hold the workbook in memory.
 */
import { Readable } from 'node:stream';
import { ZipFile } from 'yazl';
import type { Cell } from '../contracts/row.ts';

/** Excel's limits; a file beyond them counts as damaged. */
export const MAX_COLUMNS = 16_384;
const MAX_ROWS = 1_048_576;
const MAX_CELL_CHARS = 32_767;

const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const RELATIONS = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const SHEET_TYPE = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

const workbookFiles = (sheets: number[]): [path: string, content: string][] => [
  ['[Content_Types].xml', `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>`
    + `<Override PartName="/xl/workbook.xml" ContentType="${SHEET_TYPE}.sheet.main+xml"/>`
    + sheets.map((n) => `<Override PartName="/xl/worksheets/sheet${n}.xml" ContentType="${SHEET_TYPE}.worksheet+xml"/>`).join('') + '</Types>'],
  ['_rels/.rels', `<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>`],
  ['xl/workbook.xml', `<workbook xmlns="${MAIN}" xmlns:r="${RELATIONS}"><sheets>`
    + sheets.map((n) => `<sheet name="Results${n === 1 ? '' : ` ${n}`}" sheetId="${n}" r:id="rId${n}"/>`).join('') + '</sheets></workbook>'],
  ['xl/_rels/workbook.xml.rels', `<Relationships xmlns="${PACKAGE}/relationships">`
    + sheets.map((n) => `<Relationship Id="rId${n}" Type="${RELATIONS}/worksheet" Target="worksheets/sheet${n}.xml"/>`).join('') + '</Relationships>'],
];

/**
 * A workbook with the header on top of each sheet. `maxRows`: at most so many rows will come, which decides the number
 * of sheets; `rowsPerSheet` (header included) is Excel's limit unless a test lowers it.
 */
export function workbook(header: string[], batches: AsyncIterable<Cell[][]>, maxRows: number, rowsPerSheet = MAX_ROWS): Readable {
  const zip = new ZipFile();
  const output = zip.outputStream as Readable;
  zip.on('error', (error: Error) => output.destroy(error));
  const sheetCount = Math.max(1, Math.ceil(maxRows / (rowsPerSheet - 1)));
  const sheets = Array.from({ length: sheetCount }, (_, index) => index + 1);
  for (const [path, content] of workbookFiles(sheets)) zip.addBuffer(Buffer.from(HEAD + content), path);
  const rows = new RowQueue(batches);
  // The zip writer passes neither errors on nor the end of interest: both are done here.
  let reading: Readable | undefined;
  for (const sheet of sheets) {
    zip.addReadStreamLazy(`xl/worksheets/sheet${sheet}.xml`, (give) => {
      reading = Readable.from(sheetXml(header, rows, rowsPerSheet), { objectMode: false });
      reading.on('error', (error) => output.destroy(error));
      give(null, reading);
    });
  }
  zip.end();
  output.once('close', () => {
    reading?.destroy();
    rows.close();
  });
  return output;
}

/** Takes rows from batches so that a sheet may end in the middle of one. */
class RowQueue {
  readonly #batches: AsyncIterator<Cell[][]>;
  #rest: Cell[][] = [];

  constructor(batches: AsyncIterable<Cell[][]>) {
    this.#batches = batches[Symbol.asyncIterator]();
  }

  /** At most `most` rows; none at the end. */
  async take(most: number): Promise<Cell[][]> {
    while (this.#rest.length === 0) {
      const next = await this.#batches.next();
      if (next.done) return [];
      this.#rest = next.value;
    }
    return this.#rest.splice(0, most);
  }

  close(): void {
    this.#batches.return?.().catch(() => undefined); // who asked for rows has been told
  }
}

/** Rows turned into one chunk of text. */
const CHUNK_ROWS = 500;

async function* sheetXml(header: string[], rows: RowQueue, rowsPerSheet: number): AsyncGenerator<string> {
  yield `${HEAD}<worksheet xmlns="${MAIN}"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>${rowXml(header)}`;
  for (let left = rowsPerSheet - 1; left > 0;) {
    const batch = await rows.take(Math.min(left, CHUNK_ROWS));
    if (batch.length === 0) break;
    left -= batch.length;
    yield batch.map(rowXml).join('');
  }
  yield '</sheetData></worksheet>';
}

// A cell without a reference stands right of the one before: an empty one keeps the place.
const rowXml = (cells: Cell[]): string => `<row>${cells.map(cellXml).join('')}</row>`;

function cellXml(cell: Cell): string {
  if (cell === null || cell === '') return '<c/>';
  if (typeof cell === 'number') return Number.isFinite(cell) ? `<c><v>${cell}</v></c>` : '<c/>';
  if (typeof cell === 'boolean') return `<c t="b"><v>${cell ? 1 : 0}</v></c>`;
  return `<c t="inlineStr"><is><t xml:space="preserve">${textXml(cell)}</t></is></c>`;
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' };

/** Without what XML cannot hold; text that looks like one of Excel's own escapes (`_x000D_`) is kept from being read as one. */
function textXml(text: string): string {
  return shortened(text)
    .toWellFormed()
    .replaceAll(/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g, '')
    .replaceAll(/_(?=x[0-9A-Fa-f]{4}_)/g, '_x005F_')
    .replaceAll(/[&<>\r]/g, (character) => ESCAPES[character]!);
}

/** Excel takes no longer cell; the end of what was cut says so. */
function shortened(text: string): string {
  if (text.length <= MAX_CELL_CHARS) return text;
  const note = ` … [cut: ${text.length} characters]`;
  return text.slice(0, MAX_CELL_CHARS - note.length) + note;
}
