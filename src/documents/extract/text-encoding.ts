/** Text of files that do not say in which encoding they are, or say it in their own way. */
import { isUtf8 } from 'node:buffer';
import { analyse } from 'chardet';
import { guessUtf16 } from '../../sources/csv-encoding.ts';
import { utf32Order } from '../utf32.ts';

export interface DecodedText {
  text: string;
  encoding: string;
  /** Some bytes were no characters of the encoding. */
  damaged: boolean;
}

/** A file with so many good UTF-8 characters for each bad byte is damaged UTF-8. */
const GOOD_FOR_EACH_BAD = 10;
const SAMPLE_BYTES = 64 * 1024;
/** In per cent: below it chardet's guess is worth less than the commonest encoding. */
const LEAST_CONFIDENCE = 10;

/**
 * A byte order mark decides; then zero bytes (UTF-16, UTF-32); then whether all of it is UTF-8; then `named`, what the
 * format says; then statistics of the languages; else windows-1252, in which every byte is a character.
 */
export function decodeText(bytes: Buffer, named?: string): DecodedText {
  const utf32 = utf32Order(bytes);
  if (utf32 !== null) return { text: decodeUtf32(bytes, utf32), encoding: `utf-32${utf32}`, damaged: false };
  const mark = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : undefined;
  const utf16 = mark ?? guessUtf16(bytes.subarray(0, 4096));
  if (utf16 !== undefined) return decode(bytes, utf16);
  if (isUtf8(bytes)) return decode(bytes, 'utf-8');
  const known = named === undefined ? undefined : knownLabel(named);
  // A page that says UTF-8 and is not was made by a program of another time.
  if (known !== undefined && known !== 'utf-8') return decode(bytes, known);
  const text = new TextDecoder('utf-8').decode(bytes);
  const bad = text.match(/\ufffd/g)?.length ?? 0;
  const good = text.match(/[^\x00-\x7f\ufffd]/g)?.length ?? 0;
  if (good >= bad * GOOD_FOR_EACH_BAD) return { text, encoding: 'utf-8', damaged: true };
  const [guess] = analyse(bytes.subarray(0, SAMPLE_BYTES)).filter(({ name, confidence }) => confidence >= LEAST_CONFIDENCE && knownLabel(name) !== undefined && !name.startsWith('UTF'));
  return decode(bytes, guess === undefined ? 'windows-1252' : (knownLabel(guess.name) ?? 'windows-1252'));
}

const decode = (bytes: Buffer, encoding: string): DecodedText => {
  const text = new TextDecoder(encoding).decode(bytes);
  return { text, encoding, damaged: text.includes('\ufffd') };
};

function knownLabel(label: string): string | undefined {
  try {
    return new TextDecoder(label.trim()).encoding;
  } catch {
    return undefined;
  }
}

function decodeUtf32(bytes: Buffer, order: 'le' | 'be'): string {
  const pieces: string[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const point = order === 'le' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
    pieces.push(point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd');
  }
  return pieces.join('');
}

/** Of a Windows code page, by its number; windows-1252 for those that are not known. */
export function decoderFor(codepage: number): InstanceType<typeof TextDecoder> {
  const label: Record<number, string> = { 932: 'shift_jis', 936: 'gbk', 949: 'euc-kr', 950: 'big5', 874: 'windows-874', 10_000: 'macintosh', 65_001: 'utf-8', 866: 'ibm866', 20_866: 'koi8-r' };
  return new TextDecoder(knownLabel(label[codepage] ?? `windows-${codepage}`) ?? 'windows-1252');
}
