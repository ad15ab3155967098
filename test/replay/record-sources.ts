/** As `record.ts`, of sources: syncs that ask, and what happens to sources themselves. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TASK_QUEUES } from '../../src/contracts/messages.ts';
import { SOURCE_WORKFLOWS, type CleanUpSourcesInput, type Verdict } from '../../src/contracts/source.ts';
import { createSources, type Sources } from '../../src/temporal/sources.ts';
import { deleteSourceWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { definitionOf } from '../workflows/source-definition.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
let sources: Sources;
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
  sources = createSources(rig.store, rig.env.client, rig.jobs);
});
afterAll(() => rig.close());

async function commit(name: string, workflowId: string): Promise<void> {
  const { client } = rig.env;
  await eventually(async () => (await client.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING');
  await commitHistory(name, (await historiesOf(client, workflowId)).at(-1)!.history);
}

async function decided(id: string, verdict: Verdict): Promise<string> {
  const file = path.join(rig.folder, 'sheets', `${id}.csv`);
  await sources.put(TENANT, 'tester', id, { scheduled: null, definition: definitionOf(id, { location: { path: file }, keyColumns: ['name'] }) });
  const sync = () => sources.sync(TENANT, id, { force: false, after: [], rollback: null });
  await writeFile(file, rowsOf(10));
  await rig.ended((await sync()).id);
  await writeFile(file, rowsOf(2));
  const job = await sync();
  await rig.when(job.id, ({ cause }) => cause === 'approval');
  await rig.jobs.decide(TENANT, job.id, verdict);
  await rig.ended(job.id);
  return jobWorkflowId(job.id, 1);
}

test('approved, rejected, cleaned up after, deleted', async () => {
  await commit('sync-approved', await decided('approved', 'approve'));
  await commit('sync-rejected', await decided('rejected', 'reject'));
  const asked: CleanUpSourcesInput = { tenant: TENANT, maxAgeHours: 0, environment: null, dryRun: false };
  await rig.env.client.workflow.execute(SOURCE_WORKFLOWS.cleanUpSources, { workflowId: 'clean-up-sources', taskQueue: TASK_QUEUES.jobs, args: [asked] });
  await commit('clean-up-sources', 'clean-up-sources');
  await sources.remove(TENANT, 'approved');
  await commit('delete-source', deleteSourceWorkflowId(TENANT, 'approved'));
  expect(await rig.store.getSource(TENANT, 'approved')).toBeNull();
});
