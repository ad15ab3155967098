import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { JOB_STATES } from '../../src/contracts/job.ts';
import type { Manifest } from '../../src/contracts/job.ts';
import { progressOf } from '../../src/domain/progress.ts';

const START = Date.parse('2026-01-01T00:00:00Z');
const manifest = (rows: number): Manifest => ({ rows, pages: 1, bytes: 1, columns: [], fingerprint: '', reading: '', generation: 1, base: null, contentHash: '', keyColumns: [], warnings: [], duplicates: 0 });
const running = (rows: number) => ({
  state: 'running' as const, manifest: manifest(rows), startedAt: '2026-01-01T00:00:00Z', runningSince: '2026-01-01T00:00:00Z', finishedBefore: 0,
});

describe('progress', () => {
  it('counts rows, and reckons rate and time left from them', () => {
    expect(progressOf(running(100), { done: 10, unchanged: 5, failed: 4, skipped: 1 }, START + 4_000)).toEqual({
      stage: 'rows', total: 100, done: 10, unchanged: 5, failed: 4, skipped: 1, remaining: 80, percent: 20, itemsPerSecond: 5, etaSeconds: 16,
    });
  });

  it('leaves out of the rate what had finished before rows began to run again', () => {
    const resumed = { ...running(100), finishedBefore: 50 };
    expect(progressOf(resumed, { done: 60, unchanged: 0, failed: 0, skipped: 0 }, START + 2_000).itemsPerSecond).toBe(5);
  });

  it('guesses nothing before the sheet has been read', () => {
    const none = { done: 0, unchanged: 0, failed: 0, skipped: 0 };
    const unread = { ...running(0), manifest: null };
    expect(progressOf(unread, none, START)).toMatchObject({ stage: 'snapshot', total: null, remaining: null, percent: null, etaSeconds: null });
    expect(progressOf({ ...unread, state: 'queued', startedAt: null }, none, START).stage).toBe('queued');
  });

  it('says nothing of a rate while no row runs, nor 100 % while a row remains', () => {
    const counts = { done: 99_999, unchanged: 0, failed: 0, skipped: 0 };
    const paused = { ...running(100_000), state: 'paused' as const };
    expect(progressOf(paused, counts, START + 1000)).toMatchObject({ itemsPerSecond: null, etaSeconds: null, percent: 99.9 });
  });

  it('calls a sheet without rows finished', () => {
    const ended = { ...running(0), state: 'completed' as const };
    expect(progressOf(ended, { done: 0, unchanged: 0, failed: 0, skipped: 0 }, START)).toMatchObject({ stage: 'ended', percent: 100, remaining: 0 });
  });

  it('adds up to the total, whatever the state', () => {
    const part = fc.nat(1000);
    fc.assert(fc.property(part, part, part, part, part, fc.constantFrom(...JOB_STATES), fc.nat(100_000), (done, unchanged, failed, skipped, rest, state, ms) => {
      const total = done + unchanged + failed + skipped + rest;
      const progress = progressOf({ ...running(total), state }, { done, unchanged, failed, skipped }, START + ms);
      expect(progress.remaining).toBe(rest);
      expect(progress.percent! === 100).toBe(rest === 0);
      expect(progress.itemsPerSecond ?? 0).toBeGreaterThanOrEqual(0);
    }));
  });
});
