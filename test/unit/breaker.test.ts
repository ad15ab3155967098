import { expect, test } from 'vitest';
import { breakerError, breakerTripped } from '../../src/domain/breaker.ts';
import { isFault } from '../../src/domain/page-plan.ts';

const breaker = { minRows: 200, maxFailedFraction: 0.3 };

test('trips once enough rows were tried and more than the share of them failed; exactly the share is allowed', () => {
  expect(breakerTripped(breaker, { tried: 199, faults: 199 })).toBe(false);
  expect(breakerTripped(breaker, { tried: 200, faults: 60 })).toBe(false);
  expect(breakerTripped(breaker, { tried: 200, faults: 61 })).toBe(true);
  expect(breakerTripped({ minRows: 1, maxFailedFraction: 0 }, { tried: 5, faults: 0 })).toBe(false);
  expect(breakerTripped({ minRows: 1, maxFailedFraction: 1 }, { tried: 5, faults: 5 })).toBe(false);
});

test('never trips when it is off', () => expect(breakerTripped(null, { tried: 1_000, faults: 1_000 })).toBe(false));

test('says how many failed, how many may, and what to do', () =>
  expect(breakerError(breaker, { tried: 200, faults: 61 })).toEqual({
    code: 'circuit_breaker', message: expect.stringContaining('61 of the 200 rows tried failed (31 %; at most 30 % may)'), remedy: expect.stringContaining('retry'),
  }));

test('counts what a handler failed at, not what is wrong with the row or was carried over', () => {
  const failure = { code: 'x', message: '', retryable: false };
  expect([isFault(failure), isFault({ ...failure, input: true }), isFault({ ...failure, carried: true })]).toEqual([true, false, false]);
});
