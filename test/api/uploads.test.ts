import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { UploadAnswer } from '../../src/contracts/sheet-api.ts';
import { startApi } from './api.ts';
import type { Api } from './api.ts';

const MAX = 1_000_000;

let api: Api;
beforeAll(async () => { api = await startApi(({ config }) => ({ config: { ...config, SHEAF_MAX_UPLOAD_BYTES: MAX } })); });
afterAll(() => api.close());

const stored = async (tenant = 'default'): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of api.blobs.list(`${tenant}/uploads/`)) keys.push(key);
  return keys;
};

const contentOf = async ({ id }: UploadAnswer, tenant = 'default'): Promise<Buffer> => {
  const { content } = JSON.parse((await api.blobs.get(blobKeys.uploadMeta(tenant, id))).toString()) as { content: string };
  return api.blobs.get(blobKeys.upload(tenant, id, content));
};

const post = (raw: RequestInit['body'], headers: Record<string, string> = {}, query = '') =>
  api.call<UploadAnswer>('POST', `/uploads${query}`, { raw, headers });

const form = (...files: [name: string, content: string][]): FormData => {
  const data = new FormData();
  data.append('note', 'not a file');
  for (const [name, content] of files) data.append('file', new Blob([content]), name);
  return data;
};

describe('an upload', () => {
  it('is stored as it was sent, and described', async () => {
    const content = randomBytes(300_000);
    const { status, headers, body } = await post(content, { 'x-sheaf-owner': 'ada' }, '?name=orders.csv');
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/api/v1/uploads/${body.id}`);
    expect(body).toMatchObject({ name: 'orders.csv', size: 300_000, owner: 'ada', sha256: createHash('sha256').update(content).digest('hex') });
    expect(await contentOf(body)).toEqual(content);
    expect((await api.call('GET', `/uploads/${body.id}`)).body).toEqual(body);
  });

  it('may come in a form, among other fields', async () => {
    const { body } = await post(form(['שמות.csv', 'a\n1\n']));
    expect(body).toMatchObject({ name: 'שמות.csv', size: 4 });
    expect((await contentOf(body)).toString()).toBe('a\n1\n');
  });

  it('may come as curl sends it', async () => {
    expect((await post('a=1', { 'content-type': 'application/x-www-form-urlencoded' })).body).toMatchObject({ name: 'upload', size: 3 });
  });

  it.each([
    ['attachment; filename="a;b \\"c\\".csv"', 'a;b "c".csv'],
    ["attachment; filename=old.csv; filename*=UTF-8''%D7%A9%D7%9D.csv", 'שם.csv'],
    ['attachment; filename="../../etc/passwd"', 'passwd'],
    ['attachment; filename="C:\\\\Users\\\\ada\\\\orders.xlsx"', 'orders.xlsx'],
    ['attachment', 'upload'],
    ["attachment; filename*=UTF-8''%ZZ.csv", 'upload'],
  ])('takes its name from %s', async (disposition, name) => {
    expect((await post('a', { 'content-disposition': disposition })).body.name).toBe(name);
  });

  it('may be empty, which its job will then say', async () => {
    expect((await post('')).body.size).toBe(0);
  });

  it('is gone once deleted', async () => {
    const { body } = await post('a\n1\n');
    expect((await api.call('DELETE', `/uploads/${body.id}`)).status).toBe(204);
    expect(await api.refused('GET', `/uploads/${body.id}`)).toMatchObject({ status: 404, code: 'upload_not_found' });
    expect(await stored()).not.toContainEqual(expect.stringContaining(body.id));
  });
});

describe('an Idempotency-Key', () => {
  it('gives the same upload again, but never for another file or another tenant', async () => {
    const headers = { 'idempotency-key': 'u-1' };
    const first = await post('a\n1\n', headers, '?name=a.csv');
    const again = await post('a\n1\n', headers, '?name=a.csv');
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual(first.body);
    expect(await api.refused('POST', '/uploads', { raw: 'a\n2\n', headers })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    expect(await api.refused('POST', '/uploads', { raw: form(['a.csv', 'other']), headers })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    expect((await api.call('GET', `/uploads/${first.body.id}`)).body, 'still there').toEqual(first.body);
    expect((await post('a\n1\n', { ...headers, 'x-sheaf-tenant': 'acme' })).status).toBe(201);
  });
});

describe('requests with one Idempotency-Key at once', () => {
  it('make one upload, whose description is that of its content, and leave nothing else', async () => {
    const headers = { 'idempotency-key': 'u-2', 'x-sheaf-tenant': 'racing' };
    const files = Array.from({ length: 8 }, (_, n) => `a\n${n % 2}\n`);
    const answers = await Promise.all(files.map(async (body) => {
      const response = await fetch(`${api.url}/api/v1/uploads`, { method: 'POST', body, headers });
      return { status: response.status, body: (await response.json()) as UploadAnswer };
    }));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    const made = answers.find(({ status }) => status === 201)!.body;
    const content = await contentOf(made, 'racing');
    expect(createHash('sha256').update(content).digest('hex')).toBe(made.sha256);
    for (const [n, { status }] of answers.entries()) expect(files[n] === content.toString() ? [200, 201] : [409]).toContain(status);
    expect(await stored('racing')).toHaveLength(2);
  });
});

describe('an upload that fails leaves nothing, and says why', () => {
  it.each([
    ['too large, as its length says', () => ({ raw: randomBytes(MAX + 1) }), 413, 'body_too_large'],
    ['too large, which shows on the way', () => ({ raw: Readable.toWeb(Readable.from([randomBytes(MAX), randomBytes(MAX)])) as ReadableStream }), 413, 'body_too_large'],
    ['too large, in a form', () => ({ raw: form(['big.csv', 'x'.repeat(MAX + 1)]) }), 413, 'body_too_large'],
    ['a form with two files', () => ({ raw: form(['a.csv', 'a'], ['b.csv', 'b']) }), 400, 'invalid_request'],
    ['a form without a file', () => ({ raw: form() }), 400, 'invalid_request'],
    ['half a form', () => ({ raw: '--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\nabc', headers: { 'content-type': 'multipart/form-data; boundary=x' } }), 400, 'invalid_request'],
    ['a form without a boundary', () => ({ raw: 'abc', headers: { 'content-type': 'multipart/form-data' } }), 400, 'invalid_request'],
  ] as const)('%s', async (_what, asked, status, code) => {
    const before = await stored();
    expect(await api.refused('POST', '/uploads', asked())).toMatchObject({ status, code });
    expect(await stored()).toEqual(before);
  });

  it.each([
    ['as the body', 'application/octet-stream', 'half of it'],
    ['in a form', 'multipart/form-data; boundary=x', '--x\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\nhalf of it'],
  ])('a client that goes away, %s', async (_what, type, half) => {
    const before = await stored();
    const lines = api.logged.length;
    const client = request(`${api.url}/api/v1/uploads`, { method: 'POST', headers: { 'content-type': type, 'content-length': 100_000, expect: '100-continue' } });
    client.on('error', () => undefined);
    client.flushHeaders();
    await once(client, 'continue'); // the server is at it
    await new Promise((resolve) => client.write(half, resolve));
    client.destroy();
    await expect.poll(() => api.logged.length).toBeGreaterThan(lines);
    await expect.poll(() => stored()).toEqual(before);
    const logged = api.logged.slice(lines).join('');
    expect(logged).toContain('"brokenOff":true');
    expect(logged).not.toContain('"level":50'); // nobody's fault
  });
});
