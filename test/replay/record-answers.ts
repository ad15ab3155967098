/** The committed history of a job whose rows a service answers later; see README.md. */
import { afterAll, beforeAll, test } from 'vitest';
import { takeCallback } from '../../src/api/callbacks.ts';
import { at } from '../../src/domain/json-pointer.ts';
import { signatureHeaders } from '../../src/domain/signature.ts';
import { createAnswerCalls } from '../../src/temporal/answer-calls.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startService, type Service } from '../servers/service.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
let service: Service;
beforeAll(async () => {
  [rig, service] = await Promise.all([openRig({ secrets: '{video: {env: RIG_SECRET}}' }), startService()]);
  service.answer = ({ body }) => ({ status: 202, json: { id: `remote-${String(at(body, '/input/name'))}` } });
  await rig.startWorkers();
});
afterAll(async () => {
  await rig?.close();
  await service?.close();
});

async function callBack(name: string, status: string): Promise<void> {
  const address = String(at(service.calls.find((call) => at(call.body, '/input/name') === name)!.body, '/callback')).split('/').at(-1)!;
  const body = JSON.stringify({ status, url: `u-${name}` });
  const deps = { store: rig.store, answerCalls: createAnswerCalls(rig.store, rig.env.client), secrets: () => 'rig-secret' };
  await takeCallback(deps, address, signatureHeaders('rig-secret', `msg-${name}`, body, Date.now()), Buffer.from(body));
}

test('parked, paused and resumed meanwhile, and collected', async () => {
  const { id } = await rig.create('parked', rowsOf(3), { request: { handler: 'http', keyColumns: ['name'], options: { url: `${service.url}/make`, signing: 'video', output: { url: '/url' }, async: {} } } });
  const parked = (rows: number) => eventually(async () => (await rig.store.jobTotals(TENANT, id, 1)).submitted === rows && (await rig.job(id)).state === 'waiting');
  await parked(3);
  await callBack('a2', 'done');
  await parked(2);
  await rig.jobs.control(TENANT, id, 'pause');
  await rig.when(id, ({ state }) => state === 'paused');
  await callBack('a1', 'failed');
  await rig.jobs.control(TENANT, id, 'resume');
  await parked(1);
  await callBack('a3', 'done');
  await rig.ended(id);
  const workflow = jobWorkflowId(id, 1);
  await eventually(async () => (await rig.env.client.workflow.getHandle(workflow).describe()).status.name !== 'RUNNING');
  await commitHistory('parked', (await historiesOf(rig.env.client, workflow)).at(-1)!.history);
});
