/** Jobs of thousands of pages: many runs, each with a bounded history, and nothing lost or done twice where they meet. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { defaultPayloadConverter } from '@temporalio/common';
import type { SheetJobInput } from '../../src/contracts/sheet-messages.ts';
import { isUnavailable } from '../../src/temporal/reached.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { realEnv } from '../servers/temporal.ts';
import { door, openStage, type FakeJob, type Stage } from './fakes.ts';
import { historiesOf, replay, type MadeHistory } from './replay.ts';

/** What the design promises of a run. */
const MOST_EVENTS = 2_000;

let env: TestWorkflowEnvironment;
let stage: Stage;
beforeAll(async () => {
  env = await realEnv();
  stage = await openStage(env);
});
afterAll(async () => {
  await stage.stop();
  await env.teardown();
});

const pagesOf = (job: FakeJob): number[] => job.pages.map(({ page }) => page).toSorted((a, b) => a - b);
const all = (pages: number): number[] => Array.from({ length: pages }, (_, index) => index + 1);

/** Every run's history, after replaying them. */
async function replayed(job: FakeJob): Promise<MadeHistory[]> {
  const histories = await historiesOf(env.client, job.handle.workflowId);
  await replay(histories);
  return histories;
}
const lengths = (histories: MadeHistory[]): number[] => histories.map(({ history }) => history.events?.length ?? 0);

function inputOf({ history }: MadeHistory): SheetJobInput {
  const payload = history.events![0]!.workflowExecutionStartedEventAttributes!.input!.payloads![0]!;
  return defaultPayloadConverter.fromPayload<SheetJobInput>(payload);
}

/** A job whose first pages wait at the door; when it opens, the history is so long that the run ends with those pages. */
async function atTheBoundary(pages: number, window = 1): Promise<{ job: FakeJob; boundary: ReturnType<typeof door> }> {
  const boundary = door();
  const job = await stage.start(pages, window, (before) => ({
    async processPage(input) {
      if (input.page <= window) await boundary.pass();
      return before.processPage(input);
    },
  }));
  await boundary.reached;
  while ((await job.handle.describe()).historyLength < MAX_HISTORY_EVENTS) {
    await Promise.all(Array.from({ length: 100 }, () => job.handle.signal('setPriority', 'normal')));
  }
  return { job, boundary };
}

test('1,500 pages: several runs, each under 2,000 events, every page once, dispatches and sequence growing throughout', async () => {
  const job = await stage.start(1_500, 16);
  expect(await job.result()).toMatchObject({ state: 'completed', total: 1_500, counts: { done: 1_500 }, remaining: 0 });
  expect(pagesOf(job)).toEqual(all(1_500));
  expect(new Set(job.pages.map(({ dispatch }) => dispatch)).size).toBe(1_500);
  expect(Math.max(...job.pages.map(({ dispatch }) => dispatch))).toBe(1_500);
  expect(job.states()).toEqual(['running']);

  const histories = await replayed(job);
  expect(histories.length).toBeGreaterThan(2);
  expect(Math.max(...lengths(histories))).toBeLessThan(MOST_EVENTS);

  const { carried } = inputOf(histories[1]!);
  expect(carried).toEqual({
    state: 'running', cause: null, until: null, reason: null, wanted: 'running', sequence: 3, generation: 1, placed: true, agesAt: 0, inLineSince: null, plan: null,
    dispatches: expect.any(Number), sheet: { total: 1_500, window: 16 }, pending: [[carried!.dispatches + 1, 1_500]],
    // As the last page that answered counted them: sixteen do at once, and not in order.
    counts: { done: expect.any(Number), unchanged: 0, failed: 0, skipped: 0 },
  });
});

