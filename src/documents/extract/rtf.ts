/** RTF (Microsoft's specification 1.9.1): text, headings by outline level, tables, lists, footnotes, headers and footers. */
import type { BlockKind } from '../document.ts';
import { Flow } from './flow.ts';
import { allBytes, damaged, type Reader } from './input.ts';
import { decoderFor } from './text-encoding.ts';
import { isoDate, type DocumentWriter } from './writer.ts';

/** Groups inside one another. */
const DEEPEST = 10_000;

/** Destinations whose text is not the document's. */
const SKIPPED = new Set([
  'fonttbl', 'colortbl', 'stylesheet', 'listtable', 'listoverridetable', 'rsidtbl', 'generator', 'themedata', 'colorschememapping', 'latentstyles', 'datastore',
  'pict', 'object', 'objdata', 'fldinst', 'bkmkstart', 'bkmkend', 'xmlnstbl', 'mmathPr', 'filetbl', 'revtbl', 'nonshppict', 'xe', 'tc', 'wgrffmtfilter',
  'userprops', 'template', 'passwordhash', 'pgptbl', 'falt', 'panose', 'fontemb', 'sp', 'datafield', 'formfield', 'atnid', 'atnauthor', 'atntime', 'atnref', 'background',
]);
const INFO: Record<string, 'title' | 'author' | 'subject' | 'keywords'> = { title: 'title', author: 'author', subject: 'subject', keywords: 'keywords' };
const CHARACTERS: Record<string, string> = {
  par: '\n', line: '\n', tab: ' ', emdash: '—', endash: '–', emspace: ' ', enspace: ' ', qmspace: ' ', bullet: '•', lquote: '‘', rquote: '’', ldblquote: '“', rdblquote: '”',
  zwj: '\u200d', zwnj: '\u200c',
};
/** Windows code pages by the character set of a font. */
const CHARSETS: Record<number, number> = { 0: 1252, 77: 10000, 128: 932, 129: 949, 130: 1361, 134: 936, 136: 950, 161: 1253, 162: 1254, 163: 1258, 177: 1255, 178: 1256, 186: 1257, 204: 1251, 222: 874, 238: 1250 };

interface Group {
  destination: 'text' | 'skip' | 'font' | 'style' | 'info' | BlockKind;
  info: string | null;
  /** Characters that stand for a `\u` where Unicode is unknown. */
  fallback: number;
  font: number;
}

export const readRtf: Reader = async (input, out) => {
  const source = (await allBytes(input.file)).toString('latin1');
  if (!source.startsWith('{\\rtf')) throw damaged('it does not begin as RTF does');
  const reader = new RtfReader(out);
  const whole = reader.read(source);
  if (!whole) out.warn('part_damaged', 'The file breaks off', { missing: true });
};

class RtfReader {
  readonly #out: DocumentWriter;
  readonly #flow: Flow;
  readonly #fonts = new Map<number, number>();
  /** Outline level by style number. */
  readonly #styles = new Map<number, number>();
  readonly #info: Record<string, string> = {};
  readonly #asides = new Map<BlockKind, string>();
  readonly #notes: string[] = [];
  #group: Group = { destination: 'text', info: null, fallback: 1, font: 0 };
  #stack: Group[] = [];
  #codepage = 1252;
  #defaultFont = 0;
  #text = '';
  /** Bytes that wait for the rest of their characters. */
  #bytes: number[] = [];
  #toSkip = 0;
  #outline: number | null = null;
  #listed = false;
  #inTable = false;
  #styleNumber = 0;
  #styleText = '';
  #cellOpen = false;

  constructor(out: DocumentWriter) {
    this.#out = out;
    this.#flow = new Flow(out);
  }

