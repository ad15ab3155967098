/** Rows whose service answers later: parked, waited for, and taken once. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { takeCallback } from '../../src/api/callbacks.ts';
import type { JobRecord, JobRequest } from '../../src/contracts/job.ts';
import type { Json } from '../../src/contracts/row.ts';
import { at } from '../../src/domain/json-pointer.ts';
import { signatureHeaders } from '../../src/domain/signature.ts';
import { createAnswerCalls } from '../../src/temporal/answer-calls.ts';
import { startService, type ServedCall, type Service } from '../servers/service.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
let service: Service;
beforeAll(async () => {
  rig = await openRig({ secrets: '{video: {env: RIG_SECRET}}' });
  await rig.startWorkers();
  service = await startService();
});
beforeEach(() => {
  service.calls = [];
  service.answer = ({ body }) => ({ status: 202, json: { id: `remote-${nameOf(body)}` } });
});
afterEach(() => rig.replayAll());
afterAll(async () => {
  await rig.close();
  await service.close();
});

const nameOf = (body: Json): string => String(at(body, '/input/name'));
const named = (): string[] => service.calls.map(({ body }) => nameOf(body)).sort();
const callOf = (name: string): ServedCall => service.calls.findLast(({ body }) => nameOf(body) === name)!;
const asks = (async: { [option: string]: Json } = {}): Partial<JobRequest> => ({
  handler: 'http', keyColumns: ['name'], options: { url: `${service.url}/make`, signing: 'video', output: { url: '/url' }, async },
});

/** As the service does it. */
async function callBack(name: string, answer: Json, secret = 'rig-secret'): Promise<string> {
  const address = String(at(callOf(name).body, '/callback')).split('/').at(-1)!;
  const body = JSON.stringify(answer);
  const deps = { store: rig.store, answerCalls: createAnswerCalls(rig.store, rig.env.client), secrets: () => 'rig-secret' };
  return takeCallback(deps, address, signatureHeaders(secret, `msg-${name}`, body, Date.now()), Buffer.from(body));
}
const done = (name: string): Json => ({ status: 'done', url: `u-${name}`, cost: 0.5 });
const parked = (id: string, submitted: number) => eventually(async () => (await rig.store.jobTotals(TENANT, id, (await rig.job(id)).attempt)).submitted === submitted && (await rig.job(id)).state === 'waiting');
const retried = async (job: JobRecord): Promise<JobRecord> => rig.jobs.retry(TENANT, job.id, { codes: null });

describe('called back', () => {
  test('a row is done with what the service said, and the job waits in the open until all have been answered', async () => {
    const job = await rig.create('later', rowsOf(3), { request: asks() });
    await parked(job.id, 3);
    expect(await rig.job(job.id)).toMatchObject({ state: 'waiting', cause: 'dependency', reason: '3 rows wait for the answer of a service.' });
    expect(await rig.store.queueEntry(TENANT, job.id)).not.toMatchObject({ state: 'running' });
    expect(await callBack('a2', done('a2'))).toBe('answered');
    await parked(job.id, 2);
    expect(await callBack('a1', { status: 'processing' })).toBe('submitted');
    await callBack('a1', done('a1'));
    await callBack('a3', { status: 'failed', error: { message: 'too rude' } });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 2, unchanged: 0, failed: 1, skipped: 0, tried: 3, faults: 1 });
    expect(await rig.outcomes(job.id)).toMatchObject([
      { state: 'done', output: { url: 'u-a1' } }, { state: 'done', output: { url: 'u-a2' } }, { state: 'failed', error: { code: 'remote_failed', message: 'The service could not do it: too rude' } },
    ]);
    expect(await rig.store.jobSpent(TENANT, job.id)).toMatchObject({ cost: 1 });
    expect(named()).toEqual(['a1', 'a2', 'a3']);
  });

  test('before the service has answered, and more than once, the first word counts', async () => {
    service.answer = async ({ body }) => {
      await callBack(nameOf(body), done(nameOf(body)));
      return { status: 202, json: { id: 'r' } };
    };
    const job = await rig.create('early', rowsOf(2), { request: asks() });
    await rig.ended(job.id);
    expect(await callBack('a1', { status: 'failed' })).toBe('answered');
    expect(await rig.totals(job.id)).toMatchObject({ done: 2, failed: 0 });
  });

  test('a wrong signature, another address and what is no object change nothing', async () => {
    const job = await rig.create('forged', rowsOf(1), { request: asks() });
    await parked(job.id, 1);
    await expect(callBack('a1', done('a1'), 'guessed')).rejects.toMatchObject({ code: 'signature_invalid' });
    await expect(callBack('a1', null)).rejects.toMatchObject({ code: 'invalid_request' });
    const deps = { store: rig.store, answerCalls: createAnswerCalls(rig.store, rig.env.client), secrets: () => 'rig-secret' };
    for (const address of ['x', `default~${'a'.repeat(22)}~${'b'.repeat(24)}`]) await expect(takeCallback(deps, address, {}, Buffer.from('{}'))).rejects.toMatchObject({ code: 'callback_unknown' });
    await callBack('a1', done('a1'));
    await rig.ended(job.id);
  });

  test('an answer that is there at once needs no callback', async () => {
    service.answer = ({ body }) => ({ json: nameOf(body) === 'a1' ? done('a1') : { status: 'failed', error: 'no' } });
    const job = await rig.create('at-once', rowsOf(2), { request: asks() });
    await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 1, failed: 1 });
  });
});

