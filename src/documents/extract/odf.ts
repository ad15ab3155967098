/** OpenDocument: texts, presentations and sheets, which share one vocabulary of paragraphs, lists and tables. */
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { Flow } from './flow.ts';
import { checkPages, damaged, passwordRequired, type Input, type Reader } from './input.ts';
import { openParts, salvage } from './package.ts';
import { isoDate, type DocumentWriter } from './writer.ts';
import { readValues, readXml } from './xml.ts';

/** Rows and cells that stand for many equal ones: more are the empty rest of the sheet, or an attack. */
const MOST_REPEATED = 1_000;

export const readOdf: Reader = async (input, out) => {
  const parts = await openParts(input);
  if (!parts.has('content.xml')) throw damaged('the part with its text is missing');
  if (await isEncrypted(parts)) throw passwordRequired();
  const meta = await readValues(parts, 'meta.xml', ['title', 'creator', 'initial-creator', 'subject', 'keyword', 'language', 'creation-date', 'date', 'generator']);
  out.describe({
    title: meta['title'], author: meta['initial-creator'] ?? meta['creator'], subject: meta['subject'], keywords: meta['keyword'], language: meta['language'],
    producer: meta['generator'], created: isoDate(meta['creation-date']), modified: isoDate(meta['date']),
  });
  if (input.detected.type === 'odt' && parts.has('styles.xml')) {
    await salvage(out, 'styles.xml', () => readContent(parts, 'styles.xml', input, out));
  }
  out.page = input.detected.type === 'odt' ? null : 0;
  await salvage(out, 'content.xml', () => readContent(parts, 'content.xml', input, out), { needed: true });
  if (out.page !== null) out.pages = out.page;
};

async function isEncrypted(parts: ZipParts): Promise<boolean> {
  const part = 'META-INF/manifest.xml';
  if (!parts.has(part)) return false;
  let encrypted = false;
  await readXml(parts.read(part), part, {
    open: (name) => { encrypted ||= name === 'encryption-data'; }, close: () => undefined, text: () => undefined,
  }).catch(() => undefined);
  return encrypted;
}

interface Paragraph {
  text: string;
  level: number | null;
}

/** Elements whose text is not the document's. */
const SKIPPED = /^(tracked-changes|annotation-end|bookmark|script|note-citation|desc|title|forms|sequence-decls|document-statistic|settings|font-face-decls|automatic-styles|number-style|date-style)$/;

/** Of `styles.xml`, the headers and footers of pages are read. */
async function readContent(parts: ZipParts, part: string, input: Input, out: DocumentWriter): Promise<void> {
  const flow = new Flow(out);
  const isStyles = part === 'styles.xml';
  const paragraphs: Paragraph[] = [];
  const notes: string[] = [];
  const asides = new Set<string>();
  const cellRepeats: number[] = [];
  let rowRepeat = 1;
  let lists = 0;
  let note = 0;
  let annotation = 0;
  let presenterNotes = 0;
  let aside: 'page_header' | 'page_footer' | null = null;
  let skipping = 0;
  const repeated = (text: string | undefined): number => Math.min(MOST_REPEATED, Math.max(1, Math.trunc(Number(text ?? 1)) || 1));

  const put = ({ text, level }: Paragraph): void => {
    if (isStyles) {
      if (aside === null || text.trim() === '' || asides.has(text)) return;
      asides.add(text);
      out.block(aside, text, { aside: true });
    } else if (note > 0) notes.push(text);
    else if (annotation > 0) out.block('note', text);
    else if (presenterNotes > 0) out.block('note', text);
    else if (level !== null) flow.paragraph('heading', text, { level });
    else flow.paragraph(lists > 0 ? 'list_item' : 'paragraph', lists > 0 ? `• ${text}` : text);
  };

  try {
    await readXml(parts.read(part), part, {
      open: (name, attributes) => {
        if (skipping > 0 || SKIPPED.test(name)) {
          skipping += 1;
          return;
        }
        const paragraph = paragraphs.at(-1);
        switch (name) {
          case 'header': case 'header-left': case 'header-first': if (isStyles) aside = 'page_header'; break;
          case 'footer': case 'footer-left': case 'footer-first': if (isStyles) aside = 'page_footer'; break;
          case 'p': paragraphs.push({ text: '', level: null }); break;
          case 'h': paragraphs.push({ text: '', level: Math.min(6, Math.max(1, Number(attributes['outline-level']) || 1)) }); break;
          case 's': if (paragraph) paragraph.text += ' '.repeat(repeated(attributes['c'])); break;
          case 'tab': if (paragraph) paragraph.text += ' '; break;
          case 'line-break': if (paragraph) paragraph.text += '\n'; break;
          case 'list': lists += 1; break;
          case 'note': note += 1; if (paragraph) paragraph.text += `[${notes.length + 1}]`; break;
          case 'annotation': annotation += 1; break;
          case 'notes': presenterNotes += 1; break;
          case 'page': openPage(attributes['name']); break;
          case 'table':
            if (input.detected.type === 'ods' && !flow.inTable) openPage(attributes['name']);
            flow.openTable();
            break;
          case 'table-row': rowRepeat = repeated(attributes['number-rows-repeated']); flow.openRow(); break;
          case 'table-cell': case 'covered-table-cell':
            cellRepeats.push(repeated(attributes['number-columns-repeated']));
            flow.openCell();
            break;
        }
      },
      close: (name) => {
        if (skipping > 0) {
          skipping -= 1;
          return;
        }
        switch (name) {
          case 'header': case 'header-left': case 'header-first': case 'footer': case 'footer-left': case 'footer-first': aside = null; break;
          case 'p': case 'h': { const paragraph = paragraphs.pop(); if (paragraph) put(paragraph); break; }
          case 'list': lists -= 1; break;
          case 'note': note -= 1; break;
          case 'annotation': annotation -= 1; break;
          case 'notes': presenterNotes -= 1; break;
          case 'table-cell': case 'covered-table-cell': flow.closeCell({ repeat: cellRepeats.pop() ?? 1 }); break;
          case 'table-row': flow.closeRow(rowRepeat); break;
          case 'table': flow.closeTable(); break;
        }
      },
      text: (text) => {
        const paragraph = paragraphs.at(-1);
        if (paragraph && skipping === 0) paragraph.text += text.replace(/\s+/g, ' ');
      },
    });
  } finally {
    for (let paragraph = paragraphs.pop(); paragraph; paragraph = paragraphs.pop()) put(paragraph);
    flow.end();
  }
  notes.forEach((text, at) => out.block('footnote', `[${at + 1}] ${text}`));

  function openPage(name: string | undefined): void {
    if (out.page === null) return;
    out.page += 1;
    checkPages(out.page, input.limits);
    if (input.detected.type === 'ods' && name !== undefined) out.block('heading', name, { level: 1 });
  }
}
