/**
 * One object as a stream. A connection that breaks in the middle is taken up again where it stopped, on the same version of the
 * object; the whole object's bytes are held against its checksum.
 */
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { GetObjectCommand, HeadObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import { SheafError } from '../../contracts/errors.ts';
import { formatChecksum } from '../checksum.ts';
import type { Bucket } from './bucket.ts';
import { damaged, nameOf, s3Error } from './errors.ts';

/** Breaks in a row, without a byte between them, after which the stream fails. */
const MOST_BREAKS = 4;
const FIRST_WAIT_MS = 200;

/** The eight digits of a checksum of S3 (base64), where it is one of the whole object. */
export function wholeChecksum(said: { ChecksumCRC32?: string | undefined; ChecksumType?: string | undefined }): string | undefined {
  // `-3` at its end: a checksum of the checksums of three parts.
  if (said.ChecksumCRC32 === undefined || said.ChecksumCRC32.includes('-') || said.ChecksumType === 'COMPOSITE') return undefined;
  return Buffer.from(said.ChecksumCRC32, 'base64').toString('hex');
}

/** Rejects before the first byte with `blob_not_found`. */
export async function download(bucket: Bucket, key: string, { start = 0, end }: { start?: number; end?: number }): Promise<Readable> {
  const object = { ...bucket.at, Key: bucket.nameOf(key) };
  const nothing = async (): Promise<Readable> => {
    await bucket.client.send(new HeadObjectCommand(object));
    return Readable.from([]);
  };
  const ask = (from: number, ETag?: string): Promise<GetObjectCommandOutput> => bucket.client.send(new GetObjectCommand({
    ...object,
    ...(from > 0 || end !== undefined ? { Range: `bytes=${from}-${end === undefined ? '' : end - 1}` } : { ChecksumMode: 'ENABLED' }),
    ...(ETag !== undefined && { IfMatch: ETag }),
  }));

  let first: GetObjectCommandOutput;
  try {
    if (end !== undefined && end <= start) return await nothing();
    first = await ask(start);
  } catch (error) {
    if (nameOf(error) === 'InvalidRange') return Readable.from([]); // it begins behind the end
    throw s3Error(error, key);
  }
  const whole = start === 0 && end === undefined ? wholeChecksum(first) : undefined;
  let body = bodyOf(first);

  async function* chunks(): AsyncGenerator<Buffer> {
    let received = 0;
    let crc = 0;
    for (let breaks = 0; ; ) {
      let why: unknown;
      try {
        for await (const chunk of body as AsyncIterable<Buffer>) {
          received += chunk.length;
          if (whole !== undefined) crc = crc32(chunk, crc);
          breaks = 0;
          yield chunk;
        }
      } catch (error) {
        why = error;
      }
      if (received === first.ContentLength) {
        // The client holds the bytes against the checksum too, where it saw all of them.
        if (why !== undefined || (whole !== undefined && formatChecksum(crc) !== whole)) throw damaged(key);
        return;
      }
      if (++breaks > MOST_BREAKS || first.ETag === undefined) throw s3Error(why ?? cutOff(key), key);
      await sleep(FIRST_WAIT_MS * 2 ** (breaks - 1));
      try {
        body = bodyOf(await ask(start + received, first.ETag));
      } catch (error) {
        throw s3Error(error, key);
      }
    }
  }

  const stream = Readable.from(chunks(), { objectMode: false });
  stream.once('close', () => body.destroy());
  return stream;
}

const cutOff = (key: string): SheafError =>
  new SheafError('blobs_unavailable', `The stored object ${key} broke off again and again.`, { remedy: 'Check the network and the S3 server.' });

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (!(Body instanceof Readable)) throw new TypeError('The S3 client gave no stream.');
  // Somebody who destroys the stream before it breaks is not told of the break.
  Body.on('error', () => {});
  return Body;
}
