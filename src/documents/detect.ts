/** What a document is, by its bytes. Its name is a hint where bytes cannot tell (Markdown, CSV), and is compared. */
import type { DetectedType, DocumentType } from './document.ts';

/** Bytes of the beginning that are looked at. */
export const HEAD_BYTES = 64 * 1024;

export const MEDIA_TYPES: Record<DocumentType, string> = {
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

/** Rejects nothing: throws `unsupported_type` for programs, pictures, archives and the like, with what to do. */
export declare function detectType(head: Buffer, name: string): DetectedType;
