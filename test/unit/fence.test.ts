/** Writers are ordered by generation, then attempt, then dispatch, then activity attempt. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fence, type FenceParts } from '../../src/domain/fence.ts';

const parts = fc.record({
  generation: fc.integer({ min: 0, max: 2 ** 24 - 1 }), attempt: fc.integer({ min: 0, max: 2 ** 11 - 1 }),
  dispatch: fc.integer({ min: 0, max: 2 ** 20 - 1 }), activityAttempt: fc.integer({ min: 0, max: 255 }),
});
const list = ({ generation, attempt, dispatch, activityAttempt }: FenceParts): number[] => [generation, attempt, dispatch, activityAttempt];

test('the order of fences is the order of their parts', () => fc.assert(fc.property(parts, parts, (a, b) => {
  const index = list(a).findIndex((value, at) => value !== list(b)[at]);
  const order = index < 0 ? 0 : list(a)[index]! - list(b)[index]!;
  const [x, y] = [fence(a), fence(b)];
  expect(x < y ? -1 : x > y ? 1 : 0).toBe(Math.sign(order));
})));

test('a part that is too large never runs into the next, and the whole fits a signed 64-bit integer', () => {
  const most = fence({ generation: Infinity, attempt: Infinity, dispatch: Number.MAX_SAFE_INTEGER, activityAttempt: 1e9 });
  expect(most).toBe(2n ** 63n - 1n);
  expect(fence({ generation: 1, attempt: 1, dispatch: 2 ** 30, activityAttempt: 9_999 })).toBeLessThan(fence({ generation: 1, attempt: 2, dispatch: 0, activityAttempt: 0 }));
});
