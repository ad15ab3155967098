/** Files that are no sheets which Sheaf reads: what they are, by their first bytes, and what to do about it. */
import { SheafError } from '../contracts/errors.ts';
import { guessUtf16 } from './csv-encoding.ts';

/** What a file is, in words for a person, and what to do with it. */
export interface Foreign {
  what: string;
  remedy: string;
}

const SAVE_AS = 'Save it as XLSX or CSV and give that';
const UNPACK = 'Unpack it and give the sheet inside';
const DOCUMENT = 'Give a CSV, TSV or XLSX file';

type Signature = readonly [signature: RegExp, what: string, remedy: string];

/** Looked for only in files with control characters: some of them could begin a text as well. */
const BINARY: readonly Signature[] = [
  [/^\x89PNG\r\n|^\xff\xd8\xff|^GIF8[79]a|^BM|^II\*\0|^MM\0\*|^RIFF[\s\S]{4}WEBP/, 'an image', DOCUMENT],
  [/^\x1f\x8b|^BZh[1-9]|^\xfd7zXZ\0|^\x28\xb5\x2f\xfd/, 'a compressed file', UNPACK],
  [/^7z\xbc\xaf\x27\x1c|^Rar!\x1a\x07/, 'an archive', UNPACK],
  [/^PAR1|^ORC|^Obj\x01|^ARROW1/, 'a binary table (Parquet, ORC, Avro or Arrow)', 'Export it as CSV and give that'],
  [/^SQLite format 3\0/, 'an SQLite database', 'Export the table as CSV and give that'],
  [/^\x7fELF|^MZ|^\xca\xfe\xba\xbe|^\xcf\xfa\xed\xfe|^\xce\xfa\xed\xfe|^\0asm|^dex\n|^L\0\0\0\x01\x14\x02/, 'a program', DOCUMENT],
  [/^RIFF|^OggS|^ID3|^fLaC|^[\s\S]{4}ftyp/, 'a sound or video', DOCUMENT],
  [/^(\xff\xfe\0\0|\0\0\xfe\xff)/, 'a text in UTF-32', 'Save it as UTF-8 and give that'],
];

const TEXTUAL: readonly Signature[] = [
  [/^%PDF-/, 'a PDF', DOCUMENT],
  [/^\{\\rtf/, 'an RTF document', DOCUMENT],
  [/^(?:<!--(?:(?!-->)[\s\S])*-->\s*)*<(!doctype\s+html|html|head|body|table|meta)\b/i, 'an HTML page', `Open it in a spreadsheet program. ${SAVE_AS}`],
  [/^<\?xml[\s\S]*(<\?mso-application progid="Excel|urn:schemas-microsoft-com:office:spreadsheet)/i, 'a sheet in the XML format of Excel 2003', `Open it in a spreadsheet program. ${SAVE_AS}`],
  [/^<\?xml\b/i, 'an XML file', DOCUMENT],
];

/** Share of control characters above which bytes are no text. */
const BINARY_SHARE = 0.05;

/** Null: it can be read as text. `head`: the first bytes, some thousand if there are. */
export function foreignFormat(name: string, head: Buffer): Foreign | null {
  const bytes = head.toString('latin1');
  const text = decodeStart(head).trimStart();
  const found =
    (controls(head) > 0 && BINARY.find(([signature]) => signature.test(bytes))) || TEXTUAL.find(([signature]) => signature.test(text));
  if (found) return { what: found[1], remedy: found[2] };
  if (/\.(json|ndjson|jsonl)$/i.test(name) && /^[[{]/.test(text)) return { what: 'a JSON file', remedy: 'Turn it into CSV and give that' };
  if (isBinary(head)) return { what: 'a binary file of an unknown kind', remedy: DOCUMENT };
  return null;
}

/** Throws `unsupported_type`. */
export function refuse({ what, remedy }: Foreign): never {
  throw new SheafError('unsupported_type', `The file is ${what}, not a sheet that Sheaf reads`, { remedy });
}

const utf16 = (head: Buffer): 'utf-16le' | 'utf-16be' | undefined =>
  head[0] === 0xff && head[1] === 0xfe ? 'utf-16le' : head[0] === 0xfe && head[1] === 0xff ? 'utf-16be' : guessUtf16(head);

const decodeStart = (head: Buffer): string => new TextDecoder(utf16(head) ?? 'utf-8').decode(head);

function controls(head: Buffer): number {
  let count = 0;
  for (const byte of head) if (byte < 9 || (byte > 13 && byte < 32 && byte !== 27)) count++;
  return count;
}

const isBinary = (head: Buffer): boolean =>
  utf16(head) === undefined && controls(head) > Math.max(4, head.length * BINARY_SHARE);
