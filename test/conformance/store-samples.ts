/** Records to put into a store: whole and valid, with what a test cares about in `over`. */
import { searchText } from '../../src/domain/search-text.ts';
import type { PageRecord, SheetJobRecord } from '../../src/contracts/job.ts';
import { DEFAULT_BREAKER, NO_COUNTS } from '../../src/contracts/job.ts';
import type { Json, RowInput } from '../../src/contracts/row.ts';
import type { PageCountsWrite } from '../../src/store/ports/pages.ts';
import type { FailedRow, ItemWrite, LaneRef } from '../../src/store/ports/rows.ts';
import type { Listed, ListPage } from '../../src/store/ports/lists.ts';

/** Rows that a writing process commits at once, and how often racing ones meet. */
export const SUB_BATCH = 50;
export const RACES = 40;

export const aJob = (id: string, over: Partial<SheetJobRecord> = {}): SheetJobRecord => ({
  tenant: 'acme', id, owner: 'ann', kind: 'sheet', source: 'customers', lane: 'store', priority: 'normal', tags: [],
  request: {
    location: { path: '/data/customers.csv' }, fileName: 'customers.csv', handler: 'store', options: {}, keyColumns: ['id'],
    onDuplicateKey: 'fail', force: false, concurrency: null, breaker: DEFAULT_BREAKER, drainSeconds: 30,
  },
  state: 'queued', desired: null, cause: null, until: null, reason: null, error: null, attempt: 1, sequence: 0, revision: 0,
  retry: null, manifest: null, createdAt: '2026-11-01T10:00:00.000Z', startedAt: null, completedAt: null,
  updatedAt: '2026-11-01T10:00:00.000Z', runningSince: null, finishedBefore: 0,
  runAt: null, dependsOn: [], onFailure: 'cancel', batch: null, schedule: null, ...over,
});

export const aLane = (over: Partial<LaneRef> = {}): LaneRef => ({ tenant: 'acme', source: 'customers', lane: 'store', ...over });

export function anItem(key: string, input: RowInput, { output = { seen: key }, ...over }: Partial<Omit<ItemWrite, 'input' | 'output'>> & { output?: Json } = {}): ItemWrite {
  return {
    key, row: 2, inputHash: `input of ${key}`, handlerHash: 'handler', state: 'done', output: JSON.stringify(output), error: null, job: 'job', attempt: 1,
    input: JSON.stringify(input), text: searchText(input, output), tries: 1, tokens: null, cost: null, latencyMs: 0.5, ...over,
  };
}

export const aFailedRow = (row: number, code: string, over: Partial<FailedRow> = {}): FailedRow =>
  ({ row, key: `key ${row}`, error: { code, message: `row ${row} is wrong`, retryable: false }, input: { id: row }, ...over });

export const aPage = (page: number, over: Partial<PageCountsWrite> = {}): PageCountsWrite => ({
  page, attempt: 1, counts: { ...NO_COUNTS }, tried: 0, faults: 0, complete: false, result: null, fence: 1n, ...over,
});

export function withoutFence(page: PageCountsWrite): PageRecord {
  const { fence: _fence, ...record } = page;
  return record;
}

/** Walks a list to its end; fails where a page is too long or an empty one promises more. */
export async function walk<T>(list: (page: ListPage) => Promise<Listed<T>>, limit: number): Promise<T[]> {
  const all: T[] = [];
  for (let cursor: string | undefined; ;) {
    const { items, nextCursor } = await list({ limit, ...(cursor !== undefined && { cursor }) });
    if (items.length > limit) throw new Error(`a page of ${items.length} entries where ${limit} were asked for`);
    if (items.length === 0 && nextCursor !== null) throw new Error('an empty page with a cursor');
    all.push(...items);
    if (nextCursor === null) return all;
    cursor = nextCursor;
  }
}
