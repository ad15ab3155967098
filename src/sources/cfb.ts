/** Compound files ([MS-CFB]), the container of encrypted XLSX and of the legacy Office formats: only what is in them. */
import { readBytes } from './read-bytes.ts';
import type { SheetFile } from './source.ts';

const MAGIC = Buffer.from('d0cf11e0a1b11ae1', 'hex');
const END = 0xfffffffa;
/** Directory sectors; a workbook has a few. */
const MOST_SECTORS = 1000;

export const isCompoundFile = (head: Buffer): boolean => head.subarray(0, 8).equals(MAGIC);

/** Names of the storages and streams; as many as can be reached in a damaged file. */
export async function compoundNames(file: SheetFile): Promise<Set<string>> {
  const names = new Set<string>();
  const header = await readBytes(file, 0, 512);
  if (header.length < 512) return names;
  const shift = header.readUInt16LE(30);
  if (shift !== 9 && shift !== 12) return names;
  const size = 1 << shift;
  const sector = (number: number): Promise<Buffer> => readBytes(file, (number + 1) * size, (number + 2) * size);

  let number = header.readUInt32LE(48);
  for (let count = 0; number < END && count < MOST_SECTORS; count++) {
    const directory = await sector(number);
    for (let at = 0; at + 128 <= directory.length; at += 128) {
      const length = Math.min(directory.readUInt16LE(at + 64), 64);
      if (length >= 2) names.add(directory.toString('utf16le', at, at + length - 2));
    }
    // The next sector of the chain stands in the allocation table; the header lists the table's first 109 sectors.
    const table = Math.floor((number * 4) / size);
    if (table >= 109) break;
    const tableSector = header.readUInt32LE(76 + table * 4);
    if (tableSector >= END) break;
    const entries = await sector(tableSector);
    const offset = (number * 4) % size;
    if (offset + 4 > entries.length) break;
    number = entries.readUInt32LE(offset);
  }
  return names;
}
