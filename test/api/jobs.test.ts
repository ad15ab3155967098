import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { JobState } from '../../src/contracts/job.ts';
import { newJob, startApi, upload, writePages } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

interface List {
  items: JobAnswer[];
  nextCursor: string | null;
}

/** What a worker would write. */
const advance = (job: JobAnswer, state: JobState) =>
  api.store.advanceJob(job.tenant, job.id, { attempt: 1, sequence: 100 }, { state, completedAt: new Date().toISOString() });

describe('a new job', () => {
  it('is queued, has an address, and says what it will do', async () => {
    const id = await upload(api, 'name;n\nAda;1\n', 'people.csv');
    const { status, headers, body } = await api.call('POST', '/jobs', {
      body: { source: { upload: id }, sheet: 2, range: 'A:B', keyColumns: ['name'], priority: 'high', tags: ['x', 'y'], breaker: false, concurrency: 7 },
      headers: { 'x-sheaf-owner': 'ada' },
    });
    expect(status).toBe(201);
    expect(headers.get('location')).toBe(`/api/v1/jobs/${body.id}`);
    expect(body).toMatchObject({
      kind: 'sheet', state: 'queued', tenant: 'default', owner: 'ada', source: `job:${body.id}`, lane: 'store', handler: 'store', options: {},
      file: { name: 'people.csv', upload: id, sheet: 2, range: 'A:B' }, keyColumns: ['name'], onDuplicateKey: 'fail', force: false,
      priority: 'high', tags: ['x', 'y'], breaker: false, concurrency: 7, drainSeconds: 30, attempt: 1, startedAt: null, completedAt: null,
      progress: { stage: 'queued', total: null, done: 0, remaining: null, percent: null }, errors: [],
    });
    expect((await api.call('GET', body.links.self)).body).toEqual(body);
  });

  it('reads a file by path, wherever the worker runs', async () => {
    const file = path.join(api.folder, 'by-path.csv');
    await writeFile(file, 'a\n1\n');
    const { body } = await api.call('POST', '/jobs', { body: { source: { path: path.relative(process.cwd(), file) }, sourceId: 'orders', lane: 'first' } });
    expect(body).toMatchObject({ source: 'orders', lane: 'first', file: { name: 'by-path.csv', path: file } });
  });

  it('takes a handler with its options in either place', async () => {
    const options = { categories: ['a', 'b'] };
    for (const more of [{ handler: 'categorize', options }, { handler: { name: 'categorize', options } }]) {
      expect(await newJob(api, more)).toMatchObject({ handler: 'categorize', lane: 'categorize', options });
    }
  });

  it('begins its log with its creation', async () => {
    const job = await newJob(api);
    const { body } = await api.call<{ items: object[] }>('GET', `/jobs/${job.id}/events`);
    expect(body.items).toEqual([expect.objectContaining({ seq: 1, type: 'created' })]);
  });
});

describe('an Idempotency-Key', () => {
  it('gives the same job again, but never for another request or another tenant', async () => {
    const source = { upload: await upload(api, 'a\n1\n') };
    const headers = { 'idempotency-key': 'k-1' };
    const first = await api.call('POST', '/jobs', { body: { source, tags: ['t'] }, headers });
    // The same meaning: other order of fields, defaults written out.
    const again = await api.call('POST', '/jobs', { body: { tags: ['t'], force: false, source }, headers });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body.id).toBe(first.body.id);
    expect(again.headers.get('location')).toBe(first.headers.get('location'));
    expect(await api.refused('POST', '/jobs', { body: { source, tags: ['u'] }, headers })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
    const elsewhere = await newJob(api, {}, { ...headers, 'x-sheaf-tenant': 'acme' });
    expect(elsewhere.id).not.toBe(first.body.id);
  });

  it('makes one job of many requests at once', async () => {
    const source = { upload: await upload(api, 'a\n1\n') };
    const made = await Promise.all(Array.from({ length: 8 }, () => api.call('POST', '/jobs', { body: { source }, headers: { 'idempotency-key': 'k-2' } })));
    expect(new Set(made.map(({ body }) => body.id)).size).toBe(1);
    expect(made.filter(({ status }) => status === 201)).toHaveLength(1);
  });
});

describe('the list of jobs', () => {
  it('is newest first, in pages that leave nothing out and repeat nothing', async () => {
    const headers = { 'x-sheaf-tenant': 'lister' };
    const made: string[] = [];
    for (let n = 0; n < 5; n++) made.unshift((await newJob(api, { tags: [`n${n}`] }, headers)).id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const { body }: { body: List } = await api.call<List>('GET', `/jobs?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`, { headers });
      expect(body.items.length).toBeLessThanOrEqual(2);
      seen.push(...body.items.map(({ id }) => id));
      cursor = body.nextCursor;
    } while (cursor !== null);
    expect(seen).toEqual(made);
  });

  it('is filtered by state, source and tag', async () => {
    const headers = { 'x-sheaf-tenant': 'filter' };
    const ended = await newJob(api, { tags: ['a'], sourceId: 'orders' }, headers);
    const open = await newJob(api, { tags: ['a', 'b'] }, headers);
    await advance(ended, 'completed');
    const ids = async (query: string) => (await api.call<List>('GET', `/jobs?${query}`, { headers })).body.items.map(({ id }) => id);
    expect(await ids('state=completed')).toEqual([ended.id]);
    expect(await ids('state=queued,completed')).toEqual([open.id, ended.id]);
    expect(await ids('state=queued&state=completed')).toEqual([open.id, ended.id]);
    expect(await ids('source=orders')).toEqual([ended.id]);
    expect(await ids('tag=a')).toEqual([open.id, ended.id]);
    expect(await ids('tag=b&kind=sheet')).toEqual([open.id]);
    expect(await ids('tag=none')).toEqual([]);
  });
});

