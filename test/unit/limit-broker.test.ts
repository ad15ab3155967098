/** The broker of a limit in time that the test makes: what it grants, to whom, when, and what it never does. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LeaseAnswer, LeaseRequest, LimitRule, LimitState } from '../../src/contracts/limits.ts';
import { LimitBroker } from '../../src/domain/limit-broker.ts';

const START = 1_800_000_000_000;
const rule = (more: Partial<LimitRule> = {}): LimitRule => ({
  perMs: 60_000, perUser: null, perProject: { capacity: 30, refillPerSecond: 0.5 }, concurrency: null, tokens: null, ...more,
});

/** A broker whose state goes through JSON at every step, as it does when its workflow continues as new. */
function open(of: LimitRule) {
  let state: LimitState | undefined;
  const seqs = new Map<string, number>();
  let now = START;
  const step = <T>(work: (broker: LimitBroker) => T): T => {
    const broker = new LimitBroker(of, state);
    const answer = work(broker);
    state = JSON.parse(JSON.stringify(broker.state)) as LimitState;
    return answer;
  };
  return {
    pass: (ms: number) => void (now += ms),
    state: () => state!,
    status: () => step((broker) => broker.status(now)),
    lease(worker: string, wants: Record<string, number>, more: Partial<LeaseRequest> = {}): LeaseAnswer {
      const seq = (seqs.get(worker) ?? 0) + 1;
      seqs.set(worker, seq);
      return step((broker) => broker.lease({
        worker, seq, rule: of, configuredAt: START, wants, tokensPerCall: 0, used: [], returned: [],
        running: 0, places: 0, waiting: Object.values(wants).reduce((sum, calls) => sum + calls, 0), backOffMs: 0, away: {}, ...more,
      }, now));
    },
  };
}

const granted = ({ grants }: LeaseAnswer): number => grants.reduce((sum, { calls }) => sum + calls, 0);
const perUser = ({ grants }: LeaseAnswer): Record<string, number> =>
  Object.fromEntries([...Map.groupBy(grants, ({ user }) => user)].map(([user, some]) => [user, some.reduce((sum, { calls }) => sum + calls, 0)]));
const allUsed = ({ grants }: LeaseAnswer, agoMs = 0): LeaseRequest['used'] => grants.map(({ grant, calls }) => ({ grant, agoMs, calls, tokens: 0 }));

describe('a window', () => {
  test('gives what it has, then nothing until the first calls have left it, and says when that is', () => {
    const broker = open(rule({ perUser: 20 }));
    const first = broker.lease('w', { a: 50 });
    expect(perUser(first)).toEqual({ a: 20 });
    broker.pass(1_000);
    const second = broker.lease('w', { a: 30 }, { used: allUsed(first) });
    expect(granted(second)).toBe(0);
    expect(second.nextInMs['a']).toBeGreaterThan(59_000);
    expect(second.nextInMs['a']).toBeLessThanOrEqual(60_600);
    broker.pass(60_600);
    expect(perUser(broker.lease('w', { a: 30 }))).toEqual({ a: 20 });
  });

  test('of the project and of the user: a call needs both', () => {
    const broker = open(rule({ perUser: 20 }));
    expect(perUser(broker.lease('w', { a: 50, b: 50 }))).toEqual({ a: 15, b: 15 });
    const alone = open(rule({ perUser: 20 }));
    expect(perUser(alone.lease('w', { a: 50, b: 5 }))).toEqual({ a: 20, b: 5 });
  });

  test('a call is counted from when it reached its server at the latest, not from its grant', () => {
    const broker = open(rule());
    const first = broker.lease('w', { a: 30 });
    broker.pass(10_000);
    broker.lease('w', { a: 1 }, { used: allUsed(first, 9_000) });
    broker.pass(51_400);
    expect(granted(broker.lease('w', { a: 30 }))).toBe(30);
  });
});

describe('a bucket', () => {
  test('of 300 that refills 5 a second gives 300 in any minute and no more', () => {
    const broker = open(rule({ perProject: { capacity: 300, refillPerSecond: 5 } }));
    const first = broker.lease('w', { a: 1_000 });
    expect(granted(first)).toBe(300);
    broker.lease('w', { a: 700 }, { used: allUsed(first) });
    for (let second = 1; second < 59; second++) {
      broker.pass(1_000);
      expect(granted(broker.lease('w', { a: 700 }))).toBe(0);
    }
    broker.pass(3_000);
    expect(granted(broker.lease('w', { a: 700 }))).toBe(300);
  });

  test('that refills slowly is the narrower of the two', () => {
    const broker = open(rule({ perProject: { capacity: 30, refillPerSecond: 0.1 } }));
    const first = broker.lease('w', { a: 100 });
    broker.lease('w', { a: 70 }, { used: allUsed(first) });
    broker.pass(61_000);
    expect(granted(broker.lease('w', { a: 70 }))).toBe(6);
  });

  test('that holds little and refills fast lets a steady stream through', () => {
    const broker = open(rule({ perProject: { capacity: 5, refillPerSecond: 5 } }));
    let calls = 0;
    let used: LeaseRequest['used'] = [];
    for (let turn = 0; turn < 300; turn++) {
      const answer = broker.lease('w', { a: 20 }, { used });
      calls += granted(answer);
      used = allUsed(answer);
      broker.pass(200);
    }
    expect(calls).toBeGreaterThan(0.95 * 300);
    expect(calls).toBeLessThanOrEqual(305);
  });
});

