/**
 * The blob store of a team: a bucket of AWS or of any S3-compatible server. Objects have their keys as names, below the prefix. Every write
 * carries its checksum, every whole read is held against it. Requests that fail for a passing reason are repeated by the client.
 */
import { randomUUID } from 'node:crypto';
import { addAbortSignal, Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import {
  DeleteObjectCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, paginateListObjectsV2, PutObjectCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { SheafError } from '../contracts/errors.ts';
import type { BlobInfo, Blobs } from './blobs.ts';
import { Measured } from './checksum.ts';
import { openBucket, type S3BlobsOptions } from './s3/bucket.ts';
import { download, wholeChecksum } from './s3/download.ts';
import { asking, damaged, isMissing, nameOf, s3Error } from './s3/errors.ts';
import { s3Parts } from './s3/parts.ts';

export type { S3BlobsOptions } from './s3/bucket.ts';

/** Bytes of a part of a stream, and how many are on their way at once: their product is what a write holds in memory. */
const PART = 8 * 2 ** 20;
const PARTS_AT_ONCE = 2;
/** Keys that one request deletes. */
const DELETED_AT_ONCE = 1_000;

/** Credentials are those that the SDK finds (environment, profile, role). Does not ask the server: `check` does. */
export async function openS3Blobs(options: S3BlobsOptions): Promise<Blobs> {
  const bucket = await openBucket(options);
  const { client, at, making, root } = bucket;

  /** Whether the object is the one that was sent: its completion is repeated when its answer is lost, and then finds no upload. */
  async function arrived(key: string, sent: Measured): Promise<boolean> {
    const head = await client.send(new HeadObjectCommand({ ...at, Key: bucket.nameOf(key), ChecksumMode: 'ENABLED' })).catch(() => null);
    return head?.ContentLength === sent.size && wholeChecksum(head) === sent.checksum;
  }

  async function* names(prefix: string): AsyncGenerator<{ name: string; size: number }> {
    const pages = paginateListObjectsV2({ client }, { ...at, Prefix: root + prefix });
    try {
      for await (const { Contents = [] } of pages) for (const { Key = '', Size = 0 } of Contents) yield { name: Key, size: Size };
    } catch (error) {
      throw s3Error(error, prefix);
    }
  }

  async function* list(prefix: string): AsyncGenerator<BlobInfo> {
    for await (const { name, size } of names(prefix)) {
      const key = bucket.keyOf(name);
      if (key !== null) yield { key, size };
    }
  }

  async function deleteNames(all: string[]): Promise<void> {
    const { Errors = [] } = await client.send(new DeleteObjectsCommand({ ...at, Delete: { Objects: all.map((Key) => ({ Key })), Quiet: true } }));
    // Some servers refuse what another process is deleting at the same time.
    const gone = await Promise.all(Errors.map(({ Key = '' }) => client.send(new HeadObjectCommand({ ...at, Key })).then(() => false, (error: unknown) => isMissing(error))));
    const left = Errors.filter((_, index) => !gone[index]);
    const [refused] = left;
    if (refused === undefined) return;
    throw new SheafError('blobs_unavailable', `The S3 server did not delete ${left.length} of ${all.length} objects (${refused.Code ?? 'no reason given'}).`, {
      remedy: 'Allow the credentials s3:DeleteObject; objects under a retention lock can only be deleted when it ends.',
    });
  }

  return {
    put: async (key, content, { signal, ifAbsent = false } = {}) => {
      const name = bucket.nameOf(key);
      const measured = new Measured(content);
      try {
        signal?.throwIfAborted();
        // The upload has no abort signal: it would leave at once, with parts on their way. A source that breaks off ends it in order.
        if (content instanceof Readable && signal) addAbortSignal(signal, content);
        const Body = Readable.from(measured.read(), { objectMode: false });
        const params = { ...at, ...making, Key: name, Body, ChecksumType: 'FULL_OBJECT' as const, ...(ifAbsent && { IfNoneMatch: '*' }) };
        const made = await new Upload({ client, params, partSize: PART, queueSize: PARTS_AT_ONCE }).done();
        const whole = wholeChecksum(made);
        if (whole !== undefined && whole !== measured.checksum) {
          await client.send(new DeleteObjectCommand({ ...at, Key: name }));
          throw damaged(key);
        }
      } catch (error) {
        signal?.throwIfAborted();
        if (error === measured.failure) throw error;
        if (nameOf(error) !== 'NoSuchUpload' || !(await arrived(key, measured))) throw s3Error(error, key);
      } finally {
        if (content instanceof Readable) content.destroy();
      }
      return { size: measured.size };
    },

    get: async (key) => buffer(await download(bucket, key, {})),

    stream: (key, range = {}) => download(bucket, key, range),

    head: async (key) => {
      try {
        const { ContentLength = 0 } = await client.send(new HeadObjectCommand({ ...at, Key: bucket.nameOf(key) }));
        return { key, size: ContentLength };
      } catch (error) {
        if (isMissing(error)) return null;
        throw s3Error(error, key);
      }
    },

    list,

    tenants: () => asking(root, async () => {
      const found: string[] = [];
      for await (const { CommonPrefixes = [] } of paginateListObjectsV2({ client }, { ...at, Prefix: root, Delimiter: '/' })) {
        found.push(...CommonPrefixes.flatMap(({ Prefix = '' }) => bucket.keyOf(Prefix.slice(0, -1)) ?? []));
      }
      return found;
    }),

    delete: (key) => asking(key, async () => {
      await client.send(new DeleteObjectCommand({ ...at, Key: bucket.nameOf(key) }));
    }),

    deleteUnder: (prefix) => asking(prefix, async () => {
      if (!prefix.endsWith('/')) throw new SheafError('invalid_request', 'The prefix to delete under must end in "/".');
      bucket.nameOf(prefix.slice(0, -1));
      let batch: string[] = [];
      for await (const { name } of names(prefix)) {
        batch.push(name);
        if (batch.length === DELETED_AT_ONCE) {
          await deleteNames(batch);
          batch = [];
        }
      }
      if (batch.length > 0) await deleteNames(batch);
    }),

    check: () => asking('of the check', async () => {
      const probe = { ...at, Key: `${root}.sheaf-check/${randomUUID()}` };
      const content = Buffer.from('Sheaf looks whether it can write here.');
      await client.send(new PutObjectCommand({ ...probe, ...making, Body: content }));
      const { Body } = await client.send(new GetObjectCommand(probe));
      const read = await Body?.transformToByteArray();
      await client.send(new ListObjectsV2Command({ ...at, Prefix: probe.Key, MaxKeys: 1 }));
      await client.send(new DeleteObjectCommand(probe));
      if (read === undefined || !content.equals(read)) throw damaged('of the check');
    }),

    parts: s3Parts(bucket),
  };
}
