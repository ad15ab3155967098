import { randomBytes } from 'node:crypto';
import { get } from 'node:http';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { ErrorGroupsAnswer, ItemAnswer } from '../../src/contracts/items-api.ts';
import type { Json, RowFailure, RowResult } from '../../src/contracts/row.ts';
import { openSheet } from '../../src/sources/index.ts';
import { newJob, startApi, upload, writePages } from './api.ts';
import type { Api, WrittenPage } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

const failure: RowFailure = { code: 'no_match', message: 'Nothing fits, not even "x".', retryable: false };
const done = (row: number, output: Json): RowResult => ({ row, state: 'done', output });

/** Three pages: one done, one with a failure and a row without outcome, one not begun. */
const PAGES: WrittenPage[] = [
  {
    rows: [{ row: 2, key: 'a', cells: ['Ada', -5] }, { row: 3, key: 'b', cells: ['=1+1'] }, { row: 4, key: null, cells: [] }],
    outcomes: [done(2, { category: 'x', score: 0.5 }), { ...done(3, { category: 'y', terms: ['p', 'q'] }), state: 'unchanged' }, { row: 4, state: 'skipped', output: null }],
  },
  {
    rows: [{ row: 5, key: 'c', cells: ['בני', 'two\nlines'] }, { row: 6, key: 'd', cells: ['Dan', true] }],
    outcomes: [{ row: 5, state: 'failed', output: null, error: failure }],
  },
  { rows: [{ row: 7, key: 'e', cells: ['"Eve"', '+972'] }], outcomes: null },
];

async function jobWith(columns: string[], pages: WrittenPage[]): Promise<JobAnswer> {
  const job = await newJob(api);
  await writePages(api, job, columns, pages);
  return job;
}

const results = async (job: JobAnswer, query = '') => (await fetch(`${api.url}/api/v1/jobs/${job.id}/results?${query}`));
const csv = async (job: JobAnswer, query = '') => parse(await (await results(job, `format=csv&${query}`)).text(), { bom: true }) as string[][];
const ndjson = async (job: JobAnswer, query = '') =>
  (await (await results(job, query)).text()).split('\n').filter(Boolean).map((line) => JSON.parse(line) as ItemAnswer);

describe('results as NDJSON', () => {
  it('have a line a row in the order of the sheet, also while the job runs', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const response = await results(job);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    expect(response.headers.get('content-disposition')).toBe(`attachment; filename="people-results.ndjson"; filename*=UTF-8''people-results.ndjson`);
    expect(await ndjson(job)).toEqual([
      { row: 2, key: 'a', state: 'done', input: { name: 'Ada', n: -5 }, output: { category: 'x', score: 0.5 } },
      { row: 3, key: 'b', state: 'unchanged', input: { name: '=1+1', n: null }, output: { category: 'y', terms: ['p', 'q'] } },
      { row: 4, key: null, state: 'skipped', input: { name: null, n: null }, output: null },
      { row: 5, key: 'c', state: 'failed', input: { name: 'בני', n: 'two\nlines' }, output: null, error: failure },
      { row: 6, key: 'd', state: 'remaining', input: { name: 'Dan', n: true }, output: null },
      { row: 7, key: 'e', state: 'remaining', input: { name: '"Eve"', n: '+972' }, output: null },
    ]);
  });

  it('are filtered by state', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const rows = async (query: string) => (await ndjson(job, query)).map(({ row }) => row);
    expect(await rows('state=failed')).toEqual([5]);
    expect(await rows('state=done,unchanged')).toEqual([2, 3]);
    expect(await rows('state=remaining&state=skipped')).toEqual([4, 6, 7]);
  });

  it('are not there before the sheet has been read', async () => {
    const job = await newJob(api);
    expect(await api.refused('GET', `/jobs/${job.id}/results`)).toMatchObject({ status: 409, code: 'not_ready' });
    expect((await api.call<{ items: [] }>('GET', `/jobs/${job.id}/items`)).body.items).toEqual([]);
  });
});

