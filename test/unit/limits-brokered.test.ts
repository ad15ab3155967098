/** Named limits in a worker, against brokers that answer by script. */
import { afterEach, expect, test } from 'vitest';
import type { LeaseAnswer, LeaseRequest } from '../../src/contracts/limits.ts';
import { brokeredLimits } from '../../src/limits/brokered.ts';
import { LimitReached } from '../../src/limits/limits.ts';
import { readLimitRules } from '../../src/limits/rules.ts';

const never = new AbortController().signal;
const user = 'default/ann';
type Asked = LeaseRequest & { key: string };

let open: ReturnType<typeof brokeredLimits> | undefined;
afterEach(() => open?.close());

/** `script` answers each question; what it leaves out is nothing. A question that it answers with null is not answered. */
function scripted(script: (asked: Asked) => Partial<LeaseAnswer> | null) {
  const asked: Asked[] = [];
  let look = (): void => {};
  const limits = brokeredLimits({
    rules: readLimitRules(undefined),
    brokers: {
      async lease(key, request) {
        asked.push({ ...structuredClone(request), key });
        const answer = script(asked.at(-1)!);
        look();
        if (answer === null) throw new Error('No answer.');
        return { grants: [], places: null, backOffMs: 0, nextInMs: {}, intervalMs: 20, ...answer };
      },
    },
  });
  open = limits;
  return {
    limits, asked,
    until: (condition: () => boolean): Promise<void> => new Promise((resolve) => {
      look = () => { if (condition()) resolve(); };
      look();
    }),
    take: (keys: string[], room = 1, signal = never) => limits.take('job', 10, signal, { keys, user, room }),
  };
}
const grants = (grant: number, calls: number, inMs = 0, forMs = 5_000): LeaseAnswer['grants'] => [{ grant, user, calls, inMs, forMs }];

test('calls that were granted are handed out without another question, and told when they have ended', async () => {
  const { asked, limits, take, until } = scripted(({ seq }) => (seq === 1 ? { grants: grants(7, 3) } : {}));
  const leases = await Promise.all([take(['a'], 3), take(['a']), take(['a'])]);
  expect(asked[0]).toMatchObject({ key: 'a', seq: 1, wants: { [user]: 5 }, used: [], running: 0, waiting: 5 });
  for (const lease of leases) limits.settle(lease);
  const told = (): LeaseRequest['used'] => asked.flatMap(({ used }) => used);
  await until(() => told().reduce((sum, { calls }) => sum + calls, 0) === 3);
  expect(told().every(({ grant, agoMs }) => grant === 7 && agoMs >= 0)).toBe(true);
});

test('what was not used is given back', async () => {
  const { asked, limits, take, until } = scripted(({ seq }) => (seq === 1 ? { grants: grants(7, 5) } : {}));
  limits.settle(await take(['a'], 5));
  await until(() => asked.flatMap(({ returned }) => returned).reduce((sum, { calls }) => sum + calls, 0) >= 4);
  expect(asked.flatMap(({ returned }) => returned).every(({ grant }) => grant === 7)).toBe(true);
});

test('a row takes all its limits or none: what one has is given back where another has nothing', async () => {
  const { asked, take, until } = scripted(({ key, seq }) => (key === 'b' ? { nextInMs: { [user]: 40_000 } } : seq === 1 ? { grants: grants(3, 1) } : {}));
  const refused = await take(['a', 'b']).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(LimitReached);
  expect(refused).toMatchObject({ limit: 'b', message: 'Limit b has no call left for now.' });
  expect((refused as LimitReached).waitMs).toBeGreaterThan(39_000);
  await until(() => asked.some(({ key, returned }) => key === 'a' && returned.length === 1));
  await until(() => asked.some(({ key, away }) => key === 'b' && (away[user] ?? 0) > 0));
  expect(asked.flatMap(({ used }) => used)).toEqual([]);
});

test('who went away wants nothing more, also where it has just called', async () => {
  const { asked, take, until } = scripted(({ seq }) => ({ nextInMs: { [user]: 40_000 }, ...(seq === 1 && { grants: grants(7, 1) }) }));
  const ended = await Promise.allSettled([take(['a']), take(['a'])]);
  expect(ended.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  const away = (): Asked | undefined => asked.find((request) => (request.away[user] ?? 0) > 0);
  await until(() => away() !== undefined);
  expect(away()?.wants).toEqual({});
});

test('a call that is granted ahead is not made before its moment', async () => {
  let answered = 0;
  const { take } = scripted(({ seq }) => {
    if (seq > 1) return {};
    answered = performance.now();
    return { grants: grants(1, 1, 300) };
  });
  await take(['a']);
  expect(performance.now() - answered).toBeGreaterThanOrEqual(300);
});

test('a report that was not answered is sent again as it was, so that nothing counts twice', async () => {
  let silent = true;
  const { asked, limits, take, until } = scripted(({ seq, used }) => {
    if (seq === 1) return { grants: grants(9, 1) };
    if (used.length > 0 && silent) {
      silent = false;
      return null;
    }
    return {};
  });
  limits.settle(await take(['a']));
  await until(() => asked.filter(({ used }) => used.length > 0).length === 2);
  const [first, again] = asked.filter(({ used }) => used.length > 0);
  expect(again!.seq).toBe(first!.seq);
  expect(again!.used).toMatchObject([{ grant: 9, calls: 1 }]);
  expect(again!.used[0]!.agoMs).toBeGreaterThanOrEqual(first!.used[0]!.agoMs);
});

test('a back-off stops everybody here at once, is told, and gives back what is in hand', async () => {
  const { asked, limits, take, until } = scripted(({ seq }) => (seq === 1 ? { grants: grants(4, 2) } : {}));
  const lease = await take(['a'], 2);
  limits.backOff(['a'], 30_000);
  limits.settle(lease);
  await expect(take(['a'])).rejects.toMatchObject({ name: 'LimitReached', limit: 'a' });
  await until(() => asked.some(({ backOffMs }) => backOffMs > 29_000));
  await until(() => asked.some(({ returned }) => returned.some(({ grant, calls }) => grant === 4 && calls === 1)));
});

test('of places as many are used as the broker gives, again and again', async () => {
  const { asked, limits, take } = scripted(({ seq }) => (seq === 1 ? { grants: grants(1, 10), places: 1 } : { places: 1 }));
  const first = await take(['a'], 2);
  let second = false;
  const waiting = take(['a']).then((lease) => { second = true; return lease; });
  await new Promise((resolve) => setImmediate(resolve));
  expect(second).toBe(false);
  limits.settle(first);
  limits.settle(await waiting);
  expect(asked.flatMap(({ returned }) => returned).reduce((sum, { calls }) => sum + calls, 0)).toBeLessThan(9);
});

test('who is told to stop does not wait on', async () => {
  const { take } = scripted(() => ({}));
  const stop = new AbortController();
  const waiting = take(['a'], 1, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});

test('a broker that does not answer is said to be silent; whoever waits makes room', async () => {
  const { take } = scripted(() => null);
  await expect(take(['a'])).rejects.toThrow('The broker of limit a does not answer.');
});
