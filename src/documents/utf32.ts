/** UTF-32, which no other room knows: three of its four bytes are mostly zero. */

/** By its mark, or by zeros where no text has other bytes. */
export function utf32Order(bytes: Buffer): 'le' | 'be' | null {
  if (bytes.length < 8 || bytes.length % 4 !== 0) return null;
  if (bytes.readUInt32LE(0) === 0xfeff) return 'le';
  if (bytes.readUInt32BE(0) === 0xfeff) return 'be';
  let [little, big] = [true, true];
  for (let at = 0; at + 4 <= Math.min(bytes.length, 4096) && (little || big); at += 4) {
    little &&= bytes.readUInt32LE(at) <= 0x10ffff && bytes.readUInt32LE(at) !== 0;
    big &&= bytes.readUInt32BE(at) <= 0x10ffff && bytes.readUInt32BE(at) !== 0;
  }
  return little ? 'le' : big ? 'be' : null;
}
