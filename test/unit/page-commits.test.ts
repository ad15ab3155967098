/** What a page makes of rows that the store will not take, and how often it says where it stands. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PageCommits } from '../../src/activities/page-commits.ts';
import type { BreakerOptions } from '../../src/contracts/job.ts';
import type { RowFailure } from '../../src/contracts/row.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { aLane } from '../conformance/store-samples.ts';

describe('the commits of a page', () => {
  let folder: string;
  let store: Store;
  const refusal: RowFailure = { code: 'row_too_large', message: 'too large', retryable: false };

  beforeEach(async () => {
    folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-commits-'));
    store = await openSqliteStore({ folder });
  });
  afterEach(async () => {
    await store.close();
    await fs.rm(folder, { recursive: true, force: true });
  });

  const pageCommits = (store: Store, batchRows: number, breaker: BreakerOptions | null = null): PageCommits => new PageCommits({
    store, breaker, batchRows, maxUncommitted: 6, countsEveryMs: 0, stop: () => {},
    page: { lane: aLane(), jobId: 'j1', tags: [], page: 1, attempt: 1, fence: 1n, handlerHash: 'h' },
    plan: { settled: new Map(), newFailures: [], open: [], asked: new Set(), tried: 0, faults: 0, spent: { tokens: null, cost: 0.5 } },
  });
  const finished = (row: number) => ({ row: { row, key: `k${row}`, inputHash: 'h', input: { row } }, outcome: { output: row, tokens: 10, cost: 0.25 }, tries: 1, latencyMs: 1 });

  it('let a row that the store refuses fail by itself: in the results, in the counts, and for the breaker', async () => {
    const refusing: Store = { ...store, commitRows: async (commit) => {
      await store.commitRows(commit);
      return new Map(commit.items.some(({ row }) => row === 3) ? [[3, refusal]] : []);
    } };
    const commits = pageCommits(refusing, 2);
    await commits.add([2, 3, 4].map(finished));
    await commits.close();
    expect(String(commits.lines.inOrder()).trimEnd().split('\n').map((line) => JSON.parse(line))).toMatchObject([[2, 'done', 2], [3, 'failed', null, { code: 'row_too_large' }], [4, 'done', 4]]);
    expect([commits.counts, commits.tally]).toEqual([{ done: 2, unchanged: 0, failed: 1, skipped: 0 }, { tried: 3, faults: 1, spent: { tokens: 30, cost: 1.25 } }]);
    expect(await store.jobTotals('acme', 'j1', 1)).toMatchObject({ done: 2, failed: 1, tried: 3, faults: 1 });
    expect(await store.jobSpent('acme', 'j1')).toEqual({ tokens: 30, cost: 1.25 });
  });

  it('do not keep a slow store busy with counts that newer ones follow', async () => {
    const written: number[] = [];
    const free = Promise.withResolvers<void>();
    const slow: Store = { ...store, writePage: async (tenant, job, page) => {
      written.push(page.counts.done);
      await free.promise;
      return store.writePage(tenant, job, page);
    } };
    const commits = pageCommits(slow, 1);
    for (const row of [2, 3, 4, 5]) await commits.add([finished(row)]);
    await expect.poll(() => commits.counts.done).toBe(4);
    expect(written).toEqual([1]);
    free.resolve();
    await commits.close();
    expect(written).toEqual([1, 4]);
  });

  it('look at the whole attempt for the breaker until enough rows were tried without a fault, and again with the first of their own', async () => {
    let looks = 0;
    const watched: Store = { ...store, jobTotals: (...asked) => {
      looks++;
      return store.jobTotals(...asked);
    } };
    const commits = pageCommits(watched, 1, { minRows: 2, maxFailedFraction: 0.3 });
    /** Resolves when the row is counted, and the breaker was asked so often. */
    const add = async (row: number, wanted: number, error?: RowFailure): Promise<void> => {
      await commits.add([error ? { ...finished(row), outcome: { error } } : finished(row)]);
      await expect.poll(async () => (await store.jobTotals('acme', 'j1', 1)).tried).toBe(row);
      await expect.poll(() => looks).toBe(wanted);
    };
    await add(1, 1);
    await add(2, 2);
    await add(3, 2);
    await add(4, 2);
    await add(5, 3, refusal);
    expect(commits.tripped).toBe(null);
    await add(6, 4, refusal);
    expect(commits.tripped?.code).toBe('circuit_breaker');
    await commits.close();
    expect(looks).toBe(4);
  });
});