describe('what the service has is not given to it again', () => {
  test('by a pause, and a cancelled job keeps what comes late for its retry', async () => {
    const job = await rig.create('cancelled', rowsOf(2), { request: asks() });
    await parked(job.id, 2);
    await rig.jobs.control(TENANT, job.id, 'pause');
    await rig.when(job.id, ({ state }) => state === 'paused');
    await rig.jobs.control(TENANT, job.id, 'resume');
    await parked(job.id, 2);
    await rig.jobs.control(TENANT, job.id, 'cancel');
    const cancelled = await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 0, failed: 0 });
    await callBack('a1', done('a1'));
    await retried(cancelled);
    await parked(job.id, 1);
    await callBack('a2', done('a2'));
    await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    expect(await rig.totals(job.id)).toMatchObject({ done: 2 });
    expect(named()).toEqual(['a1', 'a2']);
  });

  test('by another job, even one that is forced, which is told from then on', async () => {
    const first = await rig.create('adopted', rowsOf(1), { request: asks() });
    await parked(first.id, 1);
    await rig.jobs.control(TENANT, first.id, 'cancel');
    await rig.ended(first.id);
    const second = await rig.create('adopted', rowsOf(1), { request: { ...asks(), force: true } });
    await parked(second.id, 1);
    await callBack('a1', done('a1'));
    await rig.ended(second.id);
    expect(await rig.totals(second.id)).toMatchObject({ done: 1 });
    expect(named()).toEqual(['a1']);
    // What it has answered is another matter: force asks anew, as a call of its own.
    const third = await rig.create('adopted', rowsOf(1), { request: { ...asks(), force: true } });
    await parked(third.id, 1);
    await callBack('a1', done('a1'));
    await rig.ended(third.id);
    expect(new Set(service.calls.map(({ headers }) => headers['idempotency-key'])).size).toBe(2);
  });

  test('a row that the service failed is a new call for it when somebody asks to try again', async () => {
    const job = await rig.create('again', rowsOf(1), { request: asks() });
    await parked(job.id, 1);
    await callBack('a1', { status: 'failed' });
    const ended = await rig.ended(job.id);
    await retried(ended);
    await parked(job.id, 1);
    await callBack('a1', done('a1'));
    await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    expect(await rig.totals(job.id)).toMatchObject({ done: 1, failed: 0 });
    const [first, second] = service.calls;
    expect(first!.headers['idempotency-key']).not.toBe(second!.headers['idempotency-key']);
  });

  test('a call of which nobody knows is repeated as the same call', async () => {
    let broken = true;
    service.answer = () => (broken ? { status: 503 } : { status: 202, json: { id: 'r' } });
    const job = await rig.create('unknown', rowsOf(1), { request: { ...asks(), drainSeconds: 0 } });
    await eventually(async () => service.calls.length > 0);
    await rig.jobs.control(TENANT, job.id, 'cancel');
    const cancelled = await rig.ended(job.id);
    broken = false;
    await retried(cancelled);
    await parked(job.id, 1);
    await callBack('a1', done('a1'));
    await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    expect(new Set(service.calls.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
  });
});

test('a service that does not call back is asked, and one that never ends fails the row when its time is over', async () => {
  service.answer = ({ method, path, body }) => {
    if (method === 'POST') return { status: 201, json: { id: nameOf(body), status: 'queued' } };
    return { json: path.endsWith('/a2') ? { status: 'running' } : done('a1') };
  };
  const options = { ...asks({ statusUrl: `${service.url}/jobs/{{$id}}`, pollSeconds: 1, deadlineMinutes: 0.1 }).options };
  delete options['signing'];
  const job = await rig.create('polled', rowsOf(2), { request: { ...asks(), options } });
  await rig.ended(job.id);
  expect(await rig.outcomes(job.id)).toMatchObject([{ state: 'done', output: { url: 'u-a1' } }, { state: 'failed', error: { code: 'remote_deadline' } }]);
  expect(service.calls.filter(({ method }) => method === 'POST').map(({ body }) => at(body, '/callback'))).toEqual([null, null]);
});

test('what no row can do anything about ends the job at once, and a retry goes on', async () => {
  service.answer = () => ({ status: 401, json: { error: 'bad key' } });
  const job = await rig.create('denied', rowsOf(30), { request: { ...asks(), concurrency: 2 } });
  expect(await rig.ended(job.id)).toMatchObject({ state: 'failed', error: { code: 'service_denied', message: 'The service answered 401: bad key' } });
  expect(service.calls.length).toBeLessThanOrEqual(4);
  expect(await rig.totals(job.id)).toMatchObject({ done: 0, failed: 0 });
  service.answer = ({ body }) => ({ json: done(nameOf(body)) });
  await retried(await rig.job(job.id));
  await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
  expect(await rig.totals(job.id)).toMatchObject({ done: 30 });
});
