/** Web pages: everything that is seen, with what is not of the main text marked as aside. */
import { find, isSeen, parseHtml, tableRows, textOf, walk, type TreeElement } from './html-tree.ts';
import { mainBlocks, Marked } from './html-main.ts';
import { allBytes, type Reader } from './input.ts';
import { decodeText } from './text-encoding.ts';
import { isoDate, type DocumentWriter } from './writer.ts';
import type { BlockKind } from '../document.ts';

const BLOCK = /^(address|article|aside|blockquote|body|center|dd|details|dialog|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hgroup|hr|html|legend|li|main|menu|nav|ol|optgroup|option|p|pre|search|section|summary|table|tbody|tfoot|thead|tr|ul|caption|td|th|page|document|text)$/;
/** Landmarks around a page's text. */
const AROUND = /^(nav|aside)$/;
/** Elements inside one another: what is deeper is not told apart. */
const DEEPEST = 5_000;

export const readHtml: Reader = async (input, out) => {
  const bytes = await allBytes(input.file);
  const { text, encoding, damaged } = decodeText(bytes, declaredCharset(bytes));
  if (damaged) out.warn('damaged_text', `Some bytes are no characters of ${encoding.toUpperCase()} and read as "\uFFFD"`);
  await putHtml(text, out, { findMain: true });
};

function declaredCharset(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 4096);
  return (/<meta[^>]{0,500}?charset\s*=\s*["']?\s*([\w.:-]+)/i.exec(head) ?? /^\s*<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:-]+)/i.exec(head))?.[1];
}

interface Piece {
  kind: BlockKind;
  text: string;
  rows?: string[][];
  level?: number;
  verbatim?: boolean;
  /** The element that it stands in. */
  mark: number;
  around: boolean;
}

/** With `findMain`, what is not of the main text is marked, where it can be told. */
export async function putHtml(html: string, out: DocumentWriter, { findMain }: { findMain: boolean }): Promise<void> {
  const tree = parseHtml(html);
  describe(tree, out);
  const marked = new Marked(findMain);
  const pieces = collect(tree, marked);
  const main = findMain ? await mainBlocks(marked) : null;
  const title = out.metadata.title?.toLowerCase();
  for (const { kind, text, rows, level, verbatim, mark, around } of pieces) {
    const isTitle = kind === 'heading' && title !== undefined && text.trim().length > 3 && title.includes(text.trim().toLowerCase());
    const aside = main === null ? findMain && around : !main.has(mark) && !isTitle;
    if (rows) out.table(rows, { aside });
    else out.block(kind, text, { aside, ...(level !== undefined && { level }), ...(verbatim === true && { verbatim }) });
  }
}

function describe(tree: ReturnType<typeof parseHtml>, out: DocumentWriter): void {
  const metas = new Map<string, string>();
  let title: string | undefined;
  for (const element of find(tree, ['html', 'title', 'meta'])) {
    const { name, attribs } = element;
    if (name === 'html') out.describe({ language: attribs['lang'] ?? attribs['xml:lang'] });
    else if (name === 'title') title ??= textOf(element);
    else {
      const key = (attribs['name'] ?? attribs['property'] ?? '').toLowerCase();
      if (key !== '' && attribs['content'] !== undefined && !metas.has(key)) metas.set(key, attribs['content']);
    }
  }
  out.describe({
    title: title || metas.get('og:title') || metas.get('dc.title'), author: metas.get('author') ?? metas.get('dc.creator'), subject: metas.get('description') ?? metas.get('og:description'),
    keywords: metas.get('keywords'), producer: metas.get('generator'),
    created: isoDate(metas.get('article:published_time'), metas.get('date'), metas.get('dc.date')), modified: isoDate(metas.get('article:modified_time')),
  });
}

function collect(tree: ReturnType<typeof parseHtml>, marked: Marked): Piece[] {
  const pieces: Piece[] = [];
  const lists: { ordered: boolean; number: number }[] = [];
  const blocks: { element: TreeElement | null; mark: number }[] = [{ element: null, mark: 0 }];
  let text = '';
  let verbatim = 0;
  let around = 0;
  let quotes = 0;
  let label = '';

  const flush = (): void => {
    const { element, mark } = blocks.at(-1)!;
    const found = text;
    text = '';
    if (found.trim() === '') return;
    const name = element?.name ?? '';
    const heading = /^h([1-6])$/.exec(name);
    const kind: BlockKind = heading ? 'heading' : verbatim > 0 ? 'code' : label !== '' ? 'list_item' : /^(figcaption|caption)$/.test(name) ? 'caption' : quotes > 0 ? 'quote' : 'paragraph';
    pieces.push({ kind, text: label === '' ? found : `${label} ${found.trim()}`, mark, around: around > 0, ...(heading && { level: Number(heading[1]) }), ...(verbatim > 0 && { verbatim: true }) });
    if (kind === 'list_item') label = '';
  };

  walk(tree, {
    text: (piece) => {
      text += verbatim > 0 ? piece : piece.replace(/[^\S\u00a0]+/g, ' ');
      marked.text(piece);
    },
    enter: (element) => {
      const { name } = element;
      if (!isSeen(element)) return false;
      if (name === 'br') {
        text += '\n';
        marked.text('\n');
        return false;
      }
      if (!BLOCK.test(name) || blocks.length > DEEPEST) {
        marked.open(element, 0);
        return true;
      }
      flush();
      const mark = marked.next();
      if (name === 'table') {
        const rows = tableRows(element);
        if (rows) {
          const caption = find(element, ['caption'])[0];
          if (caption) pieces.push({ kind: 'caption', text: textOf(caption), mark, around: around > 0 });
          const line = rows.length === 1 ? (rows[0] ?? []).filter((cell) => cell !== '').join(' ') : '';
          pieces.push({ kind: rows.length === 1 ? 'paragraph' : 'table_row', text: line, ...(rows.length > 1 && { rows }), mark, around: around > 0 });
          marked.table(rows, mark);
          return false;
        }
      }
      if (name === 'ul' || name === 'ol' || name === 'menu') lists.push({ ordered: name === 'ol', number: Number(element.attribs['start'] ?? 1) || 1 });
      if (name === 'li') {
        const list = lists.at(-1);
        label = list?.ordered ? `${list.number++}.` : '•';
      }
      if (name === 'pre') verbatim += 1;
      if (name === 'blockquote') quotes += 1;
      if (AROUND.test(name)) around += 1;
      blocks.push({ element, mark });
      marked.open(element, mark);
      return true;
    },
    leave: (element) => {
      const { name } = element;
      marked.close(element);
      if (blocks.at(-1)?.element !== element) return;
      // Cells of a table that only places things stand side by side.
      if (name === 'td' || name === 'th') {
        if (blocks.at(-2)?.element?.name === 'tr' && text.trim() !== '') text += ' ';
        else flush();
        blocks.pop();
        return;
      }
      flush();
      blocks.pop();
      if (name === 'ul' || name === 'ol' || name === 'menu') lists.pop();
      if (name === 'li') label = '';
      if (name === 'pre') verbatim -= 1;
      if (name === 'blockquote') quotes -= 1;
      if (AROUND.test(name)) around -= 1;
    },
  });
  flush();
  return pieces;
}
