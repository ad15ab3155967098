/** Which rows of a page are settled before any handler is called. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PageRow, RowFailure, RowResult } from '../../src/contracts/row.ts';
import { countOutcomes, planFromLedger, planPage, type KnownItem, type LedgerFacts, type PageFacts } from '../../src/domain/page-plan.ts';

const row = (number: number, key: string | null = `k${number}`): PageRow => ({ row: number, key, rowHash: `h${number}`, cells: key === null ? [null] : [key] });
const facts = (more: Partial<PageFacts> = {}): PageFacts =>
  ({ jobId: 'mine', attempt: 1, retry: null, duplicates: new Map(), onDuplicateKey: 'fail', earlier: null, ...more });
const ledgerFacts = (more: Partial<LedgerFacts> = {}): LedgerFacts =>
  ({ jobId: 'mine', attempt: 1, force: false, ending: false, handlerHash: 'handler', inputHash: ({ rowHash }) => rowHash, ...more });
const item = (more: Partial<KnownItem> = {}): KnownItem =>
  ({ inputHash: 'h1', handlerHash: 'handler', state: 'done', output: 'kept', error: null, job: 'other', attempt: 1, tokens: null, cost: null, ...more });
const failure = (more: Partial<RowFailure> = {}): RowFailure => ({ code: 'down', message: 'Down.', retryable: false, ...more });

/** What becomes of row 1 when the ledger has this item. */
function withItem(known: KnownItem, more: Partial<LedgerFacts> = {}, page: Partial<PageFacts> = {}): RowResult | 'handled' {
  const rows = [row(1)];
  const plan = planPage(rows, facts(page));
  planFromLedger(plan, rows, new Map([['k1', known]]), ledgerFacts(more));
  return plan.settled.get(1) ?? 'handled';
}

test('every row is settled or open, never both, never neither; open rows have keys', () => {
  const anyFailure = fc.record({ code: fc.constantFrom('a', 'b'), message: fc.constant(''), retryable: fc.boolean() });
  const anyItem = fc.record({
    inputHash: fc.constantFrom('h1', 'h2', 'h3'), handlerHash: fc.constantFrom('handler', 'older'), output: fc.constant(null),
    state: fc.constantFrom('done' as const, 'failed' as const), error: fc.option(anyFailure), job: fc.constantFrom('mine', 'other'), attempt: fc.integer({ min: 1, max: 3 }), tokens: fc.constant(null), cost: fc.constant(null),
  });
  const anyResult = (number: number): fc.Arbitrary<RowResult> => fc.oneof(
    fc.constantFrom('done' as const, 'unchanged' as const, 'skipped' as const).map((state) => ({ row: number, state, output: null })),
    anyFailure.map((error) => ({ row: number, state: 'failed' as const, output: null, error })),
  );
  fc.assert(fc.property(
    fc.array(fc.option(fc.constant(true)), { maxLength: 12 }).chain((present) => fc.record({
      rows: fc.constant(present.map((has, index) => row(index + 1, has ? `k${index + 1}` : null))),
      results: fc.tuple(...present.map((_, index) => fc.option(anyResult(index + 1)))),
      items: fc.tuple(...present.map(() => fc.option(anyItem))),
      losers: fc.subarray(present.map((_, index) => index + 1)),
      attempt: fc.integer({ min: 1, max: 3 }), earlierAttempt: fc.integer({ min: 1, max: 3 }), hasEarlier: fc.boolean(), force: fc.boolean(),
      onDuplicateKey: fc.constantFrom('fail' as const, 'first' as const, 'last' as const),
      retry: fc.option(fc.record({ codes: fc.option(fc.subarray(['a', 'b'])) })),
    })),
    ({ rows, results, items, losers, attempt, earlierAttempt, hasEarlier, force, onDuplicateKey, retry }) => {
      const earlier = hasEarlier ? { attempt: earlierAttempt, handlerHash: 'handler', tried: 0, faults: 0, rows: results.filter((result) => result !== null) } : null;
      const plan = planPage(rows, facts({ attempt, retry, earlier, onDuplicateKey, duplicates: new Map(losers.map((loser) => [loser, 99])) }));
      planFromLedger(plan, rows, new Map(items.flatMap((known, index) => (known ? [[`k${index + 1}`, known] as const] : []))), ledgerFacts({ attempt, force }));
      const open = plan.open.map((index) => rows[index]!.row);
      expect([...plan.settled.keys(), ...open].toSorted((a, b) => a - b)).toEqual(rows.map(({ row: number }) => number));
      expect(plan.open.every((index) => rows[index]!.key !== null)).toBe(true);
      const counts = countOutcomes(plan.settled.values());
      expect(counts.done + counts.unchanged + counts.failed + counts.skipped + open.length).toBe(rows.length);
      for (const { row: number } of plan.newFailures) expect(plan.settled.get(number)?.state).toBe('failed');
      expect(plan.faults).toBeLessThanOrEqual(plan.tried);
    },
  ));
});

