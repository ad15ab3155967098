import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import { startElasticsearch, type ElasticsearchServer } from '../servers/elasticsearch/server.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3, type S3Server } from '../servers/s3.ts';
import { PARTS, startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, sheetOf, until } from './kill-round.ts';

const ROWS = 3_000;

type Servers = [ElasticsearchServer, S3Server];
const servers = await orMissing<Servers>('Elasticsearch and S3', Promise.all([startElasticsearch(), startS3()]));
afterAll(() => Promise.all((servers ?? []).map((server) => server.stop())));

describe('the embedded stack', () => {
  backupSuite(() => ({}), (stack) => rm(stack.home, { recursive: true }));
});

describe.skipIf(servers === null)('Elasticsearch and S3', () => {
  const [elasticsearch, s3] = servers ?? ([] as unknown as Servers);
  const place = (bucket: string): Record<string, string> => ({
    SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: elasticsearch.url, SHEAF_ELASTICSEARCH_PREFIX: 'kept',
    SHEAF_BLOBS: 's3', S3_ENDPOINT: s3.endpoint, S3_REGION: s3.region, S3_BUCKET: bucket, S3_PREFIX: 'files', ...s3.credentials,
  });
  backupSuite(() => place(s3.bucket), async (stack) => {
    const indices = (await (await fetch(`${elasticsearch.url}/_cat/indices/kept-*?format=json`)).json()) as { index: string }[];
    for (const { index } of indices) await fetch(`${elasticsearch.url}/${index}`, { method: 'DELETE' });
    const { openBlobs } = await import('../../src/container.ts');
    const { readConfig } = await import('../../src/config.ts');
    const blobs = await openBlobs(readConfig(stack.env));
    for await (const { key } of blobs.list('')) await blobs.delete(key);
  });
});

/** A job, a backup, everything lost, a restore: the same results, and a ledger that still knows what was done. */
function backupSuite(env: () => Record<string, string>, loseEverything: (stack: TestStack) => Promise<unknown>): void {
  let stack: TestStack;
  beforeAll(async () => { stack = await startTestStack({ env: env() }); });
  afterAll(() => stack?.stop());

  const runJob = async (): Promise<JobAnswer> => {
    const file = path.join(stack.folder, 'kept.csv');
    await writeFile(file, sheetOf(ROWS));
    return ended(stack, (await stack.create({ source: { path: file }, keyColumns: ['id'], handler: { name: 'store' } })).id);
  };

  test('what was saved is restored to the last row, verified by counts, and refused where it would not be whole', { timeout: 240_000 }, async () => {
    const job = await runJob();
    expect(job).toMatchObject({ state: 'completed', progress: { done: ROWS } });
    const results = await stack.results(job.id);
    for (const part of PARTS) await stack.kill(part);

    const folder = path.join(stack.folder, 'backup');
    const saved = await backup(stack, 'save', folder);
    expect(saved).toMatchObject({ code: 0, out: expect.stringMatching(new RegExp(`items: ${ROWS}$`, 'm')) });
    expect(await backup(stack, 'save', folder)).toMatchObject({ code: 1, err: expect.stringContaining('is not empty') });
    expect(await backup(stack, 'restore', folder)).toMatchObject({ code: 1, err: expect.stringContaining('something already') });
    expect(await backup(stack, 'verify', folder)).toMatchObject({ code: 0 });

    await loseEverything(stack);
    expect(await backup(stack, 'verify', folder)).toMatchObject({ code: 1, err: expect.stringContaining('Not as it was saved') });
    const restored = await backup(stack, 'restore', folder);
    expect(restored).toMatchObject({ code: 0, out: saved.out.replace('Saved', 'Restored') });

    await stack.start('temporal');
    await Promise.all([stack.start('worker'), stack.start('api')]);
    await until('the API to answer', () => stack.job(job.id));
    expect(await stack.results(job.id)).toEqual(results);
    expect(await runJob()).toMatchObject({ state: 'completed', progress: { done: 0, unchanged: ROWS } });
  });
}

const script = fileURLToPath(new URL('../../scripts/backup.mjs', import.meta.url));

async function backup({ env }: TestStack, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [script, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit') as Promise<[number]>]);
  return { code, out, err };
}
