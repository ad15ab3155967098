/** The stack as a team runs it, on a real Elasticsearch and a real S3 server: what kills and outages do to a job. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { SystemCheck } from '../../src/contracts/system-api.ts';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startElasticsearch, type ElasticsearchServer } from '../servers/elasticsearch/server.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3, type S3Server } from '../servers/s3.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, killRound, sheetOf, startCountedJob, until } from './kill-round.ts';

const ROWS = 20_000;
const ANSWER_MS = 20;

type Servers = [ElasticsearchServer, S3Server];
const servers = await orMissing<Servers>('Elasticsearch and S3', Promise.all([startElasticsearch(), startS3()]));

describe.skipIf(servers === null)('on Elasticsearch and S3', () => {
  const [elasticsearch, s3] = servers ?? ([] as unknown as Servers); // without them nothing below runs
  let stack: TestStack;
  let counter: RowCounter & { url: string };

  beforeAll(async () => {
    const env = {
      SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: elasticsearch.url, SHEAF_ELASTICSEARCH_PREFIX: 'production',
      SHEAF_BLOBS: 's3', S3_ENDPOINT: s3.endpoint, S3_REGION: s3.region, S3_BUCKET: s3.bucket, ...s3.credentials,
    };
    const ground = { elasticsearch, s3: { kill: s3.kill ?? (() => Promise.reject(new Error('The S3 server is not ours to kill'))), restart: s3.restart } };
    [stack, counter] = await Promise.all([startTestStack({ env, ground }), startRowCounter(ANSWER_MS)]);
    await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
  });
  afterAll(async () => {
    await Promise.all([stack?.stop(), counter?.close()]);
    await Promise.all([elasticsearch.stop(), s3.stop()]);
  });

  for (const victim of ['worker', 'api', 'temporal', 'elasticsearch', 's3']) {
    test(`a 20,000-row job ends by itself after kill -9 of ${victim}; no row is lost, only rows in flight run twice`, { timeout: 300_000 }, async () => {
      onTestFailed(async () => console.log(await stack.logs()));
      const round = await killRound(stack, counter, ROWS, { victim, afterRows: 7_000, outageMs: 0 });
      console.log(JSON.stringify(round));
      expect(round.violations).toEqual([]);
    });
  }

  test('without S3 a job waits, cause capacity, and says why; it goes on by itself', { timeout: 180_000 }, async () => {
    onTestFailed(async () => console.log(await stack.logs()));
    counter.clear();
    const { id } = await startCountedJob(stack, counter.url, 3_000);
    await counter.answered(500);
    await stack.kill('s3');
    const job = await until('the job to wait', async () => {
      const now = await stack.job(id);
      return now.state === 'waiting' && now;
    });
    expect(job.cause).toBe('capacity');
    expect(job.reason).toContain('S3');
    await stack.start('s3');
    expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 3_000, failed: 0 } });
  });

  test('without Elasticsearch the API is not ready and answers 503 with a time to come back; the job goes on by itself', { timeout: 180_000 }, async () => {
    onTestFailed(async () => console.log(await stack.logs()));
    counter.clear();
    const { id } = await startCountedJob(stack, counter.url, 3_000);
    await counter.answered(500);
    await stack.kill('elasticsearch');
    const answer = await fetch(`${stack.url}/api/v1/jobs/${id}`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect(await answer.json()).toMatchObject({ code: 'store_unavailable', remedy: expect.stringContaining('ELASTICSEARCH_URL') });
    expect((await fetch(`${stack.url}/readyz`)).status).toBe(503);
    expect(await stack.call('GET', '/system/status')).toMatchObject({ status: 'down', parts: { store: { ok: false }, blobs: { ok: true } } });
    await stack.start('elasticsearch');
    expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 3_000, failed: 0 } });
  });

  test('while the indices are read-only, as on a full disk, the job is shown to wait, cause capacity; it goes on by itself', { timeout: 180_000 }, async () => {
    onTestFailed(async () => console.log(await stack.logs()));
    const block = (on: true | null) => fetch(`${elasticsearch.url}/production-*/_settings`, {
      method: 'PUT', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ 'index.blocks.read_only_allow_delete': on }),
    });
    counter.clear();
    const { id } = await startCountedJob(stack, counter.url, 3_000);
    await counter.answered(500);
    expect((await block(true)).status).toBe(200);
    const job = await until('the job to be shown to wait', async () => {
      const now = await stack.job(id);
      return now.state === 'waiting' && now;
    });
    expect(job).toMatchObject({ cause: 'capacity', reason: expect.stringContaining('read-only') });
    expect((await block(null)).status).toBe(200);
    expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 3_000, failed: 0 } });
  });

  test('a worker that starts while Elasticsearch is away waits for it', { timeout: 180_000 }, async () => {
    onTestFailed(async () => console.log(await stack.logs()));
    await stack.kill('elasticsearch');
    await stack.kill('worker');
    const worker = stack.start('worker');
    await stack.start('elasticsearch');
    await worker;
    const upload = await stack.upload('after.csv', sheetOf(10));
    const { id } = await stack.create({ source: { upload }, keyColumns: ['id'], handler: { name: 'store' } });
    expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 10 } });
  });

  test('sheaf system check finds every server well, and names the one that is not, with a remedy', { timeout: 120_000 }, async () => {
    const check = async (): Promise<{ code: number; checks: SystemCheck[] }> => {
      const { code, out } = await sheaf(stack, ['system', 'check', '--json', '--url', stack.url]);
      return { code, checks: JSON.parse(out) as SystemCheck[] };
    };
    const well = await check();
    expect(well.checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(well.checks.map(({ name }) => name)).toEqual(expect.arrayContaining([
      'API', 'Temporal', 'Temporal namespace', 'Temporal search attributes', 'workers',
      'Elasticsearch', 'Elasticsearch health', 'Elasticsearch rights', 'Elasticsearch indices', 'Elasticsearch writing', 'S3', 'clock',
    ]));
    expect(well.code).toBe(0);

    await stack.kill('s3');
    const ill = await check();
    await stack.start('s3');
    expect(ill.checks.filter(({ ok }) => !ok)).toEqual(expect.arrayContaining([{ name: 'S3', ok: false, found: expect.stringContaining('S3'), remedy: expect.stringContaining('S3_ENDPOINT') }]));
    expect(ill.code).toBe(1);
  });

  test('sheaf system prepare makes what servers need once, and nothing the second time', { timeout: 120_000 }, async () => {
    const fresh = { SHEAF_TEMPORAL_NAMESPACE: 'fresh', SHEAF_ELASTICSEARCH_PREFIX: 'fresh', S3_BUCKET: 'sheaf-fresh-bucket' };
    const prepare = async (): Promise<string[]> => (JSON.parse((await sheaf(stack, ['system', 'prepare', '--json'], fresh)).out) as { made: string[] }).made;
    expect(await prepare()).toEqual(expect.arrayContaining(['namespace fresh', 'search attribute SheafTenant', 'search attribute SheafTags', 'bucket sheaf-fresh-bucket']));
    expect(await prepare()).toEqual([]);
    expect((await fetch(`${elasticsearch.url}/fresh-jobs`)).status).toBe(200);
  });

  test('sheaf start runs its first job on servers that are there', { timeout: 180_000 }, async () => {
    const own = { SHEAF_HOME: path.join(stack.home, 'started'), SHEAF_TEMPORAL_ADDRESS: '', SHEAF_API_PORT: '0', SHEAF_TEMPORAL_PORT: '0', SHEAF_TEMPORAL_UI_PORT: '0', SHEAF_ELASTICSEARCH_PREFIX: 'started', SHEAF_STORE: '', SHEAF_BLOBS: '', SHEAF_INPUT_DIRS: '' };
    const { code, out, err } = await sheaf(stack, ['start', '--sample', '--once', '--store', 'elasticsearch', '--blobs', 's3'], own);
    expect({ code, out, err }).toMatchObject({ code: 0 });
    await fetch(`${elasticsearch.url}/started-items/_refresh`, { method: 'POST' });
    const { count } = (await (await fetch(`${elasticsearch.url}/started-items/_count`)).json()) as { count: number };
    expect(count).toBe(500);
    expect(existsSync(path.join(own.SHEAF_HOME, 'store'))).toBe(false);
  });

  test('sheaf start says which server is not there, and starts nothing', { timeout: 60_000 }, async () => {
    const own = { SHEAF_HOME: path.join(stack.home, 'refused'), SHEAF_TEMPORAL_ADDRESS: '', ELASTICSEARCH_URL: 'http://127.0.0.1:1' };
    const { code, err } = await sheaf(stack, ['start'], own);
    expect(code).toBe(1);
    expect(err).toContain('Elasticsearch cannot be reached.');
    expect(err).toContain('ELASTICSEARCH_URL');
    expect(existsSync(path.join(own.SHEAF_HOME, 'temporal.db'))).toBe(false);
  });
});

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** The CLI in the stack's environment, with variables of its own over it. */
async function sheaf({ env }: TestStack, args: string[], own: Record<string, string> = {}): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [main, ...args], { env: { ...env, ...own }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number]>]);
  return { code, out, err };
}
