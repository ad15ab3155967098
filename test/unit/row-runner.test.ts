/** How a page's rows run: bounded, retried, drained, aborted, and never ahead of their commits. */
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runRows, type FinishedRow, type RowRun } from '../../src/activities/row-runner.ts';
import type { HandledOutcome, HandledRow } from '../../src/handlers/handler.ts';
import { LimitReached, type Claim, type Limits } from '../../src/limits/limits.ts';
import { localLimits } from '../../src/limits/local.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const rows = (count: number): HandledRow[] => Array.from({ length: count }, (_, index) => ({ row: index + 2, key: `k${index + 1}`, inputHash: 'h', input: {} }));
const settle = async (): Promise<void> => {
  for (let turns = 0; turns < 20; turns++) await turn();
};

type Handle = (rows: HandledRow[], signal: AbortSignal) => Promise<HandledOutcome[]>;
function start(count: number, handle: Handle, more: Partial<RowRun> & { batchSize?: number } = {}) {
  const { batchSize = 1, ...given } = more;
  const finished: FinishedRow[] = [];
  const stop = new AbortController();
  let state: 'running' | 'ended' | unknown = 'running';
  const run = runRows(rows(count), {
    handler: { reads: null, identity: null, batchSize, concurrency: 1, handle, close: async () => {} },
    limits: localLimits(), limitKey: 'job', user: 'default/tester', lastTry: false, concurrency: 2, stop: stop.signal, drainMs: 30_000, retryDelaysMs: [1_000, 3_000],
    finished: async (some) => void finished.push(...some), halted: () => {}, submitted: () => {},
    ...given,
  }).then(() => void (state = 'ended'), (error: unknown) => void (state = error));
  return { finished, stop, run, state: () => state, keys: () => finished.map(({ row }) => row.key) };
}

/** A handler whose calls wait until the test answers them, by key of their first row. */
function slow() {
  const calls: string[] = [];
  const answers = new Map<string, () => void>();
  const handle: Handle = (batch) => new Promise((resolve) => {
    calls.push(batch[0]!.key);
    answers.set(batch[0]!.key, () => resolve(batch.map(() => ({ output: 1 }))));
  });
  const answer = async (...keys: string[]): Promise<void> => {
    for (const key of keys) answers.get(key)!();
    await settle();
  };
  return { calls, handle, answer };
}

describe('concurrency', () => {
  test('so many rows run at once and no more; the next starts when one ends', async () => {
    const { calls, handle, answer } = slow();
    const { run, keys } = start(5, handle, { concurrency: 3 });
    await settle();
    expect(calls).toEqual(['k1', 'k2', 'k3']);
    await answer('k2');
    expect(calls).toEqual(['k1', 'k2', 'k3', 'k4']);
    await answer('k1', 'k3', 'k4');
    await answer('k5');
    await run;
    expect(keys().toSorted()).toEqual(['k1', 'k2', 'k3', 'k4', 'k5']);
  });

  test('is shared by the pages of a job', async () => {
    const limits = localLimits();
    const pages = [slow(), slow()] as const;
    const running = pages.map(({ handle }) => start(3, handle, { limits, concurrency: 2 }));
    let most = 0;
    for (let answered = 0; answered < 6; answered++) {
      await settle();
      const open = pages.flatMap((page, index) => page.calls.filter((key) => !running[index]!.keys().includes(key)).map((key) => ({ page, key })));
      most = Math.max(most, open.length);
      await open[0]!.page.answer(open[0]!.key);
    }
    await Promise.all(running.map(({ run }) => run));
    expect(most).toBe(2);
    expect(running.map(({ finished }) => finished.length)).toEqual([3, 3]);
  });

  test('a batch is one call, with as many rows as the handler takes', async () => {
    const sizes: number[] = [];
    const { run, finished } = start(7, async (batch) => {
      sizes.push(batch.length);
      return batch.map(({ key }) => ({ output: key }));
    }, { batchSize: 3 });
    await run;
    expect(sizes).toEqual([3, 3, 1]);
    expect(finished.every(({ row, outcome }) => 'output' in outcome && outcome.output === row.key)).toBe(true);
  });
});

