import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, killRound, rowKey, until } from './kill-round.ts';

const ROWS = 20_000;
const ANSWER_MS = 20;
const seed = Number(process.env['KILL_SEED'] ?? Math.floor(Math.random() * 1e9));
console.log(`Moments of the kills come from KILL_SEED=${seed}`);

let stack: TestStack;
let counter: RowCounter & { url: string };

beforeAll(async () => {
  [stack, counter] = await Promise.all([startTestStack(), startRowCounter(ANSWER_MS)]);
  await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
});
afterAll(async () => {
  await Promise.all([stack?.stop(), counter?.close()]);
});

for (const [index, victim] of (['worker', 'api', 'temporal'] as const).entries()) {
  test(`a 20,000-row job ends by itself after kill -9 of the ${victim}; no row is lost, only rows in flight run twice`, { timeout: 180_000 }, async () => {
    onTestFailed(async () => console.log(await stack.logs()));
    const afterRows = Math.floor(ROWS * (0.05 + 0.9 * pseudoRandom(seed + index)));
    const round = await killRound(stack, counter, ROWS, { victim, afterRows, outageMs: 0 });
    console.log(JSON.stringify(round));
    expect(round.violations).toEqual([]);
  });
}

test('200,000 cheap rows, many pages in a task, come to their end by themselves after kill -9 of the worker, and each is done once', { timeout: 300_000 }, async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  const rows = 200_000;
  const upload = await stack.upload('cheap.csv', `id,seen\n${Array.from({ length: rows }, (_, index) => `${rowKey(index)},${rowKey(index)}`).join('\n')}\n`);
  const { id } = await stack.create({ source: { upload }, keyColumns: ['id'] });
  const afterRows = Math.floor(rows * (0.05 + 0.5 * pseudoRandom(seed + 7)));
  await until('some rows to be done', async () => (await stack.job(id)).progress.done >= afterRows);
  await stack.kill('worker');
  const { done } = (await stack.job(id)).progress;
  expect(done).toBeLessThan(rows);
  await stack.start('worker');
  const job = await ended(stack, id);
  expect([job.state, job.progress.done]).toEqual(['completed', rows]);
  expect(await disagreements(stack, job, rows)).toEqual([]);
});

/** In [0, 1), the same for the same number. */
function pseudoRandom(number: number): number {
  let hash = Math.imul(number ^ 0x9e3779b9, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
