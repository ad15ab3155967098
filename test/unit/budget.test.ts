/** Budgets, and the purse that a job's calls are paid from. */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { setImmediate as breathe } from 'node:timers/promises';
import { purses, type Hold, type Purse } from '../../src/activities/purse.ts';
import type { Budget, BudgetAnswer, BudgetChange } from '../../src/contracts/budget.ts';
import { changedBudget, HOLD_LOST_MS } from '../../src/domain/budget.ts';
import { readMonthlyBudgets } from '../../src/limits/monthly-budgets.ts';
import { aJob } from '../conformance/store-samples.ts';

const change = (over: Partial<BudgetChange> = {}): BudgetChange => ({ worker: 'w', now: 0, max: 10, before: 0, settled: { held: 0, cost: 0 }, asks: [], ...over });

describe('a budget', () => {
  test('never grants more than there is, whatever is asked and settled in whatever order', () => {
    fc.assert(fc.property(fc.array(fc.record({ worker: fc.constantFrom('a', 'b'), ask: fc.integer({ min: 1, max: 4 }), settles: fc.boolean() })), (steps) => {
      let budget: Budget | null = null;
      const open: Record<string, number[]> = { a: [], b: [] };
      for (const { worker, ask, settles } of steps) {
        const done = settles ? open[worker]!.shift() ?? 0 : 0;
        const changed: { budget: Budget; answer: BudgetAnswer } = changedBudget(budget, change({ worker, settled: { held: done, cost: done }, asks: [ask] }));
        budget = changed.budget;
        if (changed.answer.granted === 1) open[worker]!.push(ask);
        const held = Object.values(budget.holds).reduce((sum, { amount }) => sum + amount, 0);
        expect(held).toBe([...open['a']!, ...open['b']!].reduce((sum, one) => sum + one, 0));
        expect(budget.spent + held).toBeLessThanOrEqual(10);
      }
    }));
  });

  test('that is used up grants not even what would cost nothing', () => {
    expect(changedBudget({ spent: 10, holds: {} }, change({ asks: [0] })).answer).toMatchObject({ granted: 0 });
  });

  test('counts what a lost worker held as spent', () => {
    const held: Budget = { spent: 1, holds: { gone: { amount: 4, seenAt: 0 } } };
    expect(changedBudget(held, change({ now: HOLD_LOST_MS, asks: [6] })).answer).toEqual({ granted: 0, spent: 1 });
    expect(changedBudget(held, change({ now: HOLD_LOST_MS + 1, asks: [6] })).answer).toEqual({ granted: 0, spent: 5 });
  });
});

describe('a purse', () => {
  const { signal } = new AbortController();

  /** Purses over one budget a name, in memory; how many writes there were. */
  const open = ({ maxCost, month }: { maxCost?: number; month?: number }) => {
    const kept = new Map<string, Budget>();
    const writes: string[] = [];
    const made = purses({
      changeBudget: async (_tenant, name, asked) => {
        await breathe();
        writes.push(name);
        const { budget, answer } = changedBudget(kept.get(name) ?? null, asked);
        kept.set(name, budget);
        return answer;
      },
      jobSpent: async () => ({ tokens: null, cost: 1 }),
    }, { of: () => month ?? null });
    const job = aJob('j1');
    return { kept, writes, purse: made.of({ ...job, request: { ...job.request, ...(maxCost !== undefined && { maxCost }) } }), close: () => made.close() };
  };
  const held = (answer: Awaited<ReturnType<Purse['hold']>>): Hold => {
    if ('unpaid' in answer) throw new Error(answer.unpaid.reason);
    return answer;
  };

  test('is none where nothing limits what a job spends', () => {
    expect(open({}).purse).toBeNull();
  });

  test('holds for many calls in few writes, settles what they cost, and counts what the job had cost before', async () => {
    const { purse, kept, writes, close } = open({ maxCost: 100 });
    const holds = await Promise.all(Array.from({ length: 20 }, () => purse!.hold(2, signal)));
    expect(writes.length).toBeLessThanOrEqual(2);
    for (const hold of holds) purse!.settle(held(hold), 1);
    await close();
    expect(kept.get('job:j1')).toEqual({ spent: 1 + 20, holds: {} });
  });

  test('holds some ahead while calls come, so that most need no write, and gives it back when none do', async () => {
    const { purse, kept, writes, close } = open({ maxCost: 10_000 });
    const call = async (): Promise<void> => purse!.settle(held(await purse!.hold(2, signal)), 1);
    for (let calls = 0; calls < 10; calls++) await call();
    const before = writes.length;
    for (let calls = 0; calls < 50; calls++) await call(); // no timer comes in between
    expect(writes).toHaveLength(before);
    await vi.waitFor(() => expect(kept.get('job:j1')).toEqual({ spent: 1 + 60, holds: {} }), { timeout: 10_000 });
    const long = held(await purse!.hold(2, signal));
    await vi.waitFor(() => expect(Object.values(kept.get('job:j1')!.holds)).toMatchObject([{ amount: 2 }]), { timeout: 10_000 });
    purse!.settle(long, 3);
    await vi.waitFor(() => expect(kept.get('job:j1')).toEqual({ spent: 1 + 63, holds: {} }), { timeout: 10_000 });
    await close();
  });

  test('waits while what others hold may come back, and says so when it is used up', async () => {
    const { purse } = open({ maxCost: 4 });
    const first = held(await purse!.hold(3, signal));
    const second = purse!.hold(3, signal);
    purse!.settle(first, 0);
    const third = purse!.hold(3, signal);
    purse!.settle(held(await second), 1);
    expect(await third).toEqual({ unpaid: { reason: expect.stringContaining('sheaf job resume j1 --max-cost'), until: null } });
  });

  test('lets go of one budget where another is used up, and knows when the next month begins', async () => {
    const { purse, kept, close } = open({ maxCost: 100, month: 1 });
    const refused = await purse!.hold(2, signal);
    expect(refused).toMatchObject({ unpaid: { until: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00\.000Z$/) } });
    await close();
    expect(kept.get('job:j1')).toEqual({ spent: 1, holds: {} });
  });

  test('gives up waiting when it is told to', async () => {
    const { purse } = open({ maxCost: 4 });
    held(await purse!.hold(3, signal));
    const stop = new AbortController();
    const second = purse!.hold(3, stop.signal);
    await breathe();
    await breathe();
    stop.abort(new Error('stopped'));
    await expect(second).rejects.toThrow('stopped');
  });
});

test('monthly budgets are by tenant, and * for the others', () => {
  const budgets = readMonthlyBudgets('{"acme": 5, "*": 1}');
  expect([budgets.of('acme'), budgets.of('else'), readMonthlyBudgets(undefined).of('acme')]).toEqual([5, 1, null]);
  expect(() => readMonthlyBudgets('{"acme": -1}')).toThrow('acme');
});
