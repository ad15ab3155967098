/** What every adapter holds parts to. */
import { SheafError } from '../contracts/errors.ts';
import type { BlobPart } from './blobs.ts';
import type { Measured } from './checksum.ts';

const MOST_PARTS = 10_000;
/** Bytes; S3's limits, which the folder keeps too so that both take the same. */
const LEAST = 5 * 2 ** 20;
const MOST = 5 * 2 ** 30;

export function noUpload(): SheafError {
  return new SheafError('upload_not_found', 'There is no such upload in parts.', {
    remedy: 'It was completed, aborted, or abandoned for more than a day: begin again.',
  });
}

export function checkPart({ number, size }: { number: number; size: number }): void {
  if (!Number.isInteger(number) || number < 1 || number > MOST_PARTS) {
    throw new SheafError('invalid_request', `A part's number is between 1 and ${MOST_PARTS}.`, { remedy: 'Use fewer, larger parts.' });
  }
  if (!Number.isInteger(size) || size < 0 || size > MOST) {
    throw new SheafError('invalid_request', `Part ${number} has more bytes than the ${MOST} that are allowed.`, { remedy: 'Use smaller parts.' });
  }
}

/** The content, as long as it is what was announced. */
export async function* exactly(measured: Measured, part: { number: number; size: number; checksum?: string }): AsyncGenerator<Buffer> {
  for await (const chunk of measured.read()) {
    if (measured.size > part.size) break;
    yield chunk;
  }
  checkArrived(part, measured);
}

function checkArrived(wanted: { number: number; size: number; checksum?: string }, arrived: { size: number; checksum: string }): void {
  if (arrived.size !== wanted.size) {
    throw new SheafError('invalid_request', `Part ${wanted.number} has ${arrived.size} bytes, not ${wanted.size}.`, { remedy: 'Send the part again, whole.' });
  }
  if (wanted.checksum !== undefined && wanted.checksum !== arrived.checksum) {
    throw new SheafError('checksum_mismatch', `Part ${wanted.number} does not have the checksum that was given.`, { remedy: 'Send the part again.' });
  }
}

/** Throws unless the parts that are there are those that are expected. */
export function checkParts(expected: readonly BlobPart[], found: readonly BlobPart[]): void {
  const there = new Map(found.map((part) => [part.number, part]));
  const wrong = expected.flatMap(({ number, size, checksum }) => {
    const part = there.get(number);
    if (part === undefined) return [`${number} is missing`];
    if (part.size !== size) return [`${number} has ${part.size} bytes, not ${size}`];
    return part.checksum === checksum ? [] : [`${number} has another checksum`];
  });
  if (wrong.length > 0) {
    throw new SheafError('parts_mismatch', `Parts are missing or different: ${wrong.slice(0, 20).join('; ')}${wrong.length > 20 ? `; and ${wrong.length - 20} more` : ''}.`, {
      remedy: 'Send these parts again, then complete the upload.',
    });
  }
}

/** Throws unless the list can be completed, and answers its bytes. */
export function checkOrder(parts: readonly BlobPart[]): number {
  const last = parts.at(-1);
  if (last === undefined) throw new SheafError('invalid_request', 'An upload has at least one part.');
  for (const [index, part] of parts.entries()) {
    checkPart(part);
    if (index > 0 && part.number <= parts[index - 1]!.number) throw new SheafError('invalid_request', 'The parts are not listed by number, each once.');
    if (part !== last && part.size < LEAST) {
      throw new SheafError('invalid_request', `Part ${part.number} has ${part.size} bytes; every part but the last needs ${LEAST}.`, { remedy: 'Use larger parts.' });
    }
  }
  return parts.reduce((sum, { size }) => sum + size, 0);
}