describe('results as CSV', () => {
  it("have the sheet's columns, the output's, and what became of the row", async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    expect(await csv(job, 'escape=false')).toEqual([
      ['name', 'n', 'category', 'score', 'terms', 'row', 'state', 'error_code', 'error_message'],
      ['Ada', '-5', 'x', '0.5', '', '2', 'done', '', ''],
      ['=1+1', '', 'y', '', '["p","q"]', '3', 'unchanged', '', ''],
      ['', '', '', '', '', '4', 'skipped', '', ''],
      ['בני', 'two\nlines', '', '', '', '5', 'failed', 'no_match', 'Nothing fits, not even "x".'],
      ['Dan', 'true', '', '', '', '6', 'remaining', '', ''],
      ['"Eve"', '+972', '', '', '', '7', 'remaining', '', ''],
    ]);
  });

  it('let no spreadsheet program run a cell, and leave numbers alone', async () => {
    const cells = ['=1+1', '+1', '-1+2', '@SUM(A1)', '\t=1', '\r=1', '＝1', '-5', '-1.50', -7, 'a=b', '', "'x"];
    const job = await jobWith(['v'], [{ rows: cells.map((cell, index) => ({ row: index + 2, cells: [cell] })), outcomes: null }]);
    const text = await (await results(job, 'format=csv')).arrayBuffer();
    expect([...new Uint8Array(text.slice(0, 3))]).toEqual([0xef, 0xbb, 0xbf]); // Excel takes it for UTF-8
    expect((await csv(job)).slice(1).map(([cell]) => cell)).toEqual(
      ["'=1+1", "'+1", "'-1+2", "'@SUM(A1)", "'\t=1", "'\r=1", "'＝1", '-5', '-1.50', '-7', 'a=b', '', "'x"]);
    const raw = Buffer.from(await (await results(job, 'format=csv&escape=false')).arrayBuffer());
    expect(raw[0]).toBe('v'.charCodeAt(0));
    expect((await csv(job, 'escape=false')).slice(1).map(([cell]) => cell)).toEqual(cells.map(String));
  });

  it('escape headers and outputs too', async () => {
    const job = await jobWith(['=cmd()'], [{ rows: [{ row: 2, cells: ['a'] }], outcomes: [done(2, { '@x': '=2' })] }]);
    expect(await csv(job)).toEqual([["'=cmd()", "'@x", 'row', 'state', 'error_code', 'error_message'], ['a', "'=2", '2', 'done', '', '']]);
  });

  it('keep columns apart that are called alike', async () => {
    const job = await jobWith(['state', 'row', 'output.state'], [{ rows: [{ row: 2, cells: ['NY', 'r', 'o'] }], outcomes: [done(2, { state: 'Ohio' })] }]);
    expect(await csv(job)).toEqual([
      ['state', 'row', 'output.state', 'output.state 2', 'sheaf.row', 'sheaf.state', 'error_code', 'error_message'],
      ['NY', 'r', 'o', 'Ohio', '2', 'done', '', ''],
    ]);
  });

  it('give no second column to a field that only repeats the sheet, as `store` does', async () => {
    const rows = [{ row: 2, cells: ['Ada', '36'] }, { row: 3, cells: ['Bo', null] }];
    const same = await jobWith(['name', 'age'], [{ rows, outcomes: [done(2, { name: 'Ada', age: 36 }), done(3, { name: 'Bo', age: null })] }]);
    expect((await csv(same))[0]).toEqual(['name', 'age', 'row', 'state', 'error_code', 'error_message']);
    const changed = await jobWith(['name', 'age'], [{ rows, outcomes: [done(2, { name: 'Ada', age: 36 }), done(3, { name: 'Bo', age: 1 })] }]);
    expect((await csv(changed))[0]).toEqual(['name', 'age', 'output.age', 'row', 'state', 'error_code', 'error_message']);
  });

  it('put outputs that are not objects into one column', async () => {
    const job = await jobWith(['v'], [{ rows: [2, 3, 4].map((row) => ({ row, cells: ['x'] })), outcomes: [done(2, 'text'), done(3, [1, 2]), done(4, null)] }]);
    expect((await csv(job)).map((line) => line[1])).toEqual(['output', 'text', '[1,2]', '']);
  });
});

