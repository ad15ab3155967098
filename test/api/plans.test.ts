/** Dependencies, schedules, batches and actions on many jobs over HTTP. No worker runs: what they would do, the tests of workflows see. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ZipFile } from 'yazl';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { BatchAnswer, BatchFileAnswer, BulkAnswer, BulkResultAnswer, JobGraphAnswer, ScheduleAnswer, TriggerAnswer } from '../../src/contracts/plans-api.ts';
import type { NewJob } from '../../src/contracts/plans.ts';
import { newJob, startApi, upload } from './api.ts';
import type { Api } from './api.ts';
import { as, initiate, sendPart, textOf } from './documents.ts';

let api: Api;
beforeAll(async () => { api = await startApi(({ config }) => ({ config: { ...config, SHEAF_MAX_BATCH_JOBS: 20 } })); });
afterAll(() => api.close());

const sheet = async (name: string): Promise<{ path: string }> => {
  const file = path.join(api.folder, name);
  await writeFile(file, 'name\nAda\n');
  return { path: file };
};

describe('jobs that depend on others', () => {
  it('say what they depend on and wait for, and show how they hang together', async () => {
    const [top, aside] = [await newJob(api), await newJob(api)];
    const middle = await newJob(api, { dependsOn: [top.id, top.id] });
    const last = await newJob(api, { dependsOn: [middle.id, aside.id], onFailure: 'wait', runAt: '2030-01-01T01:00:00+01:00' });
    expect(middle).toMatchObject({ dependsOn: [top.id], onFailure: 'cancel', waitsFor: [{ job: top.id, state: 'queued' }] });
    expect(last).toMatchObject({ runAt: '2030-01-01T00:00:00.000Z', onFailure: 'wait' });
    const { body } = await api.call<JobGraphAnswer>('GET', last.links.dependencies);
    expect(body).toMatchObject({ job: last.id, complete: true });
    expect(Object.fromEntries(body.jobs.map(({ id, dependsOn }) => [id, dependsOn]))).toEqual({
      [top.id]: [], [aside.id]: [], [middle.id]: [top.id], [last.id]: [middle.id, aside.id],
    });
    await api.store.advanceJob('default', top.id, { attempt: 1, sequence: 1 }, { state: 'completed' });
    while (!(await api.store.removeJob('default', aside.id)));
    expect((await api.call<JobAnswer>('GET', `/jobs/${middle.id}`)).body.waitsFor).toBeUndefined();
    expect((await api.call<JobAnswer>('GET', `/jobs/${last.id}`)).body.waitsFor).toEqual([{ job: middle.id, state: 'queued' }, { job: aside.id, state: null }]);
  });

  it('are refused where one of those does not exist, is about to go, or is another tenant\'s', async () => {
    const source = { upload: await upload(api, 'a\n1\n') };
    const foreign = await newJob(api, {}, { 'x-sheaf-tenant': 'acme' });
    const leaving = await newJob(api);
    await api.jobs.remove('default', leaving.id);
    for (const id of ['job_none', foreign.id, leaving.id]) {
      expect(await api.refused('POST', '/jobs', { body: { source, dependsOn: [id] } })).toMatchObject({ status: 422, code: 'unknown_dependency', detail: expect.stringContaining(id) });
    }
    expect(await api.refused('POST', '/jobs', { body: { source, runAt: 'tomorrow' } })).toMatchObject({ status: 400, code: 'invalid_request' });
  });
});

describe('schedules', () => {
  const body = async (more: object = {}) => ({ cron: '0 6 * * 1-5', timeZone: 'Europe/Berlin', job: { source: await sheet('by-clock.csv'), tags: ['x'] }, ...more });

  it('are made, listed, shown, paused, resumed, run and deleted', async () => {
    const { status, headers, body: made } = await api.call<ScheduleAnswer>('POST', '/schedules', { body: await body({ id: 'morning' }), headers: { 'x-sheaf-owner': 'ada' } });
    expect([status, headers.get('location')]).toEqual([201, '/api/v1/schedules/morning']);
    expect(made).toMatchObject({ id: 'morning', owner: 'ada', state: 'active', overlap: 'skip', job: { file: 'by-clock.csv', handler: 'store', tags: ['x'] }, recent: [] });
    expect(made.next.length).toBeGreaterThan(0);
    expect((await api.call<{ items: ScheduleAnswer[] }>('GET', '/schedules')).body.items).toMatchObject([{ id: 'morning', state: 'active' }]);
    expect((await api.call<ScheduleAnswer>('POST', '/schedules/morning/pause', { body: { note: 'holidays' } })).body).toMatchObject({ state: 'paused', note: 'holidays', next: [] });
    const { status: triggered, body: run } = await api.call<TriggerAnswer>('POST', '/schedules/morning/trigger');
    expect(triggered).toBe(202);
    expect(run.schedule.recent).toMatchObject([{ job: run.job }]);
    expect((await api.call<ScheduleAnswer>('POST', '/schedules/morning/resume')).body).toMatchObject({ state: 'active' });
    expect((await api.call('POST', '/schedules/morning/backfill', { body: { from: '2026-01-01T00:00:00Z', to: '2026-01-03T00:00:00Z' } })).status).toBe(202);
    expect(await api.refused('GET', '/schedules/morning', { headers: { 'x-sheaf-tenant': 'acme' } })).toMatchObject({ status: 404, code: 'schedule_not_found' });
    expect((await api.call('DELETE', '/schedules/morning')).status).toBe(204);
    expect(await api.refused('DELETE', '/schedules/morning')).toMatchObject({ status: 404, code: 'schedule_not_found' });
  });

  it('under the same name or key are the same for the same request, and refused for another', async () => {
    for (const [more, headers, code] of [[{ id: 'same' }, {}, 'schedule_exists'], [{}, { 'idempotency-key': 'k' }, 'idempotency_conflict']] as const) {
      const first = await api.call<ScheduleAnswer>('POST', '/schedules', { body: await body(more), headers });
      const again = await api.call<ScheduleAnswer>('POST', '/schedules', { body: await body(more), headers });
      expect([again.status, again.body.id]).toEqual([200, first.body.id]);
      expect(await api.refused('POST', '/schedules', { body: await body({ ...more, overlap: 'allow_all' }), headers })).toMatchObject({ status: 409, code });
    }
    const elsewhere = await api.call<ScheduleAnswer>('POST', '/schedules', { body: await body({ id: 'same', cron: '@daily' }), headers: { 'x-sheaf-tenant': 'acme' } });
    expect(elsewhere.status).toBe(201);
  });

  it('are refused with what is wrong', async () => {
    expect(await api.refused('POST', '/schedules', { body: await body({ cron: '* * *' }) })).toMatchObject({ status: 400, place: { field: 'cron' } });
    expect(await api.refused('POST', '/schedules', { body: await body({ cron: '0 25 * * *' }) })).toMatchObject({ status: 422, code: 'invalid_schedule' });
    expect(await api.refused('POST', '/schedules', { body: await body({ timeZone: 'Mars/Olympus' }) })).toMatchObject({ status: 422, code: 'invalid_schedule', detail: expect.stringContaining('Mars/Olympus') });
    expect(await api.refused('POST', '/schedules', { body: await body({ job: { source: { path: path.join(api.folder, 'none.csv') } } }) })).toMatchObject({ status: 404, code: 'source_not_found' });
    expect(await api.refused('POST', '/schedules', { body: await body({ job: { source: await sheet('a.csv'), runAt: '2030-01-01T00:00:00Z' } }) })).toMatchObject({ status: 400, place: { field: 'job.runAt' } });
    await api.call('POST', '/schedules', { body: await body({ id: 'late' }) });
    expect(await api.refused('POST', '/schedules/late/backfill', { body: { from: '2026-01-01T00:00:00Z', to: '2999-01-01T00:00:00Z' } })).toMatchObject({ status: 400, place: { field: 'to' } });
    expect(await api.refused('POST', '/schedules/late/backfill', { body: { from: '2026-01-02T00:00:00Z', to: '2026-01-01T00:00:00Z' } })).toMatchObject({ status: 400, place: { field: 'to' } });
  });

  it('run at other times when they are changed, and stay paused', async () => {
    await api.call('POST', '/schedules', { body: await body({ id: 'changed' }) });
    const { body: now } = await api.call<ScheduleAnswer>('PATCH', '/schedules/changed', { body: { cron: '30 7 * * *', timeZone: 'UTC' } });
    expect(now).toMatchObject({ state: 'active', cron: '30 7 * * *', timeZone: 'UTC', overlap: 'skip', next: expect.arrayContaining([expect.stringMatching(/T07:30:00/)]) });
    await api.call('POST', '/schedules/changed/pause', { body: {} });
    expect((await api.call<ScheduleAnswer>('PATCH', '/schedules/changed', { body: { overlap: 'allow_all' } })).body).toMatchObject({ state: 'paused', cron: '30 7 * * *', overlap: 'allow_all' });
    expect(await api.refused('PATCH', '/schedules/changed', { body: { timeZone: 'Nowhere/Land' } })).toMatchObject({ status: 422, code: 'invalid_schedule' });
    expect((await api.call<ScheduleAnswer>('GET', '/schedules/changed')).body).toMatchObject({ timeZone: 'UTC' });
    expect(await api.refused('PATCH', '/schedules/changed', { body: {} })).toMatchObject({ status: 400 });
    await api.call('DELETE', '/schedules/changed');
    expect(await api.refused('PATCH', '/schedules/none', { body: { overlap: 'skip' } })).toMatchObject({ status: 404, code: 'schedule_not_found' });
  });
});

describe('batches', () => {
  const listOf = async (id: string, requestHash: string): Promise<NewJob[]> =>
    (await api.blobs.get(blobKeys.batchJobs('default', id, requestHash))).toString().split('\n').map((line) => JSON.parse(line) as NewJob);

  it('take what their jobs share from the defaults, and put first what others depend on', async () => {
    const before = await newJob(api);
    const { status, body } = await api.call<BatchAnswer>('POST', '/batches', {
      body: {
        name: 'three', defaults: { source: await sheet('shared.csv'), tags: ['b'], priority: 'low' },
        jobs: [{ name: 'last', lane: 'l', dependsOn: ['first', before.id] }, { name: 'first', priority: 'high' }, { source: await sheet('own.csv') }],
      },
    });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: 'three', state: 'creating', size: 3, made: 0, jobs: {}, progress: { total: null, ended: 0 } });
    const record = (await api.store.getPlan('default', 'batch', body.id))!;
    const [first, last, own] = await listOf(body.id, record.requestHash);
    expect(first).toMatchObject({ priority: 'high', tags: ['b'], request: { fileName: 'shared.csv' }, dependsOn: [] });
    expect(last).toMatchObject({ priority: 'low', lane: 'l', dependsOn: [expect.stringMatching(/^job_/), before.id] });
    expect(own).toMatchObject({ request: { fileName: 'own.csv' } });
    expect((await api.call<{ items: BatchAnswer[] }>('GET', '/batches')).body.items).toMatchObject([{ id: body.id }]);
    expect((await api.call<{ items: JobAnswer[] }>('GET', body.links.jobs)).body.items).toEqual([]);
    expect(await api.refused('GET', body.links.self, { headers: { 'x-sheaf-tenant': 'acme' } })).toMatchObject({ status: 404, code: 'batch_not_found' });
  });

  it('make nothing where one of their jobs is wrong, and say which', async () => {
    const source = await sheet('right.csv');
    const post = (jobs: object[], defaults: object = { source }) => api.refused('POST', '/batches', { body: { defaults, jobs } });
    const count = async (): Promise<number> => (await api.store.listPlans('default', 'batch', { limit: 100 })).items.length;
    const before = await count();
    expect(await post([{}, { keyColums: ['a'] }])).toMatchObject({ status: 400, detail: expect.stringMatching(/jobs\.1.*keyColums.*keyColumns/) });
    expect(await post([{}, { source: { path: path.join(api.folder, 'none.csv') } }])).toMatchObject({ status: 404, code: 'source_not_found', detail: expect.stringContaining('jobs.1') });
    expect(await post([{ name: 'a', dependsOn: ['b'] }, { name: 'b', dependsOn: ['a'] }])).toMatchObject({ status: 422, code: 'dependency_cycle', detail: expect.stringContaining('a → b → a') });
    expect(await post([{ name: 'a', dependsOn: ['none'] }])).toMatchObject({ status: 422, code: 'unknown_dependency' });
    expect(await post([{ name: 'a' }, { name: 'a' }])).toMatchObject({ status: 400, detail: expect.stringContaining('two jobs are called a') });
    expect(await post([{}], {})).toMatchObject({ status: 400, detail: expect.stringContaining('source') });
    expect(await post(Array.from({ length: 21 }, () => ({})))).toMatchObject({ status: 413, code: 'batch_too_large' });
    expect(await api.refused('POST', '/batches', { body: { defaults: { source } } })).toMatchObject({ status: 400, detail: expect.stringContaining('jobs, tabs and files') });
    expect(await count()).toBe(before);
  });

  it('are one under one key, and refused for another request', async () => {
    const source = await sheet('keyed.csv');
    const post = { body: { jobs: [{ source }] }, headers: { 'idempotency-key': 'batch-key' } };
    const first = await api.call<BatchAnswer>('POST', '/batches', post);
    expect(await api.call<BatchAnswer>('POST', '/batches', post)).toMatchObject({ status: 200, body: { id: first.body.id } });
    expect(await api.refused('POST', '/batches', { ...post, body: { jobs: [{ source }, { source }] } })).toMatchObject({ status: 409, code: 'idempotency_conflict' });
  });

  it('have a job for each visible tab of a workbook, or for those that are named', async () => {
    const source = { upload: await upload(api, await workbook(['North', 'South', '2024'], ['Notes']), 'book.xlsx') };
    const { body } = await api.call<BatchAnswer>('POST', '/batches', { body: { defaults: { source }, tabs: 'all' } });
    const record = (await api.store.getPlan('default', 'batch', body.id))!;
    expect((await listOf(body.id, record.requestHash)).map(({ request }) => request.sheet)).toEqual(['North', 'South', '2024']);
    expect((await api.call<BatchAnswer>('POST', '/batches', { body: { defaults: { source }, tabs: ['South'] } })).body.size).toBe(1);
    expect(await api.refused('POST', '/batches', { body: { defaults: { source }, tabs: ['West'] } })).toMatchObject({ status: 422, code: 'sheet_not_found', remedy: expect.stringContaining('"North"') });
    expect(await api.refused('POST', '/batches', { body: { defaults: { source: await sheet('flat.csv') }, tabs: 'all' } })).toMatchObject({ status: 422, code: 'sheet_not_found' });
  });

  it('cannot be steered when there are none, or nothing to steer', async () => {
    expect(await api.refused('POST', '/batches/bat_none/pause')).toMatchObject({ status: 404, code: 'batch_not_found' });
    const { body } = await api.call<BatchAnswer>('POST', '/batches', { body: { jobs: [{ source: await sheet('one.csv') }] } });
    expect(await api.refused('POST', `/batches/${body.id}/retry`)).toMatchObject({ status: 409, code: 'wrong_state' });
    const { status, body: asked } = await api.call<BatchAnswer>('POST', `/batches/${body.id}/pause`);
    expect([status, asked.action]).toMatchObject([202, { action: 'pause', state: 'running' }]);
  });
});

describe('batches of files', () => {
  const arrived = async (name: string): Promise<{ upload: string }> => {
    const begun = await initiate(api, 40, { filename: name });
    await sendPart(api, begun, 1, textOf(40));
    return { upload: begun.upload_id };
  };
  const filesOf = async (id: string, query = '') => (await api.call<{ items: BatchFileAnswer[]; nextCursor: string | null }>('GET', `/batches/${id}/files${query}`)).body;

  it('name uploads that have arrived, and list them in their order, page by page', async () => {
    const files = await Promise.all(['a.txt', 'b.txt', 'c.txt'].map(arrived));
    const { status, body } = await api.call<BatchAnswer>('POST', '/batches', { body: { name: 'reports', files } });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      name: 'reports', state: 'creating', size: 3, made: 0, files: { duplicate: 0, refused: 0 },
      progress: { total: 3, done: 0, remaining: 3, percent: 0 }, links: { files: `/api/v1/batches/${body.id}/files` },
    });
    const first = await filesOf(body.id, '?limit=2');
    expect(first.items).toEqual([{ number: 1, file: 'a.txt', outcome: 'waiting' }, { number: 2, file: 'b.txt', outcome: 'waiting' }]);
    expect(await filesOf(body.id, `?limit=2&cursor=${first.nextCursor}`)).toEqual({ items: [{ number: 3, file: 'c.txt', outcome: 'waiting' }], nextCursor: null });
    expect((await filesOf(body.id, '?outcome=failed,refused')).items).toEqual([]);
    expect(await api.refused('GET', `/batches/${body.id}/files`, as('acme'))).toMatchObject({ status: 404, code: 'batch_not_found' });
  });

  it('are refused as a whole where one has not arrived, is unknown, or is named twice', async () => {
    const good = await arrived('good.txt');
    const begun = await initiate(api, 40, { filename: 'half.txt' });
    const post = (...files: object[]) => api.refused('POST', '/batches', { body: { files } });
    expect(await post(good, { upload: begun.upload_id })).toMatchObject({ status: 409, code: 'parts_mismatch', detail: expect.stringContaining('half.txt'), place: { field: 'files.1' } });
    expect(await post(good, { upload: 'upl_none' })).toMatchObject({ status: 404, code: 'upload_not_found' });
    expect(await post(good, good)).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(await post(...Array.from({ length: 21 }, (_, index) => ({ upload: `upl_${index}` })))).toMatchObject({ status: 413, code: 'batch_too_large' });
    expect(await api.refused('POST', '/batches', { body: { files: [good], defaults: { handler: 'store' } } })).toMatchObject({ status: 400, errors: [{ path: 'defaults', message: expect.any(String) }] });
    expect(await api.refused('POST', '/batches', { body: { files: [good] }, ...as('acme') })).toMatchObject({ status: 404, code: 'upload_not_found' });
  });
});

describe('actions on many jobs', () => {
  it('begin durably, and give their results in pages', async () => {
    const { status, body } = await api.call<BulkAnswer>('POST', '/jobs/batch', { body: { action: 'set', priority: 'high', filter: { tag: 'b', state: ['queued'] } } });
    expect([status, body]).toMatchObject([202, { action: 'set', priority: 'high', state: 'running', dryRun: false, counts: { done: 0 } }]);
    const record = (await api.store.getPlan('default', 'bulk', body.id))!;
    const results: BulkResultAnswer[] = Array.from({ length: 5 }, (_, index) => ({ job: `job_${index}`, outcome: 'done', state: 'queued' }));
    for (const [chunk, part] of [results.slice(0, 3), [], results.slice(3)].entries()) {
      await api.blobs.put(blobKeys.bulkResults('default', body.id, chunk), Buffer.from(part.map((one) => `${JSON.stringify(one)}\n`).join('')));
    }
    await api.store.changePlan<'bulk'>({ ...record, chunks: 3, counts: { ...record.counts, done: 5 } });
    const found: BulkResultAnswer[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: { items: BulkResultAnswer[]; nextCursor: string | null } =
        (await api.call<{ items: BulkResultAnswer[]; nextCursor: string | null }>('GET', `${body.links.results}?limit=2${cursor && `&cursor=${cursor}`}`)).body;
      found.push(...page.items);
      cursor = page.nextCursor;
    }
    expect(found).toEqual(results);
    expect((await api.call<BulkAnswer>('GET', body.links.self)).body.counts.done).toBe(5);
    expect((await api.call<{ items: BulkAnswer[] }>('GET', '/jobs/batch')).body.items.map(({ id }) => id)).toContain(body.id);
  });

  it('are refused without a filter, or with what does not go together', async () => {
    const post = (body: object) => api.refused('POST', '/jobs/batch', { body });
    expect(await post({ action: 'cancel', filter: {} })).toMatchObject({ status: 400, place: { field: 'filter' } });
    expect(await post({ action: 'cancel', filter: { tag: 'x' }, priority: 'high' })).toMatchObject({ status: 400, place: { field: 'priority' } });
    expect(await post({ action: 'set', filter: { tag: 'x' } })).toMatchObject({ status: 400, place: { field: 'priority' } });
    expect(await post({ action: 'pause', filter: { tag: 'x' }, codes: ['a'] })).toMatchObject({ status: 400, place: { field: 'codes' } });
    expect(await api.refused('GET', '/jobs/batch/bulk_none')).toMatchObject({ status: 404, code: 'bulk_not_found' });
  });
});

/** A workbook with sheets of one cell. */
async function workbook(visible: string[], hidden: string[]): Promise<Buffer> {
  const zip = new ZipFile();
  const names = [...visible, ...hidden];
  const part = (name: string, text: string): void => zip.addBuffer(Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>${text}`), name);
  const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
  const office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
  const relationships = 'http://schemas.openxmlformats.org/package/2006/relationships';
  part('[Content_Types].xml', '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>');
  part('_rels/.rels', `<Relationships xmlns="${relationships}"><Relationship Id="r" Type="${office}/officeDocument" Target="xl/workbook.xml"/></Relationships>`);
  part('xl/workbook.xml', `<workbook xmlns="${main}" xmlns:r="${office}"><sheets>${names.map((name, index) =>
    `<sheet name="${name}" sheetId="${index + 1}" r:id="r${index}"${hidden.includes(name) ? ' state="hidden"' : ''}/>`).join('')}</sheets></workbook>`);
  part('xl/_rels/workbook.xml.rels', `<Relationships xmlns="${relationships}">${names.map((_, index) =>
    `<Relationship Id="r${index}" Type="${office}/worksheet" Target="worksheets/sheet${index}.xml"/>`).join('')}</Relationships>`);
  for (const index of names.keys()) part(`xl/worksheets/sheet${index}.xml`, `<worksheet xmlns="${main}"><sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData></worksheet>`);
  zip.end();
  return buffer(zip.outputStream);
}

describe('a single row', () => {
  it('is shown and steered only where rows are workflows, and once the sheet has been read', async () => {
    const paged = await newJob(api);
    expect(await api.refused('GET', `/jobs/${paged.id}/items/2`)).toMatchObject({ status: 409, code: 'wrong_state', remedy: expect.stringContaining('fanOut') });
    const fanned = await newJob(api, { fanOut: 'workflow' });
    expect(fanned).toMatchObject({ fanOut: 'workflow' });
    expect(await api.refused('POST', `/jobs/${fanned.id}/items/2/pause`)).toMatchObject({ status: 409, code: 'not_ready' });
    expect(await api.refused('PATCH', `/jobs/${fanned.id}/items/2`, { body: { priority: 'soon' } })).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(await api.refused('GET', '/jobs/job_none/items/2')).toMatchObject({ status: 404, code: 'job_not_found' });
  });
});
