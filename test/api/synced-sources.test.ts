import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inPool } from '../../src/cli/sync-context.ts';
import { parseSyncFile } from '../../src/cli/sync-file.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { AppliedAnswer, SourceAnswer } from '../../src/contracts/source-api.ts';
import { sourceScheduleId } from '../../src/temporal/workflow-ids.ts';
import { aVersion } from '../conformance/store-sources.ts';
import { startApi, type Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

const put = async (id: string, body: object, query = ''): Promise<AppliedAnswer> => (await api.call<AppliedAnswer>('PUT', `/sources/${id}${query}`, { body })).body;
const plain = { source: { path: '/data/people.csv' }, keyColumns: ['שם'], name: 'אנשים' };

describe('sources', () => {
  it('are defined once, say what changes, and change nothing when they are defined again', async () => {
    expect(await put('people', plain, '?dryRun=true')).toEqual({ source: null, changed: 'created', fields: [] });
    expect(await put('people', plain)).toMatchObject({ changed: 'created', source: { id: 'people', name: 'אנשים', keyColumns: ['שם'], deletes: { mode: 'mark', maxFraction: 0.2 }, current: null, clock: { state: 'none' } } });
    expect(await put('people', plain)).toMatchObject({ changed: 'unchanged', fields: [] });
    expect(await put('people', { ...plain, tags: ['t'], deletes: { mode: 'keep' } }, '?dryRun=true')).toMatchObject({ changed: 'updated', fields: ['tags', 'deletes'], source: { tags: [] } });
  });

  it('carry what each of their runs may cost, and give it to every job', async () => {
    await writeFile(path.join(api.folder, 'paid.csv'), 'שם\nדנה\n');
    const paid = { ...plain, source: { path: path.join(api.folder, 'paid.csv') }, maxCost: 2.5 };
    expect(await put('paid', paid)).toMatchObject({ source: { maxCost: 2.5 } });
    expect((await api.call<JobAnswer>('POST', '/sources/paid/sync', { body: {} })).body).toMatchObject({ maxCost: 2.5 });
    expect(await put('paid', { ...paid, maxCost: 3 })).toMatchObject({ changed: 'updated', fields: ['maxCost'], source: { maxCost: 3 } });
    const { maxCost: _, ...unlimited } = paid;
    expect(await put('paid', unlimited)).toMatchObject({ changed: 'updated', fields: ['maxCost'] });
    expect((await api.call<SourceAnswer>('GET', '/sources/paid')).body).not.toHaveProperty('maxCost');
    expect(await api.refused('PUT', '/sources/paid', { body: { ...paid, maxCost: 0 } })).toMatchObject({ code: 'invalid_request' });
  });

  it('are refused where they say what is not possible', async () => {
    expect(await api.refused('PUT', '/sources/s', { body: { ...plain, handler: 'nonesuch' } })).toMatchObject({ code: 'unknown_handler' });
    expect(await api.refused('PUT', '/sources/%D7%90', { body: plain })).toMatchObject({ code: 'invalid_request' });
    expect(await api.refused('PUT', '/sources/s', { body: { ...plain, schedule: { every: 1 } } })).toMatchObject({ code: 'invalid_request' });
    expect(await api.refused('PUT', '/sources/s', { body: { ...plain, schedule: { cron: 'now and then', timeZone: 'UTC' }, scheduled: true } })).toMatchObject({ code: 'invalid_schedule' });
    for (const [method, address] of [['GET', ''], ['DELETE', ''], ['POST', '/sync'], ['GET', '/versions'], ['GET', '/diff'], ['GET', '/data']] as const) {
      expect(await api.refused(method, `/sources/nobody${address}`)).toMatchObject({ status: 404, code: 'sync_source_not_found' });
    }
  });

  it('start a job that knows the source', async () => {
    await writeFile(path.join(api.folder, 'a.csv'), 'שם\nדנה\n');
    await put('jobs', { ...plain, source: { path: path.join(api.folder, 'a.csv') }, tags: ['תג'] });
    const { body: job, status } = await api.call<JobAnswer>('POST', '/sources/jobs/sync', { body: {} });
    expect([status, job.source, job.tags]).toEqual([202, 'jobs', ['תג']]);
    expect(await api.refused('POST', `/jobs/${job.id}/approve`)).toMatchObject({ code: 'wrong_state' });
    expect(await api.refused('GET', '/sources/jobs/data')).toMatchObject({ code: 'not_ready' });
    expect(await api.refused('POST', '/sources/jobs/rollback', { body: { to: '7' } })).toMatchObject({ code: 'version_not_found' });
    await api.store.writeVersion(aVersion(1, { tenant: 'default', source: 'jobs', state: 'rejected' }));
    expect(await api.refused('POST', '/sources/jobs/rollback', { body: { to: 'hash 1' } })).toMatchObject({ code: 'wrong_state' });
  });

  it('come two hundred in one file, each with its schedule, and the same file again changes none', async () => {
    const text = `defaults: {fetch_interval: 600}\nsources:\n${Array.from({ length: 200 }, (_, index) => `  - {id: many-${index}, name: מקור ${index}, spreadsheet_config: {path: sheet-${index}.csv}}\n`).join('')}`;
    const { sources } = parseSyncFile(text, path.join(api.folder, 'many.yaml'), undefined);
    const apply = () => inPool(sources, 8, async ({ id, body }) => (await put(id, { ...body, scheduled: true })).changed);
    expect(new Set(await apply())).toEqual(new Set(['created']));
    expect(new Set(await apply())).toEqual(new Set(['unchanged']));
    const listed: SourceAnswer[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: { items: SourceAnswer[]; nextCursor: string | null } = (await api.call<{ items: SourceAnswer[]; nextCursor: string | null }>('GET', `/sources?limit=90${cursor && `&cursor=${cursor}`}`)).body;
      listed.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(listed.filter(({ set }) => set === 'many.yaml')).toHaveLength(200);
    const { spec, policies } = await api.temporal.schedule.getHandle(sourceScheduleId('default', 'many-7')).describe();
    expect([spec.intervals?.[0]?.every, spec.jitter, policies.overlap]).toEqual([600_000, 60_000, 'SKIP']);
  });
});