describe('turns', () => {
  test('go to whoever has had none for longest, whichever worker asks, and however much the others want', () => {
    const broker = open(rule());
    const first = broker.lease('w1', { a: 24 });
    expect(perUser(first)).toEqual({ a: 24 });
    const later = broker.lease('w2', { b: 100, c: 100 });
    expect(perUser(later)).toEqual({ b: 3, c: 3 });
  });

  test('of a user on two workers are for both', () => {
    const give = open(rule({ perProject: { capacity: 10, refillPerSecond: 1 } }));
    const all = give.lease('w1', { a: 10 });
    give.lease('w2', { a: 100 });
    give.lease('w1', { a: 100 }, { returned: all.grants.map(({ grant, calls }) => ({ grant, calls })) });
    const [one, two] = [give.status().users[0]!.used, granted(give.lease('w2', { a: 100 }))];
    expect(one).toBe(10);
    expect(two).toBe(5);
  });
});

describe('what is not used', () => {
  test('and given back is there for others at once', () => {
    const broker = open(rule());
    const first = broker.lease('w1', { a: 30 });
    expect(granted(broker.lease('w2', { b: 30 }))).toBe(0);
    broker.lease('w1', {}, { returned: first.grants.map(({ grant, calls }) => ({ grant, calls })) });
    expect(granted(broker.lease('w2', { b: 30 }))).toBe(30);
  });

  test('by a worker that was killed counts as used at the last moment, and no longer', () => {
    const broker = open(rule());
    const [{ forMs }] = broker.lease('killed', { a: 30 }).grants as [LeaseAnswer['grants'][0]];
    broker.pass(forMs + 1_000 + 59_000);
    expect(granted(broker.lease('w2', { b: 30 }))).toBe(0);
    broker.pass(2_000);
    expect(granted(broker.lease('w2', { b: 30 }))).toBe(30);
  });

  test('a request that comes twice is counted once and answered alike', () => {
    const broker = open(rule());
    const first = broker.lease('w', { a: 10 });
    const again: Partial<LeaseRequest> = { used: allUsed(first), seq: 2 };
    const second = broker.lease('w', { a: 5 }, again);
    expect(broker.lease('w', { a: 5 }, again).grants).toEqual(second.grants);
    expect(broker.status().project).toEqual({ used: 15, most: 30, left: 15 });
  });
});

describe('places', () => {
  test('are shared by the workers that ask, never more than there are, and come back from a worker that is gone', () => {
    const broker = open(rule({ perProject: null, concurrency: 10 }));
    expect(broker.lease('w1', { a: 20 }).places).toBe(10);
    expect(broker.lease('w2', { b: 20 }).places).toBe(0);
    // The first gives up what is above its share, as its calls end.
    expect(broker.lease('w1', { a: 10 }, { running: 8, places: 10 }).places).toBe(5);
    // Until it asks again it may not have heard, and begin two more.
    expect(broker.lease('w2', { b: 20 }).places).toBe(0);
    broker.lease('w1', { a: 10 }, { running: 8, places: 5 });
    expect(broker.lease('w2', { b: 20 }).places).toBe(2);
    broker.lease('w1', { a: 10 }, { running: 5, places: 5 });
    expect(broker.lease('w2', { b: 20 }, { running: 2, places: 2 }).places).toBe(5);
    broker.pass(16_000);
    expect(broker.lease('w2', { b: 20 }, { running: 5, places: 5 }).places).toBe(10);
  });

  test('fewer than workers go around', () => {
    const broker = open(rule({ perProject: null, concurrency: 1 }));
    const had = new Set<string>();
    const running: Record<string, number> = { w1: 0, w2: 0, w3: 0 }; // as many as it has places
    for (let turn = 0; turn < 60; turn++) {
      for (const worker of ['w1', 'w2', 'w3']) {
        const { places } = broker.lease(worker, { a: 5 }, { running: running[worker]!, places: running[worker]! });
        running[worker] = places!;
        if (places! > 0) had.add(worker);
        expect(Object.values(running).reduce((sum, calls) => sum + calls, 0)).toBeLessThanOrEqual(1);
        broker.pass(100);
      }
    }
    expect(had.size).toBe(3);
  });
});

test('a server that says to hold back is left alone by everybody', () => {
  const broker = open(rule());
  broker.lease('w1', { a: 5 }, { backOffMs: 30_000 });
  expect(broker.lease('w2', { b: 5 })).toMatchObject({ grants: [], backOffMs: 30_000, nextInMs: { b: 30_000 } });
  broker.pass(30_001);
  expect(granted(broker.lease('w2', { b: 5 }))).toBe(5);
});

