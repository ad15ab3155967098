/** Named limits with two worker processes, as the server that is called counts them. */
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/api.ts';
import { inWindows, mostInWindow, startMeteredApi, writeLimitedHandler, type MeteredApi } from '../servers/metered-api.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, sheetOf } from './kill-round.ts';

const WINDOW_MS = 4_000;
const LIMITS = {
  project: { per: 4, perUser: false, perProject: { capacity: 60, refill: 15 } },
  user: { per: 4, perUser: 20, perProject: { capacity: 60, refill: 15 } },
};

let stack: TestStack;
let api: MeteredApi;
beforeAll(async () => {
  [stack, api] = await Promise.all([startTestStack({ workers: 2, env: { SHEAF_LIMITS: JSON.stringify(LIMITS) } }), startMeteredApi()]);
  await Promise.all(Object.keys(LIMITS).map((key) => writeLimitedHandler(path.join(stack.folder, `${key}.mjs`), [key])));
});
beforeEach(() => {
  api.clear();
  onTestFailed(async () => console.log(await stack.logs()));
});
afterAll(async () => {
  await Promise.all([stack?.stop(), api?.close()]);
});

/** A job of the user's, whose rows call the API under the limit. */
async function job(limit: string, user: string, rows: number): Promise<JobAnswer> {
  const headers = { 'x-sheaf-owner': user };
  const upload = await stack.upload(`${user}.csv`, sheetOf(rows), headers);
  return stack.create({
    source: { upload }, keyColumns: ['id'],
    handler: { name: 'module', options: { file: path.join(stack.folder, `${limit}.mjs`), options: { url: api.url, user } } },
  }, headers);
}

test('the project: never over in any window, at least 95 % used, users in turn, over two workers', { timeout: 120_000 }, async () => {
  const users = ['ann', 'bob', 'cat', 'dan'];
  const jobs = await Promise.all(users.map((user) => job('project', user, 80)));
  for (const { id } of jobs) expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 80 } });
  console.log(mostInWindow(api.arrivals, WINDOW_MS), inWindows(api.arrivals, WINDOW_MS, 5), api.arrivals.length);
  console.log(users.map((user) => api.arrivals.slice(0, 240).filter((one) => one.user === user).length));
  console.log(new Set(api.arrivals.map(({ caller }) => caller)).size);
  expect(mostInWindow(api.arrivals, WINDOW_MS)).toBeLessThanOrEqual(60);
  expect(inWindows(api.arrivals, WINDOW_MS, 5)).toBeGreaterThanOrEqual(0.95 * 5 * 60);
  expect(new Set(api.arrivals.map(({ caller }) => caller)).size).toBe(2);
});
