import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SearchHitAnswer } from '../../src/contracts/search-api.ts';
import type { Json, RowInput } from '../../src/contracts/row.ts';
import { searchText } from '../../src/domain/search-text.ts';
import type { ItemWrite } from '../../src/store/ports/rows.ts';
import { startApi } from './api.ts';
import type { Api } from './api.ts';

let api: Api;
beforeAll(async () => { api = await startApi(); });
afterAll(() => api.close());

interface Written {
  source: string;
  tenant?: string;
  tags?: string[];
  rows: { [key: string]: RowInput };
  output?: Json;
  over?: Partial<Omit<ItemWrite, 'input' | 'output'>>;
}

const write = ({ source, tenant = 'default', tags = [], rows, output = null, over = {} }: Written) => api.store.commitRows({
  lane: { tenant, source, lane: 'store' }, job: over.job ?? '01JOB', tags, fence: 1n, failed: [], cleared: [],
  items: Object.entries(rows).map(([key, input], index) => ({
    key, row: index + 2, inputHash: 'i', handlerHash: 'h', state: 'done', output: JSON.stringify(output), error: null, job: '01JOB', attempt: 1,
    input: JSON.stringify(input), text: searchText(input, output), tries: 1, tokens: null, cost: null, latencyMs: 1, ...over,
  })),
});

interface Hits {
  items: SearchHitAnswer[];
  nextCursor: string | null;
}
const search = async (query: Record<string, string>, headers: Record<string, string> = {}): Promise<Hits> =>
  (await api.call<Hits>('GET', `/search?${new URLSearchParams(query)}`, { headers })).body;
const keys = async (query: Record<string, string>, headers?: Record<string, string>): Promise<string[]> => (await search(query, headers)).items.map(({ key }) => key).sort();

describe('GET /search', () => {
  it('answers rows with what is known of them and where the words stand', async () => {
    await write({
      source: 'tickets', tags: ['q4'], rows: { 'T-1': { subject: 'Charged twice', message: 'Please refund one of them.', n: null } },
      output: { category: 'Billing refund' },
    });
    await write({
      source: 'tickets', rows: { 'T-2': { subject: 'Charged in full' } },
      over: { state: 'failed', error: { code: 'no_match', message: 'Nothing fits.', retryable: false } },
    });
    const { items, nextCursor } = await search({ q: 'refund "charged twice" -october' });
    expect(nextCursor).toBeNull();
    expect(items).toEqual([{
      kind: 'item', source: 'tickets', lane: 'store', key: 'T-1', row: 2, state: 'done', job: '01JOB', tags: ['q4'], updatedAt: expect.any(String),
      input: { subject: 'Charged twice', message: 'Please refund one of them.', n: null }, output: { category: 'Billing refund' },
      highlights: [
        { in: 'input', name: 'subject', parts: [{ text: 'Charged twice', match: true }] },
        { in: 'input', name: 'message', parts: [{ text: 'Please ', match: false }, { text: 'refund', match: true }, { text: ' one of them.', match: false }] },
        { in: 'output', name: 'category', parts: [{ text: 'Billing ', match: false }, { text: 'refund', match: true }] },
      ],
    }]);
    expect((await search({ q: 'charged', state: 'failed' })).items[0]).toMatchObject({ key: 'T-2', error: { code: 'no_match', message: 'Nothing fits.' } });
  });

  it('narrows by every filter it names', async () => {
    await write({ source: 'wines', tags: ['eu', 'red'], rows: { a: { w: 'merlot' }, b: { w: 'merlot' } }, over: { job: '01A' } });
    await write({ source: 'cellar', tags: ['eu'], rows: { c: { w: 'merlot' } }, over: { job: '01B' } });
    expect(await keys({ q: 'merlot' })).toEqual(['a', 'b', 'c']);
    expect(await keys({ q: 'merlot', source: 'wines' })).toEqual(['a', 'b']);
    expect(await keys({ q: 'merlot', lane: 'other' })).toEqual([]);
    expect(await keys({ q: 'merlot', job: '01B' })).toEqual(['c']);
    expect(await keys({ q: 'merlot', tag: 'eu' })).toEqual(['a', 'b', 'c']);
    expect(await keys({ q: 'merlot', tag: 'eu,red' })).toEqual(['a', 'b']);
    expect((await api.call<Hits>('GET', '/search?q=merlot&tag=eu&tag=red')).body.items).toHaveLength(2);
    expect(await keys({ q: 'merlot', state: 'failed' })).toEqual([]);
    expect(await keys({ q: 'merlot', since: '2020-01-01', until: '2999-01-01T00:00:00+02:00' })).toEqual(['a', 'b', 'c']);
    expect(await keys({ q: 'merlot', until: '2020-01-01' })).toEqual([]);
    expect(await keys({ q: 'merlot', since: '2999-01-01' })).toEqual([]);
  });

  it("shows a tenant its own rows only", async () => {
    await write({ source: 's', tenant: 'acme', rows: { mine: { w: 'heirloom' } } });
    await write({ source: 's', tenant: 'globex', rows: { theirs: { w: 'heirloom' } } });
    expect(await keys({ q: 'heirloom' }, { 'x-sheaf-tenant': 'acme' })).toEqual(['mine']);
    expect(await keys({ q: 'heirloom' })).toEqual([]);
  });

  it('pages through all hits by cursor', async () => {
    const rows = Object.fromEntries(Array.from({ length: 45 }, (_, n) => [`k${n}`, { w: 'porcelain' }]));
    await write({ source: 'many', rows });
    const seen: string[] = [];
    let cursor: string | null = '';
    for (let pages = 0; cursor !== null; pages++) {
      expect(pages).toBeLessThan(5);
      const page: Hits = await search({ q: 'porcelain', limit: '20', ...(cursor !== '' && { cursor }) });
      seen.push(...page.items.map(({ key }) => key));
      cursor = page.nextCursor;
    }
    expect(seen.sort()).toEqual(Object.keys(rows).sort());
    expect((await search({ q: 'porcelain' })).items).toHaveLength(20);
  });

  it.each([
    ['', 'invalid_request', 'q: is missing'],
    ['?q=', 'invalid_query', 'no word'],
    ['?q=%22-%22', 'invalid_query', 'no word'],
    ['?q=-wine', 'invalid_query', 'leave out'],
    [`?q=${'w'.repeat(501)}`, 'invalid_query', 'longer than 500'],
    [`?q=${'w+'.repeat(33)}`, 'invalid_query', 'more than 32'],
    ['?q=wine&cursor=x', 'invalid_cursor', 'cursor'],
    ['?q=wine&limit=101', 'invalid_request', 'limit'],
    ['?q=wine&since=yesterday', 'invalid_request', 'since'],
    ['?q=wine&since=2026-02-30', 'invalid_request', 'since'],
    ['?q=wine&state=queued', 'invalid_request', 'state'],
    ['?q=wine&tags=x', 'invalid_request', 'did you mean "tag"'],
  ])('refuses %s', async (query, code, detail) => {
    const problem = await api.refused('GET', `/search${query}`);
    expect(problem).toMatchObject({ status: 400, code });
    expect(problem.detail).toContain(detail);
    expect(problem.remedy).toBeDefined();
  });

  it('writes nothing of a query into the log', async () => {
    await search({ q: 'confidential words' });
    expect(api.logged.join('')).not.toContain('confidential');
  });
});
