/** What the upload of documents refuses, and that nothing of it stays. */
import { request } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { API_PREFIX } from '../../src/contracts/api.ts';
import type { AcceptedAnswer, UploadedAnswer } from '../../src/contracts/document-api.ts';
import { SheafError } from '../../src/contracts/errors.ts';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { createQueue } from '../../src/temporal/queue.ts';
import { startReconciler } from '../../src/temporal/reconciler.ts';
import type { Store } from '../../src/store/store.ts';
import { startApi, type Api } from './api.ts';
import { blobsOf, complete, fileForm, initiate, md5, partForm, sendPart, simple, textOf } from './documents.ts';

const CHUNK = 5 * 2 ** 20;
const MAX = 20_000_000;
const SIMPLE = 1_000_000;
const QUOTA = 30_000_000;

/** Methods that are refused. */
const away = new Set<string>();
function failing<Port extends object>(port: Port, code: 'store_unavailable' | 'blobs_unavailable'): Port {
  return Object.fromEntries(Object.entries(port).map(([name, method]) => [name, typeof method !== 'function' ? method : (...given: unknown[]): unknown => {
    if (away.has(name)) return Promise.reject(new SheafError(code, 'It does not answer.'));
    return (method as (...given: unknown[]) => unknown)(...given);
  }])) as Port;
}

let api: Api;
/** One that cannot reach Temporal. Its client goes on trying for two seconds, and must not be closed before. */
let lonely: Api;
beforeAll(async () => {
  lonely = await startApi(({ config }) => ({ config }), { temporal: '127.0.0.1:1' });
  api = await startApi(({ config, store, blobs }) => ({
    store: failing<Store>(store, 'store_unavailable'), blobs: failing<Blobs>(blobs, 'blobs_unavailable'),
    config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK, SHEAF_MAX_UPLOAD_BYTES: MAX, SHEAF_SIMPLE_UPLOAD_BYTES: SIMPLE, SHEAF_TENANT_QUOTA_BYTES: QUOTA },
  }));
});
afterAll(async () => {
  await lonely?.close();
  await api?.close();
});
afterEach(() => away.clear());

let tenants = 0;
const fresh = (): { tenant: string; headers: Record<string, string> } => {
  const tenant = `r${++tenants}`;
  return { tenant, headers: { 'x-sheaf-tenant': tenant } };
};
const nothingOf = async (tenant: string): Promise<void> => {
  expect(await blobsOf(api, tenant)).toEqual([]);
  expect((await api.store.listDocuments(tenant, {}, { limit: 10 })).items).toEqual([]);
  expect((await api.store.expiredUploads('9999', { limit: 500 })).items.filter((upload) => upload.tenant === tenant)).toEqual([]);
};

