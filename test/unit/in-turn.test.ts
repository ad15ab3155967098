/** Pages of a task: how far they run ahead of what is written, and how they end. */
import { expect, it } from 'vitest';
import { inTurn } from '../../src/activities/in-turn.ts';

interface Run {
  page: number;
  complete: boolean;
}

/** Pages whose end is written when the test says so. */
function pages(last: number, through: (page: number) => boolean = () => true) {
  const ends = new Map<number, PromiseWithResolvers<Run>>();
  const handled: number[] = [];
  const stop = new AbortController();
  const runs = inTurn<Run>(1, last, {
    handle: async (page) => {
      handled.push(page);
      const end = Promise.withResolvers<Run>();
      ends.set(page, end);
      return { through: through(page), over: end.promise };
    },
    mayGoOn: () => !stop.signal.aborted,
    broken: () => stop.abort(),
  });
  runs.catch(() => {});
  const written = (page: number, complete = true): void => ends.get(page)!.resolve({ page, complete });
  return { runs, handled, written, ends, stop, have: async (...wanted: number[]) => { await expect.poll(() => handled).toEqual(wanted); } };
}

it('the next page is handled while the end of the one before is written, and no third one', async () => {
  const { runs, written, have, handled } = pages(3);
  await have(1, 2);
  written(2);
  await new Promise(setImmediate);
  expect(handled).toEqual([1, 2]);
  written(1);
  await have(1, 2, 3);
  written(3);
  expect(await runs).toEqual([{ page: 1, complete: true }, { page: 2, complete: true }, { page: 3, complete: true }]);
});

it('a page that did not come through is the last, and so is the one that was begun beside it', async () => {
  const alone = pages(3, () => false);
  await alone.have(1);
  alone.written(1, false);
  expect(await alone.runs).toEqual([{ page: 1, complete: false }]);

  const beside = pages(4);
  await beside.have(1, 2);
  beside.written(1, false);
  beside.written(2);
  expect(await beside.runs).toEqual([{ page: 1, complete: false }, { page: 2, complete: true }]);
  expect(beside.handled).toEqual([1, 2]);
});

it('whoever says stop gets no further page', async () => {
  const { runs, written, have, stop } = pages(3);
  await have(1, 2);
  stop.abort();
  written(1);
  written(2);
  expect(await runs).toHaveLength(2);
});

it('an end that cannot be written stops the page that is handled, whose own end is awaited', async () => {
  const { runs, written, have, ends, stop } = pages(3);
  await have(1, 2);
  ends.get(1)!.reject(new Error('no room'));
  await expect.poll(() => stop.signal.aborted).toBe(true);
  let over = false;
  runs.catch(() => { over = true; });
  await new Promise(setImmediate);
  expect(over).toBe(false);
  written(2, false);
  await expect(runs).rejects.toThrow('no room');
});
