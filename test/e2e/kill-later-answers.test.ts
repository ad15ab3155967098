/** Services that answer later, and `kill -9` of worker and API meanwhile: no row is lost, and none is worked on twice where the service honours its key. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { at } from '../../src/domain/json-pointer.ts';
import { signatureHeaders } from '../../src/domain/signature.ts';
import { startService, type Service } from '../servers/service.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, rowKey, sheetOf, until } from './kill-round.ts';

const ROWS = 300;
const CONCURRENCY = 20;
const SECRET = 'a-secret-that-is-nowhere';

let stack: TestStack;
let service: Service;
/** Work by its Idempotency-Key: begun once, however often it is asked for. */
const work = new Map<string, { key: string; callback: string; called: boolean }>();

beforeAll(async () => {
  service = await startService();
  stack = await startTestStack({ env: { SHEAF_ALLOWED_HOSTS: '127.0.0.1', SHEAF_SECRETS: '{"video": {"env": "VIDEO_KEY"}}', VIDEO_KEY: SECRET } });
});
afterAll(async () => {
  await stack?.stop();
  await service?.close();
});

/** As long as the API is away. */
async function callBack(one: { key: string; callback: string; called: boolean }): Promise<void> {
  const body = JSON.stringify({ status: 'done', seen: one.key });
  for (;;) {
    const answer = await fetch(one.callback, { method: 'POST', body, headers: { 'content-type': 'application/json', ...signatureHeaders(SECRET, one.key, body, Date.now()) } }).catch(() => null);
    if (answer?.ok) break;
    await sleep(50);
  }
  one.called = true;
}

test('every row is done once after the worker was killed while rows were sent, and the API while they were answered', { timeout: 180_000 }, async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  service.answer = async ({ headers, body }) => {
    const id = String(headers['idempotency-key']);
    if (!work.has(id)) work.set(id, { key: String(at(body, '/key')), callback: String(at(body, '/callback')), called: false });
    await sleep(10);
    return { status: 202, json: { id } };
  };
  const upload = await stack.upload('later.csv', sheetOf(ROWS));
  const { id } = await stack.create({ source: { upload }, keyColumns: ['id'], concurrency: CONCURRENCY, handler: { name: 'http', options: { url: `${service.url}/make`, signing: 'video', output: { seen: '/seen' }, async: {} } } });

  await until('half of the rows to be sent', async () => work.size >= ROWS / 2);
  await stack.kill('worker');
  await stack.start('worker');
  await until('all rows to be parked', async () => (await stack.job(id)).state === 'waiting');
  expect(await stack.job(id)).toMatchObject({ cause: 'dependency', progress: { done: 0, remaining: ROWS, submitted: ROWS } });

  const answers = Promise.all([...work.values()].map(callBack));
  await until('some rows to be answered', async () => [...work.values()].filter(({ called }) => called).length >= ROWS / 4);
  await stack.kill('api');
  await stack.start('api');
  await stack.kill('worker');
  await stack.start('worker');
  await answers;

  const job = await ended(stack, id);
  expect(job).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
  expect(await disagreements(stack, job, ROWS)).toEqual([]);
  expect([...work.values()].map(({ key }) => key).sort()).toEqual(Array.from({ length: ROWS }, (_, index) => rowKey(index)));
  expect(service.calls.length).toBeLessThanOrEqual(ROWS + CONCURRENCY);
  expect(await stack.logs()).not.toContain(SECRET);
});