  /** Whether the file ends as it should. */
  read(source: string): boolean {
    const token = /\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([\da-f]{2})|\\([^a-z'])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\/giy;
    let opened = 0;
    for (let match = token.exec(source); match; match = token.exec(source)) {
      const [, word, number, byte, symbol, brace, text] = match;
      if (text !== undefined) this.#characters(text);
      else if (word !== undefined) {
        if (word === 'bin') token.lastIndex += Math.max(0, Number(number ?? 0));
        else this.#word(word, number === undefined ? null : Number(number));
      } else if (byte !== undefined) this.#byte(parseInt(byte, 16));
      else if (symbol !== undefined) this.#symbol(symbol);
      else if (brace === '{') {
        if (++opened > DEEPEST) throw damaged('its groups are nested too deep');
        this.#flushBytes();
        this.#stack.push(this.#group);
        this.#group = { ...this.#group };
      } else if (brace === '}') {
        this.#flushBytes();
        this.#close();
        if (--opened === 0) break;
      }
    }
    this.#flushBytes();
    this.#paragraph();
    this.#endTable();
    this.#notes.forEach((note, at) => this.#out.block('footnote', `[${at + 1}] ${note}`));
    for (const [kind, text] of this.#asides) this.#out.block(kind, text, { aside: true });
    this.#out.describe({ title: this.#info['title'], author: this.#info['author'], subject: this.#info['subject'], keywords: this.#info['keywords'] });
    for (const [key, name] of [['creatim', 'created'], ['revtim', 'modified']] as const) this.#out.describe({ [name]: isoDate(this.#info[key]) });
    return opened === 0;
  }

  #close(): void {
    const { destination } = this.#group;
    this.#group = this.#stack.pop() ?? this.#group;
    if (destination === 'style' && this.#group.destination !== 'style') this.#styleText = '';
    else if (destination === 'style') this.#endStyle();
  }

  #word(word: string, number: number | null): void {
    const group = this.#group;
    if (this.#toSkip > 0 && word !== 'u') this.#toSkip = 0;
    if (word === 'u') {
      this.#flushBytes();
      this.#toSkip = group.fallback;
      this.#put(String.fromCharCode(((number ?? 0) + 65_536) % 65_536));
      return;
    }
    this.#flushBytes();
    if (word === 'uc') group.fallback = Math.max(0, Math.min(10, number ?? 1));
    else if (word === 'ansicpg') this.#codepage = number ?? 1252;
    else if (word === 'mac') this.#codepage = 10_000;
    else if (word === 'deff') this.#defaultFont = number ?? 0;
    else if (word === 'f') group.font = number ?? 0;
    else if (word === 'fcharset' && group.destination === 'font') this.#fonts.set(group.font, CHARSETS[number ?? 0] ?? 1252);
    else if (word === 'fonttbl') group.destination = 'font';
    else if (word === 'stylesheet') group.destination = 'style';
    else if (word === 's' && group.destination === 'style') this.#styleNumber = number ?? 0;
    else if (word === 'outlinelevel' && group.destination === 'style') this.#styles.set(this.#styleNumber, number ?? 9);
    // Text boxes stand in a group that readers may skip.
    else if (word === 'shptxt') group.destination = 'text';
    else if (word === 'info') group.destination = 'info';
    else if (group.destination === 'info') this.#infoWord(word, number);
    else if (SKIPPED.has(word)) group.destination = 'skip';
    else if (group.destination === 'skip' || group.destination === 'font' || group.destination === 'style') return;
    else if (/^(header|footer)[lrf]?$/.test(word)) group.destination = word.startsWith('header') ? 'page_header' : 'page_footer';
    else if (word === 'footnote') {
      group.destination = 'footnote';
      this.#notes.push('');
    } else if (word === 'annotation') group.destination = 'note';
    else this.#textWord(word, number);
  }

  #infoWord(word: string, number: number | null): void {
    if (word in INFO) this.#group.info = word;
    else if (word === 'creatim' || word === 'revtim') this.#info[(this.#group.info = word)] = '';
    else if (/^(yr|mo|dy|hr|min)$/.test(word) && this.#group.info !== null) {
      const before = this.#info[this.#group.info] ?? '';
      const padded = String(number ?? 0).padStart(2, '0');
      this.#info[this.#group.info] = word === 'yr' ? padded : word === 'hr' ? `${before}T${padded}` : word === 'min' ? `${before}:${padded}Z` : `${before}-${padded}`;
    }
  }

  #textWord(word: string, number: number | null): void {
    switch (word) {
      case 'par': case 'sect': case 'page':
        if (this.#group.destination === 'text') this.#paragraph();
        else this.#put('\n');
        break;
      case 'pard': this.#outline = null; this.#listed = false; this.#inTable = false; break;
      case 'intbl': this.#inTable = true; break;
      case 's': this.#outline = this.#styles.get(number ?? 0) ?? null; break;
      case 'outlinelevel': this.#outline = number ?? null; break;
      case 'ls': this.#listed = (number ?? 0) > 0; break;
      case 'trowd': this.#inTable = true; break;
      case 'cell': case 'nestcell': this.#cell(); break;
      case 'row': case 'nestrow': this.#row(); break;
      case 'chftn': if (this.#group.destination === 'text') this.#put(`[${this.#notes.length + 1}]`); break;
      default: { const character = CHARACTERS[word]; if (character !== undefined) this.#put(character); }
    }
  }

  #symbol(symbol: string): void {
    this.#flushBytes();
    if (symbol === '*') {
      // A destination that may be skipped by who does not know it.
      this.#group.destination = this.#group.destination === 'info' ? 'info' : 'skip';
    } else if (symbol === '~') this.#put(' ');
    else if (symbol === '_') this.#put('-');
    else if (symbol === '\n' || symbol === '\r') this.#textWord('par', null);
    else if (symbol === '{' || symbol === '}' || symbol === '\\') this.#characters(symbol);
  }

  #characters(text: string): void {
    const skipped = Math.min(this.#toSkip, text.length);
    this.#toSkip -= skipped;
    if (skipped === text.length) return;
    // Most text is ASCII; other bytes stand bare in old files.
    for (const character of text.slice(skipped)) this.#byte(character.charCodeAt(0), true);
  }

  #byte(byte: number, literal = false): void {
    if (!literal && this.#toSkip > 0) {
      this.#toSkip -= 1;
      return;
    }
    this.#bytes.push(byte);
  }

  #flushBytes(): void {
    if (this.#bytes.length === 0) return;
    const bytes = Buffer.from(this.#bytes);
    this.#bytes = [];
    const codepage = this.#fonts.get(this.#group.font) ?? this.#fonts.get(this.#defaultFont) ?? this.#codepage;
    this.#put(bytes.every((byte) => byte < 128) ? bytes.toString('latin1') : decoderFor(codepage).decode(bytes));
  }

  #put(text: string): void {
    const { destination, info } = this.#group;
    if (destination === 'text') this.#text += text;
    else if (destination === 'style') this.#styleText += text;
    else if (destination === 'info' && info !== null && info in INFO) this.#info[info] = (this.#info[info] ?? '') + text;
    else if (destination === 'footnote') this.#notes[this.#notes.length - 1] += text;
    else if (destination === 'page_header' || destination === 'page_footer' || destination === 'note') {
      this.#asides.set(destination, (this.#asides.get(destination) ?? '') + text);
    }
  }

  #endStyle(): void {
    const heading = /^\s*heading (\d)/i.exec(this.#styleText)?.[1];
    if (heading !== undefined) this.#styles.set(this.#styleNumber, Number(heading) - 1);
    this.#styleText = '';
    this.#styleNumber = 0;
  }

  #paragraph(): void {
    const text = this.#text;
    this.#text = '';
    if (this.#inTable && this.#flow.inTable) {
      this.#openCell();
      this.#flow.paragraph('paragraph', text);
      return;
    }
    if (this.#inTable) {
      // The row that it belongs to has not begun: it does with its first cell.
      this.#text = text === '' ? '' : `${text}\n`;
      return;
    }
    this.#endTable();
    const outline = this.#outline;
    if (outline !== null && outline >= 0 && outline < 9) this.#flow.paragraph('heading', text, { level: Math.min(6, outline + 1) });
    else this.#flow.paragraph(this.#listed || /^\s*[•·]\s/.test(text) ? 'list_item' : 'paragraph', text);
  }

  #openCell(): void {
    if (this.#cellOpen) return;
    this.#flow.openCell();
    this.#cellOpen = true;
  }

  #cell(): void {
    if (!this.#flow.inTable) {
      this.#flow.openTable();
      this.#flow.openRow();
    }
    this.#openCell();
    this.#flow.paragraph('paragraph', this.#text);
    this.#text = '';
    this.#flow.closeCell();
    this.#cellOpen = false;
  }

  #row(): void {
    if (!this.#flow.inTable) return;
    this.#flow.closeRow();
    this.#cellOpen = false;
  }

  #endTable(): void {
    this.#flow.end();
    this.#cellOpen = false;
  }
}
