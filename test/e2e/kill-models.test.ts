/** A worker that is killed in the middle of paid calls: what was finished is not paid for again, and no key is written down. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { zstdDecompress } from 'node:zlib';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { MODEL_KEY } from '../servers/model/models.ts';
import { modelServer, type ModelServer } from '../servers/model/server.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, sheetOf, until } from './kill-round.ts';

const ROWS = 2_000;
const CONCURRENCY = 50;
const MODEL = 'openai:gpt-5-mini';

let stack: TestStack;
let server: ModelServer;
beforeAll(async () => {
  server = await modelServer();
  server.latencyMs = 50;
  server.says = JSON.stringify({ reason: 'x', category: 'a', confidence: 1 });
  stack = await startTestStack({ env: { OPENAI_API_KEY: MODEL_KEY, OPENAI_BASE_URL: server.url, SHEAF_LOG_LEVEL: 'debug', SHEAF_MODEL_PRICES: JSON.stringify({ [MODEL]: { input: 1, output: 1 } }) } });
});
afterAll(async () => {
  await Promise.all([stack?.stop(), server?.close()]);
});

test('pays again only for calls that were under way, under a budget too, and leaves the key nowhere', { timeout: 180_000 }, async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  const upload = await stack.upload('paid.csv', sheetOf(ROWS));
  const { id } = await stack.create({
    source: { upload }, keyColumns: ['id'], concurrency: CONCURRENCY, maxCost: 10,
    handler: { name: 'categorize', options: { model: MODEL, categories: 'a, b', instructions: 'By {{id}} and {{name}}.' } },
  });
  await until('some hundred calls', async () => server.paid > 600);
  await stack.kill('worker');
  await stack.start('worker');
  const job = await ended(stack, id);
  expect(job).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
  expect(new Set(server.asked.map(({ prompt }) => prompt)).size).toBe(ROWS);
  expect(server.paid).toBeGreaterThanOrEqual(ROWS);
  expect(server.paid).toBeLessThanOrEqual(ROWS + CONCURRENCY);
  // Rows that had been answered and not committed come from the kept answers.
  expect(job.tokens! / 15 + job.cached!).toBe(ROWS);

  let files = 0;
  for (const file of await readdir(path.dirname(stack.home), { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const content = await readFile(path.join(file.parentPath, file.name)).catch(() => null);
    if (content === null) continue;
    files++;
    const plain = file.name.endsWith('.zst') ? await promisify(zstdDecompress)(content) : content;
    expect(plain.includes(MODEL_KEY), file.name).toBe(false);
  }
  expect(files).toBeGreaterThan(5);
});
