/** Jobs that ask a model about their rows, on the real server. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { JobRequest } from '../../src/contracts/job.ts';
import { createSources } from '../../src/temporal/sources.ts';
import { createForecaster } from '../../src/temporal/forecasts.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { MODEL_KEY, modelsAt } from '../servers/model/models.ts';
import { modelServer, type Asked, type ModelServer } from '../servers/model/server.ts';
import { historiesOf } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';
import { definitionOf } from './source-definition.ts';

const MODEL = 'openai:gpt-5-mini';

let rig: Rig;
let server: ModelServer;
beforeAll(async () => {
  [rig, server] = await Promise.all([openRig(), modelServer()]);
  rig.speaking.models = modelsAt(server.url, { prices: { [MODEL]: { input: 100_000, output: 100_000 } } }); // 1.5 a call
  await rig.startWorkers();
});
beforeEach(() => {
  Object.assign(server, { asked: [], failing: [], always: null, paid: 0, says: JSON.stringify({ reason: 'x', category: 'a', confidence: 1 }) });
});
afterEach(() => rig.replayAll());
afterAll(async () => {
  await rig?.close();
  await server?.close();
});

const categorizing = (over: Partial<JobRequest> = {}): Partial<JobRequest> => ({
  handler: 'categorize', keyColumns: ['name'], options: { model: MODEL, categories: 'a, b', instructions: 'By {{name}}.' }, ...over,
});
const names = (): string[] => server.asked.map(({ prompt }: Asked) => /"name":"(\w+)"/.exec(prompt)![1]!).sort();

describe('a job with a model', () => {
  test('keeps what each row cost, and pays for no question twice, whatever job or sheet it is in', async () => {
    const first = await rig.create('first', rowsOf(4), { request: categorizing() });
    expect(await rig.ended(first.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(first.id)).toMatchObject({ done: 4, spent: { tokens: 60, cost: 6 } });
    expect(names()).toEqual(['a1', 'a2', 'a3', 'a4']);

    const second = await rig.create('second', `${rowsOf(6)}`, { request: categorizing() });
    expect(await rig.ended(second.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(second.id)).toMatchObject({ done: 6, spent: { tokens: 30, cost: 3, cached: 4 } });
    const outcomes = await rig.outcomes(second.id);
    expect(outcomes.filter(({ cached }) => cached).map(({ row }) => row)).toEqual([2, 3, 4, 5]);
    expect(server.paid).toBe(6);

    const forced = await rig.create('second', `${rowsOf(6)}`, { request: categorizing({ force: true }) });
    await rig.ended(forced.id);
    expect(await rig.totals(forced.id)).toMatchObject({ done: 6, spent: { tokens: 90, cost: 9 } });
    expect(server.paid).toBe(12);
  });

  test('asks a question once that several rows, and another job, have at the same time', async () => {
    const says = server.says as string;
    let answer = (): void => {};
    const held = new Promise<void>((resolve) => { answer = resolve; });
    server.says = () => held.then(() => says);
    const request = categorizing({ keyColumns: [], concurrency: 4 });
    const sheet = `name,n\n${'same,1\n'.repeat(4)}`;
    const jobs = [await rig.create('at once', sheet, { request }), await rig.create('at once too', sheet, { request })];
    for (const { id } of jobs) await rig.when(id, ({ state }) => state === 'running');
    await eventually(async () => server.asked.length > 0);
    answer();
    for (const { id } of jobs) expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
    const totals = await Promise.all(jobs.map(({ id }) => rig.totals(id)));
    expect(totals.map(({ done }) => done)).toEqual([4, 4]);
    expect(totals.reduce((sum, { spent }) => sum + (spent?.cached ?? 0), 0)).toBe(7);
    expect([server.asked.length, server.paid]).toEqual([1, 1]);
  });

  test('fails before anything is paid where a column or the key is missing', async () => {
    const column = await rig.create('wrong', rowsOf(2), { request: categorizing({ options: { model: MODEL, categories: 'a', instructions: '{{nme}}' } }) });
    expect(await rig.ended(column.id)).toMatchObject({ state: 'failed', error: { code: 'column_missing' } });
    expect(server.asked).toEqual([]);
  });

  test('keeps of a row that is never answered as it should be what was answered', async () => {
    server.says = (asked) => (asked.prompt.includes('"w1"') ? 'No idea.' : JSON.stringify({ reason: 'x', category: 'a', confidence: 1 }));
    const job = await rig.create('odd', rowsOf(2, 'w'), { request: categorizing() });
    await rig.ended(job.id);
    expect(await rig.outcomes(job.id)).toMatchObject([{ row: 2, state: 'failed', error: { code: 'invalid_output', raw: 'No idea.' } }, { row: 3, state: 'done' }]);
    expect(await rig.totals(job.id)).toMatchObject({ spent: { tokens: 45, cost: 4.5 } });
  });

  test('waits as long as the server says, and then gets through', async () => {
    server.failing = [{ status: 429, retryAfter: '3' }];
    const job = await rig.create('hurried', rowsOf(2, 'r'), { request: categorizing({ concurrency: 1 }) });
    expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'rate_limit' });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 2 });
  });
});

describe.each<[string, Partial<JobRequest>]>([['pages', {}], ['workflows', { fanOut: 'workflow' }]])('an account with nothing left, rows as %s', (_how, more) => {
  test('makes its job wait, cause budget, with no row failed, until somebody resumes it', async () => {
    server.always = 'quota';
    const job = await rig.create(`quota ${_how}`, rowsOf(5, `q${_how}`), { request: categorizing(more) });
    const waiting = await rig.when(job.id, ({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ cause: 'budget', until: null, reason: expect.stringContaining(MODEL) });
    expect(await rig.totals(job.id)).toMatchObject({ done: 0, failed: 0 });
    server.asked = [];
    await rig.jobs.control(TENANT, job.id, 'resume'); // too early
    await rig.when(job.id, ({ state, cause, sequence }) => state === 'waiting' && cause === 'budget' && sequence > waiting.sequence);
    expect(server.asked.length).toBeGreaterThan(0);
    server.always = null;
    await rig.jobs.control(TENANT, job.id, 'resume');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed', cause: null });
    expect(await rig.totals(job.id)).toMatchObject({ done: 5, failed: 0 });
    expect(server.paid).toBe(5);
  });

  test('can be cancelled while it waits', async () => {
    server.always = 'quota';
    const job = await rig.create(`cancelled ${_how}`, rowsOf(2, `c${_how}`), { request: categorizing(more) });
    await rig.when(job.id, ({ state }) => state === 'waiting');
    await rig.jobs.control(TENANT, job.id, 'cancel');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'cancelled' });
  });
});

test('the key is nowhere: not in histories, not in the store or files, not in errors', async () => {
  server.failing = ['key'];
  const job = await rig.create('secret', rowsOf(1, 's'), { request: categorizing() });
  const { error, state } = await rig.ended(job.id);
  expect({ state, error }).toMatchObject({ state: 'failed', error: { code: 'model_key_rejected', remedy: expect.stringContaining('key') } });
  expect(JSON.stringify(error)).not.toContain(MODEL_KEY);
  expect(server.asked[0]!.authorization).toContain(MODEL_KEY);
  const histories = JSON.stringify(await historiesOf(rig.env.client, jobWorkflowId(job.id, 1)), (_name, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value));
  expect(histories).toContain('processPage');
  expect(histories).not.toContain(MODEL_KEY);
  expect(JSON.stringify(await rig.outcomes(job.id))).not.toContain(MODEL_KEY);
  for (const file of await readdir(rig.folder, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) expect((await readFile(path.join(file.parentPath, file.name))).includes(MODEL_KEY), file.name).toBe(false);
  }
});

describe('a budget', () => {
  afterEach(() => { rig.speaking.monthly = {}; });
  const foreseen = { tokens: 15, cost: 1.5 };

  test.each<[string, Partial<JobRequest>]>([['pages', {}], ['workflows', { fanOut: 'workflow' }]])('of a job is reached, not passed; the job waits, and goes on with more, rows as %s', async (how, more) => {
    const job = await rig.create(`budget ${how}`, rowsOf(30, `b${how}`), { request: categorizing({ maxCost: 40, ...more }) });
    expect(await rig.when(job.id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'budget', until: null, reason: expect.stringContaining('--max-cost') });
    const { done, failed, spent } = await rig.totals(job.id); // the first call is foreseen by its length, the others by what it took
    expect(done).toBe(26); // 27 would cost 40.5
    expect([done * foreseen.cost, failed, server.paid]).toEqual([spent!.cost, 0, done]);
    await rig.jobs.change(TENANT, job.id, { maxCost: 100 });
    await rig.jobs.control(TENANT, job.id, 'resume');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await rig.totals(job.id)).toMatchObject({ done: 30, spent: { cost: 45 } });
    expect(server.paid).toBe(30);
  });

  test('of a source holds each run of it, and goes on with more', async () => {
    const sources = createSources(rig.store, rig.env.client, rig.jobs);
    const file = path.join(rig.folder, 'sheets', 'paid.csv');
    const request = categorizing({ maxCost: 40 });
    await sources.put(TENANT, 'tester', 'paid', { scheduled: null, definition: definitionOf('paid', { location: { path: file }, ...request }) });
    const run = () => sources.sync(TENANT, 'paid', { force: false, after: [], rollback: null });
    await writeFile(file, rowsOf(3, 'p1x'));
    expect(await rig.ended((await run()).id)).toMatchObject({ state: 'completed' });
    await writeFile(file, rowsOf(33, 'p1x'));
    const { id } = await run();
    expect(await rig.when(id, ({ state }) => state === 'waiting')).toMatchObject({ cause: 'budget', request: { maxCost: 40 } });
    expect(await rig.totals(id)).toMatchObject({ unchanged: 3, done: 26, spent: { cost: 39 } });
    await rig.jobs.change(TENANT, id, { maxCost: 100 });
    await rig.jobs.control(TENANT, id, 'resume');
    expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
    expect((await sources.get(TENANT, 'paid')).definition.job.request.maxCost).toBe(40);
  });

  test('of a month is for all jobs of the tenant, and asks nothing for what was answered before', async () => {
    const first = await rig.create('month', rowsOf(3, 'm'), { request: categorizing() });
    await rig.ended(first.id);
    rig.speaking.monthly = { [TENANT]: 1 };
    const job = await rig.create('month again', rowsOf(4, 'm'), { request: categorizing({ concurrency: 1 }) });
    const waiting = await rig.when(job.id, ({ state }) => state === 'waiting');
    expect(waiting).toMatchObject({ cause: 'budget', until: expect.stringMatching(/-01T00:00:00\.000Z$/) });
    expect(await rig.totals(job.id)).toMatchObject({ done: 3, spent: { cached: 3 } });
    await rig.jobs.control(TENANT, job.id, 'cancel');
    await rig.ended(job.id);
  });

  test('cannot hold a model whose price nobody knows', async () => {
    const job = await rig.create('priceless', rowsOf(1, 'p'), { request: categorizing({ maxCost: 1, options: { model: 'openai:gpt-5', categories: 'a' } }) });
    expect(await rig.ended(job.id)).toMatchObject({ state: 'failed', error: { code: 'price_unknown', remedy: expect.stringContaining('SHEAF_MODEL_PRICES') } });
    expect(server.asked).toEqual([]);
  });
});

describe('what a job would do', () => {
  const forecast = async (sheet: string, over: Partial<JobRequest> = {}, sample = 0) => {
    const file = path.join(rig.folder, 'sheets', `${sheet}.csv`);
    const like = await rig.job((await rig.create(sheet, await readFile(file, 'utf8'), { request: { handler: 'store', keyColumns: ['name'] } })).id);
    await rig.ended(like.id);
    if (like.kind !== 'sheet') throw new Error('It is a sheet.');
    const { tenant, owner, priority, tags, onFailure, source } = like;
    const request = { ...like.request, ...categorizing(over) };
    return createForecaster(rig.blobs, rig.env.client)(`plan_${sheet}_${sample}`.replaceAll(' ', '_'), { tenant, owner, priority, tags, onFailure, source, lane: null, runAt: null, dependsOn: [], request }, sample);
  };

  test('is told without paying, by what is known of each row', async () => {
    const before = await rig.create('plan', rowsOf(4, 'f'), { request: categorizing() });
    await rig.ended(before.id);
    await rig.ended((await rig.create('elsewhere', rowsOf(6, 'f'), { request: categorizing() })).id);
    expect(server.paid).toBe(6);
    await writeFile(path.join(rig.folder, 'sheets', 'plan.csv'), `${rowsOf(8, 'f')},\nf1,again\n`);
    expect(await forecast('plan')).toMatchObject({ rows: 10, toDo: 4, unchanged: 4, skipped: 1, refused: 1, failed: 0, cached: 2, cost: expect.any(Number), basis: 'length', requests: 2, least: null, sample: null });
    expect(server.paid).toBe(6);
    // What is left of the looks is nothing.
    for await (const { key } of rig.blobs.list(`${TENANT}/jobs/plan_plan_0/`)) expect.fail(key);
  });

  test('is told better by a sample, which is paid for once', async () => {
    await writeFile(path.join(rig.folder, 'sheets', 'sampled.csv'), rowsOf(10, 'g'));
    const told = await forecast('sampled', {}, 3);
    expect(told).toMatchObject({ toDo: 10, cached: 0, basis: 'sample', sample: { rows: 3, failed: 0, tokens: 45, cost: 4.5 } });
    expect(told.cost).toBeGreaterThanOrEqual(15);
    expect(told.cost).toBeLessThan(17); // rows differ a little in length
    expect(server.paid).toBe(3);
    const job = await rig.create('sampled', rowsOf(10, 'g'), { request: categorizing() });
    await rig.ended(job.id);
    expect(await rig.totals(job.id)).toMatchObject({ done: 10, spent: { cost: 10.5, cached: 3 } });
  });

  test('of web pages: so many requests, so much time at least, and nothing to pay', async () => {
    await writeFile(path.join(rig.folder, 'sheets', 'pages.csv'), `name,link\n${['a', 'b', 'a', 'c', 'd', 'e'].map((page, row) => `${row},http://127.0.0.1:9/${page}`).join('\n')}\n6,\n`);
    expect(await forecast('pages', { handler: 'scrape', options: { url: 'link', hostPerSecond: 0.5 } })).toMatchObject({
      toDo: 7, cached: 0, tokens: 0, cost: 0, basis: null, requests: 5, least: { seconds: 8, limit: '127.0.0.1:9' },
    });
  });

  test('is refused as the job would be', async () => {
    await writeFile(path.join(rig.folder, 'sheets', 'refused.csv'), rowsOf(1));
    await expect(forecast('refused', { options: { model: MODEL, categories: 'a', instructions: '{{nme}}' } })).rejects.toMatchObject({ code: 'column_missing', place: { column: 'nme' } });
  });
});
