/** Every format that is read, and the one door to them. */
import { compoundNames, isCompoundFile } from '../../sources/cfb.ts';
import { readBytes } from '../../sources/read-bytes.ts';
import type { SheetFile } from '../../sources/source.ts';
import { detectType, detected, HEAD_BYTES, isZip, packageType, simpleType, unsupported } from '../detect.ts';
import type { DetectedType, DocumentLimits, DocumentType } from '../document.ts';
import { damaged, passwordRequired, type Input, type Reader } from './input.ts';
import { decryptOffice } from './office-password.ts';
import { openParts } from './package.ts';
import type { DocumentWriter } from './writer.ts';

/** Loaded when the first document of their kind comes. */
const READERS: Record<DocumentType, () => Promise<Reader>> = {
  pdf: async () => (await import('./pdf.ts')).readPdf,
  docx: async () => (await import('./docx.ts')).readDocx,
  pptx: async () => (await import('./pptx.ts')).readPptx,
  xlsx: async () => (await import('./sheets.ts')).readXlsx,
  xls: async () => (await import('./sheets.ts')).readXls,
  csv: async () => (await import('./sheets.ts')).readCsv,
  odt: async () => (await import('./odf.ts')).readOdf,
  ods: async () => (await import('./odf.ts')).readOdf,
  odp: async () => (await import('./odf.ts')).readOdf,
  rtf: async () => (await import('./rtf.ts')).readRtf,
  html: async () => (await import('./html.ts')).readHtml,
  markdown: async () => (await import('./markdown.ts')).readMarkdown,
  epub: async () => (await import('./epub.ts')).readEpub,
  eml: async () => (await import('./eml.ts')).readEml,
  xml: async () => (await import('./xml-document.ts')).readXmlDocument,
  text: async () => (await import('./text.ts')).readText,
  doc: () => Promise.reject(unsupported('in the legacy DOC format of Word 97', 'Open it in Word or LibreOffice, save it as DOCX, and give that')),
  ppt: () => Promise.reject(unsupported('in the legacy PPT format of PowerPoint 97', 'Open it in PowerPoint or LibreOffice, save it as PPTX, and give that')),
};

/** A file as it is to be read: decrypted where it was encrypted as a whole. */
export interface Identified {
  file: SheetFile;
  detected: DetectedType;
}

/** By content. Rejects with `unsupported_type`, `no_text` (no bytes), `password_required`, `password_wrong`, `corrupt_file` or `archive_too_large`. */
export async function identify(file: SheetFile, password: string | undefined, limits: DocumentLimits): Promise<Identified> {
  const head = await readBytes(file, 0, HEAD_BYTES);
  if (head.length === 0) return { file, detected: detectType(head, file.name) };
  if (isCompoundFile(head)) {
    const names = await compoundNames(file);
    if (names.has('EncryptedPackage')) {
      if (password === undefined) throw passwordRequired();
      return identify(await decryptOffice(file, password), undefined, limits);
    }
    return { file, detected: detected(compoundType(names), file.name) };
  }
  if (!isZip(head)) return { file, detected: detected(simpleType(head, file.name), file.name) };
  const input: Pick<Input, 'file' | 'limits'> = { file, limits };
  const parts = await openParts(input);
  let mimetype = '';
  if (parts.has('mimetype')) for await (const chunk of parts.read('mimetype')) mimetype += chunk.toString('latin1').slice(0, 200);
  return { file, detected: detected(packageType(parts.names(), mimetype), file.name) };
}

function compoundType(names: Set<string>): DocumentType {
  if (names.has('WordDocument')) return 'doc';
  if (names.has('PowerPoint Document')) return 'ppt';
  if (names.has('Workbook') || names.has('Book')) return 'xls';
  if (names.size === 0) throw damaged('its container cannot be read, it may be cut off');
  throw unsupported([...names].some((name) => name.startsWith('__substg1.0_')) ? 'an Outlook message (MSG)' : 'a compound file of an unknown kind', 'Save it in one of the formats that are read: an Outlook message as EML');
}

/** Reads a document, or one inside of another, into the writer. */
export async function readInto(input: Omit<Input, 'detected'>, out: DocumentWriter): Promise<DetectedType> {
  const { file, detected: found } = await identify(input.file, input.password, input.limits);
  const read = await READERS[found.type]();
  if (found.mismatch) out.warn('type_mismatch', `The name says ${found.named?.toUpperCase()}, but the file is ${found.type.toUpperCase()}`);
  await read({ ...input, file, detected: found }, out);
  return found;
}

/** What can be told of a document without reading its text. Rejects as `identify`; for a PDF also with `too_many_pages`. */
export async function validateFile(file: SheetFile, password: string | undefined, limits: DocumentLimits): Promise<DetectedType> {
  const found = await identify(file, password, limits);
  if (found.detected.type === 'pdf') {
    const { openPdf } = await import('./pdf.ts');
    const pdf = await openPdf({ file: found.file, detected: found.detected, password, options: {}, limits, depth: 0 });
    await pdf.loadingTask.destroy();
  }
  if (found.detected.type === 'doc' || found.detected.type === 'ppt') await READERS[found.detected.type]();
  return found.detected;
}
