/** EPUB: the chapters in reading order. */
import path from 'node:path/posix';
import { buffer } from 'node:stream/consumers';
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { SheafError } from '../../contracts/errors.ts';
import { putHtml } from './html.ts';
import { checkPages, damaged, passwordRequired, type Reader } from './input.ts';
import { openParts, salvage } from './package.ts';
import { decodeText } from './text-encoding.ts';
import { isoDate, type DocumentWriter } from './writer.ts';
import { readXml } from './xml.ts';

const MAX_CHAPTER_BYTES = 64 * 2 ** 20;

export const readEpub: Reader = async (input, out) => {
  const parts = await openParts(input);
  if (await isProtected(parts)) throw passwordRequired();
  const chapters = await spine(parts, out);
  if (chapters.length === 0) throw damaged('it has no chapters');
  checkPages(chapters.length, input.limits);
  out.pages = chapters.length;
  for (const [at, chapter] of chapters.entries()) {
    out.page = at + 1;
    const whole = await salvage(out, chapter, async () => {
      if (!parts.has(chapter)) throw damaged(`the chapter ${chapter} is missing`);
      await putHtml(decodeText(await bytesOf(parts, chapter)).text, out, { findMain: false });
    });
    if (!whole) out.failedPages.push(at + 1);
  }
  if (out.failedPages.length === chapters.length) throw damaged('none of its chapters can be read');
};

async function bytesOf(parts: ZipParts, part: string): Promise<Buffer> {
  let size = 0;
  return buffer((async function* () {
    for await (const chunk of parts.read(part)) {
      size += chunk.length;
      if (size > MAX_CHAPTER_BYTES) throw new SheafError('archive_too_large', `A chapter has more than ${MAX_CHAPTER_BYTES} bytes`, { place: { part } });
      yield chunk;
    }
  })());
}

/** Chapters that are encrypted (fonts may be in any book). */
async function isProtected(parts: ZipParts): Promise<boolean> {
  const part = 'META-INF/encryption.xml';
  if (!parts.has(part)) return false;
  let found = false;
  await readXml(parts.read(part), part, {
    open: (name, { URI }) => { found ||= name === 'CipherReference' && /\.x?html?$/i.test(URI ?? ''); }, close: () => undefined, text: () => undefined,
  }).catch(() => undefined);
  return found;
}

/** Paths of the chapters, in reading order; those of all pages by name where the book does not say. */
async function spine(parts: ZipParts, out: DocumentWriter): Promise<string[]> {
  const manifest = new Map<string, string>();
  const order: string[] = [];
  const values: Record<string, string> = {};
  let root: string | null = null;
  let current: string | null = null;
  try {
    const container = 'META-INF/container.xml';
    await readXml(parts.read(container), container, {
      open: (name, attributes) => { if (name === 'rootfile') root ??= attributes['full-path'] ?? null; }, close: () => undefined, text: () => undefined,
    });
    const found: string = root ?? '';
    await readXml(parts.read(found), found, {
      open: (name, attributes) => {
        current = /^(title|creator|language|description|date|publisher|subject)$/.test(name) && values[name] === undefined ? name : null;
        if (name === 'item' && attributes['href'] !== undefined) manifest.set(attributes['id'] ?? '', path.join(path.dirname(found), decodePath(attributes['href'])));
        if (name === 'itemref' && attributes['idref'] !== undefined) order.push(attributes['idref']);
      },
      close: () => { current = null; },
      text: (text) => { if (current !== null) values[current] = (values[current] ?? '') + text; },
    });
  } catch (error) {
    if (error instanceof SheafError && error.code !== 'corrupt_file') throw error;
    out.warn('part_damaged', 'The order of the chapters cannot be read; they stand by name', { missing: true });
  }
  out.describe({ title: values['title'], author: values['creator'], language: values['language'], subject: values['description'], keywords: values['subject'], created: isoDate(values['date']) });
  const listed = order.flatMap((id) => manifest.get(id) ?? []);
  return listed.length > 0 ? listed : parts.names().filter((name) => /\.x?html?$/.test(name)).sort();
}

function decodePath(href: string): string {
  const bare = href.replace(/[#?].*$/, '');
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
}
