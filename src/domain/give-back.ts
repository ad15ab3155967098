/**
 * Memory that nobody will read again, given back at once. The collector sees only the small object that names it, and would find
 * megabytes a page when it comes by.
 */

/** Bytes that share their memory with others are left to the collector. */
export function giveBack({ buffer, byteLength }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) buffer.transfer(0);
}

/** Whether what zlib has made is the beginning of a chunk that is nobody else's. What is small may lie in a memory of which Node gives parts to everybody. */
export const hasChunk = ({ buffer, byteOffset }: Uint8Array): boolean => byteOffset === 0 && buffer.byteLength > Buffer.poolSize;

/** Of what zlib has made. */
export function giveBackChunk(bytes: Uint8Array): void {
  if (hasChunk(bytes)) giveBack(new Uint8Array(bytes.buffer));
}
