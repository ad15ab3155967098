/** What the styles of a Word document say of its paragraphs: which are headings, and how lists are numbered. */
import type { ZipParts } from '../../sources/xlsx-zip.ts';
import { readXml } from './xml.ts';

interface Style {
  name: string;
  basedOn: string | null;
  outline: number | null;
  list: ListPlace | null;
}

/** A paragraph's place in a list; level from 0. */
export interface ListPlace {
  list: string;
  level: number;
}

interface ListLevel {
  start: number;
  format: string;
  text: string;
}

const DEEPEST_STYLE = 20;
const MOST_LEVELS = 9;

export interface Styles {
  /** 1 to 6; null: no heading. */
  headingLevel(style: string | null): number | null;
  listPlace(style: string | null): ListPlace | null;
}

export async function readStyles(parts: ZipParts, part: string | undefined): Promise<Styles> {
  const styles = new Map<string, Style>();
  let style: Style | null = null;
  if (part !== undefined && parts.has(part)) {
    await readXml(parts.read(part), part, {
      open: (name, { styleId, val = '' }) => {
        if (name === 'style' && styleId !== undefined) styles.set(styleId, (style = { name: '', basedOn: null, outline: null, list: null }));
        else if (!style) return;
        else if (name === 'name') style.name = val;
        else if (name === 'basedOn') style.basedOn = val;
        else if (name === 'outlineLvl') style.outline = Number(val);
        else if (name === 'numId') style.list = { list: val, level: style.list?.level ?? 0 };
        else if (name === 'ilvl') style.list = { list: style.list?.list ?? '', level: Number(val) };
      },
      close: (name) => { if (name === 'style') style = null; },
      text: () => undefined,
      // Without its styles a document is read all the same.
    }).catch(() => undefined);
  }
  const along = <T>(id: string | null, find: (style: Style) => T | null): T | null => {
    for (let depth = 0; id !== null && depth < DEEPEST_STYLE; depth++) {
      const found = styles.get(id);
      if (!found) return null;
      const value = find(found);
      if (value !== null) return value;
      id = found.basedOn;
    }
    return null;
  };
  const level = ({ name, outline }: Style): number | null => {
    const named = /^(?:heading|überschrift|titre|título|titolo|כותרת|заголовок|标题|見出し)\s*(\d)$/i.exec(name)?.[1];
    if (named !== undefined) return Number(named);
    if (/^title$/i.test(name)) return 1;
    if (/^subtitle$/i.test(name)) return 2;
    return outline !== null && outline >= 0 && outline < 9 ? outline + 1 : null;
  };
  return {
    headingLevel: (id) => {
      const found = along(id, level);
      return found === null ? null : Math.min(6, Math.max(1, found));
    },
    listPlace: (id) => along(id, ({ list }) => (list && list.list !== '' && list.list !== '0' ? list : null)),
  };
}

/** Counts the items of every list, and says what stands before each. */
export class Numbering {
  readonly #abstract = new Map<string, ListLevel[]>();
  readonly #lists = new Map<string, { abstract: string; starts: Map<number, number> }>();
  readonly #counts = new Map<string, number[]>();

  static async read(parts: ZipParts, part: string | undefined): Promise<Numbering> {
    const numbering = new Numbering();
    if (part !== undefined && parts.has(part)) await numbering.#read(parts, part).catch(() => undefined);
    return numbering;
  }

  async #read(parts: ZipParts, part: string): Promise<void> {
    let levels: ListLevel[] | null = null;
    let level: ListLevel | null = null;
    let list: { abstract: string; starts: Map<number, number> } | null = null;
    let override = -1;
    await readXml(parts.read(part), part, {
      open: (name, { abstractNumId, numId, ilvl, val = '' }) => {
        if (name === 'abstractNum') this.#abstract.set(abstractNumId ?? '', (levels = []));
        else if (name === 'num') this.#lists.set(numId ?? '', (list = { abstract: '', starts: new Map() }));
        else if (name === 'abstractNumId' && list) list.abstract = val;
        else if (name === 'lvlOverride') override = Number(ilvl);
        else if (name === 'startOverride' && list) list.starts.set(override, Number(val));
        else if (name === 'lvl' && levels && Number(ilvl) < MOST_LEVELS) levels[Number(ilvl)] = level = { start: 1, format: 'decimal', text: '' };
        else if (!level) return;
        else if (name === 'start') level.start = Number(val) || 0;
        else if (name === 'numFmt') level.format = val;
        else if (name === 'lvlText') level.text = val;
      },
      close: (name) => {
        if (name === 'lvl') level = null;
        if (name === 'abstractNum') levels = null;
        if (name === 'num') list = null;
      },
      text: () => undefined,
    });
  }

  /** The next item's number, as it stands before it: `2.1`, `c)`, `•`; empty for lists that show none. */
  next({ list, level }: ListPlace): string {
    const { abstract, starts } = this.#lists.get(list) ?? { abstract: '', starts: new Map<number, number>() };
    const levels = this.#abstract.get(abstract) ?? [];
    const known = levels[level];
    if (!known) return '•';
    if (known.format === 'bullet') return '•';
    if (known.format === 'none') return '';
    const key = abstract === '' ? list : starts.size > 0 ? `${abstract}/${list}` : abstract;
    const counts = this.#counts.get(key) ?? [];
    this.#counts.set(key, counts);
    counts[level] = counts[level] === undefined ? (starts.get(level) ?? known.start) : counts[level] + 1;
    counts.length = level + 1;
    return known.text.replace(/%([1-9])/g, (_, digit: string) => {
      const at = Number(digit) - 1;
      return numeral(counts[at] ?? levels[at]?.start ?? 1, levels[at]?.format ?? 'decimal');
    });
  }
}

function numeral(value: number, format: string): string {
  if (/letter/i.test(format)) {
    const letter = String.fromCharCode(97 + ((Math.max(1, value) - 1) % 26)).repeat(Math.min(10, Math.ceil(Math.max(1, value) / 26)));
    return format.startsWith('upper') ? letter.toUpperCase() : letter;
  }
  if (/roman/i.test(format)) return format.startsWith('upper') ? roman(value) : roman(value).toLowerCase();
  return format === 'decimalZero' ? String(value).padStart(2, '0') : String(value);
}

const ROMAN = [[1000, 'M'], [900, 'CM'], [500, 'D'], [400, 'CD'], [100, 'C'], [90, 'XC'], [50, 'L'], [40, 'XL'], [10, 'X'], [9, 'IX'], [5, 'V'], [4, 'IV'], [1, 'I']] as const;

function roman(value: number): string {
  if (value < 1 || value > 3_999) return String(value);
  let text = '';
  for (const [worth, sign] of ROMAN) for (; value >= worth; value -= worth) text += sign;
  return text;
}
