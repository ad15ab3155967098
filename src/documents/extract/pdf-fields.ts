/** What was filled in to the form of a PDF: pdf.js leaves it out of the text of a page. */
import type { Pdf, TextItem } from './pdf.ts';

/** The size of type that is taken for a field, whose own is often "whatever fits"; points, and a share of the field's height. */
const LARGEST_TYPE = 12;
const TYPE_SHARE = 0.7;
const LINE_HEIGHT = 1.2;
/** Width of a character, as a share of its size. */
const USUAL_WIDTH = 0.5;
const INSET = 2;

/** What pdf.js tells of a field; its own types leave that open. */
interface Field {
  type?: unknown;
  value?: unknown;
  page?: unknown;
  rect?: unknown;
  hidden?: unknown;
  password?: unknown;
}

/** By page, from 0: text and choices where they are seen, `[x]` for a box that is ticked. Passwords and what is hidden are not among them. */
export async function filledIn(pdf: Pdf): Promise<ReadonlyMap<number, TextItem[]>> {
  const found = new Map<number, TextItem[]>();
  const fields = (await pdf.getFieldObjects().catch(() => null)) as Record<string, Field[]> | null;
  for (const field of Object.values(fields ?? {}).flat()) {
    if (typeof field.page !== 'number' || field.hidden === true || field.password === true || !isRectangle(field.rect)) continue;
    const items = typed(textOf(field), field.rect);
    const onPage = found.get(field.page);
    if (onPage) onPage.push(...items);
    else found.set(field.page, items);
  }
  return found;
}

const isRectangle = (value: unknown): value is [number, number, number, number] =>
  Array.isArray(value) && value.length === 4 && value.every((edge) => Number.isFinite(edge));

function textOf({ type, value }: Field): string {
  if (type === 'checkbox' || type === 'radiobutton') return typeof value === 'string' && value !== '' && value !== 'Off' ? '[x]' : '';
  if (type !== 'text' && type !== 'combobox' && type !== 'listbox') return '';
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((one) => typeof one === 'string').join(', ');
}

/** The lines of a field, from its upper edge down. */
function typed(text: string, [x1, y1, x2, y2]: [number, number, number, number]): TextItem[] {
  const lines = text.split(/\r\n?|\n/).map((line) => line.trim());
  const [left, bottom, top] = [Math.min(x1, x2), Math.min(y1, y2), Math.max(y1, y2)];
  const size = Math.min(LARGEST_TYPE, ((top - bottom) * TYPE_SHARE) / Math.max(1, lines.length)) || 1;
  const first = lines.length === 1 ? (top + bottom) / 2 - size / 3 : top - size;
  return lines.flatMap((line, index) => (line === '' ? [] : [{
    str: line, transform: [size, 0, 0, size, left + INSET, first - index * size * LINE_HEIGHT], width: line.length * size * USUAL_WIDTH, height: size,
  }]));
}
