/** What a document is, by its bytes. Its name is a hint where bytes cannot tell (Markdown, CSV), and is compared. */
import { SheafError } from '../contracts/errors.ts';
import { isCompoundFile } from '../sources/cfb.ts';
import { foreignFormat } from '../sources/foreign.ts';
import type { DetectedType, DocumentType } from './document.ts';
import { utf32Order } from './utf32.ts';

/** Bytes of the beginning that tell what a file is. */
export const HEAD_BYTES = 64 * 1024;

const MEDIA_TYPES: Record<DocumentType, string> = {
  pdf: 'application/pdf',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  odt: 'application/vnd.oasis.opendocument.text',
  ods: 'application/vnd.oasis.opendocument.spreadsheet',
  odp: 'application/vnd.oasis.opendocument.presentation',
  rtf: 'application/rtf',
  html: 'text/html',
  markdown: 'text/markdown',
  epub: 'application/epub+zip',
  eml: 'message/rfc822',
  xml: 'application/xml',
  csv: 'text/csv',
  text: 'text/plain',
  doc: 'application/msword',
  ppt: 'application/vnd.ms-powerpoint',
  xls: 'application/vnd.ms-excel',
};

const BY_EXTENSION: Record<string, DocumentType> = {
  pdf: 'pdf', docx: 'docx', docm: 'docx', dotx: 'docx', dotm: 'docx', pptx: 'pptx', pptm: 'pptx', ppsx: 'pptx', potx: 'pptx', xlsx: 'xlsx', xlsm: 'xlsx', xltx: 'xlsx',
  odt: 'odt', ott: 'odt', ods: 'ods', ots: 'ods', odp: 'odp', otp: 'odp', rtf: 'rtf', html: 'html', htm: 'html', xhtml: 'html', md: 'markdown', markdown: 'markdown',
  epub: 'epub', eml: 'eml', xml: 'xml', csv: 'csv', tsv: 'csv', tab: 'csv', txt: 'text', text: 'text', log: 'text', rst: 'text', org: 'text', json: 'text',
  doc: 'doc', dot: 'doc', ppt: 'ppt', pps: 'ppt', xls: 'xls', xlt: 'xls',
};

/** Texts look alike: a name that says one of these is right about any. */
const TEXTS = new Set<DocumentType>(['text', 'csv', 'markdown', 'xml', 'html', 'eml']);

const HTML = /^(?:<\?xml[^>]*>\s*|<!--(?:(?!-->)[\s\S])*-->\s*)*<(?:!doctype\s+html|html|head|body|table|meta|title|div|p|h[1-6]|script|style|link|span|center|font|article|section|main|ul|ol|form)\b/i;
const XML = /^(?:<!--(?:(?!-->)[\s\S])*-->\s*)*<(?:\?xml\b|!doctype\s)/i;
const HEADER_LINE = /^[A-Za-z][A-Za-z0-9-]{0,60}:(?:[ \t].*)?$/;
const MAIL_HEADER = /^(?:from|to|cc|subject|date|message-id|mime-version|received|return-path|content-type|delivered-to|reply-to|content-transfer-encoding):/i;

export const typeByName = (name: string): DocumentType | null => BY_EXTENSION[/\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ''] ?? null;

export function detected(type: DocumentType, name: string): DetectedType {
  const named = typeByName(name);
  const mismatch = named !== null && named !== type && !(TEXTS.has(named) && TEXTS.has(type));
  return { type, mediaType: MEDIA_TYPES[type], named, mismatch };
}

export const unsupported = (what: string, remedy = 'Give a PDF, Office or OpenDocument file, a web page, an e-mail or a text'): SheafError =>
  new SheafError('unsupported_type', `The file is ${what}, not a document that Sheaf reads`, { remedy });

export const isZip = (head: Buffer): boolean => /^PK(\x03\x04|\x05\x06|\x07\x08)/.test(head.toString('latin1', 0, 4));

/**
 * By the first bytes (64 KiB are enough) and the name. Of archives and compound files, which need a look inside, it is
 * the likeliest; `validate` of a reader knows. Throws `unsupported_type`, or `no_text` for a file without bytes.
 */
export function detectType(head: Buffer, name: string): DetectedType {
  if (head.length === 0) throw new SheafError('no_text', 'The file is empty', { remedy: 'Give a file with content' });
  if (isZip(head)) return detected(likelyPackage(head, name), name);
  if (isCompoundFile(head)) return detected(likelyCompound(name), name);
  return detected(simpleType(head, name), name);
}

