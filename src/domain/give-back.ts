/**
 * Memory that nobody will read again, given back at once. The collector sees only the small object that names it, and would find
 * megabytes a page when it comes by.
 */

/** Bytes that share their memory with others are left to the collector. */
export function giveBack({ buffer, byteLength }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}

/** Of what zlib has made: it lies at the beginning of a chunk that is nobody else's, unless it is small, of which Node has many in one memory. */
export function giveBackChunk({ buffer, byteOffset }: Uint8Array): void {
  if (byteOffset === 0 && buffer.byteLength > Buffer.poolSize) giveBack(new Uint8Array(buffer));
}