describe('control', () => {
  it('is asked for durably where no worker answers', async () => {
    const job = await newJob(api);
    const paused = await api.call('POST', `/jobs/${job.id}/pause`);
    expect(paused.status).toBe(202);
    expect(paused.body).toMatchObject({ id: job.id, state: 'queued', desired: 'paused' });
  });

  it('answers 200 with the job where a worker did', async () => {
    const answered = await startApi(({ jobs, store }) => ({
      jobs: {
        ...jobs,
        control: async (tenant, id) => {
          await store.advanceJob(tenant, id, { attempt: 1, sequence: 2 }, { state: 'paused' });
          const job = await store.getJob(tenant, id);
          if (!job) throw new Error('the job is gone');
          return { job, applied: true };
        },
      },
    }));
    try {
      const job = await newJob(answered);
      const paused = await answered.call('POST', `/jobs/${job.id}/pause`);
      expect(paused.status).toBe(200);
      expect(paused.body.state).toBe('paused');
      expect(paused.body.desired).toBeUndefined();
    } finally {
      await answered.close();
    }
  });

  it('is refused at the wrong moment', async () => {
    const job = await newJob(api);
    expect(await api.refused('POST', `/jobs/${job.id}/retry`)).toMatchObject({ status: 409, code: 'wrong_state' });
    await writePages(api, job, ['name'], [{ rows: [{ row: 2, cells: ['Ada'] }], outcomes: [{ row: 2, state: 'done', output: null }] }]);
    await advance(job, 'completed');
    for (const [method, what, body] of [
      ['POST', '/pause'], ['POST', '/resume'], ['POST', '/cancel'], ['PATCH', '', { priority: 'low' }], ['POST', '/retry'], ['POST', '/retry', { codes: ['x'] }],
    ] as const) {
      expect(await api.refused(method, `/jobs/${job.id}${what}`, body && { body }), what).toMatchObject({ status: 409, code: 'wrong_state', remedy: expect.any(String) });
    }
  });

  it('retries an ended job in the same record, as a new attempt', async () => {
    const job = await newJob(api);
    await advance(job, 'failed');
    const { status, body } = await api.call('POST', `/jobs/${job.id}/retry`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ id: job.id, state: 'queued', attempt: 2 });
  });

  it('changes priority and concurrency, of which one must be given', async () => {
    const job = await newJob(api);
    const { body } = await api.call('PATCH', `/jobs/${job.id}`, { body: { priority: 'urgent', concurrency: 3 } });
    expect(body).toMatchObject({ priority: 'urgent', concurrency: 3 });
    expect((await api.call('GET', `/jobs/${job.id}`)).body).toMatchObject({ priority: 'urgent', concurrency: 3 });
    expect(await api.refused('PATCH', `/jobs/${job.id}`, { body: {} })).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(await api.refused('PATCH', `/jobs/${job.id}`, { body: { concurrency: 1001 } })).toMatchObject({ status: 400 });
  });

  it('deletes: the job answers until it is gone, and takes nothing else', async () => {
    const job = await newJob(api);
    const { status, body } = await api.call('DELETE', `/jobs/${job.id}`);
    expect(status).toBe(202);
    expect(body.desired).toBe('deleted');
    expect((await api.call('DELETE', `/jobs/${job.id}`)).status).toBe(202);
    expect(await api.refused('POST', `/jobs/${job.id}/pause`)).toMatchObject({ status: 409, code: 'wrong_state' });
    while (!(await api.store.removeJob('default', job.id))) { /* in steps, as the worker does */ }
    expect(await api.refused('DELETE', `/jobs/${job.id}`)).toMatchObject({ status: 404, code: 'job_not_found' });
  });
});

describe('a job as it is shown', () => {
  it('tells what the sheet turned out to be, and failed rows by code', async () => {
    const job = await newJob(api);
    const failure = { code: 'bad_name', message: 'No name.', retryable: false };
    await writePages(api, job, ['name', 'n'], [{
      rows: [{ row: 2, cells: ['Ada', 1] }, { row: 3, cells: ['', 2] }, { row: 4, cells: ['Bo'] }],
      outcomes: [{ row: 2, state: 'done', output: { a: 1 } }, { row: 3, state: 'failed', output: null, error: failure }],
    }]);
    await api.store.commitRows({
      lane: { tenant: 'default', source: job.source, lane: job.lane }, job: job.id, tags: [], fence: 1n, items: [], cleared: [],
      failed: [{ row: 3, key: '3', error: failure, input: { name: '', n: 2 } }],
    });
    const { body } = await api.call('GET', `/jobs/${job.id}`);
    expect(body.errors).toEqual([{ code: 'bad_name', rows: 1 }]);
    expect(body.manifest).toMatchObject({ rows: 3, columns: [{ name: 'name', letter: 'A' }, { name: 'n', letter: 'B' }], identifiedBy: 'row number' });
    expect(body.progress).toMatchObject({ stage: 'rows', total: 3, done: 1, failed: 1, unchanged: 0, skipped: 0, remaining: 1, percent: 66.6 });
  });
});
