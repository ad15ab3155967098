/** The S3 store on bad days: a proxy that breaks requests, a server that is killed, refusals that a person must mend. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openS3Blobs, type S3BlobsOptions } from '../../src/blobs/s3.ts';
import { makeCertificate } from '../servers/certificate.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3, type S3Server } from '../servers/s3.ts';
import { startFaultProxy, type Fault, type FaultProxy, type Plan } from '../servers/s3/fault-proxy.ts';

const server = await orMissing('the S3 store on bad days', startS3());

const MIB = 2 ** 20;
/** 20 MiB that differ everywhere. */
const large = Buffer.concat(Array.from({ length: 20 }, (_, n) => Buffer.alloc(MIB, n + 1)));
const streamed = (): Readable => Readable.from(Array.from({ length: 20 }, (_, n) => large.subarray(n * MIB, (n + 1) * MIB)));

describe.skipIf(server === null)('blobs on S3', () => {
  const { endpoint, region, bucket } = server ?? ({} as S3Server);
  let proxy: FaultProxy;
  let options: S3BlobsOptions;
  let blobs: Blobs;
  let direct: Blobs;

  beforeAll(async () => { proxy = await startFaultProxy(endpoint); });
  beforeEach(async () => {
    options = { endpoint: proxy.endpoint, region, bucket, prefix: randomUUID() };
    [blobs, direct] = await Promise.all([openS3Blobs(options), openS3Blobs({ ...options, endpoint })]);
  });
  afterEach(() => { proxy.plan = () => null; });
  afterAll(async () => {
    await proxy?.close();
    await server?.stop();
  });

  const keysUnder = async (store: Blobs, prefix: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of store.list(prefix)) keys.push(key);
    return keys;
  };
  const uploadsLeft = async (): Promise<number> => {
    let left = 0;
    for await (const _ of direct.parts.begunBefore(new Date(Date.now() + 3_600_000))) left++;
    return left;
  };
  /** The first request to each address meets the fault. */
  const once = (fault: Fault, of: Plan = () => fault): Plan => {
    const met = new Set<string>();
    return (request) => {
      const name = `${request.method} ${request.url.pathname} ${request.url.searchParams.get('partNumber') ?? ''} ${request.url.searchParams.has('uploadId')}`;
      if (met.has(name)) return null;
      const found = of(request);
      if (found !== null) met.add(name);
      return found;
    };
  };

  it.each<[string, Fault]>([['503', { answer: 503 }], ['429', { answer: 429 }], ['500', { answer: 500 }], ['a cut connection', 'cut'], ['an answer that is lost after the work was done', 'lose answer']])(
    'goes on by itself after %s, whatever was asked', async (_name, fault) => {
      proxy.plan = once(fault);
      expect(await blobs.put('acme/small', Buffer.from('small'))).toEqual({ size: 5 });
      expect(await blobs.put('acme/large', streamed())).toEqual({ size: large.length });
      expect(String(await blobs.get('acme/small'))).toBe('small');
      expect((await blobs.get('acme/large')).equals(large)).toBe(true);
      expect(await blobs.head('acme/large')).toEqual({ key: 'acme/large', size: large.length });
      expect(await keysUnder(blobs, 'acme/')).toEqual(['acme/large', 'acme/small']);
      await blobs.delete('acme/small');
      const upload = await blobs.parts.begin('acme/parts');
      const part = await blobs.parts.put('acme/parts', upload, { number: 1, size: 5 }, Buffer.from('parts'));
      await blobs.parts.complete('acme/parts', upload, [part]);
      expect(String(await direct.get('acme/parts'))).toBe('parts');
      await blobs.deleteUnder('acme/');
      expect(await keysUnder(direct, '')).toEqual([]);
    },
  );

  it('takes a read up again where its connection broke, again and again', async () => {
    await direct.put('acme/large', large);
    let asked = 0;
    proxy.plan = ({ method }) => (method === 'GET' && asked++ < 6 ? { cutAnswerAfter: 3 * MIB + asked } : null);
    expect((await buffer(await blobs.stream('acme/large'))).equals(large)).toBe(true);
    expect(asked).toBeGreaterThan(6);
    asked = 0;
    expect((await buffer(await blobs.stream('acme/large', { start: 1_000, end: 15 * MIB }))).equals(large.subarray(1_000, 15 * MIB))).toBe(true);
    asked = 0;
    expect((await buffer(await blobs.stream('acme/large', { start: 17 * MIB }))).equals(large.subarray(17 * MIB))).toBe(true);
  });

  it('does not join the halves of two objects when one was replaced while it was read', async () => {
    await direct.put('acme/large', large);
    let asked = 0;
    proxy.plan = ({ method }) => (method === 'GET' && asked++ === 0 ? { cutAnswerAfter: MIB } : null);
    const stream = await blobs.stream('acme/large');
    await direct.put('acme/large', Buffer.alloc(large.length, 99));
    await expect(buffer(stream)).rejects.toMatchObject({ code: 'conflict' });
  });

  it('gives up a read that breaks before every byte, and says why', async () => {
    await direct.put('acme/large', large);
    let asked = 0;
    proxy.plan = ({ method }) => (method === 'GET' && asked++ > 0 ? 'cut' : { cutAnswerAfter: MIB });
    await expect(buffer(await blobs.stream('acme/large'))).rejects.toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('S3_ENDPOINT') });
  });

  it('refuses bytes that were changed on the way, up and down', async () => {
    await direct.put('acme/large', large);
    proxy.plan = () => 'damage answer';
    await expect(blobs.get('acme/large')).rejects.toMatchObject({ code: 'checksum_mismatch' });
    proxy.plan = ({ method, url }) => (method === 'PUT' && ['1', null].includes(url.searchParams.get('partNumber')) ? 'damage request' : null);
    await expect(blobs.put('acme/small', large.subarray(0, 5_000))).rejects.toMatchObject({ code: 'checksum_mismatch' });
    await expect(blobs.put('acme/new', streamed())).rejects.toMatchObject({ code: 'checksum_mismatch' });
    const upload = await blobs.parts.begin('acme/parts');
    await expect(blobs.parts.put('acme/parts', upload, { number: 1, size: large.length }, streamed())).rejects.toMatchObject({ code: 'checksum_mismatch' });
    await blobs.parts.abort('acme/parts', upload);
    expect(await keysUnder(direct, '')).toEqual(['acme/large']);
    expect(await uploadsLeft()).toBe(0);
  });

  it('leaves no parts of a write that the server refuses in the middle', async () => {
    proxy.plan = ({ url }) => (url.searchParams.get('partNumber') === '2' ? { answer: 403 } : null);
    await expect(blobs.put('acme/large', streamed())).rejects.toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('s3:PutObject') });
    expect(await keysUnder(direct, '')).toEqual([]);
    expect(await uploadsLeft()).toBe(0);
  });

  it('asks for the encryption that is configured, and for the whole object to have a checksum', async () => {
    const asked: { method: string; sse: unknown; key: unknown; checksum: unknown; part: boolean }[] = [];
    proxy.plan = ({ method, url, headers }) => {
      asked.push({
        method, part: url.searchParams.has('partNumber'), sse: headers['x-amz-server-side-encryption'],
        key: headers['x-amz-server-side-encryption-aws-kms-key-id'], checksum: headers['x-amz-checksum-type'] ?? headers['x-amz-checksum-crc32'],
      });
      return { answer: 403 };
    };
    const encrypted = await openS3Blobs({ ...options, sse: 'aws:kms', sseKmsKeyId: 'key-1' });
    await expect(encrypted.put('acme/small', Buffer.from('x'))).rejects.toMatchObject({ code: 'blobs_unavailable' });
    await expect(encrypted.put('acme/large', streamed())).rejects.toMatchObject({ code: 'blobs_unavailable' });
    await expect(encrypted.parts.begin('acme/parts')).rejects.toMatchObject({ code: 'blobs_unavailable' });
    expect(new Set(asked.map(({ method }) => method))).toEqual(new Set(['PUT', 'POST']));
    for (const request of asked) expect(request).toMatchObject({ sse: 'aws:kms', key: 'key-1', checksum: expect.any(String) });
  });

  it('says what a person can do: bucket, credentials, address, certificate file', async () => {
    await expect((await openS3Blobs({ ...options, bucket: 'sheaf-there-is-none' })).check()).rejects.toMatchObject({ code: 'blobs_unavailable', message: expect.stringContaining('NoSuchBucket'), remedy: expect.stringContaining('S3_BUCKET') });
    await expect((await openS3Blobs({ ...options, endpoint: 'http://127.0.0.1:1' })).check()).rejects.toMatchObject({ code: 'blobs_unavailable', message: expect.stringContaining('ECONNREFUSED'), remedy: expect.stringContaining('S3_ENDPOINT') });
    await expect(openS3Blobs({ ...options, caFile: '/there/is/none.pem' })).rejects.toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('S3_CA_FILE') });
    proxy.plan = () => ({ answer: 403 });
    for (const ask of [() => blobs.head('acme/a'), () => blobs.get('acme/a'), () => keysUnder(blobs, 'acme/'), () => blobs.check()]) {
      await expect(ask()).rejects.toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('s3:GetObject') });
    }
    const secret = process.env['AWS_SECRET_ACCESS_KEY']!;
    process.env['AWS_SECRET_ACCESS_KEY'] = 'another';
    try {
      const refusal = await (await openS3Blobs({ ...options, endpoint })).check().catch((error: unknown) => error);
      expect(refusal).toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('AWS_SECRET_ACCESS_KEY') });
      expect(JSON.stringify(refusal)).not.toContain('another');
    } finally {
      process.env['AWS_SECRET_ACCESS_KEY'] = secret;
    }
  });

  const certificate = makeCertificate('trust in a certificate file of S3');
  it.skipIf(certificate === null)('trusts the authority in the certificate file, and says how to name it when it is not trusted', async () => {
    const secure = await startFaultProxy(endpoint, certificate!);
    const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-authority-'));
    try {
      const caFile = path.join(folder, 'authority.pem');
      await writeFile(caFile, certificate!.cert);
      await expect((await openS3Blobs({ ...options, endpoint: secure.endpoint })).check()).rejects.toMatchObject({ code: 'blobs_unavailable', remedy: expect.stringContaining('S3_CA_FILE') });
      const trusting = await openS3Blobs({ ...options, endpoint: secure.endpoint, caFile });
      await trusting.check();
      await trusting.put('acme/large', streamed());
      const upload = await trusting.parts.begin('acme/parts');
      const part = await trusting.parts.put('acme/parts', upload, { number: 1, size: large.length }, streamed());
      await trusting.parts.complete('acme/parts', upload, [part]);
      for (const key of ['acme/large', 'acme/parts']) expect((await trusting.get(key)).equals(large)).toBe(true);
    } finally {
      await secure.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it.skipIf(server?.kill === null)('loses nothing that it acknowledged, and shows nothing half, when the server is killed in the middle of writes', async () => {
    const size = 200_000;
    const acknowledged: number[] = [];
    let next = 0;
    let look = (): void => {};
    const acknowledges = (count: number): Promise<void> => new Promise((resolve) => {
      look = () => { if (acknowledged.length >= count) resolve(); };
      look();
    });
    const writer = async (): Promise<void> => {
      while (next < 300) {
        const n = next++;
        // A write that is refused is asked again, as activities do.
        for (let done = false; !done; ) done = await direct.put(`acme/${n}`, Readable.from([Buffer.alloc(size, n % 256)])).then(() => true, () => false);
        acknowledged.push(n);
        look();
      }
    };
    const writers = Promise.all(Array.from({ length: 8 }, writer));
    for (const count of [60, 160]) {
      await acknowledges(count);
      await server!.kill!();
      const before = [...acknowledged];
      await server!.restart();
      for (const n of before) expect(await direct.head(`acme/${n}`)).toEqual({ key: `acme/${n}`, size });
    }
    await writers;
    const found = await keysUnder(direct, 'acme/');
    expect(found).toHaveLength(300);
    for (const key of found) expect((await direct.get(key)).equals(Buffer.alloc(size, Number(key.split('/')[1]) % 256))).toBe(true);
  });
});
