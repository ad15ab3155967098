/** What schedules, batches, actions and dependencies look like on the command line. */
import { describe, expect, test } from 'vitest';
import type { JobGraphAnswer } from '../../src/contracts/plans-api.ts';
import { treeLines } from '../../src/cli/dependency-tree.ts';
import { batchProgress, batchState } from '../../src/domain/batch-progress.ts';
import type { BatchTotals } from '../../src/contracts/plans.ts';

const plain = { paint: (_style: unknown, text: string): string => text };
const graph = (edges: Record<string, string[]>, more: Partial<JobGraphAnswer> = {}): JobGraphAnswer => ({
  job: 'a', complete: true, jobs: Object.entries(edges).map(([id, dependsOn]) => ({ id, state: 'queued', file: `${id}.csv`, handler: 'store', dependsOn })), ...more,
});

describe('the tree of jobs that depend on each other', () => {
  test('shows a chain', () => {
    expect(treeLines(graph({ a: [], b: ['a'], c: ['b'] }), plain)).toEqual([
      'a ◀  queued  store  a.csv',
      '└─ b  queued  store  b.csv',
      '   └─ c  queued  store  c.csv',
    ]);
  });

  test('shows a diamond, whose foot stands below both sides and is drawn once', () => {
    expect(treeLines(graph({ d: ['b', 'c'], b: ['a'], c: ['a'], a: [], e: ['d'] }, { job: 'd' }), plain)).toEqual([
      'a  queued  store  a.csv',
      '├─ b  queued  store  b.csv',
      '│  └─ d ◀  queued  store  d.csv',
      '│     └─ e  queued  store  e.csv',
      '└─ c  queued  store  c.csv',
      '   └─ d ◀  queued  see above',
    ]);
  });

  test('names what was deleted, what is not in the answer, and draws several tops', () => {
    const jobs: JobGraphAnswer['jobs'] = [
      { id: 'a', state: 'waiting', file: 'a.csv', handler: 'store', dependsOn: ['gone', 'far'] },
      { id: 'gone', state: null, dependsOn: [] },
      { id: 'far', state: 'failed', file: 'far\u001b[2J.csv', handler: 'store', dependsOn: ['cut off'] },
    ];
    expect(treeLines({ job: 'a', jobs, complete: false }, plain)).toEqual([
      'gone  deleted', '└─ a ◀  waiting  store  a.csv', 'far  failed  store  far[2J.csv', '└─ a ◀  waiting  see above', '…',
    ]);
  });
});

describe('what a batch comes to', () => {
  const totals = (jobs: BatchTotals['jobs'], more: Partial<BatchTotals> = {}): BatchTotals =>
    ({ jobs, rows: 0, unread: 0, done: 0, unchanged: 0, failed: 0, skipped: 0, ...more });
  const made = { open: false, desired: 'running', size: 5 } as const;

  test.each([
    ['creating', { open: true, desired: 'running' }, { queued: 3, completed: 2 }],
    ['paused', { open: true, desired: 'paused' }, {}],
    ['paused', { open: true, desired: 'paused' }, { paused: 2 }],
    ['queued', made, { queued: 1, waiting: 2, completed: 1 }],
    ['running', made, { queued: 1, running: 1 }],
    ['running', made, { pausing: 1, paused: 1 }],
    ['paused', made, { paused: 2, completed: 4 }],
    ['queued', made, { paused: 2, queued: 1 }],
    ['failed', made, { failed: 1, cancelled: 1, completed: 4 }],
    ['cancelled', made, { cancelled: 1, completed: 4 }],
    ['cancelled', { open: false, desired: 'cancelled' }, {}],
    ['completed', made, { completed: 4 }],
  ] as const)('%s', (state, batch, jobs) => {
    expect(batchState(batch, totals(jobs))).toBe(state);
  });

  test('knows its total only when every sheet has been read, or never will be', () => {
    const counts = { rows: 100, done: 30, unchanged: 10, failed: 5, skipped: 5 };
    expect(batchProgress(made, totals({ running: 2 }, counts))).toEqual({ total: 100, done: 30, unchanged: 10, failed: 5, skipped: 5, remaining: 50, percent: 50, ended: 0 });
    expect(batchProgress(made, totals({ running: 2 }, { ...counts, unread: 1 }))).toMatchObject({ total: null, remaining: null, percent: null });
    expect(batchProgress({ open: true, size: 2 }, totals({ running: 2 }, counts))).toMatchObject({ total: null });
    expect(batchProgress(made, totals({ cancelled: 1, completed: 1 }, { ...counts, unread: 1 }))).toMatchObject({ total: 100, remaining: 50, ended: 2 });
    expect(batchProgress(made, totals({ completed: 1 }))).toMatchObject({ total: 0, percent: 100 });
  });
});
