/** The shared strings of a workbook, kept as bytes: millions of them cost little more than their text. */
import { parseXml, type XmlHandler } from './xlsx-xml.ts';

const BLOCK_BYTES = 1 << 20;

export class SharedStrings {
  #blocks: Buffer[] = [];
  #used = BLOCK_BYTES;
  /** For each string its block, offset and length, as three numbers. */
  #places = new Uint32Array(3 * 1024);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(text: string): void {
    const length = Buffer.byteLength(text);
    let block = this.#blocks[this.#blocks.length - 1];
    if (!block || this.#used + length > block.length) {
      block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, length));
      this.#blocks.push(block);
      this.#used = 0;
    }
    block.write(text, this.#used);
    const at = this.#count * 3;
    if (at === this.#places.length) {
      const places = new Uint32Array(this.#places.length * 2);
      places.set(this.#places);
      this.#places = places;
    }
    this.#places.set([this.#blocks.length - 1, this.#used, length], at);
    this.#used += length;
    this.#count += 1;
  }

  /** Undefined: there is no such string. */
  get(index: number): string | undefined {
    if (!(index >= 0 && index < this.#count)) return undefined;
    const at = index * 3;
    const [block, start, length] = [this.#places[at] ?? 0, this.#places[at + 1] ?? 0, this.#places[at + 2] ?? 0];
    return this.#blocks[block]?.toString('utf8', start, start + length);
  }
}

/** Collects the text of a string item: plain or rich, without the phonetic runs that only say how to read it. */
export class StringItem {
  text = '';
  #inText = false;
  #phonetic = 0;

  start(): void {
    this.text = '';
    this.#inText = false;
    this.#phonetic = 0;
  }

  open(name: string): void {
    if (name === 'rPh') this.#phonetic += 1;
    this.#inText = name === 't' && this.#phonetic === 0;
  }

  close(name: string): void {
    if (name === 'rPh') this.#phonetic -= 1;
    this.#inText = false;
  }

  add(text: string): void {
    if (this.#inText) this.text += text;
  }
}

/** Characters that XML cannot hold stand as `_x000D_` in a workbook. */
export const unescapeText = (text: string): string =>
  text.includes('_x') ? text.replace(/_x([0-9A-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(parseInt(code, 16))) : text;

export async function readStrings(chunks: AsyncIterable<Buffer>, part: string, maxChars: number): Promise<SharedStrings> {
  const strings = new SharedStrings();
  const item = new StringItem();
  const handler: XmlHandler = {
    open: (name) => (name === 'si' ? item.start() : item.open(name)),
    text: (text) => item.add(text),
    close: (name) => {
      if (name === 'si') strings.add(unescapeText(item.text));
      else item.close(name);
    },
  };
  for await (const _ of parseXml(chunks, part, maxChars, handler));
  return strings;
}