test('tokens: what calls are expected to take, then what they took', () => {
  const broker = open(rule({ perProject: null, tokens: 1_000 }));
  const first = broker.lease('w', { a: 10 }, { tokensPerCall: 300 });
  expect(granted(first)).toBe(3);
  const [{ grant }] = first.grants as [LeaseAnswer['grants'][0]];
  const second = broker.lease('w', { a: 10 }, { tokensPerCall: 100, used: [{ grant, agoMs: 0, calls: 3, tokens: 300 }] });
  expect(granted(second)).toBe(7);
  expect(broker.status().tokens).toEqual({ used: 1_000, most: 1_000, left: 0 });
  // A call took less than was expected when it was counted.
  broker.lease('w', {}, { tokensPerCall: 100, used: [{ grant, agoMs: 0, calls: 0, tokens: -200 }] });
  expect(broker.status().tokens).toEqual({ used: 800, most: 1_000, left: 200 });
});

test('the newest configuration is in force', () => {
  const broker = open(rule());
  const wider = rule({ perProject: { capacity: 50, refillPerSecond: 5 } });
  expect(granted(broker.lease('new', { a: 100 }, { rule: wider, configuredAt: START + 1 }))).toBe(50);
  expect(granted(broker.lease('old', { b: 100 }))).toBe(0);
  expect(broker.status().rule).toEqual(wider);
});

test('whatever workers do, no window at the server has more than the limit', () => {
  const LIMIT = 12;
  const PER_USER = 5;
  const action = fc.record({
    worker: fc.constantFrom('w1', 'w2', 'w3'), user: fc.constantFrom('a', 'b', 'c'), wants: fc.integer({ min: 0, max: 20 }),
    passMs: fc.integer({ min: 1, max: 3_000 }), useAfter: fc.double({ min: 0, max: 1, noNaN: true }), arriveMs: fc.integer({ min: 0, max: 900 }),
    fate: fc.constantFrom('used', 'used', 'used', 'returned', 'lost'),
  });
  fc.assert(fc.property(fc.array(action, { minLength: 20, maxLength: 150 }), (actions) => {
    const broker = open(rule({ perMs: 10_000, perUser: PER_USER, perProject: { capacity: LIMIT, refillPerSecond: 1.2 } }));
    const arrivals: { at: number; user: string }[] = [];
    /** What a worker is going to tell, and not before. */
    const told = new Map<string, { due: number; used?: { grant: number; at: number }; returned?: number }[]>();
    let now = 0;
    for (const { worker, user, wants, passMs, useAfter, arriveMs, fate } of actions) {
      const mine = told.get(worker) ?? [];
      const ripe = mine.filter(({ due }) => due <= now);
      told.set(worker, mine.filter(({ due }) => due > now));
      const answer = broker.lease(worker, { [user]: wants }, {
        used: ripe.flatMap(({ used }) => (used ? [{ grant: used.grant, agoMs: now - used.at, calls: 1, tokens: 0 }] : [])),
        returned: ripe.flatMap(({ returned }) => (returned === undefined ? [] : [{ grant: returned, calls: 1 }])),
      });
      for (const { grant, user: whose, calls, inMs, forMs } of answer.grants) {
        for (let call = 0; call < calls; call++) {
          const begun = now + inMs + Math.floor(useAfter * (forMs - 1));
          if (fate === 'returned') told.get(worker)!.push({ due: begun, returned: grant });
          else {
            arrivals.push({ at: begun + arriveMs, user: whose });
            // Counted at its end, which is after it arrived.
            if (fate === 'used') told.get(worker)!.push({ due: begun + arriveMs, used: { grant, at: begun + arriveMs } });
          }
        }
      }
      now += passMs;
      broker.pass(passMs);
    }
    arrivals.sort((a, b) => a.at - b.at);
    for (const [index, { at, user }] of arrivals.entries()) {
      const window = arrivals.slice(0, index + 1).filter((one) => one.at > at - 10_000);
      expect(window.length).toBeLessThanOrEqual(LIMIT);
      expect(window.filter((one) => one.user === user).length).toBeLessThanOrEqual(PER_USER);
    }
  }), { numRuns: 300 });
});

test('what it remembers is bounded, and forgotten when nobody calls', () => {
  const broker = open(rule({ perUser: 60, perProject: { capacity: 3_000, refillPerSecond: 50 } }));
  let used: LeaseRequest['used'] = [];
  for (let turn = 0; turn < 900; turn++) {
    const answer = broker.lease('w', Object.fromEntries(Array.from({ length: 10 }, (_, user) => [`default/user-${user}`, 20])), { used });
    used = allUsed(answer);
    broker.pass(200);
  }
  expect(JSON.stringify(broker.state()).length).toBeLessThan(50_000);
  broker.lease('w', {}, { used });
  broker.pass(61_000);
  broker.lease('w', {});
  expect(broker.state()).toMatchObject({ users: {}, project: { uses: [] }, workers: { w: { grants: [], wants: {} } } });
});
