/**
 * The port to the blob store: immutable objects under slash-separated keys that begin with the tenant. No part of a key is
 * empty, `.` or `..`, none holds a backslash or a control character, and no key is the folder of another; a key at most 1,024
 * bytes, a part some 200 characters. Every method rejects another key with `invalid_request`. A checksum is the CRC-32 of
 * the bytes, as eight hexadecimal digits.
 */
import type { Readable } from 'node:stream';

export interface BlobInfo {
  key: string;
  /** Bytes. */
  size: number;
}

/** One part of an object that arrives in parts. */
export interface BlobPart {
  /** 1 … 10,000; their order is the object's. */
  number: number;
  /** Bytes. */
  size: number;
  checksum: string;
}

/** An object that has begun to arrive in parts and is neither complete nor aborted. */
export interface BlobUpload {
  key: string;
  upload: string;
  startedAt: Date;
}

/**
 * An object that arrives in parts: over days, in any order, several at once, from any process. Nothing of it is an object before
 * `complete`. What is said about an upload that does not exist, or is another key's: `upload_not_found`.
 */
export interface BlobParts {
  /** Answers the upload's id. Its key should be used for this upload alone. */
  begin(key: string): Promise<string>;
  /**
   * Takes exactly `size` bytes, or nothing; a part with this number is replaced. Rejects with `invalid_request` (another size),
   * `checksum_mismatch` (not the checksum that was given). The part of a stream is not held in memory beyond 8 MiB.
   */
  put(
    key: string, upload: string, part: { number: number; size: number; checksum?: string }, content: Uint8Array | Readable, options?: { signal?: AbortSignal },
  ): Promise<BlobPart>;
  /** By number. */
  list(key: string, upload: string): Promise<BlobPart[]>;
  /**
   * Makes the object of exactly these parts; others are dropped. Every part but the last has at least 5 MiB (`invalid_request`).
   * Rejects with `parts_mismatch`, which lists what is missing or different. May be repeated when its answer was lost.
   */
  complete(key: string, upload: string, parts: readonly BlobPart[]): Promise<{ size: number }>;
  /** Not there is no error. */
  abort(key: string, upload: string): Promise<void>;
  /** Uploads of every tenant that began before. */
  begunBefore(time: Date): AsyncIterable<BlobUpload>;
}

export interface Blobs {
  /**
   * Writes the whole object or nothing; an object with this key is replaced, or with `ifAbsent` kept: `conflict`. (Also when it
   * was this very write that was repeated after its answer was lost: look at what is there.) Answers the bytes written.
   * A stream is never held in memory; content is the caller's again. Rejects with `blobs_unavailable`.
   */
  put(key: string, content: Uint8Array | Readable, options?: { signal?: AbortSignal; ifAbsent?: boolean }): Promise<{ size: number }>;
  /** The whole object in memory of the caller's own; for objects whose size the caller bounds. Rejects with `blob_not_found`. */
  get(key: string): Promise<Buffer>;
  /**
   * `start` inclusive, `end` exclusive, in bytes. Rejects (before the first byte) with `blob_not_found`. The stream fails with
   * `checksum_mismatch` when the store knows the whole object's checksum and its bytes have another.
   */
  stream(key: string, range?: { start?: number; end?: number }): Promise<Readable>;
  head(key: string): Promise<BlobInfo | null>;
  /** In key order, paged inside. */
  list(prefix: string): AsyncIterable<BlobInfo>;
  /** First parts of keys, in no order: of whomever something is kept, whatever the store knows of them. */
  tenants(): Promise<string[]>;
  /** Not there is no error. */
  delete(key: string): Promise<void>;
  /** Everything under a prefix that ends in `/`. May be repeated after a crash. */
  deleteUnder(prefix: string): Promise<void>;
  /** Resolves when an object can be written, read, listed and deleted. */
  check(): Promise<void>;
  readonly parts: BlobParts;
}