describe('a file that is refused leaves nothing, and says why', () => {
  const program = Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), Buffer.alloc(1_000)]);
  const picture = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1'), Buffer.alloc(1_000)]);
  const tooLarge = Buffer.from('a'.repeat(SIMPLE + 1));
  it.each<[string, string, () => { raw: RequestInit['body']; headers?: Record<string, string> }, number, string]>([
    ['a program that calls itself a PDF', '/documents/upload/simple?filename=invoice.pdf', () => ({ raw: program }), 415, 'unsupported_type'],
    ['a picture', '/documents/upload/simple', () => ({ raw: fileForm(picture, 'cat.png') }), 415, 'unsupported_type'],
    ['a program at the short address', '/api/documents/upload', () => ({ raw: fileForm(program, 'a.docx') }), 415, 'unsupported_type'],
    ['one over the threshold, by its length', '/documents/upload/simple', () => ({ raw: tooLarge }), 413, 'body_too_large'],
    ['one over the threshold, in a form', '/documents/upload/simple', () => ({ raw: fileForm(tooLarge, 'a.txt') }), 413, 'body_too_large'],
    ['one over the limit at the short address', '/api/documents/upload', () => ({ raw: Buffer.alloc(MAX + 1, 'a') }), 413, 'body_too_large'],
    ['options that are no JSON', '/documents/upload/simple', () => ({ raw: fileForm('text', 'a.txt', { processing_options: '{' }) }), 400, 'invalid_request'],
    ['an option that there is not', '/documents/upload/simple', () => ({ raw: fileForm('text', 'a.txt', { processing_options: '{"chunksize": 100}' }) }), 400, 'invalid_request'],
    ['an overlap as large as the chunk', '/documents/upload/simple', () => ({ raw: fileForm('text', 'a.txt', { processing_options: '{"chunk_size": 100, "overlap": 100}' }) }), 400, 'invalid_request'],
    ['an encoding that there is not', '/documents/upload/simple', () => ({ raw: fileForm('text', 'a.txt', { processing_options: '{"encoding": "rot13"}' }) }), 400, 'invalid_request'],
    ['a field that there is not', '/documents/upload/simple', () => ({ raw: fileForm('text', 'a.txt', { prioritty: 'high' }) }), 400, 'invalid_request'],
    ['a form without a file', '/documents/upload/simple', () => { const form = new FormData(); form.append('priority', 'high'); return { raw: form }; }, 400, 'invalid_request'],
    ['a form with two files', '/documents/upload/simple', () => { const form = fileForm('a', 'a.txt'); form.append('other', new Blob(['b']), 'b.txt'); return { raw: form }; }, 400, 'invalid_request'],
    ['half a form', '/documents/upload/simple', () => ({ raw: '--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc', headers: { 'content-type': 'multipart/form-data; boundary=x' } }), 400, 'invalid_request'],
    ['too many fields', '/documents/upload/simple', () => ({ raw: fileForm('a', 'a.txt', Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`f${n}`, 'x']))) }), 400, 'invalid_request'],
    ['a field that is very long', '/documents/upload/simple', () => ({ raw: fileForm('a', 'a.txt', { document_key: 'x'.repeat(100_000) }) }), 400, 'invalid_request'],
  ])('%s', async (_what, address, asked, status, code) => {
    const { tenant, headers } = fresh();
    const { raw, headers: more } = asked();
    const problem = await api.refused('POST', address, { raw, headers: { ...headers, ...more } });
    expect(problem).toMatchObject({ status, code });
    expect(problem.remedy ?? problem.errors, 'what to do').toBeTruthy();
    await nothingOf(tenant);
  });

  it('names the option nearest to one that there is not', async () => {
    const problem = await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'a', file_size: 1, processing_options: { chunksize: 100 } } });
    expect(problem.errors).toEqual([{ path: 'processing_options.chunksize', message: 'there is no such field; did you mean "chunk_size"?' }]);
  });

  it('takes the first part of something else than a document for what it is, and goes on with the right one', async () => {
    const { headers } = fresh();
    const begun = await initiate(api, 100, { filename: 'a.pdf' }, headers);
    const wrong = Buffer.concat([Buffer.from('MZ\x90\x00\x03', 'latin1'), Buffer.alloc(95)]);
    expect(await api.refused('POST', '/documents/upload/chunk', { raw: partForm(begun, 1, wrong), headers })).toMatchObject({ status: 415, code: 'unsupported_type' });
    await sendPart(api, begun, 1, textOf(100), headers);
    expect((await complete(api, begun, headers)).status).toBe(201);
  });
});

