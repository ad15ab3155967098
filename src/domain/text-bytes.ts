/**
 * A text that grows, as UTF-8: what lives as long as its page is not the collector's to copy. Its memory is given back when it is
 * let go, not when the collector finds it: megabytes a page would call the collector again and again.
 */
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
    if (start + text.length * 3 > this.#bytes.length) this.#resize(Math.max(this.#bytes.length * 2, start + text.length * 3));
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

  letGo(): void {
    this.#resize(0);
    this.#length = 0;
  }

  #resize(bytes: number): void {
    this.#bytes = Buffer.from(this.#bytes.buffer.transfer(bytes));
  }
}
