/**
 * A text that grows, as UTF-8: what lives as long as its page is not the collector's to copy. Its memory is given back when it is
 * let go, not when the collector finds it: megabytes a page would call the collector again and again.
 */
export class TextBytes {
  #bytes = Buffer.allocUnsafeSlow(1 << 18);
  #length = 0;

  /** Answers the byte at which the text begins. */
  append(text: string): number {
    const start = this.#length;
    // A UTF-16 unit has at most three bytes.
    if (start + text.length * 3 > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, start + text.length * 3));
      this.#bytes.copy(larger, 0, 0, start);
      this.#replace(larger, start);
    }
    this.#length += this.#bytes.write(text, start);
    return start;
  }

  /** As it is so far: no copy, and nothing once it is let go. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  letGo(): void {
    this.#replace(Buffer.alloc(0), 0);
  }

  #replace(bytes: Buffer<ArrayBuffer>, length: number): void {
    this.#bytes.buffer.transfer(0);
    this.#bytes = bytes;
    this.#length = length;
  }
}
