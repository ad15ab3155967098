/** What the upload of documents does on every blob store. */
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { once } from 'node:events';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ActiveUploadAnswer, UploadStatusAnswer } from '../../src/contracts/document-api.ts';
import { API_PREFIX } from '../../src/contracts/api.ts';
import type { Api } from './api.ts';
import { blobsOf, complete, fileForm, initiate, partForm, partOf, sendPart, sha256, simple, textOf } from './documents.ts';

/** Bytes of a part, as the API under test is configured. */
export const CHUNK = 5 * 2 ** 20;

/** `apis`: two processes' worth of API over one store and one blob store. */
export function documentProtocol(apis: () => { api: Api; other: Api }): void {
  let tenants = 0;
  /** One that nobody has used. */
  const fresh = (): { tenant: string; headers: Record<string, string> } => {
    const tenant = `t${++tenants}`;
    return { tenant, headers: { 'x-sheaf-tenant': tenant } };
  };
  const statusOf = async (api: Api, id: string, headers: Record<string, string>): Promise<UploadStatusAnswer> =>
    (await api.call<UploadStatusAnswer>('GET', `/documents/upload/status/${id}`, { headers })).body;
  const contentOf = async (api: Api, tenant: string, id: string): Promise<Buffer> => {
    const document = await api.store.getDocument(tenant, id);
    return api.blobs.get(document?.blobs.original ?? '');
  };

  it('takes parts in any order, at once, over several processes, and makes exactly the file of them', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(3 * CHUNK + 1_234);
    const begun = await initiate(api, content.length, { sha256: sha256(content), tags: ['a', 'b'], priority: 'HIGH', document_type: 'txt' }, headers);
    expect(begun).toMatchObject({ chunk_size: CHUNK, total_parts: 4 });
    expect(await api.store.getJob(tenant, begun.job_id), 'the job is only reserved').toBeNull();
    await sendPart(other, begun, 4, partOf(begun, content, 4), headers);
    expect(await statusOf(api, begun.upload_id, headers)).toMatchObject({
      state: 'open', received_parts: [4], missing_parts: [1, 2, 3], bytes_received: 1_234, file_size: content.length, percent: 0, priority: 'high', document_type: 'txt',
    });
    await Promise.all([3, 1, 2].map((number) => sendPart(number === 1 ? api : other, begun, number, partOf(begun, content, number), headers)));
    expect(await statusOf(other, begun.upload_id, headers)).toMatchObject({ missing_parts: [], parts_received: 4, bytes_received: content.length, percent: 100 });
    const { status, body, headers: answered } = await complete(api, begun, headers);
    expect([status, body]).toEqual([201, { success: true, document_id: begun.document_id, job_id: begun.job_id, status: 'processing', message: 'Document uploaded and queued for processing' }]);
    expect(answered.get('location')).toBe(`/api/v1/documents/${begun.document_id}`);
    expect((await contentOf(other, tenant, body.document_id)).equals(content)).toBe(true);
    expect(await api.store.getDocument(tenant, body.document_id)).toMatchObject({ sha256: sha256(content), size: content.length, fileName: 'book.txt', tags: ['a', 'b'], declaredType: 'txt' });
    expect(await api.store.getJob(tenant, body.job_id)).toMatchObject({ kind: 'document', priority: 'high' });
    expect(await blobsOf(api, tenant), 'no part is left').toHaveLength(1);
    expect(await statusOf(api, begun.upload_id, headers)).toMatchObject({ state: 'completed', document_id: body.document_id });
  });

  it('takes a part again, once; refuses another content of it, and a wrong hash, which costs nothing else', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(CHUNK + 10);
    const begun = await initiate(api, content.length, {}, headers);
    const first = partOf(begun, content, 1);
    const refused = (form: FormData) => other.refused('POST', '/documents/upload/chunk', { raw: form, headers });
    expect(await refused(partForm(begun, 1, first, { chunk_hash: '0'.repeat(32) }))).toMatchObject({ status: 422, code: 'checksum_mismatch' });
    expect((await statusOf(api, begun.upload_id, headers)).received_parts).toEqual([]);
    expect(await sendPart(api, begun, 1, first, headers)).toMatchObject({ accepted: true, repeated: false, parts_received: 1, bytes_received: CHUNK });
    expect(await sendPart(other, begun, 1, first, headers)).toMatchObject({ accepted: true, repeated: true, parts_received: 1, bytes_received: CHUNK });
    expect(await refused(partForm(begun, 1, randomBytes(CHUNK)))).toMatchObject({ status: 409, code: 'part_conflict' });
    expect(await refused(partForm(begun, 2, partOf(begun, content, 2), { chunk_hash: 'f'.repeat(32) }))).toMatchObject({ code: 'checksum_mismatch' });
    await sendPart(api, begun, 2, partOf(begun, content, 2), headers);
    const { body } = await complete(api, begun, headers);
    expect((await contentOf(api, tenant, body.document_id)).equals(content)).toBe(true);
  });

  it('lists missing parts on completion, and goes on from there', async () => {
    const { api } = apis();
    const { headers } = fresh();
    const content = textOf(4 * CHUNK);
    const begun = await initiate(api, content.length, {}, headers);
    await sendPart(api, begun, 3, partOf(begun, content, 3), headers);
    const problem = await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers });
    expect(problem).toMatchObject({ status: 409, code: 'parts_mismatch', missing_parts: [1, 2, 4] });
    expect(problem.detail).toContain('1–2, 4');
    for (const number of [1, 2, 4]) await sendPart(api, begun, number, partOf(begun, content, number), headers);
    expect((await complete(api, begun, headers)).status).toBe(201);
  });

  it('refuses a file that has another hash than was announced, and keeps nothing of it', async () => {
    const { api } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(100);
    const begun = await initiate(api, content.length, { sha256: sha256(Buffer.from('another')) }, headers);
    await sendPart(api, begun, 1, content, headers);
    expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ status: 422, code: 'checksum_mismatch' });
    expect(await blobsOf(api, tenant)).toEqual([]);
    expect(await statusOf(api, begun.upload_id, headers)).toMatchObject({ state: 'failed', error: { code: 'checksum_mismatch' } });
    expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ status: 409, code: 'wrong_state' });
    expect(await api.refused('POST', `/documents/upload/simple?sha256=${'0'.repeat(64)}`, { raw: 'text', headers })).toMatchObject({ status: 422, code: 'checksum_mismatch' });
    expect(await blobsOf(api, tenant)).toEqual([]);
    expect((await api.call<{ items: unknown[] }>('GET', '/documents', { headers })).body.items).toEqual([]);
  });

  it('answers a repeated completion, also at the same time and from several processes, with the one document', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(2 * CHUNK);
    const begun = await initiate(api, content.length, {}, headers);
    for (const number of [1, 2]) await sendPart(api, begun, number, partOf(begun, content, number), headers);
    const answers = await Promise.all([api, other, api, other].map((one) => complete(one, begun, headers)));
    for (const { body } of [...answers, await complete(api, begun, headers)]) expect(body).toMatchObject({ success: true, document_id: begun.document_id, job_id: begun.job_id });
    expect((await api.store.listDocuments(tenant, {}, { limit: 10 })).items).toHaveLength(1);
    expect(await blobsOf(api, tenant)).toHaveLength(1);
    // The same of a duplicate, whose bytes go while others complete it.
    const second = await initiate(other, content.length, { filename: 'again.txt' }, headers);
    for (const number of [1, 2]) await sendPart(other, second, number, partOf(second, content, number), headers);
    for (const { body } of await Promise.all([api, other, api, other].map((one) => complete(one, second, headers)))) expect(body.duplicateOf).toBe(begun.document_id);
    expect(await blobsOf(api, tenant)).toHaveLength(1);
  });

  it('answers the first document where the tenant has these bytes already, however they came, unless forced', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(CHUNK + 99);
    const { body: first } = await simple(api, content, '?filename=first.txt', headers);
    const again = async (more: object = {}) => {
      const begun = await initiate(other, content.length, { filename: 'second.txt', ...more }, headers);
      for (const number of [1, 2]) await sendPart(other, begun, number, partOf(begun, content, number), headers);
      return { begun, answer: await complete(other, begun, headers) };
    };
    const { begun, answer } = await again();
    expect([answer.status, answer.body]).toMatchObject([200, { document_id: first.document_id, duplicateOf: first.document_id, status: 'processing' }]);
    expect(await api.store.getDocument(tenant, begun.document_id)).toBeNull();
    expect(await blobsOf(api, tenant)).toHaveLength(1);
    expect((await complete(api, begun, headers)).body.duplicateOf, 'again').toBe(first.document_id);
    expect((await simple(other, content, '', headers)).body.duplicateOf).toBe(first.document_id);

    const forced = await again({ force: true });
    expect(forced.answer.status).toBe(201);
    expect(forced.answer.body).not.toHaveProperty('duplicateOf');
    expect((await simple(api, content, '?force=true', headers)).status).toBe(201);
    expect((await simple(api, content, '', { 'x-sheaf-tenant': 'somebody-else' })).status, 'of another tenant').toBe(201);
    expect((await simple(api, content, '', headers)).body.duplicateOf, 'the first').toBe(first.document_id);
    expect(await blobsOf(api, tenant)).toHaveLength(3);
  });

  it('makes one document of the same bytes that come many times at once', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(50_000);
    const answers = await Promise.all(Array.from({ length: 8 }, (_, n) => simple(n % 2 ? api : other, content, '', headers)));
    expect(new Set(answers.map(({ body }) => body.document_id)).size).toBe(1);
    expect(answers.filter(({ body }) => body.duplicateOf === undefined)).toHaveLength(1);
    expect(await blobsOf(api, tenant)).toHaveLength(1);
  });

  it('forgets a cancelled upload with its parts, also while parts are on their way', async () => {
    const { api, other } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(3 * CHUNK);
    const begun = await initiate(api, content.length, { processing_options: { password: 'secret' } }, headers);
    const sending = [1, 2, 3].map((number) => fetch(`${other.url}${API_PREFIX}/documents/upload/chunk`, { method: 'POST', body: partForm(begun, number, partOf(begun, content, number)), headers }));
    expect((await api.call('DELETE', `/documents/upload/cancel/${begun.upload_id}`, { headers })).body).toEqual({ success: true, upload_id: begun.upload_id, status: 'cancelled' });
    for (const { status } of await Promise.all(sending)) expect([200, 404, 409]).toContain(status);
    expect(await blobsOf(api, tenant)).toEqual([]);
    expect(await api.refused('GET', `/documents/upload/status/${begun.upload_id}`, { headers })).toMatchObject({ status: 404, code: 'upload_not_found' });
    expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ status: 404, code: 'upload_not_found' });
    expect(await api.refused('DELETE', `/documents/upload/cancel/${begun.upload_id}`, { headers })).toMatchObject({ status: 404, code: 'upload_not_found' });
  });

  it('lists the active uploads of the caller alone', async () => {
    const { api } = apis();
    const { headers } = fresh();
    const ann = { ...headers, 'x-sheaf-owner': 'ann' };
    const mine = await initiate(api, 10, { filename: 'mine.txt' }, ann);
    const done = await initiate(api, 10, {}, ann);
    await sendPart(api, done, 1, textOf(10), ann);
    await complete(api, done, ann);
    await initiate(api, 10, {}, { ...headers, 'x-sheaf-owner': 'bob' });
    await simple(api, textOf(10), '', ann);
    const { items } = (await api.call<{ items: ActiveUploadAnswer[] }>('GET', '/documents/upload/active', { headers: ann })).body;
    expect(items.map(({ upload_id, filename }) => [upload_id, filename])).toEqual([[mine.upload_id, 'mine.txt']]);
  });

  it('heals where two contents of a part met: what is not what was written down is asked for again', async () => {
    const { api } = apis();
    const { tenant, headers } = fresh();
    const content = textOf(CHUNK + 5);
    const begun = await initiate(api, content.length, {}, headers);
    for (const number of [1, 2]) await sendPart(api, begun, number, partOf(begun, content, number), headers);
    const upload = (await api.store.getUpload(tenant, begun.upload_id))!;
    await api.blobs.parts.put(upload.blob, upload.blobUpload!, { number: 1, size: CHUNK }, randomBytes(CHUNK));
    expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ status: 409, code: 'parts_mismatch', missing_parts: [1] });
    await sendPart(api, begun, 1, partOf(begun, content, 1), headers);
    const { body } = await complete(api, begun, headers);
    expect((await contentOf(api, tenant, body.document_id)).equals(content)).toBe(true);
  });

  it('keeps nothing of a part, or of a file, that breaks off', async () => {
    const { api } = apis();
    const { tenant, headers } = fresh();
    const begun = await initiate(api, 2 * CHUNK, {}, headers);
    const boundary = 'x';
    const field = (name: string, value: string): string => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    for (const [address, type, head] of [
      ['chunk', `multipart/form-data; boundary=${boundary}`, `${field('upload_id', begun.upload_id)}${field('part_number', '1')}${field('chunk_hash', '0'.repeat(32))}--x\r\nContent-Disposition: form-data; name="chunk_file"; filename="a"\r\n\r\n`],
      ['simple', 'application/octet-stream', ''],
    ] as const) {
      const sending = request(`${api.url}${API_PREFIX}/documents/upload/${address}`, { method: 'POST', headers: { ...headers, 'content-type': type, 'content-length': 50_000_000 } });
      sending.on('error', () => {});
      sending.write(head);
      if (!sending.write('plain text '.repeat(100_000))) await once(sending, 'drain');
      sending.destroy();
    }
    await expect.poll(async () => (await blobsOf(api, tenant)).filter((key) => !key.startsWith('parts of')), { timeout: 30_000 }).toEqual([]);
    expect((await statusOf(api, begun.upload_id, headers)).received_parts).toEqual([]);
    await expect.poll(() => api.store.expiredUploads('9999', { limit: 100 }).then(({ items }) => items.filter((upload) => upload.tenant === tenant).map(({ id }) => id)), { timeout: 30_000 }).toEqual([begun.upload_id]);
  });

  it('takes an empty file, whole and in parts', async () => {
    const { api } = apis();
    const { headers } = fresh();
    const begun = await initiate(api, 0, {}, headers);
    expect(begun.total_parts).toBe(1);
    await sendPart(api, begun, 1, Buffer.alloc(0), headers);
    expect(await statusOf(api, begun.upload_id, headers)).toMatchObject({ percent: 100 });
    expect((await complete(api, begun, headers)).status).toBe(201);
    expect((await simple(api, '', '', headers)).body.duplicateOf).toBe(begun.document_id);
  });

  it('makes the file of its parts whatever is sent in whatever order, how often and by whom', async () => {
    const { api, other } = apis();
    const step = fc.record({ number: fc.integer({ min: 1, max: 3 }), kind: fc.constantFrom('right', 'wrong hash', 'other content', 'short'), other: fc.boolean() });
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      const { tenant, headers } = fresh();
      const content = textOf(2 * CHUNK + 17);
      const begun = await initiate(api, content.length, { sha256: sha256(content) }, headers);
      // What other content took the place of is lost to this file: only parts that are not contested must come through.
      const arrived = new Map<number, string>();
      for (const { number, kind, other: elsewhere } of steps) {
        const right = partOf(begun, content, number);
        const bytes = kind === 'other content' ? Buffer.from(right).fill('z', 0, 10) : kind === 'short' ? right.subarray(1) : right;
        const { status } = await fetch(`${(elsewhere ? other : api).url}${API_PREFIX}/documents/upload/chunk`, {
          method: 'POST', headers, body: partForm(begun, number, bytes, kind === 'wrong hash' ? { chunk_hash: '0'.repeat(32) } : {}),
        });
        const before = arrived.get(number);
        const hash = kind === 'wrong hash' ? '0' : kind;
        const expected = before === undefined ? { right: 200, 'other content': 200, 'wrong hash': 422, short: 400 }[kind] : before === hash ? 200 : 409;
        expect([kind, before, status]).toEqual([kind, before, expected]);
        if (status === 200 && before === undefined) arrived.set(number, kind);
      }
      const shown = await statusOf(api, begun.upload_id, headers);
      expect(shown.received_parts).toEqual([...arrived.keys()].sort());
      for (const number of shown.missing_parts) await sendPart(other, begun, number, partOf(begun, content, number), headers);
      if ([...arrived.values()].includes('other content')) {
        expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ code: 'checksum_mismatch' });
        expect(await blobsOf(api, tenant)).toEqual([]);
      } else {
        const { body } = await complete(api, begun, headers);
        expect((await contentOf(api, tenant, body.document_id)).equals(content)).toBe(true);
      }
    }), { numRuns: 8 });
  }, 180_000);

  it('has a form with a file and its fields, before or after it', async () => {
    const { api } = apis();
    const { tenant, headers } = fresh();
    const form = fileForm(textOf(20), 'C:\\Users\\ada\\שם.md', { document_type: '.MD', priority: 'CRITICAL', tags: 'x, y', document_key: 'manual', processing_options: JSON.stringify({ chunk_size: 500, overlap: 50, ocr: true }) });
    const { body } = await api.call<{ document_id: string; job_id: string }>('POST', '/documents/upload/simple', { raw: form, headers });
    expect(await api.store.getDocument(tenant, body.document_id)).toMatchObject({
      fileName: 'שם.md', declaredType: 'md', tags: ['x', 'y'], documentKey: 'manual', options: { chunkSize: 500, overlap: 50, ocr: true, encoding: 'o200k_base' },
    });
    expect(await api.store.getJob(tenant, body.job_id)).toMatchObject({ priority: 'critical' });
  });
}