describe('outcomes', () => {
  test('a retryable failure is tried again after each delay, others at once run on; the last failure is the outcome', async () => {
    const tries: string[] = [];
    const { run, finished, keys } = start(3, async ([row]) => {
      tries.push(row!.key);
      return [row!.key === 'k1' ? { error: { code: 'busy', message: 'Busy.', retryable: true } } : { output: 1 }];
    });
    await settle();
    expect(keys()).toEqual(['k2', 'k3']);
    await vi.advanceTimersByTimeAsync(999);
    expect(tries.filter((key) => key === 'k1')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(tries.filter((key) => key === 'k1')).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(3_000);
    await run;
    expect(finished.at(-1)).toMatchObject({ row: { key: 'k1' }, tries: 3, outcome: { error: { code: 'busy' } } });
  });

  test('a permanent failure is not tried again', async () => {
    const { run, finished } = start(1, async () => [{ error: { code: 'bad', message: 'Bad.', retryable: false } }]);
    await run;
    expect(finished).toMatchObject([{ tries: 1, outcome: { error: { code: 'bad' } } }]);
  });

  test('a call that rejects, or answers for another number of rows, fails all its rows and the run goes on', async () => {
    let call = 0;
    const { run, finished } = start(6, async (batch) => {
      call++;
      if (call === 1) throw new Error('boom');
      return call === 2 ? [] : batch.map(() => ({ output: 1 }));
    }, { batchSize: 2, concurrency: 1 });
    await run;
    expect(finished.map(({ outcome }) => ('error' in outcome ? outcome.error.message : 'done'))).toEqual(
      ['boom', 'boom', 'The handler gave 0 outcomes for 2 rows.', 'The handler gave 0 outcomes for 2 rows.', 'done', 'done']);
  });

  test('only what failed of a batch is tried again', async () => {
    const batches: string[][] = [];
    const { run, finished } = start(4, async (batch) => {
      batches.push(batch.map(({ key }) => key));
      return batch.map(({ key }) => (key === 'k2' && batches.length === 1 ? { error: { code: 'busy', message: '', retryable: true } } : { output: 1 }));
    }, { batchSize: 2, concurrency: 1 });
    await settle();
    await vi.advanceTimersByTimeAsync(1_000);
    await run;
    expect(batches).toEqual([['k1', 'k2'], ['k3', 'k4'], ['k2']]);
    expect(finished).toHaveLength(4);
  });
});

describe('a stop', () => {
  test('starts no further row, lets those in flight finish and reports them', async () => {
    const { calls, handle, answer } = slow();
    const { run, stop, keys, state } = start(10, handle);
    await settle();
    stop.abort();
    await answer('k1');
    expect(state()).toBe('running');
    await answer('k2');
    await run;
    expect(calls).toEqual(['k1', 'k2']);
    expect(keys()).toEqual(['k1', 'k2']);
  });

  test('reaches rows whose handler never waits for anything: between batches others have their turn', async () => {
    const { stop, run, finished } = start(10_000, async (batch) => batch.map(() => ({ output: 1 })), { batchSize: 100 });
    await turn();
    stop.abort();
    await run;
    expect(finished.length).toBeLessThan(1_000);
  });

  test('does not wait for rows that are to be tried again', async () => {
    const { run, stop, finished } = start(1, async () => [{ error: { code: 'busy', message: '', retryable: true } }]);
    await settle();
    stop.abort();
    await run;
    expect(finished).toEqual([]);
  });

  test('while a row waits for its place under the limit ends that wait', async () => {
    const limits = localLimits();
    const lease = await limits.take('job', 1, new AbortController().signal);
    const { calls, handle } = slow();
    const { run, stop } = start(3, handle, { limits, concurrency: 1 });
    await settle();
    stop.abort();
    await run;
    expect(calls).toEqual([]);
    limits.settle(lease);
  });

  test('after the drain limit the handler is aborted, and what it leaves is not reported', async () => {
    let aborted = false;
    const { run, stop, finished } = start(1, (_rows, signal) => new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted = true;
        reject(signal.reason as Error);
      });
    }), { drainMs: 5_000 });
    await settle();
    stop.abort();
    await settle();
    await vi.advanceTimersByTimeAsync(4_999);
    expect(aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await run;
    expect(aborted).toBe(true);
    expect(finished).toEqual([]);
  });

  test('a handler that ignores the abort is left behind', async () => {
    const { run, stop, state } = start(1, () => new Promise(() => {}), { drainMs: 5_000 });
    await settle();
    stop.abort();
    await settle();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(state()).toBe('running');
    await vi.advanceTimersByTimeAsync(2_000);
    await run;
    expect(state()).toBe('ended');
  });
});

