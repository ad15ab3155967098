/**
 * A text that grows, as UTF-8: what lives as long as its page is not the collector's to copy. Its memory is given back when it is
 * let go, not when the collector finds it: megabytes a page would call the collector again and again.
 */
import { giveBack } from './give-back.ts';

export class TextBytes {
  #bytes: Buffer<ArrayBuffer>;
  #length = 0;

  /** `bytes`: that it will probably have. */
  constructor(bytes = 0) {
    this.#bytes = Buffer.from(new ArrayBuffer(bytes));
  }

  /** Answers the byte at which the text begins. */
  append(text: string): number {
    const start = this.#length;
    // A UTF-16 unit has at most three bytes.
    if (start + text.length * 3 > this.#bytes.length) this.#grow(Math.max(this.#bytes.length * 2, start + text.length * 3));
    this.#length += this.#bytes.write(text, start);
    return start;
  }

  get length(): number {
    return this.#length;
  }

  /** As it is so far: no copy, and nothing once it is let go. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** For another text. */
  empty(): void {
    this.#length = 0;
  }

  letGo(): void {
    this.#bytes = Buffer.from(this.#bytes.buffer.transfer(0));
    this.#length = 0;
  }

  /** Not by `transfer`, which writes zeros into what is not used yet: a new buffer takes no memory until it is written to. */
  #grow(bytes: number): void {
    const before = this.#bytes;
    this.#bytes = Buffer.from(new ArrayBuffer(bytes));
    before.copy(this.#bytes, 0, 0, this.#length);
    giveBack(before);
  }
}
