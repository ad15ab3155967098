/** The committed histories of webhooks; see README.md. */
import { afterAll, beforeAll, test } from 'vitest';
import { WEBHOOK_EVENTS } from '../../src/contracts/webhooks.ts';
import { repeatDelivery } from '../../src/temporal/webhooks.ts';
import { webhookWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startReceiver, type Receiver } from '../servers/receiver.ts';
import { historiesOf } from '../workflows/replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from '../workflows/rig.ts';
import { commitHistory } from './histories.ts';

let rig: Rig;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver('rig-secret');
  rig = await openRig({ secrets: JSON.stringify({ hook: { env: 'RIG_SECRET' } }) });
  await rig.startWorkers();
});
afterAll(async () => {
  await rig?.close();
  await receiver?.close();
});

test('rows that fail, a message that is refused and asked for again, the end', async () => {
  rig.gate.hold = (key) => key === 'a3';
  rig.gate.fail = (key) => (key === 'a2' ? { code: 'bad_row' } : null);
  const job = await rig.create('told', rowsOf(4), { request: { ...(await rig.gated(1)), webhooks: [{ url: receiver.url, events: [...WEBHOOK_EVENTS], secret: 'hook' }] } });
  await rig.gate.until(() => rig.gate.held === 1);
  receiver.down = 503;
  await rig.jobs.control(TENANT, job.id, 'pause');
  rig.gate.release();
  await rig.when(job.id, ({ state }) => state === 'paused');
  await rig.jobs.control(TENANT, job.id, 'resume');
  await rig.ended(job.id);
  await eventually(async () => receiver.told.length > 1);
  receiver.down = null;
  await repeatDelivery(rig.env.client, { tenant: TENANT, jobId: job.id, endpoint: 'job-1' }, 1);
  const workflow = webhookWorkflowId(job.id, 'job-1');
  await eventually(async () => (await rig.env.client.workflow.getHandle(workflow).describe()).status.name !== 'RUNNING');
  await commitHistory('webhook', (await historiesOf(rig.env.client, workflow)).at(-1)!.history);
});

test('a message that is given up', async () => {
  receiver.statuses = [410];
  const job = await rig.create('gone', rowsOf(1), { request: { webhooks: [{ url: receiver.url, events: ['completed'], secret: 'hook' }] } });
  await rig.ended(job.id);
  const workflow = webhookWorkflowId(job.id, 'job-1');
  await eventually(async () => (await rig.env.client.workflow.getHandle(workflow).describe()).status.name !== 'RUNNING');
  await commitHistory('webhook-given-up', (await historiesOf(rig.env.client, workflow)).at(-1)!.history);
});
