/** DOCX (and its macro and template variants): body, tables, lists, footnotes, comments, headers and footers. */
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { readRelationships, type Relationship } from '../../sources/xlsx-workbook.ts';
import type { BlockKind } from '../document.ts';
import { Numbering, readStyles, type ListPlace, type Styles } from './docx-styles.ts';
import { Flow } from './flow.ts';
import { checkPages, damaged, type Input, type Reader } from './input.ts';
import { describePackage, openParts, salvage } from './package.ts';
import { cleaned, type DocumentWriter } from './writer.ts';
import { readXml } from './xml.ts';

export const readDocx: Reader = async (input, out) => {
  const parts = await openParts(input);
  const root = await readRelationships(parts, '').catch(() => new Map<string, Relationship>());
  const main = [...root.values()].find(({ type }) => type === 'officeDocument')?.part ?? 'word/document.xml';
  if (!parts.has(main)) throw damaged('the part with its text is missing');
  await describePackage(parts, out);
  const relationships = await readRelationships(parts, main).catch(() => new Map<string, Relationship>());
  const partsOf = (type: string): string[] => [...relationships.values()].filter((one) => one.type === type && parts.has(one.part)).map(({ part }) => part);
  const styles = await readStyles(parts, partsOf('styles')[0] ?? 'word/styles.xml');
  const numbering = await Numbering.read(parts, partsOf('numbering')[0] ?? 'word/numbering.xml');
  const body = new Body(out, styles, numbering, input);

  const seen = new Set<string>();
  for (const part of partsOf('header')) await salvage(out, part, () => body.readAside(parts, part, 'page_header', seen));
  const paged = await knowsPages(parts, main).catch(() => false);
  if (paged) out.page = 1;
  await salvage(out, main, () => body.read(parts, main, paged), { needed: true });
  if (paged) out.pages = out.page;
  out.page = null;
  for (const [type, kind] of [['footnotes', 'footnote'], ['endnotes', 'footnote'], ['comments', 'note']] as const) {
    for (const part of partsOf(type)) await salvage(out, part, () => body.readNotes(parts, part, kind));
  }
  for (const part of partsOf('footer')) await salvage(out, part, () => body.readAside(parts, part, 'page_footer', seen));
};

/** Word notes where pages ended when it last showed the document; other programs, and the page breaks of authors, do not tell. */
async function knowsPages(parts: ZipParts, part: string): Promise<boolean> {
  let tail = '';
  for await (const chunk of parts.read(part)) {
    const text = tail + chunk.toString('latin1');
    if (text.includes('lastRenderedPageBreak')) return true;
    tail = text.slice(-32);
  }
  return false;
}

interface OpenParagraph {
  text: string;
  style: string | null;
  outline: number | null;
  list: ListPlace | null;
  /** The paragraph says itself that it is in no list. */
  noList: boolean;
  page: number | null;
}

interface OpenCell {
  span: number;
  merged: boolean;
}

class Body {
  readonly #out: DocumentWriter;
  readonly #styles: Styles;
  readonly #numbering: Numbering;
  readonly #input: Input;

  constructor(out: DocumentWriter, styles: Styles, numbering: Numbering, input: Input) {
    this.#out = out;
    this.#styles = styles;
    this.#numbering = numbering;
    this.#input = input;
  }

