/** Which encoding a text file is in, and its text as UTF-8 bytes. */
import { isUtf8 } from 'node:buffer';
import { SheafError } from '../contracts/errors.ts';
import type { SheetOptions } from '../contracts/job.ts';
import { giveBack } from '../domain/give-back.ts';
import type { SheetFile } from './source.ts';

export type Encoding = NonNullable<SheetOptions['encoding']>;

export interface TextForm {
  encoding: Encoding;
  /** Bytes of the byte order mark at the beginning. */
  bom: number;
  /** Bytes that are not UTF-8 in a file that otherwise is; they read as U+FFFD. */
  damaged: number;
  /** Whether it is known that the text has no carriage return: its lines end in line feeds. */
  lineFeeds: boolean;
}

const BOMS: readonly { encoding: Encoding; bytes: number[] }[] = [
  { encoding: 'utf-8', bytes: [0xef, 0xbb, 0xbf] },
  { encoding: 'utf-16le', bytes: [0xff, 0xfe] },
  { encoding: 'utf-16be', bytes: [0xfe, 0xff] },
];

const CARRIAGE_RETURN = 13;
/** Bytes of the beginning that the guess about UTF-16 without a mark looks at. */
const GUESS_BYTES = 4096;
/** A file with so many good UTF-8 characters for each bad byte is damaged UTF-8, not windows-1252. */
const GOOD_FOR_EACH_BAD = 10;

/**
 * A byte order mark decides; then zero bytes at every other place (UTF-16); then whether *all* of the file is UTF-8,
 * because a single late byte may be what tells: only that reads every row right. Else it is windows-1252, in which
 * every byte is a character. Rejects with `invalid_encoding` when the encoding that was named cannot be.
 */
export async function detectEncoding(file: SheetFile, head: Buffer, named: Encoding | undefined): Promise<TextForm> {
  const mark = BOMS.find(({ bytes }) => bytes.every((byte, at) => head[at] === byte));
  const encoding = named ?? mark?.encoding ?? guessUtf16(head);
  const bom = mark && mark.encoding === encoding ? mark.bytes.length : 0;
  if (encoding !== undefined && encoding !== 'utf-8') {
    if (encoding !== 'windows-1252' && file.size % 2 !== 0) {
      throw new SheafError('invalid_encoding', `The file is not ${encoding.toUpperCase()}: it has an odd number of bytes`, {
        remedy: 'Name another encoding, or save the file as UTF-8', place: { field: 'encoding' },
      });
    }
    return { encoding, bom, damaged: 0, lineFeeds: false };
  }
  const utf8 = await readAsUtf8(file);
  if (utf8) return { encoding: 'utf-8', bom, damaged: 0, ...utf8 };
  if (named === 'utf-8') {
    throw new SheafError('invalid_encoding', 'The file is not UTF-8', {
      remedy: 'Leave the encoding out to have it detected, or name another', place: { field: 'encoding' },
    });
  }
  const { good, bad } = await countCharacters(file);
  if (mark || good >= bad * GOOD_FOR_EACH_BAD) return { encoding: 'utf-8', bom, damaged: bad, lineFeeds: false };
  return { encoding: 'windows-1252', bom: 0, damaged: 0, lineFeeds: false };
}

/**
 * UTF-16 without a mark: text in most scripts has zero bytes at one half of its spaces, digits, delimiters and line
 * ends, and a line end (unless all of it is ASCII). A few zero bytes in other text are no UTF-16.
 */
export function guessUtf16(head: Buffer): 'utf-16le' | 'utf-16be' | undefined {
  const length = Math.min(head.length, GUESS_BYTES) & ~1;
  let even = 0;
  let odd = 0;
  for (let at = 0; at < length; at += 2) {
    if (head[at] === 0) even++;
    if (head[at + 1] === 0) odd++;
  }
  const [more, fewer] = odd > even ? [odd, even] : [even, odd];
  if (more <= length / 20 || fewer >= more / 10) return undefined;
  const encoding = odd > even ? 'utf-16le' : 'utf-16be';
  const allAscii = more > length * 0.45;
  return allAscii || /[\n\r]/.test(new TextDecoder(encoding).decode(head.subarray(0, length))) ? encoding : undefined;
}

/** Bytes at the end of a chunk that begin a character which the next chunk ends. */
function unfinished(chunk: Buffer): number {
  for (let back = 1; back <= Math.min(3, chunk.length); back++) {
    const byte = chunk[chunk.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}

/** Null: it is not. */
async function readAsUtf8(file: SheetFile): Promise<Pick<TextForm, 'lineFeeds'> | null> {
  let lineFeeds = true;
  let carried: Buffer = Buffer.alloc(0);
  for await (const chunk of (await file.stream()) as AsyncIterable<Buffer>) {
    const bytes = carried.length > 0 ? Buffer.concat([carried, chunk]) : chunk;
    const whole = bytes.length - unfinished(bytes);
    if (!isUtf8(bytes.subarray(0, whole))) return null;
    lineFeeds &&= !chunk.includes(CARRIAGE_RETURN);
    carried = Buffer.from(bytes.subarray(whole));
    giveBack(chunk);
  }
  return carried.length === 0 ? { lineFeeds } : null;
}

/** Characters of several bytes that are right UTF-8, and bytes above 127 that belong to none. */
async function countCharacters(file: SheetFile): Promise<{ good: number; bad: number }> {
  let good = 0;
  let bad = 0;
  let expected = 0;
  let seen = 0;
  for await (const chunk of (await file.stream()) as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      if (expected > 0 && (byte & 0xc0) === 0x80) {
        seen += 1;
        if (seen === expected) {
          good += 1;
          expected = 0;
        }
        continue;
      }
      if (expected > 0) bad += seen;
      expected = 0;
      if (byte < 0x80) continue;
      if (byte >= 0xc2 && byte <= 0xf4) {
        expected = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        seen = 1;
      } else bad += 1;
    }
  }
  return { good, bad: bad + (expected > 0 ? seen : 0) };
}

/** The text from its beginning on, without the byte order mark, as UTF-8 bytes cut anywhere. */
export async function* utf8Chunks(file: SheetFile, form: TextForm, end?: number): AsyncGenerator<Buffer, void, undefined> {
  const stream = await file.stream({ start: form.bom, ...(end !== undefined && { end: Math.min(end, file.size) }) });
  if (form.encoding === 'utf-8') {
    yield* stream as AsyncIterable<Buffer>;
    return;
  }
  const decoder = new TextDecoder(form.encoding, { ignoreBOM: true });
  for await (const chunk of stream as AsyncIterable<Buffer>) yield Buffer.from(decoder.decode(chunk, { stream: true }));
  yield Buffer.from(decoder.decode());
}
