/** Activity tasks of several pages: what one leaves comes again, whatever made it leave it, and no page is lost or handled twice. */
import { ApplicationFailure } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ProcessPageAnswer } from '../../src/contracts/sheet-messages.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { openStage, type FakeJob, type Stage } from './fakes.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, TENANT, type Rig } from './rig.ts';

const NONE = { done: 0, unchanged: 0, failed: 0, skipped: 0 };

let rig: Rig;
let env: TestWorkflowEnvironment;
beforeAll(async () => {
  rig = await openRig();
  ({ env } = rig);
});
afterAll(() => rig.close());

const tasksOf = (job: FakeJob): [number, number][] => job.pages.map(({ page, lastPage = page }) => [page, lastPage]);
const isNew = (job: FakeJob, page: number): boolean => job.pages.filter((asked) => asked.page === page).length === 1;

/** One task after the other, of eight pages at most. `answers`: what the activity says of a task, beside that it is complete. */
async function tasksFor(pages: number, answers: (job: FakeJob, page: number) => Partial<ProcessPageAnswer>, more: Parameters<Stage['start']>[2] = () => ({})): Promise<[number, number][]> {
  const stage = await openStage(env);
  try {
    const job = await stage.start(pages, 1, (before, own) => ({
      openSheet: async () => ({ total: pages, window: 1, pagesInTask: 8, pending: [[1, pages]], counts: NONE }),
      processPage: async (input) => ({ ...(await before.processPage(input)), ...answers(own, input.page) }),
      ...more(before, own),
    }));
    expect(await job.result()).toMatchObject({ state: 'completed', counts: { done: pages } });
    await replay(await historiesOf(env.client, job.handle.workflowId));
    return tasksOf(job);
  } finally {
    await stage.stop();
  }
}

test('tasks have as many pages as they may, and fewer towards the end', async () => {
  expect(await tasksFor(24, () => ({}))).toEqual([[1, 8], [9, 16], [17, 20], [21, 22], [23, 23], [24, 24]]);
});

test('a task that ends early leaves its later pages, which are the next', async () => {
  const tasks = await tasksFor(16, (job, page) => (page === 1 && isNew(job, page) ? { complete: false, left: 4 } : {}));
  expect(tasks.slice(0, 2)).toEqual([[1, 8], [4, 9]]);
});

test('one that did not get through its first page comes again as a whole', async () => {
  const tasks = await tasksFor(16, (job, page) => (page === 1 && isNew(job, page) ? { complete: false } : {}));
  expect(tasks.slice(0, 2)).toEqual([[1, 8], [1, 8]]);
});

test('a page in the middle that waits for a service comes when that has answered, those behind it at once', async () => {
  let looks = 0;
  const tasks = await tasksFor(16, (job, page) => (page === 1 && isNew(job, page) ? { complete: false, left: 3, parked: true } : {}), () => ({
    collectAnswers: async () => ({ pages: ++looks > 1 ? [3] : [], submitted: 1, lookMs: 1_000 }),
  }));
  expect(tasks[1]).toEqual([4, 9]);
  expect(tasks.filter(([page]) => page === 3)).toEqual([[3, 3]]);
});

test('one that fails because the store is away comes again as a whole, when the store is back', async () => {
  const tasks = await tasksFor(16, (job, page) => {
    if (page === 9 && isNew(job, page)) throw ApplicationFailure.nonRetryable('The store does not answer.', 'store_unavailable');
    return {};
  });
  expect(tasks).toEqual([[1, 8], [9, 12], [9, 12], [13, 14], [15, 15], [16, 16]]);
});

test('real pages: paused in the middle of a task and taken up again, the store away for a while, and each row has one outcome', async () => {
  await rig.startWorkers();
  // Two rows fill a page by their bytes.
  const rows = 80;
  const csv = `name,text\n${Array.from({ length: rows }, (_, index) => `a${index + 1},${'x'.repeat(510_000)}`).join('\n')}\n`;
  const { id } = await rig.create('tasks', csv, { request: { keyColumns: ['name'] } });
  const done = async (): Promise<number> => (await rig.totals(id)).done;
  await eventually(async () => (await done()) >= 4);
  await rig.jobs.control(TENANT, id, 'pause');
  await rig.when(id, ({ state }) => state === 'paused');
  expect(await done()).toBeLessThan(rows);
  const finished = async () => (await rig.store.listPages(TENANT, id, { limit: 500 })).items.filter(({ complete }) => complete);
  const before = (await finished()).length;
  await rig.jobs.control(TENANT, id, 'resume');
  await eventually(async () => (await finished()).length >= before + 3);
  rig.refuse.add('commitRows');
  await rig.when(id, ({ state, cause }) => state === 'waiting' && cause === 'capacity');
  const meanwhile = await finished();
  expect(await done()).toBeLessThan(rows);
  rig.refuse.clear();
  const { state, manifest } = (await rig.ended(id)) as Awaited<ReturnType<typeof rig.create>>;
  expect(state).toBe('completed');
  expect(await rig.totals(id)).toMatchObject({ done: rows, unchanged: 0, failed: 0, skipped: 0 });
  expect((await rig.outcomes(id)).map(({ row, state }) => [row, state])).toEqual(Array.from({ length: rows }, (_, index) => [index + 2, 'done']));
  // Of a task that comes again, pages that were through are left as they are.
  const results = new Map((await finished()).map(({ page, result }) => [page, result]));
  expect(meanwhile.filter(({ page, result }) => results.get(page) !== result)).toEqual([]);
  const [history] = await historiesOf(env.client, jobWorkflowId(id, 1));
  const tasks = history!.history.events!.filter(({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType?.name === 'processPage');
  expect(manifest!.pages).toBeGreaterThan(20);
  expect(tasks.length).toBeLessThan(manifest!.pages);
  await rig.replayAll();
});
