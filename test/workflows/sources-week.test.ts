/** A week of daily syncs on a server that skips time: edits, an outage, a revoked credential, an approval that takes three days. */
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JobRecord, SourceLocation } from '../../src/contracts/job.ts';
import { createSources, type Sources } from '../../src/temporal/sources.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { timeSkippingEnv } from '../servers/temporal.ts';
import { historiesOf, replay } from './replay.ts';
import { openRig, TENANT, type Rig } from './rig.ts';
import { definitionOf } from './source-definition.ts';

let rig: Rig;
let sources: Sources;
beforeAll(async () => {
  rig = await openRig({ env: await timeSkippingEnv() });
  await rig.startWorkers();
  sources = createSources(rig.store, rig.env.client, rig.jobs);
});
afterAll(() => rig.close());

const DAY = '1 day';

test('a week leaves what the sheet last said, and each day what came of it', { timeout: 180_000 }, async () => {
  const file = path.join(rig.folder, 'sheets', 'week.csv');
  const write = (count: number, word = 'x') => writeFile(file, `id,word\n${Array.from({ length: count }, (_, index) => `${index + 1},${word}\n`).join('')}`);
  const put = async (location: SourceLocation) => sources.put(TENANT, 'tester', 'week', {
    scheduled: null, definition: definitionOf('week', { location, keyColumns: ['id'] }, { schedule: { every: 86_400 } }),
  });
  const jobs: JobRecord[] = [];
  const begin = async (): Promise<JobRecord> => {
    const job = await sources.sync(TENANT, 'week', { force: false, after: [], rollback: null });
    jobs.push(job);
    return job;
  };
  const sync = async (): Promise<JobRecord> => {
    const ended = await rig.ended((await begin()).id);
    await rig.env.sleep(DAY);
    return ended;
  };
  const current = async (): Promise<number | null> => (await sources.get(TENANT, 'week')).current;
  await put({ path: file });

  await write(10);
  expect(await sync()).toMatchObject({ state: 'completed' });
  expect(await sync()).toMatchObject({ state: 'completed' });
  expect((await sources.get(TENANT, 'week')).fetched?.outcome).toBe('unchanged');
  await write(11, 'y');
  expect(await sync()).toMatchObject({ state: 'completed' });
  expect(await current()).toBe(2);

  await rename(file, `${file}.away`);
  expect(await sync()).toMatchObject({ state: 'failed', error: { code: 'source_not_found' } });
  await rename(`${file}.away`, file);
  await put({ spreadsheet: 'sheet', credentials: 'revoked' });
  expect((await sync()).error?.code).toMatch(/^credentials_/);
  await put({ path: file });
  expect(await current()).toBe(2);

  await write(3, 'y');
  const asking = await begin();
  await rig.when(asking.id, ({ cause }) => cause === 'approval');
  await rig.env.sleep('3 days');
  expect(await rig.job(asking.id)).toMatchObject({ state: 'waiting', cause: 'approval' });
  await rig.jobs.decide(TENANT, asking.id, 'approve');
  expect(await rig.ended(asking.id)).toMatchObject({ state: 'completed' });
  expect(await current()).toBe(3);
  expect((await rig.store.listVersions(TENANT, 'week', { limit: 9 })).items.map(({ rows, counts }) => [rows, counts])).toEqual([
    [3, { added: 0, changed: 0, moved: 0, removed: 8 }], [11, { added: 1, changed: 10, moved: 0, removed: 0 }], [10, { added: 10, changed: 0, moved: 0, removed: 0 }],
  ]);
  for (const { id } of jobs) await replay(await historiesOf(rig.env.client, jobWorkflowId(id, 1)));
});
