/** How much of a limit two workers use while there is work: the real pools and the real broker, on a clock that is wound by hand. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LeaseAnswer, LeaseRequest, LimitRule } from '../../src/contracts/limits.ts';
import { LimitBroker } from '../../src/domain/limit-broker.ts';
import { brokeredLimits } from '../../src/limits/brokered.ts';
import { LimitReached, type Limits } from '../../src/limits/limits.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import { LIMIT_LEAD_MS } from '../../src/workflows/activity-options.ts';
import { inWindows, mostInWindow, type Arrival } from '../servers/metered-api.ts';

// What the real module has was bound before the clock was taken over.
vi.mock('node:timers/promises', () => ({
  setTimeout: (milliseconds: number, value: unknown, { signal }: { signal?: AbortSignal } = {}) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds, value);
    signal?.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason as Error); }, { once: true });
  }),
}));
beforeEach(() => { vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] }); });
afterEach(() => { vi.useRealTimers(); });

const WINDOW_MS = 5_000;
const CONCURRENCY = 8;
/** An Update of the broker, a call of the API, the start of a page. */
const [ASK_MS, CALL_MS, START_MS] = [30, 20, 150];

const passed = (milliseconds: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

function workers(rules: string): Limits[] {
  const parsed = readLimitRules(rules);
  const brokers = new Map<string, LimitBroker>();
  const lease = async (key: string, request: LeaseRequest): Promise<LeaseAnswer> => {
    await passed(ASK_MS / 2);
    const broker = brokers.get(key) ?? new LimitBroker(request.rule as LimitRule);
    brokers.set(key, broker);
    const answer = structuredClone(broker.lease(structuredClone(request), Date.now()));
    await passed(ASK_MS / 2);
    return answer;
  };
  return [1, 2].map(() => brokeredLimits({ rules: parsed, brokers: { lease } }));
}

/** Pages of a job that has no end, as workers and its workflow run them: a page that has to wait for long leaves, and another comes in time. */
async function endlessJob(limits: Limits, key: string, user: string, arrivals: Arrival[]): Promise<void> {
  const places = `${key} ${user} ${Math.random()}`;
  for (;;) {
    let inFlight = 0;
    try {
      for (;;) {
        const held = await limits.take(places, CONCURRENCY, new AbortController().signal, { keys: [key], user, room: CONCURRENCY - inFlight });
        inFlight++;
        arrivals.push({ at: performance.now(), user, key, caller: 0 });
        void passed(CALL_MS).then(() => {
          inFlight--;
          limits.settle(held);
        });
      }
    } catch (error) {
      if (!(error instanceof LimitReached)) throw error;
      await passed(Math.max(0, error.waitMs - LIMIT_LEAD_MS) + START_MS);
    }
  }
}

test("the project's: at least 95 %, never over, and users have alike", async () => {
  const [one, two] = workers(JSON.stringify({ api: { per: 5, perUser: false, perProject: { capacity: 60, refill: 12 } } }));
  const arrivals: Arrival[] = [];
  const users = ['ann', 'bob', 'cat', 'dan'];
  for (const user of users) for (const worker of [one!, two!]) void endlessJob(worker, 'api', user, arrivals);
  await vi.advanceTimersByTimeAsync(12 * WINDOW_MS);
  expect(mostInWindow(arrivals, WINDOW_MS)).toBeLessThanOrEqual(60);
  expect(inWindows(arrivals, WINDOW_MS, 10)).toBeGreaterThanOrEqual(0.95 * 10 * 60);
  const shares = users.map((user) => arrivals.filter((arrival) => arrival.user === user).length);
  expect(Math.min(...shares)).toBeGreaterThan(0.8 * Math.max(...shares));
});

test("a user's: at least 95 %, never over, whichever worker calls; another user has as much", async () => {
  const [one, two] = workers(JSON.stringify({ api: { per: 5, perUser: 20, perProject: { capacity: 1_000, refill: 200 } } }));
  const arrivals: Arrival[] = [];
  for (const [worker, user] of [[one!, 'eve'], [two!, 'eve'], [two!, 'fay']] as const) void endlessJob(worker, 'api', user, arrivals);
  await vi.advanceTimersByTimeAsync(12 * WINDOW_MS);
  for (const user of ['eve', 'fay']) {
    const mine = arrivals.filter((arrival) => arrival.user === user);
    expect(mostInWindow(mine, WINDOW_MS)).toBeLessThanOrEqual(20);
    expect(inWindows(mine, WINDOW_MS, 10)).toBeGreaterThanOrEqual(0.95 * 10 * 20);
  }
});
