/** Twice the memory, with what was there at its beginning: for a typed array that grows and has a buffer of its own. */
export const doubled = ({ buffer }: { buffer: ArrayBuffer }): ArrayBuffer => buffer.transfer(buffer.byteLength * 2);
