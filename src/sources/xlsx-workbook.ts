/** The frame of a workbook: its sheets in order, where their parts are, its date system and its number formats. */
import path from 'node:path/posix';
import { refuse } from './foreign.ts';
import type { DateKind } from './serial-dates.ts';
import { builtInKind, formatKind } from './xlsx-dates.ts';
import { parseXml, type Attributes, type XmlHandler } from './xlsx-xml.ts';
import { corrupt, type ZipParts } from './xlsx-zip.ts';

/** Characters of one text or tag in these small parts. */
const MAX_CHARS = 1 << 20;
/** Cell formats and sheets: more than any program writes. */
const MOST = 100_000;

export interface WorkbookSheet {
  name: string;
  hidden: boolean;
  /** Null for what has no cells: a chart sheet, a dialog. */
  part: string | null;
}

export interface Workbook {
  sheets: WorkbookSheet[];
  date1904: boolean;
  stringsPart: string | null;
  stylesPart: string | null;
}

export interface Relationship {
  type: string;
  part: string;
}

/** Rejects with `unsupported_type` when the zip is something else, `corrupt_file` when a part is missing or broken. */
export async function readWorkbook(parts: ZipParts): Promise<Workbook> {
  const root = await readRelationships(parts, '');
  const part = [...root.values()].find(({ type }) => type === 'officeDocument')?.part ?? 'xl/workbook.xml';
  if (!/\.xml$/i.test(part) || /^(word|ppt|visio)\//i.test(part) || !parts.has(part)) refuseZip(parts, part);

  const sheets: { name: string; hidden: boolean; id: string | undefined }[] = [];
  let date1904 = false;
  await readPart(parts, part, (name, attributes) => {
    if (name === 'workbookPr') date1904 = /^(1|true)$/.test(attributes['date1904'] ?? '');
    if (name === 'sheet' && sheets.length < MOST) {
      const id = Object.entries(attributes).find(([key]) => key.endsWith(':id'))?.[1];
      sheets.push({ name: attributes['name'] ?? '', hidden: /hidden/i.test(attributes['state'] ?? ''), id });
    }
  });
  const relationships = await readRelationships(parts, part);
  const byType = (wanted: string): string | null => [...relationships.values()].find(({ type }) => type === wanted)?.part ?? null;
  return {
    sheets: sheets.map(({ name, hidden, id }) => {
      const target = relationships.get(id ?? '');
      if (!target) throw corrupt(`does not say where the sheet "${name}" is`, part);
      return { name, hidden, part: target.type === 'worksheet' ? target.part : null };
    }),
    date1904,
    stringsPart: byType('sharedStrings'),
    stylesPart: byType('styles'),
  };
}

/** By cell format, what its number format shows; null: not a date. */
export async function readDateFormats(parts: ZipParts, part: string): Promise<(DateKind | null)[]> {
  const custom = new Map<number, DateKind | null>();
  const kinds: (DateKind | null)[] = [];
  let inCellFormats = false;
  let inNumberFormats = false;
  const open = (name: string, attributes: Attributes): void => {
    if (name === 'cellXfs') inCellFormats = true;
    if (name === 'numFmts') inNumberFormats = true;
    if (name === 'numFmt' && inNumberFormats) custom.set(Number(attributes['numFmtId']), formatKind(attributes['formatCode'] ?? ''));
    if (name === 'xf' && inCellFormats && kinds.length < MOST) {
      const id = Number(attributes['numFmtId'] ?? 0);
      kinds.push(custom.has(id) ? (custom.get(id) ?? null) : builtInKind(id));
    }
  };
  await readPart(parts, part, open, (name) => {
    if (name === 'cellXfs') inCellFormats = false;
    if (name === 'numFmts') inNumberFormats = false;
  });
  return kinds;
}

async function readPart(parts: ZipParts, part: string, open: XmlHandler['open'], close: XmlHandler['close'] = () => {}): Promise<void> {
  for await (const _ of parseXml(parts.read(part), part, MAX_CHARS, { open, close, text: () => {} }));
}

/** What a part (or with '' the package) refers to, by id. Targets are relative to the part, or absolute. */
export async function readRelationships(parts: ZipParts, part: string): Promise<Map<string, Relationship>> {
  const folder = part === '' ? '' : path.dirname(part);
  const name = path.join(folder, '_rels', `${path.basename(part)}.rels`);
  const relationships = new Map<string, Relationship>();
  if (!parts.has(name)) return relationships;
  await readPart(parts, name, (element, attributes) => {
    if (element !== 'Relationship' || attributes['TargetMode'] === 'External' || relationships.size >= MOST) return;
    const target = (attributes['Target'] ?? '').replaceAll('\\', '/');
    relationships.set(attributes['Id'] ?? '', {
      type: path.basename(attributes['Type'] ?? ''),
      part: target.startsWith('/') ? path.normalize(target).slice(1) : path.join(folder, target),
    });
  });
  return relationships;
}

function refuseZip(parts: ZipParts, part: string): never {
  const names = parts.names();
  const any = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  const saveAs = 'Open it in a spreadsheet program, save it as XLSX or CSV, and give that';
  if (any(/^xl\/workbook\.bin$/)) refuse({ what: 'a binary workbook (XLSB)', remedy: saveAs });
  if (any(/^word\//)) refuse({ what: 'a Word document', remedy: 'Give a CSV, TSV or XLSX file' });
  if (any(/^ppt\//)) refuse({ what: 'a PowerPoint presentation', remedy: 'Give a CSV, TSV or XLSX file' });
  if (any(/^meta-inf\/container\.xml$/)) refuse({ what: 'an EPUB book', remedy: 'Give a CSV, TSV or XLSX file' });
  if (any(/^content\.xml$/)) refuse({ what: 'an OpenDocument file (ODS, ODT, …)', remedy: saveAs });
  if (any(/^index\/.*\.iwa$|^index\.zip$/)) refuse({ what: 'a Numbers, Pages or Keynote document', remedy: 'Export it as XLSX or CSV and give that' });
  if (any(/^xl\//)) throw corrupt('is missing', part);
  return refuse({ what: 'a ZIP archive', remedy: 'Unpack it and give the sheet inside' });
}