describe('commits', () => {
  test('that are slow hold new rows back', async () => {
    const committed = Promise.withResolvers<void>();
    const started: string[] = [];
    const { run } = start(6, async ([row]) => {
      started.push(row!.key);
      return [{ output: 1 }];
    }, { finished: () => committed.promise });
    await settle();
    expect(started).toEqual(['k1', 'k2']);
    committed.resolve();
    await run;
    expect(started).toHaveLength(6);
  });

  test('that fail end the run with their error; no further row starts', async () => {
    const started: string[] = [];
    const { run, state } = start(6, async ([row]) => {
      started.push(row!.key);
      return [{ output: 1 }];
    }, { concurrency: 1, finished: () => Promise.reject(new Error('The store is away.')) });
    await run;
    expect(state()).toMatchObject({ message: 'The store is away.' });
    expect(started).toEqual(['k1']);
  });

  test('rows are asked for when their turn comes', async () => {
    let asked = 0;
    function* source(): Generator<HandledRow> {
      for (const row of rows(100)) {
        asked++;
        yield row;
      }
    }
    const { handle } = slow();
    const stop = new AbortController();
    const run = runRows(source(), {
      handler: { reads: null, identity: null, batchSize: 1, concurrency: 1, handle, close: async () => {} },
      limits: localLimits(), limitKey: 'job', user: 'default/tester', lastTry: false, concurrency: 4, stop: stop.signal, drainMs: 0, retryDelaysMs: [], finished: async () => {}, halted: () => {}, submitted: () => {},
    });
    await settle();
    expect(asked).toBe(4);
    stop.abort();
    await settle();
    await vi.advanceTimersByTimeAsync(2_000);
    await run;
  });
});

