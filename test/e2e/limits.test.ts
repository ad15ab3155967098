/** Named limits with two worker processes, as the server that is called counts them; and what kills do to them. */
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { LimitAnswer, LimitsAnswer } from '../../src/contracts/system-api.ts';
import { mostInWindow, startMeteredApi, writeLimitedHandler, type Arrival, type MeteredApi } from '../servers/metered-api.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { ended, sheetOf, until } from './kill-round.ts';

const WINDOW_MS = 5_000;
const LIMITS = {
  project: { per: 5, perUser: false, perProject: { capacity: 60, refill: 12 } },
  user: { per: 5, perUser: 20, perProject: { capacity: 1_000, refill: 200 } },
  places: { perUser: false, perProject: false, concurrency: 4 },
  refusing: { perUser: false, perProject: false },
};

let stack: TestStack;
let api: MeteredApi;
beforeAll(async () => {
  // With no CPU to spare a worker has four pages at once: eight jobs keep both workers at work.
  const env = { SHEAF_LIMITS: JSON.stringify(LIMITS), SHEAF_WORKER_TARGET_CPU: '0.01' };
  [stack, api] = await Promise.all([startTestStack({ workers: 2, env }), startMeteredApi()]);
  await Promise.all(Object.keys(LIMITS).map((key) => writeLimitedHandler(path.join(stack.folder, `${key}.mjs`), [key])));
});
beforeEach(async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  await stack.startMissing();
  api.clear();
});
afterAll(async () => {
  await Promise.all([stack?.stop(), api?.close()]);
});

/** A job of the user's, whose rows call the API under the limit. */
async function job(limit: keyof typeof LIMITS, user: string, rows: number, more: object = {}): Promise<JobAnswer> {
  const body = {
    source: { upload: await stack.upload(`${user}.csv`, sheetOf(rows)) }, keyColumns: ['id'],
    handler: { name: 'module', options: { file: path.join(stack.folder, `${limit}.mjs`), options: { url: api.url, user } } }, ...more,
  };
  const response = await fetch(`${stack.url}/api/v1/jobs`, {
    method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'x-sheaf-owner': user },
  });
  expect(response.status).toBe(201);
  return (await response.json()) as JobAnswer;
}
const completed = async ({ id }: JobAnswer, rows: number): Promise<void> =>
  expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: rows, failed: 0 } });
const callers = (arrivals: readonly Arrival[]): Set<number> => new Set(arrivals.map(({ caller }) => caller));
const statusOf = async (limit: keyof typeof LIMITS): Promise<LimitAnswer> =>
  (await stack.call<LimitsAnswer>('GET', '/system/limits')).limits.find(({ name }) => name === limit)!;

// How much of a limit is used while there is work is held by `unit/limits-use`, on a clock of its own, and measured by `bench`.
test("the project's: never over in any window, by both workers", { timeout: 180_000 }, async () => {
  const users = ['ann', 'bob', 'cat', 'dan'];
  const jobs = await Promise.all([...users, ...users].map((user) => job('project', user, 50)));
  for (const one of jobs) await completed(one, 50);
  expect(mostInWindow(api.arrivals, WINDOW_MS)).toBeLessThanOrEqual(60);
  expect(callers(api.arrivals).size).toBe(2);
});

test("a user's: each has its own, never over in any window, whichever worker calls", { timeout: 180_000 }, async () => {
  const jobs = await Promise.all(['eve', 'eve', 'fay'].map((user) => job('user', user, 60)));
  for (const one of jobs) await completed(one, 60);
  for (const user of ['eve', 'fay']) {
    const mine = api.arrivals.filter((one) => one.user === user);
    expect(mostInWindow(mine, WINDOW_MS)).toBeLessThanOrEqual(20);
  }
});

test('a Retry-After that one worker is given stops them both until it is over', { timeout: 120_000 }, async () => {
  api.answerMs = 50;
  let refused: Arrival | undefined;
  // The row that is refused is one of many; the others of both workers would go on.
  api.refuse = (arrival) => {
    if (refused !== undefined || callers(api.arrivals).size < 2 || api.arrivals.length < 100) return null;
    refused = arrival;
    return 6;
  };
  const jobs = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((index) => job('refusing', `user${index}`, 200, { concurrency: 4 })));
  await until('a refusal', async () => refused !== undefined);
  expect(await until('the back-off to show', async () => (await statusOf('refusing')).backOffUntil)).toMatch(/Z$/);
  await until('a job to wait', async () => (await Promise.all(jobs.map(({ id }) => stack.job(id)))).some(({ state, cause }) => state === 'waiting' && cause === 'rate_limit'));
  for (const one of jobs) await completed(one, 200);
  // Every worker knows after its next question to the broker, a fraction of a second later.
  const meanwhile = api.arrivals.filter(({ at }) => at > refused!.at + 2_000 && at < refused!.at + 6_000);
  expect(meanwhile).toEqual([]);
  expect(callers(api.arrivals.filter(({ at }) => at >= refused!.at + 6_000)).size).toBe(2);
});

test('places: never more calls at once; those of a worker that is killed come back', { timeout: 180_000 }, async () => {
  api.answerMs = 400;
  const jobs = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map((index) => job('places', `place${index}`, 30)));
  await until('both workers to call', async () => callers(api.arrivals).size === 2);
  await stack.kill('worker-2');
  const killed = api.arrivals.length;
  await until('the killed place to be given to the other', async () => (await statusOf('places')).concurrency!.used === 4, 60_000);
  for (const one of jobs) await completed(one, 30);
  expect(api.mostOpen).toBeLessThanOrEqual(4);
  expect(callers(api.arrivals.slice(killed)).size).toBe(1);
});

test('kill -9 of Temporal and of the worker that has the broker: the limit holds, and the jobs end', { timeout: 240_000 }, async () => {
  const jobs = await Promise.all(['gus', 'hal'].map((user) => job('project', user, 200)));
  await until('calls', async () => api.arrivals.length > 60);
  await stack.kill('temporal');
  await stack.start('temporal');
  const before = api.arrivals.length;
  await until('calls after Temporal was away', async () => api.arrivals.length > before + 60);
  // One of them has the broker in its cache.
  await stack.kill('worker');
  await stack.start('worker');
  await stack.kill('worker-2');
  await stack.start('worker-2');
  for (const one of jobs) await completed(one, 200);
  expect(mostInWindow(api.arrivals, WINDOW_MS)).toBeLessThanOrEqual(60);
  expect(new Set(api.arrivals.map(({ user, key }) => `${user} ${key}`)).size).toBe(400);
});
