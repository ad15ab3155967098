/** Bytes on their way in: counted, hashed, looked at, and refused as soon as they are not what they should be. */
import { createHash, type Hash } from 'node:crypto';
import { Transform, type TransformCallback } from 'node:stream';
import { SheafError } from '../contracts/errors.ts';

export interface Expected {
  algorithm: 'md5' | 'sha256';
  maxBytes: number;
  tooLarge(): SheafError;
  /** Looks at so many first bytes (all, where there are fewer) before any of them passes; throws to refuse them. */
  look?: { bytes: number; at(head: Buffer): void };
  /** Looks at the hash, in hexadecimal, before the end passes; throws to refuse all. */
  atEnd?(hash: string): void;
}

export class Arriving extends Transform {
  size = 0;
  /** In hexadecimal; there at the end. */
  digest = '';
  /** Why it was refused: whoever reads this stream may fail with an error of its own. */
  refusal: SheafError | undefined;
  readonly #hash: Hash;
  readonly #expected: Expected;
  /** What has not been looked at yet; null once it has. */
  #head: Buffer[] | null;

  constructor(expected: Expected) {
    super();
    this.#expected = expected;
    // A short file is refused before anybody reads: that must not end the process. Whoever reads later is told all the same.
    this.on('error', () => {});
    this.#hash = createHash(expected.algorithm);
    this.#head = expected.look === undefined ? null : [];
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#refusing(done, () => {
      this.size += chunk.length;
      if (this.size > this.#expected.maxBytes) throw this.#expected.tooLarge();
      this.#hash.update(chunk);
      if (this.#head === null) return void this.push(chunk);
      this.#head.push(chunk);
      if (this.size >= (this.#expected.look?.bytes ?? 0)) this.#lookAtHead();
    });
  }

  override _flush(done: TransformCallback): void {
    this.#refusing(done, () => {
      this.#lookAtHead();
      this.digest = this.#hash.digest('hex');
      this.#expected.atEnd?.(this.digest);
    });
  }

  #lookAtHead(): void {
    if (this.#head === null) return;
    const { look } = this.#expected;
    const held = Buffer.concat(this.#head);
    this.#head = null;
    look?.at(held.subarray(0, look.bytes));
    if (held.length > 0) this.push(held);
  }

  #refusing(done: TransformCallback, work: () => void): void {
    try {
      work();
      done();
    } catch (error) {
      if (error instanceof SheafError) this.refusal = error;
      done(error as Error);
    }
  }
}
