/** The tree of a web page, walked without recursion, and what of it a person sees. */
import { parseDocument } from 'htmlparser2';

export type Tree = ReturnType<typeof parseDocument>;
export type TreeNode = Tree['childNodes'][number];
export type TreeElement = Extract<TreeNode, { attribs: unknown }>;

/** What is never shown as text. */
const UNSEEN = new Set(['script', 'style', 'noscript', 'template', 'head', 'title', 'svg', 'iframe', 'object', 'canvas', 'audio', 'video', 'select', 'datalist', 'textarea', 'map', 'frameset', 'ix:header']);
const HIDDEN = /(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)/i;

export const parseHtml = (html: string): Tree => parseDocument(html, { decodeEntities: true, lowerCaseTags: true, lowerCaseAttributeNames: true });

export const isElement = (node: TreeNode): node is TreeElement => 'attribs' in node;

export const isSeen = ({ name, attribs }: TreeElement): boolean =>
  !UNSEEN.has(name) && !('hidden' in attribs) && !HIDDEN.test(attribs['style'] ?? '');

/** In document order; `enter` says whether the children are walked too, and `leave` is called only then. */
export function walk(root: Tree | TreeElement, visit: { text(text: string): void; enter(element: TreeElement): boolean; leave(element: TreeElement): void }): void {
  const open: { element: TreeElement | null; children: TreeNode[]; next: number }[] = [{ element: null, children: root.childNodes, next: 0 }];
  for (let level = open.at(-1); level; level = open.at(-1)) {
    const node = level.children[level.next++];
    if (node === undefined) {
      open.pop();
      if (level.element) visit.leave(level.element);
    } else if (isElement(node)) {
      if (visit.enter(node)) open.push({ element: node, children: node.childNodes, next: 0 });
    } else if (node.type === 'text') visit.text(node.data);
    else if ('childNodes' in node) open.push({ element: null, children: node.childNodes, next: 0 });
  }
}

/** Elements of these names below the root, in order. */
export function find(root: Tree | TreeElement, names: readonly string[]): TreeElement[] {
  const found: TreeElement[] = [];
  walk(root, { text: () => undefined, leave: () => undefined, enter: (element) => { if (names.includes(element.name)) found.push(element); return true; } });
  return found;
}

const BREAKS = /^(br|p|div|li|tr|h[1-6]|dt|dd|section|article|blockquote|table)$/;

/** The text that is seen, with line breaks where blocks end. */
export function textOf(root: TreeElement): string {
  let text = '';
  walk(root, {
    text: (piece) => { text += piece.replace(/\s+/g, ' '); },
    enter: (element) => {
      if (!isSeen(element)) return false;
      if (BREAKS.test(element.name)) text += '\n';
      return true;
    },
    leave: (element) => { text += BREAKS.test(element.name) && element.name !== 'br' ? '\n' : /^t[dh]$/.test(element.name) ? ' ' : ''; },
  });
  return text.replace(/ ?\n[\s]*/g, '\n').trim();
}

const MOST_CELLS = 1_000;

/** Characters of a table of one row that is a line of text in truth: a box and what it stands for, a number and its item. */
const MAX_LINE = 500;

/** Rows of a table that holds data; null for one that only places things on the page. A single row is a line in pieces. */
export function tableRows(table: TreeElement): string[][] | null {
  if (/^(presentation|none)$/.test(table.attribs['role'] ?? '') || find(table, ['table', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'form']).length > 0) return null;
  const rows = find(table, ['tr']).filter(isSeen);
  if (rows.length === 0 || (rows.length === 1 && textOf(table).length > MAX_LINE)) return null;
  const grid: string[][] = [];
  // Columns that a cell above still covers, and for how many rows.
  let covered: number[] = [];
  for (const row of rows) {
    const cells: string[] = [];
    const coming: number[] = [];
    const skipCovered = (): void => {
      while ((covered[cells.length] ?? 0) > 0) {
        coming[cells.length] = covered[cells.length]! - 1;
        cells.push('');
      }
    };
    for (const cell of row.childNodes) {
      if (!isElement(cell) || !/^t[dh]$/.test(cell.name) || cells.length > MOST_CELLS) continue;
      skipCovered();
      const [across, down] = [spanOf(cell.attribs['colspan']), spanOf(cell.attribs['rowspan'])];
      for (let at = 0; at < across; at++) {
        if (down > 1) coming[cells.length] = down - 1;
        cells.push(at === 0 ? textOf(cell) : '');
      }
    }
    skipCovered();
    covered = coming;
    grid.push(cells);
  }
  const width = Math.max(...grid.map((row) => row.length));
  // Columns that only keep others apart.
  const kept = Array.from({ length: width }, (_, at) => at).filter((at) => grid.some((row) => (row[at] ?? '').trim() !== ''));
  return kept.length < 2 && rows.length > 1 ? null : grid.map((row) => kept.map((at) => row[at] ?? ''));
}

const spanOf = (text: string | undefined): number => Math.min(MOST_CELLS, Math.max(1, Math.trunc(Number(text ?? 1)) || 1));
