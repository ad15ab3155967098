/** XLSX (Office Open XML spreadsheets, strict and transitional, macros or not), and clear words about its relatives. */
import type { SheetOptions } from '../contracts/job.ts';
import { SheafError } from '../contracts/errors.ts';
import { compoundNames, isCompoundFile } from './cfb.ts';
import { refuse } from './foreign.ts';
import { readBytes } from './read-bytes.ts';
import type { SheetFile, SheetSource } from './source.ts';
import { openTable, wantedSheet } from './table.ts';
import { Warnings } from './warnings.ts';
import { findMerges, readCells, type Merge, type SheetFrame } from './xlsx-sheet.ts';
import { readStrings, SharedStrings } from './xlsx-strings.ts';
import { readDateFormats, readWorkbook, type Workbook, type WorkbookSheet } from './xlsx-workbook.ts';
import { corrupt, encrypted, ZipParts } from './xlsx-zip.ts';

/** Bare BIFF streams of Excel 2 to 5, before there were containers. */
const BARE_BIFF = /^\x09[\x00\x02\x04\x08][\x04-\x08\x10]\x00/;
const ZIP = /^PK(\x03\x04|\x05\x06|\x07\x08)/;

export const xlsxSource: SheetSource = {
  recognises: (_file, head) => ZIP.test(latin1(head)) || isCompoundFile(head) || BARE_BIFF.test(latin1(head)),

  async sheets(file, limits) {
    await refuseRelatives(file);
    const { sheets } = await readWorkbook(await ZipParts.open(file, limits));
    return sheets.filter(({ hidden, part }) => !hidden && part !== null).map(({ name }) => name);
  },

  async open(file, options, limits) {
    await refuseRelatives(file);
    const parts = await ZipParts.open(file, limits);
    const workbook = await readWorkbook(parts);
    const { name, part } = chooseSheet(workbook, wantedSheet(options));
    const { stringsPart, stylesPart, date1904 } = workbook;
    const frame: SheetFrame = {
      part,
      strings: stringsPart && parts.has(stringsPart) ? await readStrings(parts.read(stringsPart), stringsPart, limits.maxRecordChars) : new SharedStrings(),
      dateKinds: stylesPart && parts.has(stylesPart) ? await readDateFormats(parts, stylesPart) : [],
      date1904,
      merges: await findMerges(parts.read(part), part),
    };
    const warnings = new Warnings();
    warnOfMerges(frame.merges, warnings);
    return openTable(
      {
        sheet: name,
        sheets: workbook.sheets.map((sheet) => sheet.name),
        format: 'XLSX',
        fingerprint: file.fingerprint,
        rows: (signal) => readCells(parts.read(part), frame, limits, warnings, signal),
        close: async () => {},
      },
      options, limits, warnings,
    );
  },
};

const latin1 = (head: Buffer): string => head.toString('latin1', 0, 8);

async function refuseRelatives(file: SheetFile): Promise<void> {
  const head = await readBytes(file, 0, 8);
  const legacy = (): SheafError =>
    new SheafError('legacy_format', 'The file is in the legacy .xls format of Excel 97 and before', {
      remedy: 'Open it in a spreadsheet program, save it as XLSX, and give that',
    });
  if (BARE_BIFF.test(latin1(head))) throw legacy();
  if (!isCompoundFile(head)) return;
  const names = await compoundNames(file);
  if (names.has('EncryptedPackage') || names.has('EncryptionInfo')) throw encrypted();
  if (names.has('Workbook') || names.has('Book') || (names.size === 0 && /\.xlt?$/i.test(file.name))) throw legacy();
  if (names.has('WordDocument')) refuse({ what: 'a legacy Word document', remedy: 'Give a CSV, TSV or XLSX file' });
  if (names.has('PowerPoint Document')) refuse({ what: 'a legacy PowerPoint presentation', remedy: 'Give a CSV, TSV or XLSX file' });
  if (names.size === 0) throw corrupt('its container cannot be read, it may be cut off');
  refuse({ what: 'a compound file without a workbook', remedy: 'Give a CSV, TSV or XLSX file' });
}

function chooseSheet(workbook: Workbook, wanted: SheetOptions['sheet']): WorkbookSheet & { part: string } {
  const { sheets } = workbook;
  const withCells = (sheet: WorkbookSheet): sheet is WorkbookSheet & { part: string } => sheet.part !== null;
  if (wanted === undefined) {
    const sheet = sheets.filter(withCells).find(({ hidden }) => !hidden) ?? sheets.find(withCells);
    if (!sheet) throw corrupt('the workbook has no sheet with cells');
    return sheet;
  }
  const byName = (name: string): WorkbookSheet | undefined =>
    sheets.find((sheet) => sheet.name === name) ?? sheets.find((sheet) => sheet.name.toLowerCase() === name.toLowerCase());
  const sheet = (typeof wanted === 'string' ? byName(wanted) : undefined) ?? (/^\d+$/.test(String(wanted)) ? sheets[Number(wanted) - 1] : undefined);
  const names = sheets.slice(0, 20).map(({ name }) => `"${name}"`).join(', ');
  const notFound = (why: string): SheafError =>
    new SheafError('sheet_not_found', why, { remedy: `The sheets are ${names}${sheets.length > 20 ? ', …' : ''}`, place: { field: 'sheet' } });
  if (!sheet) throw notFound(`The workbook has no sheet ${typeof wanted === 'number' ? wanted : `"${wanted}"`}`);
  if (!withCells(sheet)) throw notFound(`"${sheet.name}" is a chart or dialog, not a sheet with cells`);
  return sheet;
}

function warnOfMerges(merges: Merge[], warnings: Warnings): void {
  const [first] = merges;
  if (!first) return;
  warnings.add({
    code: 'merged_cells',
    message: `${merges.length === 1 ? 'An area is' : `${merges.length} areas are`} merged; the value is in the top-left cell, the other cells are empty`,
    row: first.firstRow,
  });
}
