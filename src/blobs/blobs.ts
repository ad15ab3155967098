/**
 * The port to the blob store: immutable objects under slash-separated keys that begin with the tenant. No part of a key is
 * empty, `.` or `..`, none holds a backslash or NUL, and no key is the folder of another; a key at most 1,024 bytes, a part
 * some 200 characters. Every method rejects another key with `invalid_request`.
 */
import type { Readable } from 'node:stream';

export interface BlobInfo {
  key: string;
  /** Bytes. */
  size: number;
}

export interface Blobs {
  /**
   * Writes the whole object or nothing; an object with this key is replaced. Answers the bytes written.
   * A stream is never held in memory. Rejects with `blobs_unavailable`.
   */
  put(key: string, content: Uint8Array | Readable, options?: { signal?: AbortSignal }): Promise<{ size: number }>;
  /** The whole object in memory; for objects whose size the caller bounds. Rejects with `blob_not_found`. */
  get(key: string): Promise<Buffer>;
  /** `start` inclusive, `end` exclusive, in bytes. Rejects (before the first byte) with `blob_not_found`. */
  stream(key: string, range?: { start?: number; end?: number }): Promise<Readable>;
  head(key: string): Promise<BlobInfo | null>;
  /** In key order, paged inside. */
  list(prefix: string): AsyncIterable<BlobInfo>;
  /** Not there is no error. */
  delete(key: string): Promise<void>;
  /** Everything under a prefix that ends in `/`. May be repeated after a crash. */
  deleteUnder(prefix: string): Promise<void>;
  /** Resolves when an object can be written, read and deleted. */
  check(): Promise<void>;
}
