/** Uploads of documents over two APIs on one SQLite store and one folder of blobs. */
import { afterAll, beforeAll, describe } from 'vitest';
import { startApi, type Api } from './api.ts';
import { CHUNK, documentProtocol } from './document-protocol.ts';

let api: Api;
let other: Api;
beforeAll(async () => {
  api = await startApi(({ config }) => ({ config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK } }));
  other = await startApi(({ config }) => ({ store: api.store, blobs: api.blobs, config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK } }));
});
afterAll(async () => {
  await other.close();
  await api.close();
});

describe('an upload of a document, into a folder', () => {
  documentProtocol(() => ({ api, other }));
});
