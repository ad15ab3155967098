/** Where a job's time went, told by its events. */
import { describe, expect, test } from 'vitest';
import { stageTimes } from '../../src/domain/stages.ts';

const at = (second: number): string => new Date(second * 1000).toISOString();
const times = (events: [second: number, type: string][], end: number): Record<string, number> =>
  Object.fromEntries(Object.entries(stageTimes(events.map(([second, type]) => ({ at: at(second), type })), at(end))).filter(([, ms]) => ms > 0));

describe('the time of a job', () => {
  test('is that of its queue, its snapshot and its rows', () =>
    expect(times([[0, 'created'], [5, 'running'], [7, 'snapshot']], 17)).toEqual({ queued: 5_000, snapshot: 2_000, rows: 10_000 }));

  test('leaves out pauses and waits, and counts rows that drain as rows', () =>
    expect(times([[0, 'created'], [1, 'running'], [2, 'snapshot'], [3, 'pausing'], [4, 'paused'], [14, 'queued'], [15, 'running'], [16, 'waiting'], [36, 'running'], [37, 'cancelling']], 40))
      .toEqual({ queued: 1_000 + 1_000, snapshot: 1_000, rows: 2_000 + 1_000 + 1_000 + 3_000, paused: 10_000, waiting: 20_000 }));

  test('adds up over attempts, and leaves out what lies between them', () =>
    expect(times([[0, 'created'], [1, 'running'], [2, 'snapshot'], [4, 'failed'], [100, 'retried'], [103, 'running']], 110)).toEqual({ queued: 4_000, snapshot: 1_000, rows: 9_000 }));

  test('of one that never ran is its queue; events of whatever other kind change nothing', () => {
    expect(times([[0, 'created'], [2, 'priority']], 9)).toEqual({ queued: 9_000 });
    expect(times([], 9)).toEqual({});
  });
});