  async read(parts: ZipParts, part: string, paged: boolean): Promise<void> {
    const flow = new Flow(this.#out);
    try {
      await this.#walk(parts, part, paged, flow, (paragraph) => this.#put(flow, paragraph));
    } finally {
      flow.end();
    }
  }

  /** Page headers and footers; those that were seen already are left out. */
  async readAside(parts: ZipParts, part: string, kind: BlockKind, seen: Set<string>): Promise<void> {
    const texts: string[] = [];
    await this.#walk(parts, part, false, new Flow(this.#out), ({ text }) => texts.push(cleaned(text)));
    const text = texts.filter((one) => one !== '').join('\n');
    if (seen.has(text)) return;
    seen.add(text);
    this.#out.block(kind, text, { aside: true });
  }

  /** Notes are numbered in their order, as their references in the text are. */
  async readNotes(parts: ZipParts, part: string, kind: 'footnote' | 'note'): Promise<void> {
    let texts: string[] = [];
    let id = '';
    await this.#walk(parts, part, false, new Flow(this.#out), ({ text }) => texts.push(cleaned(text)), {
      open: (name, attributes) => {
        if (!/^(footnote|endnote|comment)$/.test(name)) return;
        texts = [];
        id = attributes['type'] === undefined || attributes['type'] === 'normal' ? (attributes['id'] ?? '') : '';
      },
      close: (name) => {
        if (!/^(footnote|endnote|comment)$/.test(name) || id === '') return;
        const text = texts.filter((one) => one !== '').join('\n');
        if (text !== '') this.#out.block(kind, kind === 'footnote' ? `[${id}] ${text}` : text);
      },
    });
  }

  #put(flow: Flow, { text, style, outline, list, noList, page }: OpenParagraph): void {
    if (cleaned(text) === '') return;
    const place = list !== null && list.list !== '' ? list : noList ? null : this.#styles.listPlace(style);
    const label = place === null ? '' : this.#numbering.next(place);
    const level = outline !== null && outline < 9 ? Math.min(6, outline + 1) : this.#styles.headingLevel(style);
    const full = label === '' ? text : `${label} ${text}`;
    const now = this.#out.page;
    this.#out.page = page;
    if (level !== null) flow.paragraph('heading', full, { level });
    else flow.paragraph(place === null ? 'paragraph' : 'list_item', full);
    this.#out.page = now;
  }

  async #walk(
    parts: ZipParts, part: string, paged: boolean, flow: Flow, put: (paragraph: OpenParagraph) => void,
    also?: { open(name: string, attributes: Record<string, string>): void; close(name: string): void },
  ): Promise<void> {
    const out = this.#out;
    // Text boxes hold paragraphs inside of a paragraph.
    const paragraphs: OpenParagraph[] = [];
    const cells: OpenCell[] = [];
    let inText = false;
    let inProperties = 0;
    // What a program that knows less would show instead, and what has been moved away.
    let skipping = 0;
    await readXml(parts.read(part), part, {
      open: (name, attributes) => {
        if (skipping > 0 || name === 'Fallback' || name === 'moveFrom') {
          skipping += 1;
          return;
        }
        also?.open(name, attributes);
        const paragraph = paragraphs.at(-1);
        const value = attributes['val'] ?? '';
        switch (name) {
          case 'p': paragraphs.push({ text: '', style: null, outline: null, list: null, noList: false, page: out.page }); break;
          case 'pPr': inProperties += 1; break;
          case 't': inText = true; break;
          case 'tab': case 'ptab': if (paragraph && inProperties === 0) paragraph.text += ' '; break;
          case 'cr': case 'br': if (paragraph) paragraph.text += '\n'; break;
          case 'lastRenderedPageBreak':
            if (paged) this.#turnPage();
            if (paragraph && paragraph.text === '') paragraph.page = out.page;
            break;
          case 'noBreakHyphen': if (paragraph) paragraph.text += '-'; break;
          case 'footnoteReference': case 'endnoteReference': if (paragraph) paragraph.text += `[${attributes['id'] ?? ''}]`; break;
          case 'pStyle': if (paragraph) paragraph.style = value; break;
          case 'outlineLvl': if (paragraph) paragraph.outline = Number(value); break;
          case 'numId':
            if (!paragraph) break;
            paragraph.noList = value === '0';
            paragraph.list = value === '0' ? null : { list: value, level: paragraph.list?.level ?? 0 };
            break;
          case 'ilvl': if (paragraph) paragraph.list = { list: paragraph.list?.list ?? '', level: Number(value) || 0 }; break;
          case 'tbl': flow.openTable(); break;
          case 'tr': flow.openRow(); break;
          case 'tc': cells.push({ span: 1, merged: false }); flow.openCell(); break;
          case 'gridSpan': { const cell = cells.at(-1); if (cell) cell.span = Math.max(1, Math.trunc(Number(value)) || 1); break; }
          case 'vMerge': { const cell = cells.at(-1); if (cell) cell.merged = value !== 'restart'; break; }
        }
      },
      close: (name) => {
        if (skipping > 0) {
          skipping -= 1;
          return;
        }
        switch (name) {
          case 'p': { const paragraph = paragraphs.pop(); if (paragraph) put(paragraph); break; }
          case 'pPr': inProperties -= 1; break;
          case 't': inText = false; break;
          case 'tbl': flow.closeTable(); break;
          case 'tr': flow.closeRow(); break;
          case 'tc': { const cell = cells.pop(); flow.closeCell({ span: cell?.span ?? 1, blank: cell?.merged ?? false }); break; }
        }
        also?.close(name);
      },
      text: (text) => {
        const paragraph = paragraphs.at(-1);
        if (inText && skipping === 0 && paragraph) paragraph.text += text;
      },
    }).catch((error: unknown) => {
      // What stands in the file before the place where it breaks.
      for (let paragraph = paragraphs.pop(); paragraph; paragraph = paragraphs.pop()) put(paragraph);
      throw error;
    });
  }

  #turnPage(): void {
    this.#out.page = (this.#out.page ?? 1) + 1;
    checkPages(this.#out.page, this.#input.limits);
  }
}
