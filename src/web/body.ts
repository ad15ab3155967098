/** The body of an answer, unpacked, within limits: what is longer, or unpacks to more, is left where it is. */
import { Writable, Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import zlib from 'node:zlib';
import { SheafError } from '../contracts/errors.ts';

export interface BodyLimits {
  /** As it is sent. */
  bytes: number;
  /** Unpacked. */
  inflatedBytes: number;
}

/** Nobody packs more often. */
const MOST_ENCODINGS = 2;

/** What is asked for, in the header of a request. */
export const ACCEPTED_ENCODINGS = 'gzip, br';

/** A body that breaks off is read as far as it came, as browsers do; one that its length or chunks say is cut is told by the connection. */
const DECODERS: Record<string, () => Transform> = {
  gzip: () => zlib.createGunzip({ finishFlush: zlib.constants.Z_SYNC_FLUSH }),
  'x-gzip': () => zlib.createGunzip({ finishFlush: zlib.constants.Z_SYNC_FLUSH }),
  deflate: () => zlib.createInflate({ finishFlush: zlib.constants.Z_SYNC_FLUSH }),
  br: () => zlib.createBrotliDecompress({ finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => zlib.createZstdDecompress(),
};

/** Rejects with `answer_too_large`, `answer_inflates` or `answer_damaged`; with what the stream says where that breaks off. */
export async function readBody(body: Readable, { encoding, length }: { encoding: string | undefined; length: string | undefined }, limits: BodyLimits): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sent = 0;
  let inflated = 0;
  try {
    if (Number(length) > limits.bytes) throw tooLarge(limits.bytes);
    const decoders = (encoding ?? '').toLowerCase().split(',').map((name) => name.trim()).filter((name) => name !== '' && name !== 'identity').reverse().map((name) => DECODERS[name] ?? unknownEncoding());
    if (decoders.length > MOST_ENCODINGS) unknownEncoding();
    await pipeline([
      body,
      new Transform({
        transform(chunk: Buffer, _, done) {
          sent += chunk.length;
          done(sent > limits.bytes ? tooLarge(limits.bytes) : null, chunk);
        },
      }),
      ...decoders.map((make) => make()),
      new Writable({
        write(chunk: Buffer, _, done) {
          inflated += chunk.length;
          if (inflated <= limits.inflatedBytes) chunks.push(chunk);
          done(inflated > limits.inflatedBytes ? inflatesTooMuch(limits.inflatedBytes) : null);
        },
      }),
    ]);
  } catch (error) {
    leave(body);
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (/^(Z_|ERR_(_?)(ZLIB|BROTLI|ZSTD)|ZSTD_|ERR__ERROR)/.test(code)) throw new SheafError('answer_damaged', 'The answer cannot be unpacked', { remedy: 'Tell whoever runs the server', cause: error });
    throw error;
  }
  return Buffer.concat(chunks);
}

/** What is not read any more; that it was cut off is no news. */
export const leave = (body: Readable): void => void body.on('error', () => undefined).destroy();

const megabytes = (bytes: number): string => `${Math.round((bytes / 2 ** 20) * 10) / 10} MB`;

const tooLarge = (limit: number): SheafError => new SheafError('answer_too_large', `The answer is longer than ${megabytes(limit)}`, { remedy: 'Ask for less, or for another page' });

const inflatesTooMuch = (limit: number): SheafError => new SheafError('answer_inflates', `The answer unpacks to more than ${megabytes(limit)}`, { remedy: 'Ask for less, or for another page' });

function unknownEncoding(): never {
  throw new SheafError('answer_damaged', 'The answer is packed in a way that nobody asked for', { remedy: 'Tell whoever runs the server' });
}