describe('results as XLSX', () => {
  const read = async (job: JobAnswer, query = '') => {
    const content = new Uint8Array(await (await results(job, `format=xlsx&${query}`)).arrayBuffer());
    const file = { name: 'r.xlsx', size: content.length, fingerprint: '', stream: async ({ start = 0, end = content.length } = {}) => (await import('node:stream')).Readable.from([Buffer.from(content.subarray(start, end))]) };
    const sheet = await openSheet(file, {}, { maxRecordChars: 100_000, maxColumns: 1000, maxInflatedBytes: 100_000_000 });
    const rows = [];
    for await (const batch of sheet.rows()) rows.push(...batch);
    await sheet.close();
    return { sheet, columns: sheet.columns.map(({ name }) => name), rows: rows.map(({ cells }) => cells) };
  };

  it('keep types, text and order', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const { columns, rows, sheet } = await read(job);
    expect(sheet.sheets).toEqual(['Results']);
    expect(columns).toEqual(['name', 'n', 'category', 'score', 'terms', 'row', 'state', 'error_code', 'error_message']);
    expect(rows.map((cells) => cells.slice(0, 7))).toEqual([
      ['Ada', -5, 'x', 0.5, null, 2, 'done'],
      ['=1+1', null, 'y', null, '["p","q"]', 3, 'unchanged'],
      [null, null, null, null, null, 4, 'skipped'],
      ['בני', 'two\nlines', null, null, null, 5, 'failed'],
      ['Dan', true, null, null, null, 6, 'remaining'],
      ['"Eve"', '+972', null, null, null, 7, 'remaining'],
    ]);
  });

  it('hold what XML and Excel cannot', async () => {
    const long = 'x'.repeat(40_000);
    const cells = ['a\u0000b\u001Fc\uFFFE', '<&>"\'', '_x0041_', ' spaces ', 'lone \uD800 half', long, '😀'];
    const job = await jobWith(['v'], [{ rows: cells.map((cell, index) => ({ row: index + 2, cells: [cell] })), outcomes: null }]);
    const { rows } = await read(job);
    const found = rows.map(([cell]) => String(cell));
    expect([found[0], found[1], found[2], found[4], found[6]]).toEqual(['abc', '<&>"\'', '_x0041_', 'lone \uFFFD half', '😀']);
    expect(found[5]).toHaveLength(32_767);
    expect(found[5]).toMatch(/xxx … \[cut: 40000 characters\]$/);
  });

  it("take the handler's number where the sheet has its text", async () => {
    const job = await jobWith(['age'], [{ rows: [{ row: 2, cells: ['36'] }], outcomes: [done(2, { age: 36 })] }]);
    expect((await read(job)).rows[0]?.[0]).toBe(36);
  });
});

describe('the list of rows', () => {
  interface List { items: ItemAnswer[]; nextCursor: string | null }

  it('goes on at its cursor, over the ends of pages', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const rows: number[] = [];
    let cursor: string | null = null;
    do {
      const { body }: { body: List } = await api.call<List>('GET', `/jobs/${job.id}/items?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`);
      rows.push(...body.items.map(({ row }) => row));
      cursor = body.nextCursor;
    } while (cursor !== null);
    expect(rows).toEqual([2, 3, 4, 5, 6, 7]);
    const { body } = await api.call<List>('GET', `/jobs/${job.id}/items?state=remaining,done&limit=2`);
    expect(body.items.map(({ row }) => row)).toEqual([2, 6]);
  });

  it('knows failed rows as they happen, by code', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const failed = [{ row: 5, code: 'no_match' }, { row: 6, code: 'other' }].map(({ row, code }) => ({ row, key: String(row), error: { ...failure, code }, input: { name: 'x', n: 1 } }));
    await api.store.commitRows({ lane: { tenant: 'default', source: job.source, lane: job.lane }, job: job.id, tags: [], fence: 1n, items: [], failed, cleared: [] });
    const rows = async (query: string) => (await api.call<List>('GET', `/jobs/${job.id}/items?${query}`)).body.items.map(({ row }) => row);
    expect(await rows('state=failed')).toEqual([5, 6]);
    expect(await rows('code=other')).toEqual([6]);
    expect(await rows('code=none')).toEqual([]);
  });

  it('groups failed rows by what they have in common, each with an example', async () => {
    const job = await jobWith(['name', 'n'], PAGES);
    const failed = [5, 6, 7].map((row) => ({ row, key: String(row), error: { ...failure, message: row === 6 ? 'No voice.' : `Line ${row} is empty.` }, input: { name: 'x', n: row } }));
    await api.store.commitRows({ lane: { tenant: 'default', source: job.source, lane: job.lane }, job: job.id, tags: [], fence: 1n, items: [], failed, cleared: [] });
    const { body } = await api.call<ErrorGroupsAnswer>('GET', `/jobs/${job.id}/errors`);
    expect(body).toMatchObject({ items: [{ code: 'no_match', rows: 2, example: { row: 5, error: { message: 'Line 5 is empty.' }, input: { n: 5 } } }, { rows: 1, example: { row: 6 } }], more: false });
    const { body: listed } = await api.call<List>('GET', `/jobs/${job.id}/items?fingerprint=${body.items[0]!.fingerprint}`);
    expect(listed.items.map(({ row }) => row)).toEqual([5, 7]);
    expect((await api.call<ErrorGroupsAnswer>('GET', `/jobs/${job.id}/errors?limit=1`)).body).toMatchObject({ items: [{ rows: 2 }], more: true });
  });
});

