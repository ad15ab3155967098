/** Places under a key: never more than allowed, first come first served, held back for as long as was asked. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Lease } from '../../src/limits/limits.ts';
import { localLimits } from '../../src/limits/local.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] }));
afterEach(() => void vi.useRealTimers());

const never = new AbortController().signal;
const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 5; turns++) await turn();
};

/** Takes places one after the other and remembers the order in which they were given. */
function takers(count: number, allowed: number, limits = localLimits()) {
  const given: number[] = [];
  const leases: Lease[] = [];
  const all = Array.from({ length: count }, async (_, index) => {
    leases.push(await limits.take('key', allowed, never));
    given.push(index);
  });
  return { given, leases, limits, all: Promise.all(all) };
}

test('so many places are given, the rest wait and get theirs in the order in which they came', async () => {
  const { given, leases, limits, all } = takers(5, 2);
  await settled();
  expect(given).toEqual([0, 1]);
  for (let next = 2; next < 5; next++) {
    limits.settle(leases.shift()!);
    await settled();
    expect(given).toEqual(Array.from({ length: next + 1 }, (_, index) => index));
  }
  await all;
});

test('keys know nothing of each other', async () => {
  const limits = localLimits();
  expect(await limits.take('a', 1, never)).toEqual({ key: 'a' });
  expect(await limits.take('b', 1, never)).toEqual({ key: 'b' });
});

test('more places, once allowed, are given to those who wait', async () => {
  const { given, limits } = takers(3, 1);
  await settled();
  expect(given).toEqual([0]);
  const another = limits.take('key', 4, never);
  await settled();
  await another;
  expect(given).toEqual([0, 1, 2]);
});

test('who gives up waiting gets the reason, and takes no place', async () => {
  const limits = localLimits();
  const lease = await limits.take('key', 1, never);
  const gone = new AbortController();
  const waiting = limits.take('key', 1, gone.signal);
  gone.abort(new Error('enough'));
  await expect(waiting).rejects.toThrow('enough');
  limits.settle(lease);
  await limits.take('key', 1, never);
});

test('a penalty gives nobody a place until it is over', async () => {
  const limits = localLimits();
  limits.penalise('key', 1_000);
  const { given } = takers(2, 2, limits);
  await vi.advanceTimersByTimeAsync(999);
  expect(given).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  await settled();
  expect(given.toSorted()).toEqual([0, 1]);
});
