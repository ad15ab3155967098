/** Objects that arrive in parts: S3's multipart uploads. */
import { once } from 'node:events';
import { addAbortSignal, PassThrough, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, HeadObjectCommand,
  ListMultipartUploadsCommand, ListPartsCommand, UploadPartCommand,
  type CompletedPart, type ListMultipartUploadsCommandOutput, type ListPartsCommandOutput,
} from '@aws-sdk/client-s3';
import type { BlobPart, BlobParts } from '../blobs.ts';
import { Measured } from '../checksum.ts';
import { checkOrder, checkPart, checkParts, exactly } from '../parts.ts';
import type { Bucket } from './bucket.ts';
import { asking, nameOf, s3Error } from './errors.ts';

/** Parts up to so many bytes are held in memory, so that they can be sent again. */
const HELD = 8 * 2 ** 20;

const toHex = (base64 = ''): string => Buffer.from(base64, 'base64').toString('hex');
const toBase64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64');

export function s3Parts(bucket: Bucket): BlobParts {
  const { client, making } = bucket;
  const object = (key: string) => ({ ...bucket.at, Key: bucket.nameOf(key) });

  async function found(key: string, upload: string): Promise<(BlobPart & { tag: string | undefined })[]> {
    const all = [];
    let page: ListPartsCommandOutput | undefined;
    do {
      // Not the client's paginator: some servers name a next part after the last one too.
      page = await client.send(new ListPartsCommand({ ...object(key), UploadId: upload, PartNumberMarker: page?.NextPartNumberMarker }));
      for (const { PartNumber = 0, Size = 0, ChecksumCRC32, ETag } of page.Parts ?? []) {
        all.push({ number: PartNumber, size: Size, checksum: toHex(ChecksumCRC32), tag: ETag });
      }
    } while (page.IsTruncated === true);
    return all;
  }

  /** What was completed before its answer was lost is there, and is no upload any more. */
  async function isThere(key: string, size: number): Promise<boolean> {
    return (await client.send(new HeadObjectCommand(object(key))).catch(() => null))?.ContentLength === size;
  }

  return {
    begin: (key) => asking(key, async () => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ ...object(key), ...making, ChecksumType: 'FULL_OBJECT' }));
      if (UploadId === undefined) throw new Error('The S3 server named no upload.');
      return UploadId;
    }),

    put: async (key, upload, part, content, { signal } = {}) => {
      const target = object(key);
      checkPart(part);
      const measured = new Measured(content);
      const stop = new AbortController();
      const until = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
      try {
        signal?.throwIfAborted();
        if (content instanceof Readable && signal) addAbortSignal(signal, content);
        const chunks = exactly(measured, part);
        const body = part.size <= HELD ? await buffer(chunks) : feed(chunks, stop);
        until.throwIfAborted();
        await client.send(new UploadPartCommand({
          ...target, UploadId: upload, PartNumber: part.number, Body: body, ContentLength: part.size,
          ...(part.checksum === undefined ? { ChecksumAlgorithm: making.ChecksumAlgorithm } : { ChecksumCRC32: toBase64(part.checksum) }),
        }), { abortSignal: until });
        return { number: part.number, size: part.size, checksum: measured.checksum };
      } catch (error) {
        signal?.throwIfAborted();
        const why: unknown = stop.signal.aborted ? stop.signal.reason : error;
        throw why === measured.failure ? why : s3Error(why, key);
      } finally {
        stop.abort();
        if (content instanceof Readable) content.destroy();
      }
    },

    list: (key, upload) => asking(key, async () => (await found(key, upload)).map(({ number, size, checksum }) => ({ number, size, checksum }))),

    complete: async (key, upload, parts) => {
      const size = checkOrder(parts);
      try {
        const there = await found(key, upload);
        checkParts(parts, there);
        const tags = new Map(there.map(({ number, tag }) => [number, tag]));
        const Parts = parts.map(({ number, checksum }): CompletedPart => ({ PartNumber: number, ETag: tags.get(number), ChecksumCRC32: toBase64(checksum) }));
        await client.send(new CompleteMultipartUploadCommand({
          ...object(key), UploadId: upload, ChecksumType: 'FULL_OBJECT', MultipartUpload: { Parts }, MpuObjectSize: size,
        }));
      } catch (error) {
        if (nameOf(error) !== 'NoSuchUpload' || !(await isThere(key, size))) throw s3Error(error, key);
      }
      return { size };
    },

    abort: async (key, upload) => {
      try {
        await client.send(new AbortMultipartUploadCommand({ ...object(key), UploadId: upload }));
      } catch (error) {
        if (nameOf(error) !== 'NoSuchUpload') throw s3Error(error, key);
      }
    },

    async *begunBefore(time) {
      const within = { ...bucket.at, ...(bucket.root !== '' && { Prefix: bucket.root }) };
      let page: ListMultipartUploadsCommandOutput | undefined;
      do {
        const after = page && { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker };
        page = await asking(bucket.root, () => client.send(new ListMultipartUploadsCommand({ ...within, ...after })));
        for (const { Key = '', UploadId: upload, Initiated: startedAt } of page.Uploads ?? []) {
          const key = bucket.keyOf(Key);
          if (key !== null && upload !== undefined && startedAt !== undefined && startedAt < time) yield { key, upload, startedAt };
        }
      } while (page.IsTruncated === true);
    },
  };
}

/** A request's body. It never fails, which the client would not hear, and is not ended when the chunks fail: the request is stopped. */
function feed(chunks: AsyncIterable<Buffer>, stop: AbortController): PassThrough {
  const body = new PassThrough();
  const write = async (): Promise<void> => {
    for await (const chunk of chunks) if (!body.write(chunk)) await once(body, 'drain', { signal: stop.signal });
    body.end();
  };
  write().catch((error: unknown) => stop.abort(error));
  return body;
}
