import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SheafError } from '../../src/contracts/errors.ts';
import type { HandlerAnswer } from '../../src/contracts/sheet-api.ts';
import type { SystemAnswer } from '../../src/contracts/system-api.ts';
import type { WorkerRecord } from '../../src/contracts/system.ts';
import { temporalClient } from '../../src/temporal/connection.ts';
import { temporalHealth } from '../../src/temporal/health.ts';
import { createJobs } from '../../src/temporal/jobs.ts';
import { taskQueueStats } from '../../src/temporal/task-queues.ts';
import { aSummary } from '../conformance/store-figures.ts';
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

describe('the sections of the status', () => {
  const worker = (id: string, ageMs: number): WorkerRecord => ({
    id, host: id, pid: 1, startedAt: new Date(0).toISOString(), seenAt: new Date(Date.now() - ageMs).toISOString(), versions: { sheaf: '1', node: '24', temporal: '1' },
    slots: [{ queue: 'sheaf-rows', used: 3, total: 8 }], throttled: false, cachedWorkflows: 0, cpu: 0.5, cores: 2, memory: { used: 1, hostFree: 2, hostTotal: 3 },
  });

  it('count jobs by state and tenant, the queue, workers, and rows of the jobs that ended of late', async () => {
    const whole = await startApi();
    try {
      await newJob(whole, {}, { 'x-sheaf-tenant': 'acme' });
      await newJob(whole);
      await newJob(whole, {}, { 'x-sheaf-tenant': 'acme' });
      await whole.store.writeWorker(worker('one', 0));
      await whole.store.writeWorker(worker('two', 60_000));
      await whole.store.writeSummary(aSummary('x', { endedAt: new Date().toISOString() }));
      await whole.store.writeSummary(aSummary('y', { endedAt: new Date(Date.now() - 2 * 3_600_000).toISOString() }));
      const { body } = await whole.call<SystemAnswer>('GET', '/system/status');
      expect(body.jobs).toEqual({ ok: true, states: { queued: 3 }, tenants: [{ tenant: 'acme', states: { queued: 2 } }, { tenant: 'default', states: { queued: 1 } }] });
      expect(body.queue).toMatchObject({ ok: true, length: 3, oldestSeconds: expect.any(Number) });
      expect(body.workers).toMatchObject({ ok: true, items: [{ id: 'one', state: 'running' }, { id: 'two', state: 'lost' }] });
      expect(body.throughput).toMatchObject({ ok: true, runningJobs: 0, rowsPerMinute: 0, lastHour: { jobs: 1, rows: 100, failedRows: 10, errorRate: 0.1 } });
      expect(body.taskQueues).toMatchObject({ ok: true, items: expect.arrayContaining([expect.objectContaining({ queue: 'sheaf-rows', tasks: 'activities', pollers: 0 })]) });
      expect(body.parts.store.latencyMs).toBeGreaterThan(0);

      const metrics = (await whole.call<string>('GET', '/metrics')).body;
      for (const line of [
        'sheaf_queue_length 3', 'sheaf_workers{state="running"} 1', 'sheaf_workers{state="lost"} 1', 'sheaf_worker_slots{queue="sheaf-rows",slots="used"} 3',
        'sheaf_worker_slots{queue="sheaf-rows",slots="total"} 8', 'sheaf_store_up 1', 'sheaf_ended_jobs{state="failed"} 0',
      ]) expect(metrics).toContain(`${line}\n`);
    } finally {
      await whole.close();
    }
  });

  it('say each for itself that they cannot be had: one that hangs keeps none of the others back', async () => {
    const gone = temporalClient('127.0.0.1:1', 'default');
    const never = (): Promise<never> => new Promise(() => {});
    const broken = await startApi(({ store }) => ({
      temporalHealth: temporalHealth(gone.client, 'default'), taskQueues: taskQueueStats(gone.client, 'default'),
      store: { ...store, listWorkers: never, analyse: async () => { throw new SheafError('store_unavailable', 'The disk is full.'); } },
    }));
    try {
      const { body } = await broken.call<SystemAnswer>('GET', '/system/status');
      expect(body).toMatchObject({
        status: 'degraded', jobs: { ok: true }, queue: { ok: true, length: 0, oldestSeconds: null },
        workers: { ok: false, message: 'no answer within 2 s' }, throughput: { ok: false, message: 'The disk is full.' }, taskQueues: { ok: false },
      });
      expect((await broken.call<string>('GET', '/metrics')).body).toContain('sheaf_store_up 0\n');
    } finally {
      await broken.close();
      await gone.close();
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
