/** What the tests of sources are made from: files in memory, workbooks part by part. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import yazl from 'yazl';
import type { Cell, SheetWarning } from '../../src/contracts/row.ts';
import type { SheetOptions } from '../../src/contracts/job.ts';
import { openSheet } from '../../src/sources/index.ts';
import type { SheetFile, SheetLimits } from '../../src/sources/source.ts';

export const LIMITS: SheetLimits = { maxRecordChars: 4 * 2 ** 20, maxColumns: 16_384, maxInflatedBytes: 4 * 2 ** 30 };

/** `chunk`: bytes that each read gives, to put the ends of chunks anywhere. */
export function memoryFile(content: Buffer | string, name = 'sheet.csv', chunk = 64 * 1024): SheetFile {
  const bytes = Buffer.from(content);
  return {
    name,
    size: bytes.length,
    fingerprint: `memory:${bytes.length}`,
    stream: async ({ start = 0, end = bytes.length } = {}) =>
      Readable.from(
        (function* () {
          for (let at = start; at < Math.min(end, bytes.length); at += chunk) yield bytes.subarray(at, Math.min(at + chunk, end));
        })(),
        { objectMode: false },
      ),
  };
}

export interface ReadSheet {
  format: string;
  sheet: string | null;
  sheets: string[];
  columns: string[];
  rows: [row: number, ...cells: Cell[]][];
  warnings: SheetWarning[];
}

export async function readSheet(file: SheetFile, options: SheetOptions = {}, limits: Partial<SheetLimits> = {}): Promise<ReadSheet> {
  const sheet = await openSheet(file, options, { ...LIMITS, ...limits });
  const rows: ReadSheet['rows'] = [];
  for await (const batch of sheet.rows()) for (const { row, cells } of batch) rows.push([row, ...cells]);
  await sheet.close();
  return { format: sheet.format, sheet: sheet.sheet, sheets: sheet.sheets, columns: sheet.columns.map(({ name }) => name), rows, warnings: sheet.warnings };
}

export const readCsv = (text: Buffer | string, options: SheetOptions = {}, limits: Partial<SheetLimits> = {}): Promise<ReadSheet> =>
  readSheet(memoryFile(text), options, limits);

const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006/relationships';
const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>';

export interface WorkbookMaterial {
  /** What stands between `<sheetData>` and its end, for each sheet. */
  sheets: { name?: string; data: string; after?: string; state?: string }[];
  strings?: string;
  styles?: string;
  workbookPr?: string;
  /** Parts that replace others, or join them. Null: left out. */
  parts?: Record<string, string | Buffer | null>;
}

export function workbookParts({ sheets, strings = '', styles = '', workbookPr = '', parts = {} }: WorkbookMaterial): Map<string, Buffer> {
  const all = new Map<string, string | Buffer>();
  const relation = (id: string, type: string, target: string): string => `<Relationship Id="${id}" Type="${OFFICE}/${type}" Target="${target}"/>`;
  all.set('[Content_Types].xml', `${XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>`);
  all.set('_rels/.rels', `${XML}<Relationships xmlns="${PACKAGE}">${relation('rId1', 'officeDocument', 'xl/workbook.xml')}</Relationships>`);
  const entries = sheets.map(({ name, state }, at) => `<sheet name="${name ?? `Sheet${at + 1}`}" sheetId="${at + 1}" ${state ? `state="${state}" ` : ''}r:id="rId${at + 1}"/>`);
  all.set('xl/workbook.xml', `${XML}<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><workbookPr ${workbookPr}/><sheets>${entries.join('')}</sheets></workbook>`);
  const targets = sheets.map((_, at) => relation(`rId${at + 1}`, 'worksheet', `worksheets/sheet${at + 1}.xml`));
  targets.push(relation('rId901', 'sharedStrings', 'sharedStrings.xml'), relation('rId902', 'styles', 'styles.xml'));
  all.set('xl/_rels/workbook.xml.rels', `${XML}<Relationships xmlns="${PACKAGE}">${targets.join('')}</Relationships>`);
  all.set('xl/sharedStrings.xml', `${XML}<sst xmlns="${MAIN}">${strings}</sst>`);
  all.set('xl/styles.xml', `${XML}<styleSheet xmlns="${MAIN}">${styles}</styleSheet>`);
  sheets.forEach(({ data, after = '' }, at) => {
    all.set(`xl/worksheets/sheet${at + 1}.xml`, `${XML}<worksheet xmlns="${MAIN}"><sheetData>${data}</sheetData>${after}</worksheet>`);
  });
  const kept = [...all, ...Object.entries(parts)].filter((part): part is [string, string | Buffer] => part[1] !== null && parts[part[0]] !== null);
  return new Map(kept.map(([name, content]) => [name, Buffer.from(content)]));
}

export async function zip(parts: Map<string, Buffer>, compress = true): Promise<Buffer> {
  const file = new yazl.ZipFile();
  for (const [name, content] of parts) file.addBuffer(content, name, { compress, mtime: new Date(2024, 0, 1) });
  file.end();
  return buffer(file.outputStream as Readable);
}

export const workbook = async (material: WorkbookMaterial): Promise<SheetFile> => memoryFile(await zip(workbookParts(material)), 'book.xlsx');
