/** The committed histories of rows that are workflows of their own, and of their job; see README.md. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, test } from 'vitest';
import { createItems, type Items } from '../../src/temporal/items.ts';
import { itemWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startMeteredApi, writeLimitedHandler, type MeteredApi } from '../servers/metered-api.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
let items: Items;
let api: MeteredApi;
beforeAll(async () => {
  [rig, api] = await Promise.all([openRig({ namedLimits: JSON.stringify({ narrow: { per: 4, perUser: 3 } }) }), startMeteredApi()]);
  items = createItems(rig.env.client, rig.jobs);
  await writeLimitedHandler(path.join(rig.folder, 'narrow.mjs'), ['narrow']);
  await rig.startWorkers();
});
afterEach(() => rig.gate.reset());
afterAll(async () => {
  await rig?.close();
  await api?.close();
});

async function commit(name: string, workflowId: string): Promise<void> {
  await eventually(async () => (await rig.env.client.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING');
  await commitHistory(name, (await historiesOf(rig.env.client, workflowId)).at(-1)!.history);
}

test('rows that are steered, a pause of their job, a row that is tried again', async () => {
  rig.gate.hold = (key) => key === 'a1' || key === 'a6';
  rig.gate.fail = (key) => (key === 'a2' ? { code: 'bad_row' } : null);
  const job = await rig.create('fanned', rowsOf(6), { request: { ...(await rig.gated(2)), fanOut: 'workflow', drainSeconds: 0 } });
  await rig.gate.until(() => rig.gate.held === 2);
  await items.ask(job, 2, 1, { control: 'pause' });
  await items.ask(job, 2, 1, { priority: 'high' });
  await eventually(async () => (await items.look(job, 2))?.status === 'paused');
  await items.ask(job, 2, 1, { control: 'resume' });
  await eventually(() => items.ask(job, 3, 1, { control: 'retry' }).then(() => true, () => false));
  await rig.jobs.control(TENANT, job.id, 'pause');
  await rig.when(job.id, ({ state }) => state === 'paused');
  await items.ask(job, 7, 1, { control: 'cancel' });
  rig.gate.release();
  await rig.jobs.control(TENANT, job.id, 'resume');
  await rig.ended(job.id);
  await commit('fanned-out', jobWorkflowId(job.id, 1));
  await commit('row-completed', itemWorkflowId(job.id, 1, 2));
  await commit('row-failed', itemWorkflowId(job.id, 1, 3));
  await commit('row-cancelled', itemWorkflowId(job.id, 1, 7));
});

test('a row that waits for a limit', async () => {
  const job = await rig.create('limited', rowsOf(4), {
    request: { handler: 'module', keyColumns: ['name'], concurrency: 1, fanOut: 'workflow', options: { file: path.join(rig.folder, 'narrow.mjs'), options: { url: api.url, user: 'tester' } } },
  });
  await rig.when(job.id, ({ state }) => state === 'waiting');
  await rig.ended(job.id);
  await commit('fanned-out-waiting', jobWorkflowId(job.id, 1));
  await commit('row-waiting', itemWorkflowId(job.id, 1, 5));
});