describe('a limit', () => {
  /** Gives so many calls, then says each time how long there will be none. */
  function scarce(calls: number, waitMs: number) {
    const places = localLimits();
    const claims: Claim[] = [];
    const backedOff: [keys: readonly string[], milliseconds: number][] = [];
    const limits: Limits = {
      ...places,
      take(key, concurrency, signal, claim) {
        claims.push(claim!);
        return calls-- > 0 ? places.take(key, concurrency, signal) : Promise.reject(new LimitReached('openai', waitMs, 'Nothing left.'));
      },
      backOff: (keys, milliseconds) => void backedOff.push([keys, milliseconds]),
    };
    return { limits, claims, backedOff, more: (some: number) => { calls = some; } };
  }

  const running = (handle: Handle, limits: Limits, more: Partial<RowRun> = {}) => {
    const finished: FinishedRow[] = [];
    const wait = runRows(rows(5), {
      handler: { reads: null, identity: null, batchSize: 1, concurrency: 1, limits: ['openai'], handle, close: async () => {} },
      limits, limitKey: 'job', user: 'default/ann', concurrency: 2, stop: new AbortController().signal, drainMs: 1_000, retryDelaysMs: [1_000, 3_000],
      lastTry: false, finished: async (some) => void finished.push(...some), halted: () => {}, submitted: () => {}, ...more,
    });
    return { finished, wait };
  };
  const busy = (retryAfterSeconds: number): HandledOutcome => ({ error: { code: 'busy', message: 'Busy.', retryable: true }, retryAfterSeconds });

  test('that has no call left ends the page once its rows in flight have finished, however long they take', async () => {
    const { limits, claims } = scarce(2, 40_000);
    const { handle, answer } = slow();
    const { finished, wait } = running(handle, limits);
    await settle();
    await answer('k1');
    await vi.advanceTimersByTimeAsync(20_000);
    await answer('k2');
    expect(await wait).toEqual({ ms: 20_000, reason: 'Nothing left.', refused: false });
    expect(finished.map(({ row }) => row.key)).toEqual(['k1', 'k2']);
    expect(claims[0]).toEqual({ keys: ['openai'], user: 'default/ann', room: 2 });
  });

  test('that has calls again while rows are in flight is used at once', async () => {
    const { limits, more } = scarce(1, 3_000);
    const { handle, answer, calls } = slow();
    const { finished, wait } = running(handle, limits);
    await settle();
    more(10);
    await vi.advanceTimersByTimeAsync(3_000);
    await settle();
    expect(calls).toEqual(['k1', 'k2']);
    await answer('k1', 'k2');
    await answer('k3', 'k4');
    await answer('k5');
    expect(await wait).toBeNull();
    expect(finished).toHaveLength(5);
  });

  test('a Retry-After holds everybody back; the page ends with how long, and the row that was refused stays open', async () => {
    const { limits, backedOff } = scarce(10, 0);
    const { finished, wait } = running(async ([row]) => [row!.key === 'k2' ? busy(30) : { output: 1 }], limits, { concurrency: 1 });
    expect(await wait).toMatchObject({ ms: 30_000, refused: true });
    expect(backedOff).toEqual([[['openai'], 30_000]]);
    expect(finished.map(({ row }) => row.key)).toEqual(['k1']);
  });

  test('a Retry-After is the reason also where another row has waited for the limit meanwhile', async () => {
    const { limits } = scarce(1, 20_000);
    const { wait } = running(async () => {
      await settle(); // the next row is told that there is no call left
      return [busy(30)];
    }, limits);
    expect(await wait).toMatchObject({ ms: 30_000, refused: true });
  });

  test('a Retry-After of a handler without limits holds its own page back', async () => {
    const tries: string[] = [];
    const handle: Handle = async ([row]) => {
      tries.push(row!.key);
      return [busy(30)];
    };
    const { wait } = running(handle, localLimits(), { handler: { reads: null, identity: null, batchSize: 1, concurrency: 1, handle, close: async () => {} }, concurrency: 1 });
    expect(await wait).toMatchObject({ ms: 30_000, refused: true });
    expect(tries).toEqual(['k1']);
  });

  test('a short Retry-After is waited for inside the page, and the row tried again', async () => {
    const { limits } = scarce(10, 0);
    const tries: string[] = [];
    const { finished, wait } = running(async ([row]) => {
      tries.push(row!.key);
      return [tries.length === 1 ? busy(1.5) : { output: 1 }];
    }, limits, { concurrency: 1 });
    await settle();
    expect(tries).toEqual(['k1']);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(await wait).toBeNull();
    expect(finished).toHaveLength(5);
  });

  test('a row that is refused in the last try fails', async () => {
    const { limits } = scarce(10, 0);
    const { finished, wait } = running(async () => [busy(30)], limits, { concurrency: 1, lastTry: true });
    expect(await wait).toMatchObject({ refused: true });
    expect(finished).toMatchObject([{ row: { key: 'k1' }, outcome: { error: { code: 'busy' } } }]);
  });
});
