/** `sheaf doc` as a process, against an API that answers by script. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type AcceptedAnswer, acceptedAnswer, type DocumentStatusAnswer, documentStatusAnswer } from '../../src/contracts/document-api.ts';
import { batchFileAnswer } from '../../src/contracts/plans-api.ts';
import { type Answer, type Asked, problem, type ScriptedApi, scriptedApi } from '../servers/scripted-api.ts';

const MAIN = path.resolve('src/cli/main.ts');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-cli-doc-'));
  await mkdir(path.join(folder, 'reports', 'deep'), { recursive: true });
  for (const name of ['a.txt', 'reports/b.pdf', 'reports/c.md', 'reports/.hidden.md', 'reports/deep/d.md', 'secret']) await writeFile(path.join(folder, name), `content of ${name}`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let api: ScriptedApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

async function doc(script: (asked: Asked) => Answer | undefined, ...args: string[]) {
  api = await scriptedApi(script);
  const child = spawn(process.execPath, [MAIN, 'doc', ...args], { cwd: folder, env: { PATH: process.env['PATH'] ?? '', SHEAF_API_URL: api.url } });
  child.stdin.end();
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
  return { out, err, code, asked: api.asked };
}

const accepted = (id: string, more: Partial<AcceptedAnswer> = {}): Answer => ({ status: 201, json: acceptedAnswer.parse({ success: true, document_id: id, job_id: `job_${id}`, status: 'processing', message: 'm', ...more }) });
const status = (more: Partial<DocumentStatusAnswer> = {}): Answer => ({
  json: documentStatusAnswer.parse({ document_id: 'd', status: 'ready', progress: 100, task_state: 'SUCCESS', message: 'Ready: 3 passages', total_chunks: 3, ready: true, ...more }),
});

describe('sheaf doc upload', () => {
  test('uploads a file with what was asked, and says how to follow it', async () => {
    const { out, err, code, asked } = await doc(() => accepted('doc_1'), 'upload', 'a.txt', '--tag', 'x', '--tag', 'y', '--type', 'txt', '--key', 'manual', '--priority', 'high', '--force', '--option', 'chunk_size=500', '--password-file', 'secret');
    expect([code, out, err]).toEqual([0, 'uploaded   a.txt  doc_1\n', 'Follow it: npx sheaf doc status doc_1 --wait\n']);
    expect(asked.map(({ method, path: address, query }) => `${method} ${address}?${query}`)).toEqual(['POST /documents/upload/simple?']);
    for (const field of ['a.txt', 'x,y', 'txt', 'manual', 'high', 'true', '{"chunk_size":500,"password":"content of secret"}', 'content of a.txt']) expect(asked[0]?.body).toContain(`\r\n${field}\r\n`);
  });

  /** The server's side of a batch: `refuse` answers what is sent of a file, `came` what has come of it. */
  const batchServer = (refuse: Record<string, Answer>, came: (file: string) => object, more: (asked: Asked) => Answer | undefined = () => undefined) => {
    const names: string[] = [];
    let files: string[] = [];
    const batch = (state: string): Answer => ({ json: { id: 'bat_1', state, size: files.length, made: files.length, jobs: {}, files: { duplicate: 0, refused: 0 }, progress: { total: files.length, done: files.length, unchanged: 0, failed: 0, skipped: 0, remaining: 0, percent: 100, ended: files.length } } });
    return (asked: Asked): Answer | undefined => {
      const { method, path: address, body } = asked;
      if (address === '/documents/upload/active') return { json: { items: [], nextCursor: null } };
      if (address === '/documents/upload/initiate') {
        names.push((JSON.parse(body) as { filename: string }).filename);
        return { status: 201, json: { upload_id: `upl_${names.length - 1}`, chunk_size: 100, total_parts: 1 } };
      }
      if (address === '/documents/upload/chunk') return refuse[names[Number(/upl_(\d+)/.exec(body)![1])]!] ?? { json: { accepted: true } };
      if (method === 'POST' && address === '/batches') {
        files = (JSON.parse(body) as { files: { upload: string }[] }).files.map(({ upload }) => names[Number(upload.slice(4))]!);
        return { ...batch('running'), status: 201 };
      }
      if (address === '/batches/bat_1') return batch('completed');
      if (address === '/batches/bat_1/files') return { json: { items: files.map((file, place) => batchFileAnswer.parse({ number: place + 1, file, ...came(file) })), nextCursor: null } };
      return more(asked);
    };
  };

  test('makes a batch of folders, narrowed by a pattern, and gives each file an outcome with its reason', async () => {
    const script = () => batchServer(
      { 'b.pdf': problem(415, 'unsupported_type', 'The file is a program.', { remedy: 'Give a PDF.' }) },
      (file) => (file === 'd.md' ? { outcome: 'duplicate', document: 'doc_d', job: 'job_d' } : { outcome: 'processing', document: 'doc_c', job: 'job_c' }),
    );
    const all = await doc(script(), 'upload', 'reports', '--json');
    expect(all.code).toBe(1);
    expect(JSON.parse(all.out)).toEqual({ batch: 'bat_1', files: [
      { file: 'reports/b.pdf', outcome: 'failed', error: { code: 'unsupported_type', message: 'The file is a program.', remedy: 'Give a PDF.', status: 415, instance: 'urn:uuid:0' } },
      { file: 'reports/c.md', outcome: 'uploaded', document: 'doc_c', job: 'job_c' },
      { file: 'reports/deep/d.md', outcome: 'duplicate', document: 'doc_d', job: 'job_d' },
    ] });
    await api?.close();
    const some = await doc(script(), 'upload', 'reports', '--glob', '**/*.md');
    const lines = some.out.trim().split('\n');
    expect([some.code, lines.pop()]).toEqual([0, 'uploaded 1  duplicate 1']);
    expect(lines).toEqual(['uploaded   reports/c.md  doc_c', 'duplicate  reports/deep/d.md  doc_d']);
    expect(some.err).toContain('npx sheaf batch watch bat_1');
  });

  test('waits until the documents are ready, also those that were there before, and fails where one is not', async () => {
    let calls = 0;
    const came: Record<string, object> = {
      'a.txt': { outcome: 'ready', document: 'good', passages: 3 }, 'd.md': { outcome: 'duplicate', document: 'older' },
      'c.md': { outcome: 'failed', document: 'bad', error: { code: 'password_required', message: 'It is encrypted.', remedy: 'Give the password.' } },
    };
    const { out, err, code } = await doc(batchServer({}, (file) => came[file]!, ({ path: address }) =>
      address === '/documents/older/status' ? (++calls < 3 ? status({ status: 'processing', progress: 40, task_state: 'PROCESSING', message: 'Extracting the text', ready: false }) : status()) : undefined,
    ), 'upload', 'a.txt', 'reports/c.md', 'reports/deep/d.md', '--wait');
    expect(code).toBe(1);
    expect(out).toContain('ready      a.txt  good  3 passages\n');
    expect(out).toContain('failed     reports/c.md  bad  password_required: It is encrypted.\n');
    expect(out).toContain('ready      reports/deep/d.md  older  3 passages\n');
    expect(err).toContain('Give the password.');
    expect(err).toContain('npx sheaf batch retry bat_1 --failed');
  });

  test.each([
    [['absent.pdf'], 'There is no file absent.pdf.'], [['reports', '--glob', '*.xyz'], 'No file matches *.xyz'], [['a.txt', 'reports/c.md', '--key', 'k'], '--key names one document'],
    [['a.txt', '--password-file', 'absent'], 'The file absent cannot be read.'], [[], "missing required argument 'paths'"],
  ])('says that %j is wrong usage before anything is sent', async (args, message) => {
    const { err, code, asked } = await doc(() => undefined, 'upload', ...args);
    expect([code, asked]).toEqual([2, []]);
    expect(err).toContain(message);
  });
});

