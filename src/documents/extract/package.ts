/** Documents that are zips: their parts, and what can be had of a part that is damaged. */
import { ZipParts } from '../../sources/xlsx-zip.ts';
import { SheafError } from '../../contracts/errors.ts';
import { isoDate, TextFull, type DocumentWriter } from './writer.ts';
import type { Input } from './input.ts';
import { readValues } from './xml.ts';

export const openParts = (input: Pick<Input, 'file' | 'limits'>): Promise<ZipParts> => ZipParts.open(input.file, { maxInflatedBytes: input.limits.inflatedBytes });

/**
 * Reads a part of which some may be lost: what it throws after something was found makes the document partial. Resolves
 * to whether the part was read whole. Without `needed`, nothing that it throws matters more than that.
 */
export async function salvage(out: DocumentWriter, part: string, read: () => Promise<void>, { needed = false } = {}): Promise<boolean> {
  const before = out.blocks;
  try {
    await read();
    return true;
  } catch (error) {
    if (error instanceof TextFull || (error instanceof SheafError && (error.code === 'password_required' || error.code === 'archive_too_large'))) throw error;
    if (needed && out.blocks === before) throw error;
    out.warn('part_damaged', error instanceof SheafError ? error.message : 'A part of the document could not be read', { missing: true, part });
    return false;
  }
}

/** Title, author and dates of an Office document. */
export async function describePackage(parts: ZipParts, out: DocumentWriter): Promise<Record<string, string>> {
  const core = await readValues(parts, 'docProps/core.xml', ['title', 'creator', 'subject', 'keywords', 'language', 'created', 'modified']);
  const app = await readValues(parts, 'docProps/app.xml', ['Application', 'Pages', 'Slides']);
  out.describe({
    title: core['title'], author: core['creator'], subject: core['subject'], keywords: core['keywords'], language: core['language'], producer: app['Application'],
    created: isoDate(core['created']), modified: isoDate(core['modified']),
  });
  return app;
}
