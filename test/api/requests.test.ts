import { request } from 'node:http';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import { newJob, startApi } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

const jsonHeaders = { 'content-type': 'application/json' };

/** fetch sets Host by itself. */
function statusWith(headers: Record<string, string>, method = 'GET'): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${api.url}/api/v1/jobs`, { headers, method }, (response) => { response.resume(); resolve(response.statusCode ?? 0); }).on('error', reject).end();
  });
}

describe('a request that is wrong', () => {
  it('is told every field that is wrong, and which one was probably meant', async () => {
    const problem = await api.refused('POST', '/jobs', { body: { source: { upload: 'x' }, keycolumns: ['a'], tags: 'a', breaker: { minrows: 5 }, concurrency: 0 } });
    expect(problem).toMatchObject({ status: 400, code: 'invalid_request', type: 'urn:sheaf:problem:invalid_request' });
    expect(new Map(problem.errors?.map(({ path, message }) => [path, message]))).toEqual(new Map([
      ['keycolumns', 'there is no such field; did you mean "keyColumns"?'],
      ['tags', 'expected array, received string'],
      ['breaker.minrows', 'there is no such field; did you mean "minRows"?'],
      ['concurrency', 'expected number to be >=1'],
    ]));
  });

  it.each([
    ['a body that is not JSON', { raw: '{"source":', headers: jsonHeaders }, 400, 'invalid_request'],
    ['a body of another type', { raw: 'source=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, 'unsupported_media_type'],
    ['a character set that is not Unicode', { raw: '{}', headers: { 'content-type': 'application/json; charset=koi8-r' } }, 415, 'unsupported_media_type'],
    ['a body over 1 MB', { raw: JSON.stringify({ a: 'x'.repeat(1_100_000) }), headers: jsonHeaders }, 413, 'body_too_large'],
    ['no body', {}, 400, 'invalid_request'],
    ['a list as body', { body: [] }, 400, 'invalid_request'],
    ['an upload that is not there', { body: { source: { upload: 'none' } } }, 404, 'upload_not_found'],
    ['a path outside the folders', { body: { source: { path: '/etc/passwd' } } }, 403, 'path_not_allowed'],
    ['a path to nothing', { body: { source: { path: 'FOLDER/none.csv' } } }, 404, 'source_not_found'],
    ['a handler that is not there', { body: { source: { path: 'FOLDER/none.csv' }, handler: 'stor' } }, 422, 'unknown_handler'],
    ['options that the handler does not have', { body: { source: { path: 'FOLDER/none.csv' }, options: { a: 1 } } }, 422, 'invalid_options'],
    ['options given twice', { body: { source: { path: 'FOLDER/none.csv' }, handler: { name: 'store', options: {} }, options: {} } }, 400, 'invalid_request'],
    ['an Idempotency-Key with spaces', { body: { source: { upload: 'x' } }, headers: { 'idempotency-key': 'a b' } }, 400, 'invalid_request'],
    ['a tenant that is no name', { body: { source: { upload: 'x' } }, headers: { 'x-sheaf-tenant': '../etc' } }, 400, 'invalid_request'],
  ] as const)('%s', async (_what, asked, status, code) => {
    const inFolder = JSON.parse(JSON.stringify(asked).replaceAll('FOLDER', api.folder)) as typeof asked;
    expect(await api.refused('POST', '/jobs', inFolder)).toMatchObject({ status, code });
  });

  it.each([
    ['GET', '/jobs?limit=0', 400, 'invalid_request'],
    ['GET', '/jobs?limit=1&limit=2', 400, 'invalid_request'],
    ['GET', '/jobs?state=runing', 400, 'invalid_request'],
    ['GET', '/jobs?colour=red', 400, 'invalid_request'],
    ['GET', '/jobs?cursor=nonsense', 400, 'invalid_cursor'],
    ['GET', '/jobs/none', 404, 'job_not_found'],
    ['GET', '/jobs/none/items', 404, 'job_not_found'],
    ['GET', '/jobs/none/events', 404, 'job_not_found'],
    ['GET', '/jobs/none/results', 404, 'job_not_found'],
    ['POST', '/jobs/none/pause', 404, 'job_not_found'],
    ['POST', '/jobs/none/retry', 404, 'job_not_found'],
    ['DELETE', '/jobs/none', 404, 'job_not_found'],
    ['GET', '/jobs/a%20b', 400, 'invalid_request'],
    ['GET', '/jobs/..%2F..%2Fetc', 400, 'invalid_request'],
    ['GET', '/jobs/%ZZ', 400, 'invalid_request'],
    ['GET', '/uploads/none', 404, 'upload_not_found'],
    ['DELETE', '/uploads/none', 404, 'upload_not_found'],
    ['GET', '/nothing', 404, 'not_found'],
    ['PUT', '/jobs', 405, 'method_not_allowed'],
    ['DELETE', '/jobs', 405, 'method_not_allowed'],
  ])('%s %s is answered %i %s', async (method, address, status, code) => {
    expect(await api.refused(method, address)).toMatchObject({ status, code });
  });

  it('says which methods there are', async () => {
    expect((await api.refused('PUT', '/jobs')).headers.get('allow')).toBe('POST, GET');
  });

  it.each(['items', 'events'])('refuses a cursor that the list of %s did not give', async (list) => {
    const job = await newJob(api);
    expect(await api.refused('GET', `/jobs/${job.id}/${list}?cursor=WyJ4Il0`)).toMatchObject({ status: 400, code: 'invalid_cursor' });
  });

  it('never breaks the server, whatever it holds', async () => {
    const fields = ['source', 'sheet', 'range', 'headerRow', 'handler', 'options', 'keyColumns', 'tags', 'priority', 'concurrency', 'breaker', '__proto__', 'constructor'];
    const anything = fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom(...fields), fc.jsonValue()));
    await fc.assert(fc.asyncProperty(anything, fc.constantFrom('/jobs', '/sources/preview', '/jobs/none/retry'), async (body, address) => {
      const problem = await api.refused('POST', address, { raw: JSON.stringify(body), headers: jsonHeaders });
      expect(problem.status, JSON.stringify(body)).toBeLessThan(500);
    }), { numRuns: 150 });
  });

  it('is never told what it sent', async () => {
    const secret = 'hunter2-secret';
    const problems = await Promise.all([
      api.refused('POST', '/jobs', { raw: `{"password": ${secret}}`, headers: jsonHeaders }),
      api.refused('POST', '/jobs', { body: { source: { upload: [secret] }, priority: secret } }),
    ]);
    expect(JSON.stringify(problems)).not.toContain(secret);
    expect(api.logged.join('')).not.toContain(secret);
  });
});

describe('who may ask', () => {
  it('answers on loopback names only, so that no rebound name reaches it', async () => {
    expect(await statusWith({ host: 'evil.example' })).toBe(403);
    expect(await statusWith({ host: 'localhost.evil.example:80' })).toBe(403);
    expect(await statusWith({ host: 'localhost:1234' })).toBe(200);
    expect(await statusWith({ host: '[::1]:1234' })).toBe(200);
  });

  it("does nothing for another site's page", async () => {
    const host = new URL(api.url).host;
    expect(await statusWith({ origin: 'https://evil.example' }, 'POST')).toBe(403);
    expect(await statusWith({ origin: 'null' }, 'POST')).toBe(403);
    expect(await statusWith({ origin: `http://${host}`, host })).toBe(200);
  });

  it('shows a tenant nothing of another', async () => {
    const mine = { 'x-sheaf-tenant': 'acme', 'x-sheaf-owner': 'ada' };
    const job = await newJob(api, {}, mine);
    expect(job).toMatchObject({ tenant: 'acme', owner: 'ada' });
    for (const [method, address] of [
      ['GET', `/jobs/${job.id}`], ['GET', `/jobs/${job.id}/items`], ['GET', `/jobs/${job.id}/events`], ['GET', `/jobs/${job.id}/results`],
      ['POST', `/jobs/${job.id}/cancel`], ['POST', `/jobs/${job.id}/retry`], ['DELETE', `/jobs/${job.id}`],
    ] as const) {
      expect(await api.refused(method, address), `${method} ${address}`).toMatchObject({ status: 404, code: 'job_not_found' });
    }
    expect(await api.refused('GET', `/uploads/${job.file.upload}`)).toMatchObject({ code: 'upload_not_found' });
    expect(await api.refused('POST', '/jobs', { body: { source: { upload: job.file.upload } } })).toMatchObject({ code: 'upload_not_found' });
    const { body } = await api.call<{ items: { id: string }[] }>('GET', '/jobs');
    expect(body.items.map(({ id }) => id)).not.toContain(job.id);
  });
});

