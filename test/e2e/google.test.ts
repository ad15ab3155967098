/** Google Sheets with processes of their own: kills while results are written back, and a quota that two workers share, as Google counts it. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { Value } from '../servers/google/grid.ts';
import { ADDRESS, readyGoogle, SPREADSHEET, type ReadyGoogle } from '../servers/google/ready.ts';
import { mostInWindow } from '../servers/metered-api.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { ended } from './kill-round.ts';

const WINDOW_MS = 5_000;
const QUOTA = 30;
/** What the configuration allows is what Google does. */
const LIMITS = {
  'google-sheets': { per: WINDOW_MS / 1000, perUser: false, perProject: { capacity: QUOTA, refill: (QUOTA * 1000) / WINDOW_MS } },
  'google-sheets-writes': { perUser: false, perProject: false },
};

let google: ReadyGoogle;
let stack: TestStack;
beforeAll(async () => {
  google = await readyGoogle();
  stack = await startTestStack({ workers: 2, env: { ...google.env, SHEAF_LIMITS: JSON.stringify(LIMITS) } });
  await writeFile(path.join(stack.folder, 'mark.mjs'), 'export default (row) => ({ mark: `${row.id} ✓` });');
});
beforeEach(async () => {
  onTestFailed(async () => console.log(await stack.logs()));
  google.before = () => {};
  google.arrivals.length = 0;
  await stack.startMissing();
});
afterAll(async () => {
  await stack?.stop();
  await google?.close();
});

const create = (more: object = {}): Promise<JobAnswer> => stack.create({
  source: { spreadsheet: ADDRESS, credentials: 'bot' }, keyColumns: ['id'],
  handler: { name: 'module', options: { file: path.join(stack.folder, 'mark.mjs') } }, ...more,
});

describe('a job that writes its results back', () => {
  const ROWS = 12_000;
  const sheet = (): Value[][] => [['id', 'name'], ...Array.from({ length: ROWS }, (_, n) => [`r${n}`, `Name ${n}`])];

  // `when`: which write, before it is made or after.
  test.each([['worker', 2, 'after'], ['temporal', 3, 'before']] as const)('ends by itself after kill -9 of the %s at write %i, %s it was made, and every row has its own result once', { timeout: 180_000 }, async (victim, nth, when) => {
    google.book('Killed', sheet());
    let writes = 0;
    const reached = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    google.before = async ({ kind }) => {
      if (kind !== 'write' || ++writes !== nth) return;
      reached.resolve();
      if (when === 'before') await gone.promise;
    };
    const { id } = await create({ writeBack: { columns: { mark: 'Mark' } }, sourceId: `killed-${victim}` });
    await reached.promise;
    if (victim === 'worker') await Promise.all([stack.kill('worker'), stack.kill('worker-2')]);
    else await stack.kill('temporal');
    gone.resolve();
    await stack.startMissing();
    expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 }, writeBack: { current: ROWS, moved: 0, missing: 0, completedAt: expect.any(String) } });
    const rows = google.books.get(SPREADSHEET)!.tabs[0]!.rows;
    expect(rows[0]).toEqual(['id', 'name', 'Mark']);
    expect(rows.slice(1).filter(([key, , mark]) => mark !== `${String(key)} ✓`)).toEqual([]);
    expect(rows).toHaveLength(ROWS + 1);
  });
});

test('the quota: never over in any window, and never refused', { timeout: 180_000 }, async () => {
  google.quotas = { windowMs: WINDOW_MS, project: QUOTA, user: QUOTA };
  // Two rows in a grid of 2.5 million: as many parts as a full one has, and nothing to do for them.
  const { shared } = google.book('Whose', [['id']]);
  const ids = Array.from({ length: 6 }, (_, n) => `quota-spreadsheet-${n}`);
  for (const id of ids) google.make(id, id, [['id', 'text'], ['a', 'x'], ['b', 'y']], { rowCount: 2_500_000 }).shared = shared;
  const jobs = await Promise.all(ids.map((spreadsheet) => create({ source: { spreadsheet, credentials: 'bot' }, handler: 'store' })));
  for (const { id } of jobs) expect(await ended(stack, id)).toMatchObject({ state: 'completed', progress: { done: 2 } });
  const reads = google.arrivals.filter(({ kind }) => kind === 'read');
  expect(reads.filter(({ status }) => status === 429)).toEqual([]);
  expect(mostInWindow(reads, WINDOW_MS)).toBeLessThanOrEqual(QUOTA);
});
