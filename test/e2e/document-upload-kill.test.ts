/** Uploads of documents survive the death of the API and of whoever uploads. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ActiveUploadAnswer, DocumentAnswer, UploadStatusAnswer } from '../../src/contracts/document-api.ts';
import { createSheafClient } from '../../src/client/index.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';

const MAIN = path.resolve('src/cli/main.ts');
const CHUNK = 5 * 2 ** 20;
const PARTS = 16;

let stack: TestStack;
let folder: string;
beforeAll(async () => {
  stack = await startTestStack({ env: { SHEAF_UPLOAD_CHUNK_BYTES: String(CHUNK) } });
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-kill-upload-'));
});
afterAll(async () => {
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function bookOf(name: string): Promise<{ file: string; sha256: string }> {
  const content = Buffer.alloc(PARTS * CHUNK - 11, `${name}: the quick brown fox jumps over the lazy dog. `);
  const file = path.join(folder, name);
  await writeFile(file, content);
  return { file, sha256: createHash('sha256').update(content).digest('hex') };
}

const documentsOf = async (name: string): Promise<DocumentAnswer[]> =>
  (await stack.call<{ items: DocumentAnswer[] }>('GET', '/documents')).items.filter(({ filename }) => filename === name);
const activeOf = async (name: string): Promise<ActiveUploadAnswer | undefined> =>
  (await stack.call<{ items: ActiveUploadAnswer[] }>('GET', '/documents/upload/active')).items.find(({ filename }) => filename === name);

describe('an upload in parts', { timeout: 240_000 }, () => {
  test('goes on when the API is killed, between parts and at its completion, and is one document of exactly these bytes', async () => {
    const { file, sha256 } = await bookOf('killed-api.txt');
    const restarts: Promise<void>[] = [];
    const killAt = new Set([2, 7, 'completing']);
    const killed = async (): Promise<void> => {
      await stack.kill('api');
      await stack.start('api');
    };
    const answer = await createSheafClient({ url: stack.url }).uploadDocument(file, {
      onProgress({ phase, bytes, total }) {
        const at = phase === 'completing' ? phase : phase === 'uploading' && bytes < total ? Math.floor(bytes / CHUNK) : null;
        if (at !== null && killAt.delete(at)) restarts.push((restarts.at(-1) ?? Promise.resolve()).then(killed));
      },
    });
    await Promise.all(restarts);
    expect(killAt.size, 'every kill happened').toBe(0);
    const [document, ...others] = await documentsOf('killed-api.txt');
    expect(others).toEqual([]);
    expect(document).toMatchObject({ document_id: answer.document_id, sha256, file_size: PARTS * CHUNK - 11 });
    expect(await activeOf('killed-api.txt')).toBeUndefined();
  });

  test('goes on where it stopped when the command line is killed and called again', async () => {
    const { file, sha256 } = await bookOf('killed-cli.txt');
    const sheaf = (...args: string[]) => spawn(process.execPath, [MAIN, 'doc', 'upload', file, '--concurrency', '1', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', SHEAF_API_URL: stack.url },
    });
    const first = sheaf();
    const gone = once(first, 'exit');
    await expect.poll(async () => (await activeOf('killed-cli.txt'))?.parts_received ?? 0, { timeout: 60_000, interval: 10 }).toBeGreaterThan(1);
    first.kill('SIGKILL');
    await gone;
    const left = await activeOf('killed-cli.txt');
    expect(left?.parts_received).toBeLessThan(PARTS);

    const again = sheaf('--json');
    const [out, err, [code]] = await Promise.all([text(again.stdout), text(again.stderr), once(again, 'close') as Promise<[number]>]);
    expect([err, code]).toEqual(['', 0]);
    expect(JSON.parse(out)).toMatchObject({ files: [{ file, outcome: 'uploaded', document: left?.document_id }] });
    expect(await documentsOf('killed-cli.txt')).toMatchObject([{ sha256, document_id: left?.document_id }]);
    const status = await stack.call<UploadStatusAnswer>('GET', `/documents/upload/status/${left?.upload_id}`);
    expect(status).toMatchObject({ state: 'completed', missing_parts: [] });
  });
});
