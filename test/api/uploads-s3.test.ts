/** Uploads through the API into a real S3 server. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import { openS3Blobs } from '../../src/blobs/s3.ts';
import type { UploadAnswer } from '../../src/contracts/sheet-api.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3 } from '../servers/s3.ts';
import { startApi, type Api } from './api.ts';

const server = await orMissing('uploads into S3', startS3());

const MAX = 40_000_000;
const content = randomBytes(20_000_000);

describe.skipIf(server === null)('an upload into S3', () => {
  let api: Api;
  beforeAll(async () => {
    const { endpoint, region, bucket } = server!;
    const blobs = await openS3Blobs({ endpoint, region, bucket, prefix: randomUUID() });
    api = await startApi(({ config }) => ({ blobs, config: { ...config, SHEAF_MAX_UPLOAD_BYTES: MAX } }));
  });
  afterAll(async () => {
    await api?.close();
    await server?.stop();
  });

  const left = async (tenant: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of api.blobs.list(`${tenant}/`)) found.push(key);
    for await (const { key } of api.blobs.parts.begunBefore(new Date(Date.now() + 3_600_000))) found.push(key);
    return found;
  };

  it('larger than a part is stored as it was sent, and described', async () => {
    const { status, body } = await api.call<UploadAnswer>('POST', '/uploads?name=orders.csv', { raw: content });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: 'orders.csv', size: content.length, sha256: createHash('sha256').update(content).digest('hex') });
    const meta = JSON.parse((await api.blobs.get(blobKeys.uploadMeta('default', body.id))).toString()) as { content: string };
    expect((await api.blobs.get(blobKeys.upload('default', body.id, meta.content))).equals(content)).toBe(true);
    expect(await left('default')).toHaveLength(2);
    expect((await api.call('DELETE', `/uploads/${body.id}`)).status).toBe(204);
    expect(await left('default')).toEqual([]);
  });

  it('that is too large, or breaks off in the middle, leaves neither objects nor parts', async () => {
    const headers = { 'x-sheaf-tenant': 'acme' };
    const tooLarge = Readable.from([content, content, content]);
    expect(await api.refused('POST', '/uploads', { raw: tooLarge as unknown as ReadableStream, headers })).toMatchObject({ code: 'body_too_large' });
    expect(await left('acme')).toEqual([]);

    const sending = request(`${api.url}/api/v1/uploads`, { method: 'POST', headers });
    sending.on('error', () => {});
    if (!sending.write(content)) await once(sending, 'drain');
    await expect.poll(() => left('acme'), { timeout: 30_000 }).not.toEqual([]); // its parts are arriving
    sending.destroy();
    await expect.poll(() => left('acme'), { timeout: 30_000 }).toEqual([]);
  });
});
