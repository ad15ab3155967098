import { expect, test } from 'vitest';
import { localLimits } from '../../src/limits/local.ts';
import type { Lease } from '../../src/limits/limits.ts';

test('no more than so many hold a place, also when all places are given back at the same moment', async () => {
  const limits = localLimits();
  const { signal } = new AbortController();
  const most = 5;
  let held: Lease[] = [];
  let highest = 0;
  let taken = 0;
  // Two who take one place after another, as the pages of a job do.
  const taker = async (): Promise<void> => {
    while (taken < 1_000) {
      taken++;
      const lease = await limits.take('job', most, signal);
      held.push(lease);
      highest = Math.max(highest, held.length);
    }
  };
  const takers = [taker(), taker()];
  const over = Promise.all(takers).then(() => true);
  while (!(await Promise.race([over, new Promise<false>((resolve) => { setImmediate(() => resolve(false)); })]))) {
    const back = held;
    held = [];
    for (const lease of back) limits.settle(lease);
  }
  expect(highest).toBe(most);
});

test('a stop ends the wait for a place', async () => {
  const limits = localLimits();
  const stop = new AbortController();
  await limits.take('job', 1, stop.signal);
  const waiting = limits.take('job', 1, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(waiting).rejects.toThrow('stopped');
});

test('a place that was meant for one who was stopped goes to the next', async () => {
  const limits = localLimits();
  const stop = new AbortController();
  const lease = await limits.take('job', 1, new AbortController().signal);
  const stopped = limits.take('job', 1, stop.signal);
  const next = limits.take('job', 1, new AbortController().signal);
  limits.settle(lease);
  stop.abort(new Error('stopped'));
  await expect(stopped).rejects.toThrow('stopped');
  await expect(next).resolves.toEqual({ key: 'job' });
});

test('a raised limit lets those in who wait', async () => {
  const limits = localLimits();
  const { signal } = new AbortController();
  await limits.take('job', 1, signal);
  const waiting = limits.take('job', 1, signal);
  // Whoever asks next brings the new limit: three places, for those two.
  await limits.take('job', 3, signal);
  await expect(waiting).resolves.toEqual({ key: 'job' });
});
