import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import type { HandlerAnswer, SystemAnswer } from '../../src/contracts/api.ts';
import { temporalClient } from '../../src/temporal/connection.ts';
import { temporalHealth } from '../../src/temporal/health.ts';
import { createJobs } from '../../src/temporal/jobs.ts';
import { newJob, startApi } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

describe('the system', () => {
  it('is degraded where no worker asks for jobs', async () => {
    const { body } = await api.call<SystemAnswer>('GET', '/system/status');
    expect(body).toMatchObject({ status: 'degraded', version: '0.1.0', parts: { store: { ok: true }, blobs: { ok: true }, temporal: { ok: true }, workers: { ok: false } } });
  });

  it('is ok where one does', async () => {
    const whole = await startApi(() => ({ temporalHealth: async () => ({ workers: 1 }) }));
    try {
      expect((await whole.call<SystemAnswer>('GET', '/system/status')).body.status).toBe('ok');
    } finally {
      await whole.close();
    }
  });

  it('takes jobs, answers reads, and is ready, when Temporal is gone', async () => {
    const gone = temporalClient('127.0.0.1:1', 'default');
    const alone = await startApi(({ store }) => ({ jobs: createJobs(store, gone.client), temporalHealth: temporalHealth(gone.client, 'default') }));
    try {
      const job = await newJob(alone);
      expect((await alone.call('GET', `/jobs/${job.id}`)).status).toBe(200);
      expect((await alone.call('GET', '/readyz')).status).toBe(200);
      expect((await alone.call<SystemAnswer>('GET', '/system/status')).body).toMatchObject({ status: 'degraded', parts: { temporal: { ok: false } } });
    } finally {
      await alone.close();
      await gone.close();
    }
  });

  it('is alive but not ready without its store', async () => {
    const check = async (): Promise<void> => { throw new SheafError('store_unavailable', 'The disk is full.'); };
    const broken = await startApi(({ store }) => ({ store: { ...store, check } }));
    try {
      expect((await broken.call('GET', '/healthz')).status).toBe(200);
      const ready = await fetch(`${broken.url}/readyz`);
      expect([ready.status, await ready.json()]).toEqual([503, { status: 'down' }]);
      expect((await broken.call<SystemAnswer>('GET', '/system/status')).body).toMatchObject({ status: 'down', parts: { store: { ok: false, message: 'The disk is full.' } } });
    } finally {
      await broken.close();
    }
  });
});

describe('metrics', () => {
  it('count requests by template and open jobs by state', async () => {
    const measured = await startApi();
    try {
      const [job] = [await newJob(measured), await newJob(measured)];
      await measured.call('GET', `/jobs/${job.id}`);
      await measured.refused('GET', '/jobs/none');
      const { body, headers } = await measured.call<string>('GET', '/metrics');
      expect(headers.get('content-type')).toMatch(/^text\/plain/);
      expect(body).toContain('sheaf_open_jobs{state="queued"} 2');
      expect(body).toContain('sheaf_open_jobs{state="running"} 0');
      expect(body).toContain('sheaf_http_request_duration_seconds_count{method="GET",route="/api/v1/jobs/{id}",status="200"} 1');
      expect(body).toContain('sheaf_http_request_duration_seconds_count{method="GET",route="/api/v1/jobs/{id}",status="404"} 1');
      expect(body).not.toContain(job.id);
    } finally {
      await measured.close();
    }
  });
});

describe('handlers', () => {
  it('are listed with the schemas of their options', async () => {
    const { body } = await api.call<{ items: HandlerAnswer[] }>('GET', '/handlers');
    expect(body.items.map(({ name }) => name)).toEqual(expect.arrayContaining(['store', 'categorize', 'module']));
    const categorize = body.items.find(({ name }) => name === 'categorize');
    expect(categorize?.options).toMatchObject({ type: 'object', required: expect.arrayContaining(['categories']), properties: { categories: expect.any(Object) } });
    expect(categorize?.summary).not.toBe('');
  });
});
