/** CRC-32 of what passes by: native in Node, and the one checksum that S3 computes for whole objects out of their parts. */
import type { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';

export const formatChecksum = (value: number): string => value.toString(16).padStart(8, '0');

export const checksumOf = (bytes: Uint8Array): string => formatChecksum(crc32(bytes));

/** Bytes and checksum of a content while it is read; read it once. */
export class Measured {
  size = 0;
  /** What the content failed with, also when it was ended because of another failure. */
  failure: unknown;
  #crc = 0;
  readonly #content: Uint8Array | Readable;

  constructor(content: Uint8Array | Readable) {
    this.#content = content;
    // One that breaks before it is read says so when it is read.
    if (!(content instanceof Uint8Array)) content.on('error', () => {});
  }

  get checksum(): string {
    return formatChecksum(this.#crc);
  }

  async *read(): AsyncGenerator<Buffer> {
    try {
      const chunks: AsyncIterable<string | Uint8Array> | Uint8Array[] = this.#content instanceof Uint8Array ? [this.#content] : this.#content;
      for await (const chunk of chunks) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        this.size += bytes.length;
        this.#crc = crc32(bytes, this.#crc);
        yield bytes;
      }
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}
