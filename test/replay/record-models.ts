/** The committed histories of jobs that nobody pays for, and of a look at what a job would do; see README.md. */
import { afterAll, beforeAll, test } from 'vitest';
import { createForecaster } from '../../src/temporal/forecasts.ts';
import { forecastWorkflowId, itemWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { modelsAt } from '../servers/model/models.ts';
import { modelServer, type ModelServer } from '../servers/model/server.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
let server: ModelServer;
beforeAll(async () => {
  [rig, server] = await Promise.all([openRig(), modelServer()]);
  server.says = JSON.stringify({ reason: 'x', category: 'a', confidence: 1 });
  rig.speaking.models = modelsAt(server.url);
  await rig.startWorkers();
});
afterAll(async () => {
  await rig?.close();
  await server?.close();
});

async function commit(name: string, workflowId: string): Promise<void> {
  await eventually(async () => (await rig.env.client.workflow.getHandle(workflowId).describe()).status.name !== 'RUNNING');
  await commitHistory(name, (await historiesOf(rig.env.client, workflowId)).at(-1)!.history);
}

const request = { handler: 'categorize', keyColumns: ['name'], options: { model: 'openai:gpt-5-mini', categories: 'a, b' } };

test.each([['waiting-for-money', {}], ['fanned-out-unpaid', { fanOut: 'workflow' }]] as const)('%s', async (name, more) => {
  server.always = 'quota';
  const job = await rig.create(name, rowsOf(3, name), { request: { ...request, ...more } });
  await rig.when(job.id, ({ state }) => state === 'waiting');
  if ('fanOut' in more) await commit('row-unpaid', itemWorkflowId(job.id, 1, 2));
  server.always = null;
  await rig.jobs.control(TENANT, job.id, 'resume');
  await rig.ended(job.id);
  await commit(name, jobWorkflowId(job.id, 1));
});

test('forecast', async () => {
  const like = await rig.create('forecast', rowsOf(3), { request });
  await rig.ended(like.id);
  const { tenant, owner, priority, tags, onFailure, source } = like;
  await createForecaster(rig.blobs, rig.env.client)('plan_1', { tenant, owner, priority, tags, onFailure, source, lane: null, runAt: null, dependsOn: [], request: like.request }, 0);
  await commit('forecast', forecastWorkflowId('plan_1'));
});
