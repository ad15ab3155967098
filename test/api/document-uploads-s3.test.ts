/** Uploads of documents over two APIs on one SQLite store and one real S3 server. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { openS3Blobs } from '../../src/blobs/s3.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3 } from '../servers/s3.ts';
import { startApi, type Api } from './api.ts';
import { CHUNK, documentProtocol } from './document-protocol.ts';

const server = await orMissing('uploads into S3', startS3());

describe.skipIf(server === null)('an upload of a document, into S3', () => {
  let api: Api;
  let other: Api;
  beforeAll(async () => {
    const { endpoint, region, bucket } = server!;
    const place = { endpoint, region, bucket, prefix: randomUUID() };
    const [blobs, otherBlobs] = await Promise.all([openS3Blobs(place), openS3Blobs(place)]);
    api = await startApi(({ config }) => ({ blobs, config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK } }));
    other = await startApi(({ config }) => ({ store: api.store, blobs: otherBlobs, config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK } }));
  });
  afterAll(async () => {
    await other?.close();
    await api?.close();
    await server?.stop();
  });

  documentProtocol(() => ({ api, other }));
});
