/** Waits and retries that take minutes, in skipped time, with activities that fail in a row. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/common';
import type { ErrorBody } from '../../src/contracts/errors.ts';
import { timeSkippingEnv } from '../servers/temporal.ts';
import { openStage, type FakeJob, type Stage } from './fakes.ts';
import { historiesOf, replay } from './replay.ts';

let env: TestWorkflowEnvironment;
let stage: Stage;
beforeAll(async () => {
  env = await timeSkippingEnv();
  stage = await openStage(env);
});
afterAll(async () => {
  await stage.stop();
  await env.teardown();
});

const failure = (body: ErrorBody, retryable: boolean): ApplicationFailure =>
  ApplicationFailure.create({ type: body.code, message: body.message, nonRetryable: !retryable, details: [body] });
const away: ErrorBody = { code: 'store_unavailable', message: 'The store does not answer.' };

async function replayed(job: FakeJob) {
  const histories = await historiesOf(env.client, job.handle.workflowId, job.firstRun);
  await replay(histories);
  return histories.flatMap(({ history }) => history.events ?? []);
}

test('a queued job asks for its place once, however long it waits, and again when it is told of one', async () => {
  let asked = 0;
  let free = false;
  const job = await stage.start(2, 2, (before) => ({
    async admit(input) {
      asked++;
      return free ? before.admit(input) : { ...(await before.admit(input)), granted: false, generation: 0, reason: 'It waits for its turn.' };
    },
  }));
  await env.sleep('30 days');
  expect(asked).toBe(1);
  free = true;
  await job.handle.signal('queue');
  expect(await job.result()).toMatchObject({ state: 'completed', counts: { done: 2 } });
  expect(asked).toBe(2);
  expect(job.records.map(({ state, cause, reason }) => ({ state, cause, reason }))).toEqual([
    { state: 'queued', cause: null, reason: 'It waits for its turn.' }, { state: 'running', cause: null, reason: null },
  ]);
  expect((await replayed(job)).some(({ timerStartedEventAttributes }) => timerStartedEventAttributes)).toBe(false);
});

test('a word of the queue that comes while the job asks is not lost', async () => {
  let asked = 0;
  const job = await stage.start(1, 1, (before, { handle }) => ({
    async admit(input) {
      if (++asked > 1) return before.admit(input);
      await handle.signal('queue');
      return { ...(await before.admit(input)), granted: false, generation: 0 };
    },
  }));
  expect(await job.result()).toMatchObject({ state: 'completed' });
  expect(asked).toBe(2);
  await replayed(job);
});

test('a store that refuses makes the job wait, cause capacity, at once and each time; it goes on by itself', async () => {
  let tries = 0;
  const job = await stage.start(3, 1, (before) => ({
    async processPage(input) {
      if (input.page === 2 && ++tries <= 2) throw failure(away, true);
      return before.processPage(input);
    },
  }));
  expect(await job.result()).toMatchObject({ state: 'completed', counts: { done: 3 } });
  expect(tries).toBe(3); // the job waits where it can be seen, not inside an activity's retries
  expect(job.states()).toEqual(['running', 'waiting', 'running', 'waiting', 'running']);
  const waiting = job.records.find(({ state }) => state === 'waiting')!;
  expect(waiting).toMatchObject({ cause: 'capacity', reason: 'The store does not answer.', until: null });
  expect(job.pages.map(({ page }) => page)).toEqual([1, 2, 3]);
  // What is dispatched again has a higher number: its fence is above that of the try before.
  expect(job.pages.map(({ dispatch }) => dispatch)).toEqual([1, 4, 5]);
  await replayed(job);
});

test('a blob store that is away while the sheet is read is waited for as well', async () => {
  let tries = 0;
  const job = await stage.start(1, 1, (before) => ({
    async openSheet(input) {
      if (++tries === 1) throw failure({ code: 'blobs_unavailable', message: 'The blobs are away.' }, true);
      return before.openSheet(input);
    },
  }));
  expect(await job.result()).toMatchObject({ state: 'completed' });
  expect(job.states()).toEqual(['running', 'waiting', 'running']);
  await replayed(job);
});

test('an error that trying again cannot mend ends the job at once; no further page starts', async () => {
  const tries: number[] = [];
  const gone: ErrorBody = { code: 'handler_not_found', message: 'The module is gone.', remedy: 'Put it back.' };
  const job = await stage.start(20, 1, (before) => ({
    async processPage(input) {
      tries.push(input.page);
      if (input.page === 2) throw failure(gone, false);
      return before.processPage(input);
    },
  }));
  await expect(job.result()).rejects.toMatchObject({ cause: { type: 'handler_not_found', details: [gone] } });
  expect(tries).toEqual([1, 2]);
  await replayed(job);
});

test('a page that comes back unfinished is dispatched again, with a higher number', async () => {
  let first = true;
  const job = await stage.start(2, 1, (before) => ({
    async processPage(input) {
      const answer = await before.processPage(input);
      if (input.page === 1 && first) {
        first = false;
        return { ...answer, complete: false }; // its worker was stopped in the middle
      }
      return answer;
    },
  }));
  expect(await job.result()).toMatchObject({ state: 'completed' });
  expect(job.pages.map(({ page, dispatch }) => [page, dispatch])).toEqual([[1, 1], [1, 2], [2, 3]]);
  await replayed(job);
});
