import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { inOrder, judgeDependencies, MET, planWait } from '../../src/domain/dependencies.ts';

describe('what dependencies mean for a job', () => {
  it('goes when all have completed', () => {
    for (const onFailure of ['cancel', 'run', 'wait'] as const) {
      expect(judgeDependencies([{ id: 'a', state: 'completed' }], onFailure)).toEqual({ verdict: 'go', unmet: [], reason: null, error: null });
    }
  });

  it('waits for those that have not ended, and names a few', () => {
    const states = ['running', 'completed', 'queued', 'paused', 'waiting', 'cancelling'] as const;
    const dependencies = states.map((state, index) => ({ id: `j${index}`, state }));
    expect(judgeDependencies(dependencies, 'cancel')).toEqual({
      verdict: 'wait', unmet: ['j0', 'j2', 'j3', 'j4', 'j5'], reason: 'It waits for jobs j0, j2, j3 and 2 more.', error: null,
    });
  });

  it.each(['failed', 'cancelled', null] as const)('does as it was told when one is %s', (state) => {
    const dependencies = [{ id: 'a', state }, { id: 'b', state: 'running' as const }];
    expect(judgeDependencies(dependencies, 'cancel')).toMatchObject({ verdict: 'cancel', error: { code: 'dependency_failed', message: expect.stringContaining('a ') } });
    expect(judgeDependencies(dependencies, 'run')).toMatchObject({ verdict: 'wait', unmet: ['b'] });
    expect(judgeDependencies(dependencies.slice(0, 1), 'run')).toMatchObject({ verdict: 'go' });
    // What is gone can never complete.
    expect(judgeDependencies(dependencies, 'wait')).toMatchObject(state === null ? { verdict: 'cancel' } : { verdict: 'wait', unmet: ['a', 'b'] });
  });
});

describe('how a job waits for what is planned', () => {
  const now = Date.parse('2026-01-01T00:00:00.000Z');
  const open = judgeDependencies([{ id: 'a', state: 'running' }], 'cancel');

  it('is queued until its time, then waits for others, then not at all', () => {
    const runAt = '2026-01-01T00:00:05.000Z';
    expect(planWait(runAt, MET, now)).toEqual({ state: 'queued', cause: null, until: runAt, reason: 'It waits for its time.', ms: 5_000 });
    expect(planWait(runAt, open, now)).toMatchObject({ state: 'queued', reason: 'It waits for its time. It waits for job a.' });
    expect(planWait(runAt, open, now + 5_000)).toEqual({ state: 'waiting', cause: 'dependency', until: null, reason: 'It waits for job a.', ms: null });
    expect(planWait(runAt, MET, now + 5_000)).toBeNull();
    expect(planWait(null, MET, now)).toBeNull();
  });
});

describe('the order of jobs that depend on each other', () => {
  const names = fc.integer({ min: 1, max: 12 }).map((count) => Array.from({ length: count }, (_, index) => `n${index}`));

  it('puts what others depend on first', () => {
    const acyclic = names.chain((all) => fc.tuple(...all.map((name, index) => fc.subarray(all.slice(0, index)).map((needs) => [name, needs] as const))));
    fc.assert(fc.property(acyclic.chain((entries) => fc.shuffledSubarray(entries, { minLength: entries.length })), (entries) => {
      const found = inOrder(new Map(entries));
      if (!('order' in found)) throw new Error('there is no circle');
      expect([...found.order].sort()).toEqual(entries.map(([name]) => name).sort());
      for (const [name, needs] of entries) for (const need of needs) expect(found.order.indexOf(need)).toBeLessThan(found.order.indexOf(name));
    }));
  });

  it('finds every circle and names it', () => {
    fc.assert(fc.property(names, fc.nat(), (all, seed) => {
      const entries = new Map(all.map((name, index) => [name, [all[(index + 1) % all.length]!]]));
      const shuffled = new Map([...entries].sort(() => (seed % 2 ? 1 : -1)));
      const found = inOrder(shuffled);
      expect('circle' in found && found.circle.length).toBe(all.length + 1);
    }));
    expect(inOrder(new Map([['a', ['a']]]))).toEqual({ circle: ['a', 'a'] });
    expect(inOrder(new Map([['x', []], ['a', ['x', 'b']], ['b', ['c']], ['c', ['b']]]))).toEqual({ circle: ['b', 'c', 'b'] });
  });

  it('walks a chain of ten thousand, and leaves names of elsewhere alone', () => {
    const chain = new Map(Array.from({ length: 10_000 }, (_, index) => [`n${index}`, index < 9_999 ? [`n${index + 1}`] : ['job_elsewhere']]));
    expect(inOrder(chain)).toMatchObject({ order: { length: 10_000, 0: 'n9999' } });
  });
});
