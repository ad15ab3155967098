/** Text of scanned pages, by tesseract: the pictures that the page is made of are read, one after the other. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text as readAll } from 'node:stream/consumers';
import { extractImages } from 'unpdf';
import type { ExtractOptions } from '../document.ts';
import type { Pdf } from './pdf.ts';
import type { Element } from './pdf-layout.ts';
import type { DocumentWriter } from './writer.ts';

/** Pixels of a picture's shorter side: rules and logos are smaller. */
const SHORTEST_SIDE = 150;
const PAGE_LIMIT_MS = 120_000;
/** Scans say little of their resolution; this is the commonest. */
const DPI = '300';

type Picture = Awaited<ReturnType<typeof extractImages>>[number];

/** Lines that tesseract reads, top to bottom. Without tesseract none, and a warning. Rejects when a page is too much for it. */
export async function readPageByOcr(pdf: Pdf, page: number, options: ExtractOptions, out: DocumentWriter): Promise<Element[]> {
  if (out.warnings.some(({ code }) => code === 'ocr_unavailable')) return [];
  const pictures = (await extractImages(pdf, page)).filter(({ width, height }) => Math.min(width, height) >= SHORTEST_SIDE);
  const elements: Element[] = [];
  for (const picture of pictures) {
    const read = await tesseract(picture, options.ocrLanguages ?? ['eng']);
    if (read === null) {
      out.warn('ocr_unavailable', 'Pages without text were not read, because tesseract is not installed');
      return [];
    }
    // The size says that each is running text; a gap of two lines is what parts paragraphs.
    let baseline = 0;
    for (const row of read.split('\n')) {
      baseline += 10;
      const line = { text: row.replace(/\s+/g, ' ').trim(), left: 0, right: 100, baseline, size: 8 };
      if (line.text === '') baseline += 20;
      else elements.push({ kind: 'line', line, columnLeft: 0, columnRight: 100 });
    }
  }
  if (elements.length > 0) out.ocrPages += 1;
  return elements;
}

/** Null: it is not installed. */
async function tesseract(picture: Picture, languages: string[]): Promise<string | null> {
  const child = spawn('tesseract', ['stdin', 'stdout', '--dpi', DPI, '-l', languages.join('+')], {
    stdio: ['pipe', 'pipe', 'ignore'], timeout: PAGE_LIMIT_MS, killSignal: 'SIGKILL', env: { ...process.env, OMP_THREAD_LIMIT: '1' },
  });
  try {
    child.stdin.on('error', () => undefined);
    child.stdin.end(portablePixmap(picture));
    const [text, [code]] = await Promise.all([readAll(child.stdout), once(child, 'close') as Promise<[number | null]>]);
    if (code !== 0) throw new Error(`tesseract ended with exit code ${code}`);
    return text;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** The picture in the simplest format that there is (PGM, PPM). */
function portablePixmap({ data, width, height, channels }: Picture): Buffer {
  const gray = channels === 1;
  const header = Buffer.from(`${gray ? 'P5' : 'P6'}\n${width} ${height}\n255\n`);
  if (channels !== 4) return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
  const pixels = Buffer.alloc(width * height * 3);
  for (let from = 0, to = 0; from + 3 < data.length; from += 4, to += 3) {
    pixels[to] = data[from]!;
    pixels[to + 1] = data[from + 1]!;
    pixels[to + 2] = data[from + 2]!;
  }
  return Buffer.concat([header, pixels]);
}