test('a pause at the boundary pauses, the resume is answered, and the next run does the rest', async () => {
  const { job, boundary } = await atTheBoundary(20);
  const pausing = job.handle.executeUpdate<{ state: string }, []>('pause');
  boundary.open();
  expect((await pausing).state).toMatch(/paus(ing|ed)/);
  const resumed = await job.handle.executeUpdate<{ state: string }, []>('resume');
  expect(resumed).toEqual({ state: 'running' });
  expect(await job.result()).toMatchObject({ state: 'completed', counts: { done: 20 } });
  expect(pagesOf(job)).toEqual(all(20));
  expect(job.states()).toEqual(['running', 'pausing', 'paused', 'running']);
  const histories = await replayed(job);
  expect(histories).toHaveLength(2);
});

test('a cancel at the boundary ends the job there', async () => {
  const { job, boundary } = await atTheBoundary(20);
  await job.handle.signal('cancel');
  boundary.open();
  expect(await job.result()).toMatchObject({ state: 'cancelled', remaining: 19, counts: { done: 1 } });
  expect(await replayed(job)).toHaveLength(1);
});

test('Updates and Signals that come while runs change are answered, and the last value counts', async () => {
  const { job, boundary } = await atTheBoundary(250, 4);
  boundary.open();
  let value = 0;
  let answered = 0;
  const ended = job.result().then(() => true);
  for (let over = false; !over && value < 60; ) {
    const answer = await job.handle.signal('setPriority', value % 2 === 0 ? 'high' : 'low')
      .then(() => job.handle.executeUpdate<{ state: string }, [number]>('setConcurrency', { args: [++value] }))
      .catch(async (error: unknown) => {
        over = await Promise.race([ended, Promise.resolve(false)]);
        // A run cannot end while a Signal has just come; when that is so three times, Updates are refused until it could.
        if (!over && !isUnavailable(error)) throw error;
        return null;
      });
    if (answer) answered++;
    if (answer && value === 60) expect(await job.handle.query('status')).toMatchObject({ concurrency: 60, priority: 'low' });
  }
  await ended;
  expect(answered).toBeGreaterThan(10);
  expect(pagesOf(job)).toEqual(all(250));
  const histories = await replayed(job);
  expect(histories.length).toBeGreaterThan(1);
  expect(inputOf(histories[1]!)).toMatchObject({ attempt: 1 });
  // What the pages were given never goes back.
  const concurrencies = job.pages.toSorted((a, b) => a.dispatch - b.dispatch).map(({ concurrency }) => concurrency ?? 0);
  expect(concurrencies).toEqual(concurrencies.toSorted((a, b) => a - b));
});

test('a job that waits for services goes on waiting for the same pages, and takes each once answered', async () => {
  let answered: number[] = [];
  let looks = 0;
  const job = await stage.start(3, 2, (before, own) => ({
    processPage: async (input) => {
      const again = own.pages.some(({ page }) => page === input.page);
      return { ...(await before.processPage(input)), ...(!again && input.page !== 2 && { complete: false, parked: true }) };
    },
    collectAnswers: async () => {
      looks++;
      return { pages: answered, submitted: 2 - answered.length, lookMs: 86_400_000 };
    },
  }));
  while (!job.records.some(({ state }) => state === 'waiting')) await new Promise((resolve) => setTimeout(resolve, 20));
  while ((await job.handle.describe()).historyLength < MAX_HISTORY_EVENTS) {
    await Promise.all(Array.from({ length: 100 }, () => job.handle.signal('setPriority', 'normal')));
  }
  for (const pages of [[1], [1, 3]]) {
    const before = looks;
    answered = pages;
    await job.handle.signal('answers');
    while (looks === before) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(await job.result()).toMatchObject({ state: 'completed', counts: { done: 3 } });
  expect(pagesOf(job)).toEqual([1, 1, 2, 3, 3]);
  expect(job.records.filter(({ state }) => state === 'waiting')[0]).toMatchObject({ cause: 'dependency', freesPlace: true });

  const histories = await replayed(job);
  expect(histories.length).toBeGreaterThan(1);
  expect(inputOf(histories[1]!).carried?.parked?.length).toBeGreaterThan(0);
});