describe('what fails inside', () => {
  it('is told without its cause, and found in the log by its instance', async () => {
    const broken = await startApi(({ store }) => ({
      store: { ...store, getJob: async () => { throw new TypeError('a secret of the inside'); }, listJobs: async () => { throw new SheafError('store_unavailable', 'The store is busy.'); } },
    }));
    try {
      const problem = await broken.refused('GET', '/jobs/any');
      expect(problem).toMatchObject({ status: 500, code: 'internal' });
      expect(JSON.stringify(problem)).not.toMatch(/secret|TypeError|at /);
      const line = broken.logged.find((text) => text.includes('a secret of the inside'));
      expect(`urn:uuid:${(JSON.parse(line ?? '{}') as { request?: string }).request}`).toBe(problem.instance);
      const busy = await broken.refused('GET', '/jobs');
      expect(busy).toMatchObject({ status: 503, code: 'store_unavailable' });
      expect(busy.headers.get('retry-after')).toBe('5');
    } finally {
      await broken.close();
    }
  });

  it('leaves one line a request in the log: method, template, status, tenant, job', async () => {
    const job = await newJob(api);
    await api.call('GET', `/jobs/${job.id}`);
    const lines = api.logged.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.filter((line) => line.job === job.id)).toEqual([
      expect.objectContaining({ method: 'POST', route: '/api/v1/jobs', status: 201, tenant: 'default' }),
      expect.objectContaining({ method: 'GET', route: '/api/v1/jobs/{id}', status: 200, tenant: 'default', ms: expect.any(Number) }),
    ]);
  });
});