test('what was paid is summed over attempts: the earlier result\'s, and what a crash left in the ledger only, each once', () => {
  const earlier = { attempt: 1, handlerHash: 'handler', tried: 2, faults: 0, spent: { tokens: null, cost: 1 }, rows: [
    { row: 1, state: 'done' as const, output: 1 }, { row: 2, state: 'failed' as const, output: null, error: failure() },
  ] };
  const ledger = (attempt: number) => new Map([
    ['k2', item({ inputHash: 'h2', job: 'mine', attempt, state: 'failed', error: failure(), cost: 4 })],
    ['k3', item({ inputHash: 'h3', job: 'mine', cost: 16, tokens: 5 })],
    ['k4', item({ inputHash: 'h4', job: 'other', cost: 64 })],
  ]);
  const spent = (attempt: number): unknown => {
    const rows = [row(1), row(2), row(3), row(4)];
    const plan = planPage(rows, facts({ attempt: 2, retry: { codes: null }, earlier }));
    planFromLedger(plan, rows, ledger(attempt), ledgerFacts({ attempt: 2, ending: true }));
    return plan.spent;
  };
  expect(spent(1)).toEqual({ tokens: 5, cost: 1 + 16 });
  expect(spent(2)).toEqual({ tokens: 5, cost: 1 + 4 + 16 });
});

describe('the ledger answers', () => {
  test('another job\'s done row: unchanged, with its output', () =>
    expect(withItem(item())).toEqual({ row: 1, state: 'unchanged', output: 'kept' }));
  test('this job\'s done row: done, also under force', () =>
    expect(withItem(item({ job: 'mine' }), { force: true })).toMatchObject({ state: 'done' }));
  test('nothing for another input or another handler', () =>
    expect([withItem(item({ inputHash: 'other' })), withItem(item({ handlerHash: 'older' }))]).toEqual(['handled', 'handled']));
  test('nothing of other jobs under force', () =>
    expect([withItem(item(), { force: true }), withItem(item({ state: 'failed', error: failure() }), { force: true })]).toEqual(['handled', 'handled']));
  test('another job\'s permanent failure: carried, a fault to nobody', () =>
    expect(withItem(item({ state: 'failed', error: failure() }))).toMatchObject({ state: 'failed', error: { code: 'down', carried: true } }));
  test('another job\'s transient failure: handled again', () =>
    expect(withItem(item({ state: 'failed', error: failure({ retryable: true }) }))).toBe('handled'));
  test('this attempt\'s own failure stands: the row is not paid for twice', () =>
    expect(withItem(item({ job: 'mine', state: 'failed', error: failure() }))).toMatchObject({ state: 'failed', error: { code: 'down' } }));
  test('an earlier attempt\'s failure is handled again', () =>
    expect(withItem(item({ job: 'mine', state: 'failed', error: failure() }), { attempt: 2 })).toBe('handled'));
  test('a carried failure that somebody asked for again is handled', () => {
    const earlier = { attempt: 1, handlerHash: 'handler', tried: 0, faults: 0, rows: [{ row: 1, state: 'failed' as const, output: null, error: failure({ carried: true }) }] };
    expect(withItem(item({ state: 'failed', error: failure() }), { attempt: 2 }, { attempt: 2, retry: { codes: null }, earlier })).toBe('handled');
  });
  test('and what this attempt had tried counts for the breaker after a crash', () => {
    const rows = [row(1), row(2)];
    const plan = planPage(rows, facts());
    planFromLedger(plan, rows, new Map([['k1', item({ job: 'mine' })], ['k2', item({ inputHash: 'h2', job: 'mine', state: 'failed', error: failure() })]]), ledgerFacts());
    expect(plan).toMatchObject({ tried: 2, faults: 1, open: [] });
  });
});

describe('a retry', () => {
  const earlier = {
    attempt: 1, handlerHash: 'handler', tried: 4, faults: 2,
    rows: [
      { row: 1, state: 'done' as const, output: 1 }, { row: 2, state: 'failed' as const, output: null, error: failure() },
      { row: 3, state: 'failed' as const, output: null, error: failure({ code: 'wrong' }) },
    ],
  };
  const rows = [row(1), row(2), row(3), row(4)];
  const open = (retry: PageFacts['retry'], attempt = 2) => planPage(rows, facts({ attempt, retry, earlier })).open.map((index) => rows[index]!.row);

  test('of everything opens failed and unreached rows', () => expect(open({ codes: null })).toEqual([2, 3, 4]));
  test('of one code opens that code\'s and unreached rows', () => expect(open({ codes: ['down'] })).toEqual([2, 4]));
  test('that runs a page again keeps what it has found itself', () => expect(open({ codes: null }, 1)).toEqual([4]));
  test('starts the breaker\'s counts anew; the same attempt keeps them', () => {
    expect(planPage(rows, facts({ attempt: 2, retry: { codes: null }, earlier }))).toMatchObject({ tried: 0, faults: 0 });
    expect(planPage(rows, facts({ attempt: 1, earlier }))).toMatchObject({ tried: 4, faults: 2 });
  });
});
