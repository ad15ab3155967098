/** One kill in the middle of a job, and everything that must hold afterwards. Used by the kill tests and the soak. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import { openStore } from '../../src/container.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import { isEnded } from '../../src/contracts/job.ts';
import type { RowCounter } from '../servers/counter.ts';
import type { TestStack } from '../servers/stack.ts';

const CONCURRENCY = 50;
/** A costly handler's rows are committed by so many, or so long after their answer. */
const SUB_BATCH = 25;
const COMMIT_MS = 250;
/** Pages that run side by side; each has a sub-batch of its own. */
const PAGES_AT_ONCE = 2;
/** What a busy machine may add between an answer at the counter and its commit in the worker. */
const SLACK_MS = 2_000;
/** A busy machine may take so long for what takes seconds. */
const END_PATIENCE_MS = 270_000;
/** What a kill may cost: the rows that are being handled, and a sub-batch of each page that waits for its commit. */
export const MOST_IN_FLIGHT = CONCURRENCY + PAGES_AT_ONCE * SUB_BATCH;

export interface Kill {
  /** A part of the stack, or a server that it stands on. */
  victim: string;
  /** It is killed once so many rows have been answered. */
  afterRows: number;
  /** How long it stays away. */
  outageMs: number;
}

export interface KillRound extends Kill {
  job: string;
  /** From the kill until a row of a page that began after the return, or the job's end. The API: until it answers. */
  recoverySeconds: number;
  totalSeconds: number;
  /** Rows called twice, and how many may be. */
  twice: number;
  allowed: number;
  /** How long before the kill the first of them was answered at most; 0 where all of them were open. */
  oldestMs: number;
  state: string;
  /** What did not hold; empty when all is well. */
  violations: string[];
}

export const rowKey = (index: number): string => `row-${String(index + 1).padStart(6, '0')}`;

export function sheetOf(rows: number, note = ''): string {
  const lines = Array.from({ length: rows }, (_, index) => `${rowKey(index)},Name ${index + 1},${note}`);
  return `id,name,note\n${lines.join('\n')}\n`;
}

/** A job over an upload that asks the counter about every row. `more` goes into the request. */
export async function startCountedJob(stack: TestStack, counterUrl: string, rows: number, more: object = {}): Promise<JobAnswer> {
  const upload = await stack.upload('kill.csv', sheetOf(rows));
  return stack.create({
    source: { upload }, keyColumns: ['id'], concurrency: CONCURRENCY,
    handler: { name: 'module', options: { file: path.join(stack.folder, 'counted.mjs'), options: { url: counterUrl } } },
    ...more,
  });
}

export async function killRound(stack: TestStack, counter: RowCounter & { url: string }, rows: number, kill: Kill): Promise<KillRound> {
  counter.clear();
  const begun = performance.now();
  const { id } = await startCountedJob(stack, counter.url, rows);
  await counter.answered(kill.afterRows);

  const killedAt = performance.now();
  await stack.kill(kill.victim);
  await sleep(kill.outageMs);
  await stack.start(kill.victim);
  const before = counter.calls.length;
  if (kill.victim === 'api') await until('the API to answer', () => stack.job(id));
  const backAt = performance.now();
  const job = await ended(stack, id);

  const violations = [
    ...(job.state === 'completed' ? [] : [`the job is ${job.state}: ${job.error?.message ?? job.reason ?? ''}`]),
    ...(await disagreements(stack, job, rows)),
  ];
  const calls = counter.byKey();
  const twice = [...calls.values()].filter(({ length }) => length > 1);
  const allowed = kill.victim === 'api' ? 0 : MOST_IN_FLIGHT;
  const oldestMs = Math.max(0, ...twice.map(([first]) => killedAt - (first?.answered ?? killedAt)));
  if (calls.size !== rows) violations.push(`${rows - calls.size} rows were never handled`);
  if (twice.length > allowed) violations.push(`${twice.length} rows were handled twice, ${allowed} may be`);
  if (twice.some(({ length }) => length > 2)) violations.push('a row was handled more than twice');
  if (kill.victim === 'worker' && oldestMs > COMMIT_MS + SLACK_MS) {
    violations.push(`a row was handled again that had been answered ${Math.round(oldestMs)} ms before the kill`);
  }

  const pagesBefore = new Set(counter.calls.slice(0, before).map(({ key }) => pageOf(key)));
  const onward = counter.calls.slice(before).find(({ key }) => !pagesBefore.has(pageOf(key)))?.asked ?? performance.now();
  return {
    ...kill, job: id, state: job.state, violations, twice: twice.length, allowed, oldestMs: Math.round(oldestMs),
    recoverySeconds: ((kill.victim === 'api' ? backAt : onward) - killedAt) / 1000,
    totalSeconds: (performance.now() - begun) / 1000,
  };
}

/** Pages of a costly handler have 1,000 rows. */
const pageOf = (key: string): number => Math.floor((Number(key.slice(4)) - 1) / 1_000);

export const ended = (stack: TestStack, id: string): Promise<JobAnswer> =>
  until(`job ${id} to end`, async () => {
    const job = await stack.job(id);
    return isEnded(job.state) ? job : undefined;
  }, END_PATIENCE_MS);

/** What the counts, the results and the ledger say of an ended job, where they do not say the same. */
export async function disagreements(stack: TestStack, job: JobAnswer, rows: number): Promise<string[]> {
  const found: string[] = [];
  const expect = (what: string, actual: unknown, wanted: unknown): void => {
    if (actual !== wanted) found.push(`${what}: ${String(actual)} instead of ${String(wanted)}`);
  };
  const { progress } = job;
  expect('rows in the manifest', job.manifest?.rows, rows);
  expect('total', progress.total, rows);
  expect('sum of the counts', progress.done + progress.unchanged + progress.failed + progress.skipped + (progress.remaining ?? 0), rows);

  const results = await stack.results(job.id);
  expect('result lines', results.length, rows);
  const misplaced = results.findIndex(({ row, key }, index) => row !== index + 2 || key !== rowKey(index));
  if (misplaced >= 0) found.push(`result line ${misplaced + 1} is about row ${results[misplaced]!.row}`);
  for (const state of ['done', 'unchanged', 'failed', 'skipped', 'remaining'] as const) {
    expect(`rows ${state} in the results and the counts`, results.filter((row) => row.state === state).length, progress[state]);
  }
  const foreign = results.filter((row) => row.state === 'done' && (row.output as { seen?: unknown } | null)?.seen !== row.key);
  expect("results with another row's output", foreign.length, 0);

  const store = await openStore(readConfig(stack.env));
  try {
    const keys = results.map(({ key }) => key!);
    const items = await store.readItems({ tenant: job.tenant, source: job.source, lane: job.lane }, keys);
    const unlike = results.filter(({ key, state }) => (items.get(key!)?.state ?? 'remaining') !== state);
    expect('rows of which the ledger says something else', unlike.length, 0);
  } finally {
    await store.close();
  }
  return found;
}

/** Asks again until there is an answer; errors on the way (a process is away) are no answer. */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>, patienceMs = 120_000): Promise<T> {
  const deadline = performance.now() + patienceMs;
  let last: unknown;
  while (performance.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      last = undefined;
    } catch (error) {
      last = error;
    }
    await sleep(25);
  }
  throw new Error(`Waited for ${what} in vain`, { cause: last });
}
