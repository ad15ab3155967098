/** A few bytes of a file, for deciding what it is. */
import type { SheetFile } from './source.ts';

/** `start` inclusive, `end` exclusive and cut at the file's end. Held in memory. */
export async function readBytes(file: SheetFile, start: number, end: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const stream = await file.stream({ start, end: Math.min(end, file.size) });
  for await (const chunk of stream as AsyncIterable<Buffer>) pieces.push(chunk);
  return Buffer.concat(pieces);
}
