/** Plain text: as it stands, cut into paragraphs at blank lines. */
import { allBytes, type Reader } from './input.ts';
import { decodeText } from './text-encoding.ts';
import { cleaned, type DocumentWriter } from './writer.ts';

/** A short line of its own that names a part of a book. */
const HEADING = /^\s*(book|part|volume|chapter|section|appendix|act|scene)\s+([ivxlcdm]+|\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|first|second|third|[a-h])\b[.:—–-]?.{0,60}$/i;
const OUTER = /^\s*(book|part|volume|act)/i;
const MAX_HEADING = 100;

export const readText: Reader = async (input, out) => {
  const { text, encoding, damaged } = decodeText(await allBytes(input.file));
  if (damaged) out.warn('damaged_text', `Some bytes are no characters of ${encoding.toUpperCase()} and read as "\uFFFD"`);
  putText(text, out);
};

export function putText(text: string, out: DocumentWriter): void {
  const sound = cleaned(text, true);
  let before: string | undefined;
  let from = 0;
  // The white space between paragraphs is the author's.
  for (const { 0: gap, index } of sound.matchAll(/\n(?:[^\S\n]*\n)+/g)) {
    put(sound.slice(from, index), before);
    if (sound.slice(from, index).trim() !== '') before = gap;
    from = index + gap.length;
  }
  put(sound.slice(from).trimEnd(), before);

  function put(paragraph: string, gap: string | undefined): void {
    const heading = paragraph.length <= MAX_HEADING && !paragraph.trim().includes('\n') && HEADING.test(paragraph);
    out.block(heading ? 'heading' : 'paragraph', paragraph, { verbatim: true, ...(gap !== undefined && { before: gap }), ...(heading && { level: OUTER.test(paragraph) ? 1 : 2 }) });
  }
}