describe("a tenant's quota", () => {
  it('counts documents and what is on its way, before anything is queued, and is free again when they go', async () => {
    const { tenant, headers } = fresh();
    const [one] = await Promise.all([initiate(api, 15_000_000, {}, headers), simple(api, textOf(SIMPLE), '', headers)]);
    expect(await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'b.txt', file_size: 14_500_000 }, headers })).toMatchObject({ status: 413, code: 'quota_exceeded' });
    await initiate(api, 13_500_000, {}, headers);
    expect(await api.refused('POST', '/documents/upload/simple', { raw: textOf(SIMPLE).toString(), headers })).toMatchObject({ status: 413, code: 'quota_exceeded' });
    expect((await blobsOf(api, tenant)).filter((key) => !key.startsWith('parts')), 'only the first').toHaveLength(1);
    await api.call('DELETE', `/documents/upload/cancel/${one.upload_id}`, { headers });
    expect((await simple(api, textOf(SIMPLE), '', headers)).status).toBe(201);
    expect((await simple(api, textOf(SIMPLE), '', fresh().headers)).status, 'of another tenant').toBe(201);
  });

  it('and the largest size are known before the first part is sent', async () => {
    expect(await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'a', file_size: MAX + 1 } })).toMatchObject({ status: 413, code: 'body_too_large' });
    expect(await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'a', file_size: Number.MAX_SAFE_INTEGER } })).toMatchObject({ status: 413 });
    for (const file_size of [-1, 1.5, '10', null]) expect(await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'a', file_size } })).toMatchObject({ status: 400 });
  });
});

