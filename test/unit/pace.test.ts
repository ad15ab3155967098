import { expect, test } from 'vitest';
import type { LimitRule } from '../../src/contracts/limits.ts';
import { leastMs, Pace } from '../../src/domain/pace.ts';

const rule = (over: Partial<LimitRule> = {}): LimitRule => ({ perMs: 60_000, perUser: null, perProject: null, concurrency: null, tokens: null, ...over });

test.each<[what: string, rule: LimitRule, calls: number, tokens: number, ms: number]>([
  ['no limit', rule(), 1e6, 1e6, 0],
  ['one window', rule({ perUser: 60 }), 60, 0, 0],
  ['one call more than a window', rule({ perUser: 60 }), 61, 0, 60_000],
  ['what is in the bucket', rule({ perProject: { capacity: 300, refillPerSecond: 5 } }), 300, 0, 0],
  ['what is refilled', rule({ perProject: { capacity: 300, refillPerSecond: 10 } }), 400, 0, 10_000],
  ['no window with more than the bucket', rule({ perProject: { capacity: 300, refillPerSecond: 5 } }), 600, 0, 60_000],
  ['the slower of them', rule({ perUser: 60, perProject: { capacity: 300, refillPerSecond: 5 } }), 600, 0, 540_000],
  ['tokens', rule({ tokens: 1_000 }), 1, 2_500, 120_000],
  ['nothing to do', rule({ perUser: 1 }), 0, 0, 0],
])('%s', (_what, limit, calls, tokens, ms) => {
  expect(leastMs(limit, calls, tokens)).toBe(ms);
});

const visit = (address: string | null, limits: string[] = []) => ({ known: false, tokens: 0, cost: 0, requests: 1, visit: { address, host: 'a.test', perSecond: 2, limits } });
const noTokens = { of: [], taken: 0 };

test('an address that several rows have is asked for once, where what was read is good for the next', () => {
  const [shared, alone] = [new Pace(), new Pace()];
  for (const address of ['a', 'b', 'a', 'c', 'd', 'a']) shared.add(visit(address));
  for (let row = 0; row < 6; row++) alone.add(visit(null));
  expect([shared.requests, shared.least(() => rule(), noTokens)]).toEqual([4, { seconds: 1.5, limit: 'a.test' }]);
  expect([alone.requests, alone.least(() => rule(), noTokens)]).toEqual([6, { seconds: 2.5, limit: 'a.test' }]);
});

test('a host with a named limit is held by it, and whatever holds longest is told', () => {
  const pace = new Pace();
  for (const address of ['a', 'b', 'c']) pace.add(visit(address, ['a.test:80']));
  expect(pace.least(() => rule({ perUser: 1 }), noTokens)).toEqual({ seconds: 120, limit: 'a.test:80' });
});

test('rows that are asked about together are one request', () => {
  const pace = new Pace();
  for (let row = 0; row < 3 * 49; row++) pace.add({ known: false, tokens: 1, cost: 1, requests: 1 / 49 });
  expect(pace.requests).toBe(3);
});

test('nobody can tell how many where one row does not say', () => {
  const pace = new Pace();
  pace.add(visit('a'));
  pace.add({ known: false, tokens: null, cost: null });
  expect([pace.requests, pace.least(() => rule(), noTokens)]).toEqual([null, null]);
});
