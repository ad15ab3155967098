/** What a reader of a format is given. */
import type { SheetFile } from '../../sources/source.ts';
import { SheafError } from '../../contracts/errors.ts';
import { readBytes } from '../../sources/read-bytes.ts';
import type { DetectedType, DocumentLimits, ExtractOptions } from '../document.ts';
import type { DocumentWriter } from './writer.ts';

export interface Input {
  file: SheetFile;
  detected: DetectedType;
  password: string | undefined;
  options: ExtractOptions;
  limits: DocumentLimits;
  /** 0 for the document itself; attachments are deeper. */
  depth: number;
}

/** Puts what it finds into the writer, in reading order. Rejects with a `SheafError` when there is nothing to be had. */
export type Reader = (input: Input, out: DocumentWriter) => Promise<void>;

export const allBytes = (file: SheetFile): Promise<Buffer> => readBytes(file, 0, file.size);

export const damaged = (why: string, cause?: unknown): SheafError =>
  new SheafError('corrupt_file', `The file is damaged: ${why}`, { remedy: 'Open it in the program that it comes from, save it again, and give that', cause });

export const passwordRequired = (): SheafError =>
  new SheafError('password_required', 'The file is encrypted with a password', { remedy: 'Give the password with the upload, or save the file without one' });

export const passwordWrong = (): SheafError =>
  new SheafError('password_wrong', 'The password does not open the file', { remedy: 'Give the right password, or save the file without one' });

/** Throws `too_many_pages`. */
export function checkPages(pages: number, limits: DocumentLimits): void {
  if (pages > limits.pages) {
    throw new SheafError('too_many_pages', `The document has ${pages} pages, more than the ${limits.pages} that are allowed`, { remedy: 'Split it, or raise SHEAF_MAX_DOCUMENT_PAGES' });
  }
}
