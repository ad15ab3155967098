/** Figures over ended jobs, and cleanup, over HTTP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AnalyticsAnswer, CleanupAnswer } from '../../src/contracts/system-api.ts';
import { temporalClient } from '../../src/temporal/connection.ts';
import { cleanupStarter } from '../../src/temporal/cleanup.ts';
import { aSummary } from '../conformance/store-figures.ts';
import { startApi } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
const ACME = { headers: { 'x-sheaf-tenant': 'acme' } };
const SPAN = 'since=2026-11-01&until=2026-12-01';

beforeAll(async () => {
  api = await startApi();
  await api.store.writeSummary(aSummary('a', { cost: 0.5 }));
  await api.store.writeSummary(aSummary('b', { handler: '=categorize', endedAt: '2026-11-12T01:00:00.000Z', state: 'failed' }));
  await api.store.writeSummary(aSummary('c', { tenant: 'other' }));
});
afterAll(() => api.close());

describe('analytics', () => {
  it("are of the caller's tenant, in seconds, by handler, day and code", async () => {
    const { body } = await api.call<AnalyticsAnswer>('GET', `/analytics/jobs?${SPAN}`, ACME);
    expect(body).toMatchObject({
      since: '2026-11-01T00:00:00.000Z', until: '2026-12-01T00:00:00.000Z',
      all: { jobs: 2, completed: 1, failed: 1, rows: 200, failedRows: 20, errorRate: 0.1, rowsPerMinute: 100, cost: 0.5, total: { p50: 60, p95: 60 } },
      days: [{ day: '2026-11-10', jobs: 1 }, { day: '2026-11-12', jobs: 1, failed: 1, cost: null }], errors: [{ code: 'handler_error', rows: 20 }],
    });
    expect(body.handlers.find(({ handler }) => handler === 'store')?.stages).toMatchObject({ rows: { p50: 60, p95: 60 }, queued: { p50: 0 } });
    expect((await api.call<AnalyticsAnswer>('GET', `/analytics/jobs?${SPAN}&handler=store`, ACME)).body.all.jobs).toBe(1);
    expect((await api.call<AnalyticsAnswer>('GET', `/analytics/jobs?${SPAN}`)).body).toMatchObject({ all: { jobs: 0, errorRate: null }, handlers: [], days: [] });
  });

  it('are a table where CSV is asked for, in which nothing runs as a formula', async () => {
    const csv = async (by: string): Promise<string[]> => {
      const { body, headers } = await api.call<string>('GET', `/analytics/jobs?${SPAN}&format=csv&by=${by}`, ACME);
      expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
      return body.trimEnd().split('\r\n');
    };
    expect(await csv('day')).toEqual([
      'day,jobs,completed,failed,cancelled,rows,failedRows,errorRate,rowsPerMinute,tokens,cost,totalP50Seconds,totalP95Seconds',
      '2026-11-10,1,1,0,0,100,10,0.1,100,,0.5,60,60', '2026-11-12,1,0,1,0,100,10,0.1,100,,,60,60',
    ]);
    expect((await csv('handler')).map((line) => line.split(',')[0])).toEqual(['handler', "'=categorize", 'store']);
    expect(await csv('code')).toEqual(['code,rows', 'handler_error,20']);
  });

  it('refuse a time that ends before it begins, or is too long', async () => {
    expect((await api.refused('GET', '/analytics/jobs?since=2026-12-01&until=2026-11-01')).code).toBe('invalid_request');
    expect((await api.refused('GET', '/analytics/jobs?since=2020-12-01&until=2026-11-01')).code).toBe('invalid_request');
    expect((await api.refused('GET', '/analytics/jobs?since=yesterday')).code).toBe('invalid_request');
  });
});

describe('cleanup', () => {
  it('is accepted while no worker runs, and its report says that it waits', async () => {
    const { status, headers, body } = await api.call<CleanupAnswer>('POST', '/system/cleanup', { body: { dryRun: true } });
    expect([status, headers.get('location')]).toEqual([202, `/api/v1/system/cleanup/${body.id}`]);
    expect(body).toMatchObject({ dryRun: true, state: 'queued', endedAt: null, gone: [] });
    expect((await api.call<CleanupAnswer>('GET', `/system/cleanup/${body.id}`)).body).toEqual(body);
    const second = await api.call<CleanupAnswer>('POST', '/system/cleanup');
    expect(second.body.dryRun).toBe(false);
    const { items } = (await api.call<{ items: CleanupAnswer[] }>('GET', '/system/cleanup')).body;
    expect(items.map(({ id }) => id).sort()).toEqual([body.id, second.body.id].sort());
    expect((await api.refused('GET', '/system/cleanup/none')).code).toBe('cleanup_not_found');
  });

  it('is refused where Temporal is away', async () => {
    const gone = temporalClient('127.0.0.1:1', 'default');
    const alone = await startApi(({ store }) => ({ startCleanup: cleanupStarter(store, gone.client) }));
    try {
      expect(await alone.refused('POST', '/system/cleanup', { body: {} })).toMatchObject({ status: 503, code: 'temporal_unavailable' });
      expect((await alone.call<{ items: CleanupAnswer[] }>('GET', '/system/cleanup')).body.items).toEqual([]);
    } finally {
      await alone.close();
      await gone.close();
    }
  });
});