describe('sheaf doc', () => {
  test('status shows where a document is, and --wait ends as it does', async () => {
    const failed = status({ status: 'failed', progress: 15, task_state: 'FAILURE', message: 'It is encrypted.\u001b[2J', ready: false });
    expect(await doc(() => failed, 'status', 'd', '--wait')).toMatchObject({ code: 1, out: 'failed  15 %  It is encrypted.[2J\n' });
    await api?.close();
    expect(await doc(() => status(), 'status', 'd')).toMatchObject({ code: 0, out: 'ready  100 %  Ready: 3 passages\n' });
    await api?.close();
    expect(await doc(() => problem(404, 'document_not_found', 'There is no document d.'), 'status', 'd')).toMatchObject({ code: 1, err: 'error: There is no document d.\n  `sheaf doc list` shows the documents that there are.\n' });
  });

  test('search asks for passages alone', async () => {
    const { asked } = await doc(() => ({ json: { items: [], nextCursor: null } }), 'search', 'notice', 'period', '--tag', 'x');
    expect(asked.map(({ path: address, query }) => `${address}?${query}`)).toEqual(['/search?q=notice+period&kind=passage&tag=x&limit=20']);
  });

  test('reprocess takes ids or all that have failed, not both and not neither', async () => {
    const script = ({ method, path: address }: Asked): Answer => (method === 'GET'
      ? { json: { items: [{ document_id: 'f1' }, { document_id: 'f2' }], nextCursor: null } } : { status: 202, json: { document_id: address.split('/')[2], filename: 'a.pdf' } });
    const { out, code, asked } = await doc(script, 'reprocess', '--failed', '--tag', 't', '--from', 'chunking', '--option', 'chunk_size=300');
    expect([code, out]).toEqual([0, 'queued  f1  a.pdf\nqueued  f2  a.pdf\n']);
    expect(asked.map(({ method, path: address, query, body }) => `${method} ${address}?${query} ${body}`)).toEqual([
      'GET /documents?status=failed&tag=t&limit=500 ', 'POST /documents/f1/reprocess? {"from":"chunking","options":{"chunk_size":300}}', 'POST /documents/f2/reprocess? {"from":"chunking","options":{"chunk_size":300}}',
    ]);
    await api?.close();
    for (const args of [[], ['f1', '--failed']]) expect((await doc(script, 'reprocess', ...args)).code).toBe(2);
  });
});
