/** Documents as the API shows them, at every stage of their work. */
import { zstdCompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { DocumentAnswer, DocumentStatusAnswer, PassageAnswer } from '../../src/contracts/document-api.ts';
import type { DocumentPatch, Passage } from '../../src/contracts/document.ts';
import { startApi, type Api } from './api.ts';
import { as, fileForm, simple, textOf } from './documents.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

let sequence = 0;
/** What a worker writes. */
const advance = (tenant: string, id: string, patch: DocumentPatch) => api.store.advanceDocument(tenant, id, { attempt: 1, sequence: ++sequence }, patch);
const status = async (id: string, prefix = '/api/documents'): Promise<DocumentStatusAnswer> => (await api.call<DocumentStatusAnswer>('GET', `${prefix}/${id}/status`)).body;

const passages: Passage[] = [1, 2, 3].map((number) => ({ number, text: `שלום ${number}`, start: number * 10, end: number * 10 + 6, tokens: 3, pages: [number, number], headings: ['Chapter'], tableHeader: null }));
const now = '2026-11-01T10:00:00.000Z';
const shownPassages: PassageAnswer[] = passages.map(({ tableHeader, ...passage }) => ({ ...passage, table_header: tableHeader }));

async function finished(id: string, tenant = 'default'): Promise<void> {
  const keys = { text: blobKeys.stageResult(tenant, id, 'text', 1, 1), chunks: blobKeys.stageResult(tenant, id, 'chunks', 1, 1) };
  await api.blobs.put(keys.text, zstdCompressSync(Buffer.from('the whole text, שלום')));
  await api.blobs.put(keys.chunks, zstdCompressSync(Buffer.from(passages.map((one) => `${JSON.stringify(one)}\n`).join(''))));
  const document = await api.store.getDocument(tenant, id);
  await advance(tenant, id, {
    state: 'completed', stage: 'completion', stagePercent: 100, type: 'text', startedAt: now, completedAt: now, blobs: { ...document!.blobs, ...keys },
    counts: { ...document!.counts, passages: 3, tokens: 9 }, stages: { extraction: { completedAt: now, milliseconds: 1_500 } },
  });
}

describe('a document', () => {
  it('is answered at once, in the shape that its clients know', async () => {
    const { status: code, body } = await api.call('POST', '/api/documents/upload', { raw: fileForm(textOf(50), 'a.txt') });
    expect([code, body]).toEqual([201, { success: true, document_id: expect.stringMatching(/^doc_/), status: 'processing', message: 'Document uploaded and queued for processing' }]);
  });

  it('says how far it is, in words, per cent and states that older clients know', async () => {
    const { document_id: id } = (await simple(api, textOf(60))).body;
    const before = await status(id);
    expect(before).toEqual({ document_id: id, status: 'processing', progress: expect.any(Number), task_state: 'PENDING', message: 'Uploaded and queued for processing', total_chunks: 0, ready: false });
    await advance('default', id, { state: 'running', stage: 'extraction', stagePercent: 50, startedAt: now });
    const middle = await status(id);
    expect(middle).toMatchObject({ status: 'processing', task_state: 'PROCESSING', message: 'Extracting the text', ready: false });
    expect(middle.progress).toBeGreaterThan(before.progress);
    await advance('default', id, { state: 'waiting', cause: 'capacity', reason: 'The scanner does not answer.' });
    expect(await status(id)).toMatchObject({ status: 'processing', task_state: 'PROCESSING', message: 'The scanner does not answer.' });
    await finished(id);
    expect(await status(id)).toEqual({ document_id: id, status: 'ready', progress: 100, task_state: 'SUCCESS', message: 'Ready: 3 passages', total_chunks: 3, ready: true });
    expect(await status(id, '/api/v1/documents')).toEqual(await status(id));
    const shown = (await api.call<DocumentAnswer>('GET', `/api/documents/${id}`)).body;
    expect(shown).toMatchObject({
      document_id: id, task_status: 'SUCCESS', task_info: { progress: 100, stage: 'completion', attempt: 1 }, document_type: 'text', created_at: expect.any(String), started_at: now, completed_at: now,
      stages: { extraction: { milliseconds: 1_500 } }, links: { text: `/api/v1/documents/${id}/text`, chunks: `/api/v1/documents/${id}/chunks` },
    });
    expect((await api.call('GET', `/documents/${id}`)).body).toEqual(shown);
  });

  it('says why it has failed', async () => {
    const { document_id: id } = (await simple(api, textOf(61))).body;
    await advance('default', id, { state: 'failed', error: { code: 'password_required', message: 'The file is encrypted.', remedy: 'Give its password.' } });
    expect(await status(id)).toMatchObject({ status: 'failed', task_state: 'FAILURE', message: 'The file is encrypted.', ready: false });
    expect((await api.call<DocumentAnswer>('GET', `/documents/${id}`)).body.error).toEqual({ code: 'password_required', message: 'The file is encrypted.', remedy: 'Give its password.' });
    expect((await simple(api, textOf(62))).body.status).toBe('processing');
  });

  it('is read as text and as passages, by page and as a file', async () => {
    const { document_id: id } = (await simple(api, textOf(63), '?filename=quo"te%0A.txt')).body;
    for (const what of ['text', 'chunks', 'chunks?format=json']) expect(await api.refused('GET', `/documents/${id}/${what}`)).toMatchObject({ status: 409, code: 'not_ready' });
    await finished(id);
    const text = await api.call<string>('GET', `/documents/${id}/text`);
    expect([text.body, text.headers.get('content-type')]).toEqual(['the whole text, שלום', 'text/plain; charset=utf-8']);
    const page = (await api.call<{ items: PassageAnswer[]; nextCursor: string }>('GET', `/documents/${id}/chunks?limit=2`)).body;
    expect(page.items).toEqual(shownPassages.slice(0, 2));
    expect((await api.call<{ items: PassageAnswer[] }>('GET', `/documents/${id}/chunks?limit=2&cursor=${page.nextCursor}`)).body).toEqual({ items: [shownPassages[2]], nextCursor: null });
    const response = await fetch(`${api.url}/api/v1/documents/${id}/chunks?format=json`);
    expect(await response.json()).toMatchObject({
      document: { id, document_type: 'text' }, settings: { chunk_size: 1_200, overlap: 200, encoding: 'o200k_base' }, encoder_version: expect.stringContaining('sheaf'), total_chunks: 3,
      chunks: shownPassages.map(({ number, ...passage }) => ({ id: number, ...passage })),
    });
    const lines = (await (await fetch(`${api.url}/api/v1/documents/${id}/chunks?format=ndjson`)).text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as PassageAnswer)).toEqual(shownPassages);
    await advance('default', id, { quarantined: true });
    for (const what of ['text', 'chunks', 'chunks?format=json']) expect(await api.refused('GET', `/documents/${id}/${what}`)).toMatchObject({ code: 'malware_found' });
  });

  it("is not there for another tenant", async () => {
    const { document_id: id } = (await simple(api, textOf(64))).body;
    for (const address of [`/documents/${id}`, `/api/documents/${id}`, `/documents/${id}/status`, `/api/documents/${id}/status`, `/documents/${id}/text`, `/documents/${id}/chunks`]) {
      expect(await api.refused('GET', address, as('acme'))).toMatchObject({ status: 404, code: 'document_not_found' });
    }
    expect(await api.refused('DELETE', `/documents/${id}`, as('acme'))).toMatchObject({ status: 404 });
    expect(await api.refused('POST', `/documents/${id}/reprocess`, as('acme'))).toMatchObject({ status: 404 });
    expect((await api.call<{ items: unknown[] }>('GET', '/documents', as('acme'))).body.items).toEqual([]);
  });

  it('is listed by status, type, tag, key and time, newest first', async () => {
    const { headers } = as('lists');
    const ids: string[] = [];
    for (const query of ['?tags=a&document_key=k', '?tags=a,b', '']) ids.push((await simple(api, textOf(70), query, headers)).body.document_id);
    await finished(ids[1]!, 'lists');
    await advance('lists', ids[2]!, { state: 'cancelled' });
    const list = async (query: string): Promise<string[]> => (await api.call<{ items: DocumentAnswer[] }>('GET', `/documents${query}`, { headers })).body.items.map(({ document_id }) => document_id);
    expect(await list('')).toEqual([...ids].reverse());
    expect(await list('?status=processing')).toEqual([ids[0]]);
    expect(await list('?status=ready')).toEqual([ids[1]]);
    expect(await list('?status=failed')).toEqual([ids[2]]);
    expect(await list('?state=completed,queued&status=ready')).toEqual([ids[1]]);
    expect(await list('?tag=a')).toEqual([ids[1], ids[0]]);
    expect(await list('?type=text')).toEqual([ids[1]]);
    expect(await list('?document_key=k')).toEqual([ids[0]]);
    expect(await list('?since=2100-01-01')).toEqual([]);
    expect(await list('?before=2100-01-01&limit=1')).toEqual([ids[2]]);
    const { body } = await api.call('GET', '/documents/processing/metrics', { headers });
    expect(body).toMatchObject({
      documents: { total: 3, queued: 1, processing: 0, ready: 1, failed: 1 }, completion_rate: 0.5, error_rate: 0.5, queue_length: 1,
      stages: { extraction: { documents: 1, average_seconds: 1.5 } }, types: { text: { documents: 1 }, unknown: { documents: 2 } }, sampled: false,
    });
  });

  it('is done again only when it has ended, and is deleted by its job', async () => {
    const { document_id: id, job_id: job } = (await simple(api, textOf(80))).body;
    expect(await api.refused('POST', `/documents/${id}/reprocess`, { body: { from: 'chunking' } })).toMatchObject({ status: 409, code: 'wrong_state' });
    expect(await api.refused('POST', `/documents/${id}/reprocess`, { body: { from: 'baking' } })).toMatchObject({ status: 400 });
    await finished(id);
    await api.store.advanceJob('default', job, { attempt: 1, sequence: 99 }, { state: 'completed', completedAt: now });
    const { status: code } = await api.call('POST', `/documents/${id}/reprocess`, { body: { from: 'chunking', options: { chunk_size: 300, overlap: 30 } } });
    expect(code).toBe(202);
    expect(await api.store.getJob('default', job)).toMatchObject({ state: 'queued', attempt: 2, retry: { reprocess: { from: 'chunking', options: { chunkSize: 300, overlap: 30 } } } });
    expect((await api.call('DELETE', `/documents/${id}`)).status).toBe(202);
    expect(await api.store.getJob('default', job)).toMatchObject({ desired: 'deleted' });
  });
});

describe('a password', () => {
  it('is kept in a blob of its own, and is in no record, no answer and no log line', async () => {
    const secret = 'correct horse battery';
    const form = fileForm(textOf(90), 'secret.pdf', { processing_options: JSON.stringify({ password: secret }) });
    const { body } = await api.call<{ document_id: string; job_id: string }>('POST', '/documents/upload/simple', { raw: form });
    expect((await api.blobs.get(blobKeys.password('default', body.document_id))).toString()).toBe(secret);
    const begun = (await api.call<{ upload_id: string; document_id: string }>('POST', '/documents/upload/initiate', { body: { filename: 'a', file_size: 1, processing_options: { password: secret } } })).body;
    expect((await api.blobs.get(blobKeys.password('default', begun.document_id))).toString()).toBe(secret);
    const all = JSON.stringify([
      await api.store.getJob('default', body.job_id), await api.store.getDocument('default', body.document_id), await api.store.getUpload('default', begun.upload_id),
      (await api.call('GET', `/documents/${body.document_id}`)).body, (await api.call('GET', `/documents/upload/status/${begun.upload_id}`)).body, api.logged,
    ]);
    expect(all).not.toContain('horse');
  });
});
