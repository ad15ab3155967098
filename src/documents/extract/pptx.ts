/** PPTX: slides in their order, with titles, lists, tables, and the notes below each. */
import { readRelationships, type Relationship } from '../../sources/xlsx-workbook.ts';
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { SheafError } from '../../contracts/errors.ts';
import { Flow } from './flow.ts';
import { checkPages, damaged, type Reader } from './input.ts';
import { describePackage, openParts, salvage } from './package.ts';
import { TextFull, type DocumentWriter } from './writer.ts';
import { readXml } from './xml.ts';

export const readPptx: Reader = async (input, out) => {
  const parts = await openParts(input);
  const root = await readRelationships(parts, '').catch(() => new Map<string, Relationship>());
  const main = [...root.values()].find(({ type }) => type === 'officeDocument')?.part ?? 'ppt/presentation.xml';
  await describePackage(parts, out);
  const slides = await slideOrder(parts, main);
  if (slides.length === 0) throw damaged('the presentation has no slides');
  checkPages(slides.length, input.limits);
  out.pages = slides.length;
  for (const [at, slide] of slides.entries()) {
    out.page = at + 1;
    try {
      if (slide === null) throw damaged('the slide is missing');
      await readSlide(parts, slide, out, 'slide');
      const notes = [...(await readRelationships(parts, slide)).values()].find(({ type }) => type === 'notesSlide')?.part;
      if (notes !== undefined && parts.has(notes)) await salvage(out, notes, () => readSlide(parts, notes, out, 'notes'));
    } catch (error) {
      if (error instanceof TextFull || (error instanceof SheafError && error.code === 'archive_too_large')) throw error;
      out.failPage(at + 1, 'The slide is damaged and could not be read whole');
    }
  }
  if (out.failedPages.length === slides.length && out.blocks === 0) throw damaged('none of its slides can be read');
};

/** Parts of the slides as the presentation lists them, null for what is missing; else by number. */
async function slideOrder(parts: ZipParts, main: string): Promise<(string | null)[]> {
  const ids: string[] = [];
  try {
    await readXml(parts.read(main), main, {
      open: (name, { rId }) => { if (name === 'sldId' && rId !== undefined) ids.push(rId); },
      close: () => undefined, text: () => undefined,
    });
    const relationships = await readRelationships(parts, main);
    const listed = ids.map((id) => relationships.get(id)?.part).map((part) => (part !== undefined && parts.has(part) ? part : null));
    if (listed.some((part) => part !== null)) return listed;
  } catch (error) {
    if (error instanceof SheafError && error.code !== 'corrupt_file') throw error;
  }
  const number = (part: string): number => Number(/(\d+)\.xml$/.exec(part)?.[1]);
  return parts.names().filter((part) => /^ppt\/slides\/slide\d+\.xml$/.test(part)).sort((one, other) => number(one) - number(other));
}

interface Shape {
  placeholder: string | null;
}

/** Of a notes page only the notes: it also shows the slide, its number and the date. */
async function readSlide(parts: ZipParts, part: string, out: DocumentWriter, kind: 'slide' | 'notes'): Promise<void> {
  const flow = new Flow(out);
  let shape: Shape = { placeholder: null };
  let text: string | null = null;
  let level = 0;
  let numbered: string | null = null;
  let bulleted: boolean | null = null;
  let inText = false;
  let merged = false;
  let fallback = 0;
  const counters: number[] = [];

  const put = (): void => {
    const paragraph = text ?? '';
    text = null;
    if (paragraph.trim() === '') return;
    const { placeholder } = shape;
    if (flow.inTable) flow.paragraph('paragraph', paragraph);
    else if (kind === 'notes') {
      if (placeholder === 'body') flow.paragraph('note', paragraph);
    } else if (placeholder !== null && /^(dt|ftr|sldNum|hdr)$/.test(placeholder)) flow.paragraph('page_footer', paragraph, { aside: true });
    else if (placeholder === 'title' || placeholder === 'ctrTitle') flow.paragraph('heading', paragraph, { level: 1 });
    else if (placeholder === 'subTitle') flow.paragraph('heading', paragraph, { level: 2 });
    else if (numbered !== null) {
      counters.length = level + 1;
      counters[level] = (counters[level] ?? 0) + 1;
      flow.paragraph('list_item', `${counters[level]}. ${paragraph}`);
    } else if (bulleted ?? (placeholder === 'body' || placeholder === 'obj')) flow.paragraph('list_item', `• ${paragraph}`);
    else flow.paragraph('paragraph', paragraph);
  };

  try {
    await readXml(parts.read(part), part, {
      open: (name, attributes) => {
        if (fallback > 0 || name === 'Fallback') {
          fallback += 1;
          return;
        }
        switch (name) {
          case 'sp': shape = { placeholder: null }; counters.length = 0; break;
          case 'graphicFrame': shape = { placeholder: null }; break;
          case 'ph': shape.placeholder = attributes['type'] ?? 'obj'; break;
          case 'p': [text, level, numbered, bulleted] = ['', 0, null, null]; break;
          case 'pPr': level = Math.min(8, Number(attributes['lvl'] ?? 0) || 0); break;
          case 'buNone': bulleted = false; break;
          case 'buChar': case 'buBlip': bulleted = true; break;
          case 'buAutoNum': numbered = attributes['type'] ?? 'arabicPeriod'; break;
          case 't': inText = true; break;
          case 'br': if (text !== null) text += '\n'; break;
          case 'tab': if (text !== null) text += ' '; break;
          case 'tbl': flow.openTable(); break;
          case 'tr': flow.openRow(); break;
          case 'tc':
            merged = attributes['hMerge'] === '1' || attributes['vMerge'] === '1';
            flow.openCell();
            break;
        }
      },
      close: (name) => {
        if (fallback > 0) {
          fallback -= 1;
          return;
        }
        if (name === 't') inText = false;
        else if (name === 'p') put();
        // Cells under a span are in the file, empty: the span needs none of its own.
        else if (name === 'tc') flow.closeCell({ blank: merged });
        else if (name === 'tr') flow.closeRow();
        else if (name === 'tbl') flow.closeTable();
      },
      text: (piece) => { if (inText && text !== null && fallback === 0) text += piece; },
    });
  } finally {
    if (text !== null) put();
    flow.end();
  }
}
