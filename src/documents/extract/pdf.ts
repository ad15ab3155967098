/** PDF, by pdf.js: page after page, lines put together by `pdf-layout.ts`, paragraphs and headings by `pdf-paragraphs.ts`. */
import { getDocumentProxy } from 'unpdf';
import { SheafError } from '../../contracts/errors.ts';
import { allBytes, checkPages, damaged, passwordRequired, passwordWrong, type Input, type Reader } from './input.ts';
import { readPageByOcr } from './ocr.ts';
import { filledIn } from './pdf-fields.ts';
import { layOut, type Element, type TextRun } from './pdf-layout.ts';
import { Paragraphs } from './pdf-paragraphs.ts';
import { isoDate, TextFull, type DocumentWriter } from './writer.ts';

export type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>;
type PdfPage = Awaited<ReturnType<Pdf['getPage']>>;

/** Pages that tell the size of the document's running text before the first of them is written. */
const SAMPLE_PAGES = 20;
/** Pieces of text on one page; drawings of text, or an attack, have more. */
const MOST_RUNS = 200_000;
/** Pages one after another that could not be read, in a document of which none could: nothing is to be had. */
const GIVE_UP_AFTER = 200;

/** Rejects with `password_required`, `password_wrong`, `corrupt_file` or `too_many_pages`. */
export async function openPdf(input: Input): Promise<Pdf> {
  const bytes = await allBytes(input.file);
  try {
    const pdf = await getDocumentProxy(new Uint8Array(bytes), {
      verbosity: 0, useSystemFonts: false, disableFontFace: true, stopAtErrors: false,
      ...(input.password !== undefined && { password: input.password }),
    });
    checkPages(pdf.numPages, input.limits);
    return pdf;
  } catch (error) {
    if (error instanceof SheafError) throw error;
    const { name, code } = error as { name?: string; code?: number };
    // Code 1 of pdf.js: it wants a password; 2: it got a wrong one.
    if (name === 'PasswordException') throw code === 2 || input.password !== undefined ? passwordWrong() : passwordRequired();
    throw damaged(bytes.length < 100 ? 'the PDF has hardly any content' : 'no pages can be found in the PDF, it may be cut off', error);
  }
}

export const readPdf: Reader = async (input, out) => {
  const pdf = await openPdf(input);
  try {
    await readPages(pdf, input, out);
  } finally {
    await pdf.loadingTask.destroy();
  }
};

async function readPages(pdf: Pdf, input: Input, out: DocumentWriter): Promise<void> {
  out.pages = pdf.numPages;
  await describe(pdf, out);
  const fields = await filledIn(pdf);
  const paragraphs = new Paragraphs(out);
  const waiting: { number: number; elements: Element[] }[] = [];
  let read = 0;
  const write = (): void => {
    paragraphs.learn(waiting.flatMap(({ elements }) => elements));
    for (const page of waiting) paragraphs.write(page.number, page.elements);
    waiting.length = 0;
  };
  for (let number = 1; number <= pdf.numPages; number++) {
    try {
      const page = await pdf.getPage(number);
      let elements = await readPage(page, number, fields.get(number - 1) ?? [], out);
      if (elements.length === 0 && input.options.ocr === true) {
        elements = await readPageByOcr(pdf, number, input.options, out);
      }
      waiting.push({ number, elements });
      page.cleanup();
      read += 1;
    } catch (error) {
      if (error instanceof TextFull) throw error;
      out.failPage(number, 'The page is damaged and could not be read');
      if (read === 0 && number >= GIVE_UP_AFTER) throw damaged(`none of its first ${number} pages can be read`, error);
    }
    if (number >= SAMPLE_PAGES) write();
  }
  write();
  paragraphs.end();
  if (read === 0) throw damaged('none of its pages can be read');
}

async function describe(pdf: Pdf, out: DocumentWriter): Promise<void> {
  const found = await pdf.getMetadata().catch(() => null);
  if (!found) return;
  const info = found.info as Record<string, unknown>;
  const text = (key: string): string | undefined => (typeof info[key] === 'string' ? info[key] : undefined);
  const xmp = (key: string): string | undefined => {
    const value: unknown = found.metadata?.get(key);
    return typeof value === 'string' ? value : undefined;
  };
  out.describe({
    title: text('Title') ?? xmp('dc:title'), author: text('Author') ?? xmp('dc:creator'), subject: text('Subject'), keywords: text('Keywords'),
    language: text('Language'), producer: text('Creator') ?? text('Producer'),
    created: isoDate(text('CreationDate'), xmp('xmp:createdate')), modified: isoDate(text('ModDate'), xmp('xmp:modifydate')),
  });
}

/** Of a page: `transform` is that of its first character, the size of its type in it. */
export interface TextItem {
  str: string;
  transform: number[];
  width: number;
  height: number;
}

async function readPage(page: PdfPage, number: number, fields: readonly TextItem[], out: DocumentWriter): Promise<Element[]> {
  const items = [...(await page.getTextContent()).items, ...fields];
  if (items.length > MOST_RUNS) throw damaged(`page ${number} has ${items.length} pieces of text`);
  const view = page.getViewport({ scale: 1 }).transform as [number, number, number, number, number, number];
  const byTurn = new Map<number, TextRun[]>();
  for (const item of items) {
    if (!('str' in item) || item.str === '') continue;
    const placed = place(item, view);
    if (!placed) continue;
    const runs = byTurn.get(placed.turn);
    if (runs) runs.push(placed.run);
    else byTurn.set(placed.turn, [placed.run]);
  }
  // Upright text first; what runs up or down the margin after it.
  const elements = [...byTurn].sort(([one], [other]) => one - other).flatMap(([, runs]) => layOut(runs));
  if (elements.length > 0 && unreadable(elements)) out.warn('unreadable_font', 'Some text is in a font without names for its characters', { page: number });
  return elements;
}

/** A text item in the page's own frame, turned so that its lines run from left to right. */
function place({ str, transform, width, height }: TextItem, [a, b, c, d, e, f]: [number, number, number, number, number, number]): { turn: number; run: TextRun } | null {
  const [ta = 1, tb = 0, tc = 0, td = 1, te = 0, tf = 0] = transform;
  const [x, y] = [a * te + c * tf + e, b * te + d * tf + f];
  const [dx, dy] = [a * ta + c * tb, b * ta + d * tb];
  const size = Math.hypot(a * tc + c * td, b * tc + d * td) || Math.abs(height);
  if (![x, y, dx, dy, size, width].every(Number.isFinite)) return null;
  const angle = Math.atan2(dy, dx);
  const turn = ((Math.round((angle * 2) / Math.PI) % 4) + 4) % 4;
  const [left, baseline] = turn === 0 ? [x, y] : turn === 1 ? [y, -x] : turn === 2 ? [-x, -y] : [-y, x];
  return { turn, run: { text: str, left, right: left + Math.abs(width), baseline, size: size || 1 } };
}

/** Text whose font does not say which characters its signs are reads as replacement or private characters. */
function unreadable(elements: Element[]): boolean {
  const text = elements.map((element) => (element.kind === 'line' ? element.line.text : element.rows.flat().join(''))).join('');
  const strange = text.match(/[\ufffd\ue000-\uf8ff\u0000-\u0008]/g)?.length ?? 0;
  return strange > 0.2 * text.length;
}