/** Of a file that is neither a zip nor a compound file. Throws `unsupported_type`. */
export function simpleType(head: Buffer, name: string): DocumentType {
  if (utf32Order(head.subarray(0, head.length & ~3)) !== null) return 'text';
  const foreign = foreignFormat(name, head);
  if (foreign?.what === 'a program') throw unsupported('a program');
  if (head.subarray(0, 1024).includes('%PDF-')) return 'pdf';
  const text = startOf(head).trimStart();
  if (text.startsWith('{\\rtf')) return 'rtf';
  if (foreign !== null && !/HTML|XML|JSON/.test(foreign.what)) throw unsupported(foreign.what, foreign.remedy.startsWith('Unpack') ? 'Unpack it and give the documents inside' : undefined);
  if (HTML.test(text) || (/^<[!?a-z]/i.test(text) && /<html[\s>]/i.test(text.slice(0, 2048)))) return 'html';
  if (XML.test(text) || (typeByName(name) === 'xml' && text.startsWith('<'))) return 'xml';
  if (isMail(text)) return 'eml';
  const named = typeByName(name);
  return named === 'csv' || named === 'markdown' ? named : 'text';
}

function startOf(head: Buffer): string {
  const encoding = (head[0] === 0xff && head[1] === 0xfe) || (head[0] !== 0 && head[1] === 0) ? 'utf-16le' : (head[0] === 0xfe && head[1] === 0xff) || (head[0] === 0 && head[1] !== 0) ? 'utf-16be' : 'utf-8';
  return new TextDecoder(encoding).decode(head);
}

/** Header lines from the first on, two of them such as mail has. */
function isMail(text: string): boolean {
  let known = 0;
  for (const line of text.split(/\r\n|\r|\n/, 100)) {
    if (line === '' || (!HEADER_LINE.test(line) && !/^[ \t]/.test(line))) break;
    if (MAIL_HEADER.test(line)) known += 1;
  }
  return known >= 2;
}

/** What the names of its parts say that a zip is. Throws `unsupported_type`. `names` in lower case. */
export function packageType(names: readonly string[], mimetype: string): DocumentType {
  const any = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  const open = /^application\/vnd\.oasis\.opendocument\.(text|spreadsheet|presentation)/.exec(mimetype)?.[1];
  if (open !== undefined) return open === 'text' ? 'odt' : open === 'spreadsheet' ? 'ods' : 'odp';
  if (mimetype.startsWith('application/epub') || any(/^meta-inf\/container\.xml$/)) return 'epub';
  if (any(/^xl\/workbook\.bin$/)) throw unsupported('a binary workbook (XLSB)', 'Save it as XLSX and give that');
  if (any(/^word\//)) return 'docx';
  if (any(/^ppt\//)) return 'pptx';
  if (any(/^xl\//)) return 'xlsx';
  if (any(/^content\.xml$/)) return 'odt';
  if (any(/^index\/.*\.iwa$|^index\.zip$/)) throw unsupported('a Pages, Numbers or Keynote document', 'Export it as PDF and give that');
  throw unsupported('a ZIP archive', 'Unpack it and give the documents inside');
}

/** The names that stand in the beginning of a zip, before each part. */
function likelyPackage(head: Buffer, name: string): DocumentType {
  const names: string[] = [];
  let mimetype = '';
  for (let at = head.indexOf('PK\x03\x04'); at >= 0 && at + 30 < head.length; at = head.indexOf('PK\x03\x04', at + 4)) {
    const length = head.readUInt16LE(at + 26);
    const part = head.toString('utf8', at + 30, at + 30 + length).toLowerCase();
    if (part === 'mimetype') mimetype = head.toString('latin1', at + 30 + length + head.readUInt16LE(at + 28), at + 130 + length);
    names.push(part);
  }
  const named = typeByName(name);
  try {
    return packageType(names, mimetype);
  } catch (error) {
    // Its telling parts may come later.
    if (named !== null && /^(docx|pptx|xlsx|odt|ods|odp|epub)$/.test(named) && head.length >= HEAD_BYTES) return named;
    throw error;
  }
}

/** Legacy Office, or an encrypted Office file; what is inside comes too late in the file. */
function likelyCompound(name: string): DocumentType {
  const named = typeByName(name);
  return named !== null && /^(doc|ppt|xls)x?$/.test(named) ? named : 'doc';
}
