/** The client library against a real API, also one that fails. */
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSheafClient, SheafApiError, type SheafClient, type UploadProgress } from 'sheaf/client';
import { startApi, type Api } from './api.ts';
import { as, initiate, partOf, sendPart, sha256, textOf } from './documents.ts';

const CHUNK = 5 * 2 ** 20;
let api: Api;
let folder: string;
beforeAll(async () => {
  api = await startApi(({ config }) => ({ config: { ...config, SHEAF_UPLOAD_CHUNK_BYTES: CHUNK } }));
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-client-'));
});
afterAll(async () => {
  await api.close();
  await rm(folder, { recursive: true, force: true });
});

let files = 0;
async function fileOf(size: number): Promise<{ file: string; content: Buffer }> {
  const content = textOf(size);
  const file = path.join(folder, `book ${++files}.txt`);
  await writeFile(file, content);
  return { file, content };
}
const contentOf = async (tenant: string, id: string): Promise<Buffer> => api.blobs.get((await api.store.getDocument(tenant, id))!.blobs.original);

/** A proxy in front of the API; `fault` says whether a request is broken off, before it is heard or after it was answered. */
async function startProxy(fault: (path: string) => 'before' | 'after' | null): Promise<{ url: string; requests: string[]; close(): Promise<void> }> {
  const target = new URL(api.url);
  const requests: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const address = incoming.url ?? '/';
    requests.push(`${incoming.method} ${address.replace('/api/v1', '')}`);
    const what = fault(address);
    if (what === 'before') return void incoming.socket.destroy();
    const forwarded = request({ host: target.hostname, port: target.port, method: incoming.method, path: address, headers: { ...incoming.headers, host: target.host } }, (answer) => {
      if (what === 'after') {
        answer.resume().once('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => incoming.socket.destroy());
    incoming.pipe(forwarded);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests,
    close: () => new Promise((resolve) => { server.close(() => resolve()); server.closeAllConnections(); }),
  };
}

let tenants = 0;
const clientOf = (url = api.url): { client: SheafClient; tenant: string } => {
  const tenant = `c${++tenants}`;
  return { client: createSheafClient({ url, tenant, owner: 'ann' }), tenant };
};

describe('the client library', () => {
  it('uploads a small file in one request and a large one in parts, telling how far it is', async () => {
    const proxy = await startProxy(() => null);
    const { client, tenant } = clientOf(proxy.url);
    const small = await fileOf(1_000);
    const first = await client.uploadDocument(small.file, { tags: ['a'], documentKey: 'k', processingOptions: { chunk_size: 300, overlap: 10 }, priority: 'high' });
    expect(await api.store.getDocument(tenant, first.document_id)).toMatchObject({ fileName: path.basename(small.file), sha256: sha256(small.content), tags: ['a'], documentKey: 'k', options: { chunkSize: 300 } });
    expect(proxy.requests).toEqual(['POST /documents/upload/simple']);

    const large = await fileOf(4 * CHUNK + 7);
    const told: UploadProgress[] = [];
    const second = await client.uploadDocument(large.file, { concurrency: 3, onProgress: (progress) => told.push(progress) });
    expect((await contentOf(tenant, second.document_id)).equals(large.content)).toBe(true);
    expect(proxy.requests.filter((one) => one === 'POST /documents/upload/chunk')).toHaveLength(5);
    const sent = told.filter(({ phase }) => phase === 'uploading').map(({ bytes }) => bytes);
    expect(sent).toEqual([...sent].sort((left, right) => left - right));
    expect(told.at(-1)).toEqual({ phase: 'completing', bytes: large.content.length, total: large.content.length, resumed: 0 });
    expect((await client.uploadDocument(large.file)).duplicateOf, 'again').toBe(second.document_id);
    await proxy.close();
  });

  it('tries again what breaks off, before it is heard or after it was answered, and makes one document', async () => {
    const failing = new Map<string, ('before' | 'after')[]>([
      ['/upload/initiate', ['before', 'after']], ['/upload/chunk', ['before', 'after', 'after', 'before']], ['/upload/complete', ['after', 'before', 'after']], ['/upload/active', ['before']], ['/upload/simple', ['after']],
    ]);
    const proxy = await startProxy((address) => [...failing].find(([part]) => address.includes(part))?.[1].shift() ?? null);
    const { client, tenant } = clientOf(proxy.url);
    const { file, content } = await fileOf(3 * CHUNK);
    const { document_id: id } = await client.uploadDocument(file);
    expect((await contentOf(tenant, id)).equals(content)).toBe(true);
    await client.uploadDocument((await fileOf(100)).file);
    expect([...failing.values()].flat(), 'all faults happened').toEqual([]);
    expect((await client.documents()).items).toHaveLength(2);
    await proxy.close();
  }, 120_000);

  it('goes on with the parts that are missing where it was killed before', async () => {
    const proxy = await startProxy(() => null);
    const { client, tenant } = clientOf(proxy.url);
    const { headers } = as(tenant);
    const owner = { ...headers, 'x-sheaf-owner': 'ann' };
    const { file, content } = await fileOf(4 * CHUNK);
    const about = { filename: path.basename(file), sha256: sha256(content) };
    const begun = await initiate(api, content.length, about, owner);
    for (const number of [2, 3]) await sendPart(api, begun, number, partOf(begun, content, number), owner);
    await initiate(api, content.length, { ...about, tags: ['otherwise'] }, owner);
    const told: UploadProgress[] = [];
    const answer = await client.uploadDocument(file, { onProgress: (progress) => told.push(progress) });
    expect(answer.document_id).toBe(begun.document_id);
    expect(proxy.requests.filter((one) => one === 'POST /documents/upload/chunk')).toHaveLength(2);
    expect(told.find(({ phase }) => phase === 'uploading')).toMatchObject({ bytes: 2 * CHUNK, resumed: 2 * CHUNK });
    expect((await contentOf(tenant, answer.document_id)).equals(content)).toBe(true);
    await proxy.close();
  });

  it('stops when told to, and goes on later', async () => {
    const { client, tenant } = clientOf();
    const { file, content } = await fileOf(4 * CHUNK);
    const stop = new AbortController();
    await expect(client.uploadDocument(file, {
      concurrency: 1, signal: stop.signal, onProgress: ({ phase, bytes }) => { if (phase === 'uploading' && bytes >= CHUNK) stop.abort(new Error('enough')); },
    })).rejects.toThrow('enough');
    const { document_id: id } = await client.uploadDocument(file);
    expect((await contentOf(tenant, id)).equals(content)).toBe(true);
    expect((await client.call<{ items: unknown[] }>('GET', '/documents/upload/active')).items).toEqual([]);
  });

  it('waits for a document, and reads, lists, finds and deletes', async () => {
    const { client, tenant } = clientOf();
    const { document_id: id } = await client.uploadDocument((await fileOf(500)).file);
    expect(await client.documentStatus(id)).toMatchObject({ status: 'processing', task_state: 'PENDING' });
    const seen: string[] = [];
    const waiting = client.waitForDocument(id, { onStatus: ({ message }) => seen.push(message) });
    await expect.poll(() => seen.length).toBe(1);
    await api.store.advanceDocument(tenant, id, { attempt: 1, sequence: 5 }, { state: 'completed' });
    expect(await waiting).toMatchObject({ status: 'ready', ready: true });
    expect(await client.document(id)).toMatchObject({ document_id: id, state: 'completed' });
    expect((await client.documents({ status: 'ready' })).items).toHaveLength(1);
    expect(await client.search('nothing like this')).toEqual({ items: [], nextCursor: null });
    await expect(client.documentText(id)).rejects.toMatchObject({ code: 'not_ready', status: 409 });
    expect((await client.deleteDocument(id)).document_id).toBe(id);
  });

  it('says in its errors what the API says, and where nothing answers', async () => {
    const { client } = clientOf();
    await expect(client.document('doc_none')).rejects.toSatisfy((error) => error instanceof SheafApiError && error.code === 'document_not_found' && error.status === 404 && !error.passing);
    const picture = path.join(folder, 'cat.png');
    await writeFile(picture, Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1'));
    await expect(client.uploadDocument(picture)).rejects.toMatchObject({ code: 'unsupported_type', status: 415 });
    await expect(client.uploadDocument(path.join(folder, 'absent.pdf'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(createSheafClient({ url: 'http://127.0.0.1:1' }).documents()).rejects.toMatchObject({ code: 'api_unreachable', status: null, passing: true });
  });
});