describe('a part that is refused', () => {
  it.each<[string, Record<string, string>, Buffer, number, string]>([
    ['is shorter than a part', {}, Buffer.alloc(CHUNK - 1, 'a'), 400, 'invalid_request'],
    ['is longer than a part', {}, Buffer.alloc(CHUNK + 1, 'a'), 400, 'invalid_request'],
    ['has a number that there is not', { part_number: '4' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['has the number 0', { part_number: '0' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['has a number that is none', { part_number: '1e3' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['has a number that is very large', { part_number: '9'.repeat(400) }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['has a hash that is none', { chunk_hash: 'abc' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['is of another count of parts', { total_parts: '7' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['calls itself the final one', { is_final_chunk: 'true' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
    ['is of an upload that there is not', { upload_id: 'upl_none' }, Buffer.alloc(CHUNK, 'a'), 404, 'upload_not_found'],
    ['is of an upload with a path for a name', { upload_id: '../../etc/passwd' }, Buffer.alloc(CHUNK, 'a'), 400, 'invalid_request'],
  ])('%s', async (_what, over, bytes, status, code) => {
    const { headers } = fresh();
    const begun = await initiate(api, 3 * CHUNK, {}, headers);
    expect(await api.refused('POST', '/documents/upload/chunk', { raw: partForm(begun, 1, bytes, over), headers })).toMatchObject({ status, code });
    const { body } = await api.call<{ received_parts: number[] }>('GET', `/documents/upload/status/${begun.upload_id}`, { headers });
    expect(body.received_parts).toEqual([]);
  });

  it('comes before its fields, or in another field, or without a form, and the answer says how it is done', async () => {
    const { headers } = fresh();
    const begun = await initiate(api, 10, {}, headers);
    const bytes = textOf(10);
    const early = new FormData();
    early.append('chunk_file', new Blob([bytes]), 'a');
    early.append('upload_id', begun.upload_id);
    expect((await api.refused('POST', '/documents/upload/chunk', { raw: early, headers })).remedy).toContain('before chunk_file');
    const elsewhere = partForm(begun, 1, bytes);
    elsewhere.delete('chunk_file');
    elsewhere.append('file', new Blob([bytes]), 'a');
    expect((await api.refused('POST', '/documents/upload/chunk', { raw: elsewhere, headers })).detail).toContain('chunk_file');
    expect(await api.refused('POST', '/documents/upload/chunk', { body: { upload_id: begun.upload_id }, headers })).toMatchObject({ status: 400 });
  });

  it("is another tenant's, who learns nothing of the upload", async () => {
    const { headers } = fresh();
    const begun = await initiate(api, 10, {}, headers);
    const stranger = fresh().headers;
    expect(await api.refused('POST', '/documents/upload/chunk', { raw: partForm(begun, 1, textOf(10)), headers: stranger })).toMatchObject({ status: 404 });
    for (const [method, address] of [['GET', 'status'], ['POST', 'complete'], ['DELETE', 'cancel']] as const) {
      expect(await api.refused(method, `/documents/upload/${address}/${begun.upload_id}`, { headers: stranger })).toMatchObject({ status: 404, code: 'upload_not_found' });
    }
    await sendPart(api, begun, 1, textOf(10), headers);
  });
});

describe('names of files', () => {
  it.each([
    ['../../../etc/passwd', 'passwd'], ['C:\\windows\\system32\\a.txt', 'a.txt'], ['a\u0000b\r\nSet-Cookie: x.txt', 'abSet-Cookie: x.txt'], ['..', '..'], ['/', 'document'], ['שלום "x".pdf', 'שלום "x".pdf'],
  ])('%j is kept as %j, and names no place', async (filename, kept) => {
    const { tenant, headers } = fresh();
    const begun = await initiate(api, 10, { filename }, headers);
    const shown = (await api.call<{ filename: string }>('GET', `/documents/upload/status/${begun.upload_id}`, { headers })).body;
    expect(shown.filename).toBe(kept);
    await sendPart(api, begun, 1, textOf(10), headers);
    await complete(api, begun, headers);
    expect((await blobsOf(api, tenant))[0]).toMatch(new RegExp(`^${tenant}/documents/doc_[a-z0-9]+/original/[a-z0-9]+$`));
  });
});

describe('while something is away', () => {
  it('a document is kept while Temporal cannot be reached, which 202 says; the reconciler starts it when it is back', async () => {
    const { status, body } = await lonely.call<AcceptedAnswer>('POST', '/documents/upload/simple', { raw: textOf(30).toString() });
    expect([status, body]).toMatchObject([202, { success: true, status: 'processing', message: expect.stringContaining('starts by itself') }]);
    const short = await lonely.call<UploadedAnswer>('POST', '/api/documents/upload', { raw: fileForm(textOf(30), 'b.txt') });
    expect(short.status).toBe(202);
    expect(await lonely.store.getJob('default', body.job_id)).toMatchObject({ state: 'queued' });
    expect(await blobsOf(lonely, 'default')).toHaveLength(2);
    // Another process, with Temporal in reach, finds the records.
    const client = api.temporal;
    const { store, log } = lonely;
    const reconciler = startReconciler({ store, client, queue: createQueue({ store, client, limits: { perTenant: 10, all: 10, ageAfterMs: 60_000 }, log }), log });
    await expect.poll(() => client.workflow.getHandle(`${body.job_id}/1`).describe().then(({ type }) => type, () => null), { timeout: 30_000 }).toBe('documentJob');
    await reconciler.stop();
  });

  it('503 is the answer only where nothing was kept', async () => {
    const { tenant, headers } = fresh();
    away.add('put');
    expect(await api.refused('POST', '/documents/upload/simple', { raw: 'text', headers })).toMatchObject({ status: 503, code: 'blobs_unavailable' });
    away.clear();
    await nothingOf(tenant);
    away.add('createJob');
    expect(await api.refused('POST', '/documents/upload/simple', { raw: 'text', headers })).toMatchObject({ status: 503, code: 'store_unavailable' });
    away.clear();
    await nothingOf(tenant);
    // The job is written, and with it the document is kept.
    away.add('createDocument');
    const { status, body } = await simple(api, textOf(40), '', headers);
    expect(status).toBe(202);
    expect(await api.store.getJob(tenant, body.job_id)).toMatchObject({ state: 'queued' });
    expect(await blobsOf(api, tenant)).toHaveLength(1);
  });

  it('parts and completion can be sent again, and nothing is lost', async () => {
    const { headers } = fresh();
    const content = textOf(10);
    const begun = await initiate(api, 10, {}, headers);
    away.add('addUploadPart');
    expect(await api.refused('POST', '/documents/upload/chunk', { raw: partForm(begun, 1, content), headers })).toMatchObject({ status: 503 });
    away.clear();
    await sendPart(api, begun, 1, content, headers);
    for (const method of ['stream', 'createJob', 'listDocuments', 'changeUpload']) {
      away.add(method);
      expect(await api.refused('POST', `/documents/upload/complete/${begun.upload_id}`, { headers })).toMatchObject({ status: 503 });
      away.clear();
    }
    expect((await complete(api, begun, headers)).body).toMatchObject({ document_id: begun.document_id });
  });
});

describe('an Idempotency-Key', () => {
  it('begins one upload, and makes one document, however often it is repeated', async () => {
    const { headers } = fresh();
    const keyed = { ...headers, 'idempotency-key': 'k1' };
    const [first, second] = [await initiate(api, 10, {}, keyed), await initiate(api, 10, {}, keyed)];
    expect(second).toEqual(first);
    expect(await api.refused('POST', '/documents/upload/initiate', { body: { filename: 'book.txt', file_size: 11 }, headers: keyed })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    const content = textOf(60);
    const answers = [await simple(api, content, '?force=true', keyed), await simple(api, content, '?force=true', keyed)];
    expect(answers.map(({ status, body }) => [status, body.document_id])).toEqual([[201, answers[0]!.body.document_id], [200, answers[0]!.body.document_id]]);
    expect(await api.refused('POST', '/documents/upload/simple?force=true', { raw: 'other', headers: keyed })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
  });
});

describe('a client that is hostile', () => {
  it('with huge headers, or a length that is a lie, is refused, and others go on', async () => {
    const { hostname, port } = new URL(api.url);
    const raw = async (head: string): Promise<string> => {
      const socket = connect(Number(port), hostname);
      const said: Buffer[] = [];
      socket.on('data', (chunk) => said.push(chunk));
      socket.on('error', () => {}); // it is cut off while there is more to send
      socket.write(head);
      await new Promise((resolve) => socket.once('close', resolve)); // not events.once, which rejects with the error
      return Buffer.concat(said).toString();
    };
    expect(await raw(`POST ${API_PREFIX}/documents/upload/simple HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(17_000)}\r\n\r\n`)).toContain('431');
    expect(await raw(`POST ${API_PREFIX}/documents/upload/simple HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n`)).toContain('400');
    const headersOfPart = `--x\r\nContent-Disposition: form-data; name="chunk_file"; filename="a"\r\n${'X-A: b\r\n'.repeat(5_000)}\r\n`;
    expect(await api.refused('POST', '/documents/upload/chunk', { raw: `${headersOfPart}a\r\n--x--\r\n`, headers: { 'content-type': 'multipart/form-data; boundary=x' } })).toMatchObject({ status: 400 });
    expect((await simple(api, textOf(50))).status).toBe(201);
  });

  it('that never ends its parts keeps others from nothing but its places', async () => {
    const { headers } = fresh();
    const begun = await initiate(api, 2 * CHUNK, {}, headers);
    const fields = Object.entries({ upload_id: begun.upload_id, part_number: '2', chunk_hash: md5(Buffer.alloc(0)) })
      .map(([name, value]) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`).join('');
    const slow = Array.from({ length: 8 }, () => {
      const sending = request(`${api.url}${API_PREFIX}/documents/upload/chunk`, { method: 'POST', headers: { ...headers, 'content-type': 'multipart/form-data; boundary=x' } });
      sending.on('error', () => {});
      sending.write(`${fields}--x\r\nContent-Disposition: form-data; name="chunk_file"; filename="a"\r\n\r\nslow`);
      return sending;
    });
    await sendPart(api, begun, 1, Buffer.alloc(CHUNK, 'a'), headers);
    await sendPart(api, begun, 2, Buffer.alloc(CHUNK, 'b'), headers);
    // Each of them ends one of its own, whose part has arrived by now.
    for (const sending of slow) {
      sending.end('\r\n--x--\r\n');
      const [answer] = await once(sending, 'response') as [IncomingMessage];
      expect(answer.statusCode).toBeGreaterThanOrEqual(400);
      answer.resume();
    }
    expect((await complete(api, begun, headers)).status).toBe(201);
  });
});