describe('a download', () => {
  /** Many pages of text that hardly compresses, so that the file does not fit into what sockets buffer. */
  const big = (): WrittenPage[] => Array.from({ length: 60 }, (_, page) => ({
    rows: Array.from({ length: 200 }, (_unused, index) => ({ row: page * 200 + index + 2, cells: [randomBytes(750).toString('base64')] })), outcomes: null,
  }));

  it.each([['ndjson', 60], ['csv', 120], ['xlsx', 120]])('of %s stops reading when the client goes away', async (format, whole) => {
    let read = 0;
    const counting = await startApi(({ blobs }) => ({ blobs: { ...blobs, get: (key) => { read += key.includes('/pages/') ? 1 : 0; return blobs.get(key); } } }));
    try {
      const job = await newJob(counting);
      await writePages(counting, job, ['v'], big());
      const lines = counting.logged.length;
      await new Promise<void>((resolve) => {
        const client = get(`${counting.url}/api/v1/jobs/${job.id}/results?format=${format}`, (response) => {
          response.once('data', () => { response.destroy(); client.destroy(); resolve(); });
        });
        client.on('error', () => undefined);
      });
      await expect.poll(() => counting.logged.slice(lines).join('')).toContain('"brokenOff":true');
      expect(read).toBeLessThan(whole);
    } finally {
      await counting.close();
    }
  });

  it('is broken off, not ended, when a page cannot be read', async () => {
    const job = await jobWith(['v'], big());
    await api.blobs.delete(`default/jobs/${job.id}/pages/00000050.ndjson.zst`);
    await expect((await results(job)).text()).rejects.toThrow();
    expect(await api.refused('GET', `/jobs/${job.id}/results?format=csv`), 'found out before the first line').toMatchObject({ code: 'blob_not_found' });
  });

  it('can be asked about without being read', async () => {
    const job = await jobWith(['v'], big());
    const pages = vi.spyOn(api.blobs, 'get');
    const response = await fetch(`${api.url}/api/v1/jobs/${job.id}/results`, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/x-ndjson']);
    expect(pages.mock.calls.length).toBeGreaterThan(0);
    expect(pages.mock.calls.length).toBeLessThan(5);
    pages.mockRestore();
  });

  it('has a harmless name', async () => {
    const id = await upload(api, 'a\n', 'דו"ח; x=1\r\n%41.csv');
    const { body: job } = await api.call('POST', '/jobs', { body: { source: { upload: id } } });
    await writePages(api, job, ['a'], []);
    const disposition = (await results(job, 'format=csv')).headers.get('content-disposition') ?? '';
    expect(disposition).toMatch(/^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''[A-Za-z0-9_.%~-]+$/);
    expect(decodeURIComponent(disposition.split("''")[1] ?? '')).toBe('דו_ח_ x=1_41-results.csv');
  });
});
