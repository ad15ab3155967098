/** Jobs by the client library: created, watched, steered and read. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createSheafClient, type JobAnswer } from 'sheaf/client';
import { job, problem, progress, scriptedApi, type Answer, type Asked, type ScriptedApi } from '../servers/scripted-api.ts';

let folder: string;
let api: ScriptedApi | null = null;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-client-jobs-'));
});
afterEach(async () => {
  await api?.close();
  api = null;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function clientOf(script: (asked: Asked) => Answer | undefined) {
  api = await scriptedApi(script);
  return { sheaf: createSheafClient({ url: api.url, tenant: 'acme' }), asked: api.asked };
}
/** Each question about the job gets the next of these; the last stays. */
const states = (...jobs: JobAnswer[]) => {
  let at = 0;
  return () => ({ json: jobs[Math.min(at++, jobs.length - 1)] });
};

test('a file is uploaded, a Google Sheet goes by its address, and the rest is as the API takes it', async () => {
  const { sheaf, asked } = await clientOf(({ path: address }) => (address === '/uploads' ? { status: 201, json: { id: 'up_1' } } : { status: 201, json: job({ id: 'job_1' }) }));
  const file = path.join(folder, 'ideas.csv');
  await writeFile(file, 'id\n1\n');
  const made = await sheaf.createJob({ file, handler: 'store', keyColumns: ['id'] }, { idempotencyKey: 'once' });
  expect([made.id, made.created.state]).toEqual(['job_1', 'queued']);
  await sheaf.createJob({ url: 'https://docs.google.com/spreadsheets/d/x/edit' });
  await sheaf.createJob({ source: { path: '/data/a.csv' } });
  expect(asked[0]).toMatchObject({ path: '/uploads', body: 'id\n1\n', headers: { 'x-sheaf-tenant': 'acme' } });
  expect(asked[0]!.query.get('name')).toBe('ideas.csv');
  expect(asked[1]!.headers['idempotency-key']).toBe('once');
  expect(asked.slice(1).map(({ body }) => JSON.parse(body) as unknown)).toEqual([
    { handler: 'store', keyColumns: ['id'], source: { upload: 'up_1' } }, { source: { spreadsheet: 'https://docs.google.com/spreadsheets/d/x/edit' } }, { source: { path: '/data/a.csv' } },
  ]);
});

describe('watched', () => {
  const running = job({ state: 'running', progress: progress(4, { done: 1 }) });
  const completed = job({ state: 'completed', progress: progress(4, { done: 3, failed: 1 }), completedAt: '2026-11-23T10:00:01.000Z' });
  const failed = job({ state: 'failed', error: { code: 'service_denied', message: 'The service answered 401' }, completedAt: '2026-11-23T10:00:01.000Z' });

  test('a job tells of its progress and of its end, also over an API that restarts', async () => {
    const answers: Answer[] = [{ json: running }, problem(503, 'shutting_down', 'It restarts.'), { json: running }, { json: completed }];
    const { sheaf } = await clientOf(() => answers.shift());
    const seen: string[] = [];
    const ended = await sheaf.job('j').watch({ onProgress: ({ state }) => seen.push(state), onCompleted: () => seen.push('onCompleted'), onFailed: () => seen.push('onFailed') });
    expect(ended?.progress.failed).toBe(1);
    expect(seen).toEqual(['running', 'running', 'completed', 'onCompleted']);
  });

  test('waitForCompletion rejects with what the job failed for, and with wait_timeout where it goes on', async () => {
    const { sheaf } = await clientOf(states(running, failed));
    await expect(sheaf.job('j').waitForCompletion()).rejects.toMatchObject({ name: 'SheafJobError', code: 'service_denied', job: { state: 'failed' } });
    await api!.close();
    const again = await clientOf(states(running));
    await expect(again.sheaf.job('j').waitForCompletion({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'wait_timeout' });
    const stop = new AbortController();
    const waited = again.sheaf.job('j').waitForCompletion({ signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(waited).rejects.toThrow('enough');
  });

  test('a job that is not there rejects at once', async () => {
    const { sheaf } = await clientOf(() => problem(404, 'job_not_found', 'There is no job j.'));
    await expect(sheaf.job('j').watch()).rejects.toMatchObject({ code: 'job_not_found', status: 404 });
  });
});

test('it is steered by the requests that the API describes', async () => {
  const { sheaf, asked } = await clientOf(() => ({ json: job() }));
  const one = sheaf.job('j/1');
  await one.pause();
  await one.resume();
  await one.cancel();
  await one.approve();
  await one.retry({ fingerprints: ['abc'] });
  await one.set({ priority: 'high' });
  await one.delete();
  expect(asked.map(({ method, path: address, body }) => `${method} ${address} ${body}`.trim())).toEqual([
    'POST /jobs/j%2F1/pause', 'POST /jobs/j%2F1/resume', 'POST /jobs/j%2F1/cancel', 'POST /jobs/j%2F1/approve', 'POST /jobs/j%2F1/retry {"fingerprints":["abc"]}',
    'PATCH /jobs/j%2F1 {"priority":"high"}', 'DELETE /jobs/j%2F1',
  ]);
});

test('results come row by row, whatever the lines are cut into', async () => {
  const rows = [{ row: 2, key: 'א', state: 'done', input: { a: 'é\u2028' }, output: 'x'.repeat(100_000) }, { row: 3, key: null, state: 'skipped', input: {}, output: null }];
  const { sheaf, asked } = await clientOf(() => ({ text: rows.map((row) => `${JSON.stringify(row)}\n`).join('') }));
  const found = [];
  for await (const row of sheaf.job('j').results({ state: ['done', 'skipped'] })) found.push(row);
  expect(found).toEqual(rows);
  expect(asked[0]!.query.getAll('state')).toEqual(['done', 'skipped']);
});
