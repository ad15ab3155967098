/** A page's bytes become text: by the reader of documents, in its process that can be killed. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { SheafError } from '../contracts/errors.ts';
import { DOCUMENT_FILES, type Block, type DocumentReader, type DocumentType } from '../documents/document.ts';
import type { WebAnswer } from '../web/web.ts';
import type { WebPage } from './page.ts';

/** By media type, with the name that a reader knows such a file by. */
const KINDS: Record<string, string> = {
  'text/html': 'page.html', 'application/xhtml+xml': 'page.html', 'application/pdf': 'page.pdf', 'application/x-pdf': 'page.pdf', 'text/plain': 'page.txt', 'text/markdown': 'page.txt',
};
export const READ_TYPES = Object.keys(KINDS);

/** What the content may turn out to be. */
const TYPES: Partial<Record<DocumentType, WebPage['type']>> = { html: 'html', pdf: 'pdf', text: 'text', markdown: 'text' };

/** A page with a field for a password and less text than this is a door. */
const DOOR_CHARS = 600;
const PASSWORD_FIELD = /<input\b[^>]{0,500}\btype\s*=\s*["']?password\b/i;
const LANGUAGE = /^[a-z]{2,3}(?=$|[-_])/i;

/** Rejects as `DocumentReader.extract`, with `content_type_refused`, and with `login_required` where the page is a door. */
export async function readPage(answer: WebAnswer, reader: DocumentReader, folder: string, signal: AbortSignal): Promise<WebPage> {
  const own = await mkdtemp(path.join(folder, 'page-'));
  try {
    const file = path.join(own, 'page');
    await writeFile(file, inUtf8(answer));
    const found = await reader.extract({ file: { path: file, name: KINDS[mediaType(answer)] ?? 'page' }, folder: own }, signal);
    const type = TYPES[found.type];
    if (type === undefined) throw new SheafError('content_type_refused', `The page is ${found.type.toUpperCase()}, which is not read here`, { remedy: 'Give the address of a web page, a text or a PDF' });
    const [text, lines] = await Promise.all([readFile(path.join(own, DOCUMENT_FILES.text), 'utf8'), readFile(path.join(own, DOCUMENT_FILES.blocks), 'utf8')]);
    const blocks = lines.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Block]));
    const main = mainText(text, blocks);
    if (type === 'html' && main.length < DOOR_CHARS && PASSWORD_FIELD.test(answer.body.toString('latin1'))) throw doorOf();
    const { metadata, warnings } = found;
    const heading = blocks.find(({ kind, aside }) => kind === 'heading' && aside !== true);
    const stated = LANGUAGE.exec(metadata.language ?? '')?.[0].toLowerCase();
    return {
      url: answer.url, type, title: metadata.title ?? (heading ? text.slice(heading.start, heading.end) : null),
      language: stated ?? (await languageOf(main)), description: metadata.subject ?? null, author: metadata.author ?? null, publishedAt: metadata.created ?? null,
      text: main, warnings: warnings.filter(({ code }) => code !== 'type_mismatch').map(({ message }) => message), fetchedAt: new Date().toISOString(),
    };
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}

export const doorOf = (): SheafError => new SheafError('login_required', 'The page is behind a login', { remedy: 'Give the address of a page that everybody can read' });

const mediaType = ({ headers }: WebAnswer): string => headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';

/** What the server says of the encoding goes before what the page says; an encoding that nobody knows says nothing. */
function inUtf8(answer: WebAnswer): Buffer {
  const label = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(answer.headers['content-type'] ?? '')?.[1];
  if (label === undefined || mediaType(answer).endsWith('pdf')) return answer.body;
  try {
    const decoder = new TextDecoder(label, { ignoreBOM: false });
    return decoder.encoding === 'utf-8' ? answer.body : Buffer.from(`\ufeff${decoder.decode(answer.body)}`);
  } catch {
    return answer.body;
  }
}

/** All of it where everything is around something. */
function mainText(text: string, blocks: readonly Block[]): string {
  const main = blocks.filter(({ aside }) => aside !== true);
  return (main.length === 0 ? text : main.map(({ start, end }) => text.slice(start, end)).join('\n')).trim();
}

async function languageOf(text: string): Promise<string | null> {
  const { languagesOf } = await import('../documents/languages.ts');
  return languagesOf(text)[0]?.language ?? null;
}
