import { Worker } from '@temporalio/worker';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { TASK_QUEUES } from '../../src/contracts/messages.ts';
import { WEBHOOK_AGAIN, WEBHOOK_EVENTS, WEBHOOK_NEWS, WEBHOOK_WORKFLOW, type DeliveryRecord, type WebhookActivities, type WebhookCursor, type WebhookEndpoint, type WebhookMessage } from '../../src/contracts/webhooks.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import { repeatDelivery } from '../../src/temporal/webhooks.ts';
import { webhookWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { MAX_HISTORY_EVENTS } from '../../src/workflows/activity-options.ts';
import { startReceiver, type Receiver } from '../servers/receiver.ts';
import { realEnv, timeSkippingEnv } from '../servers/temporal.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

let rig: Rig;
let receiver: Receiver;
beforeAll(async () => {
  receiver = await startReceiver('rig-secret');
  rig = await openRig({ secrets: JSON.stringify({ hook: { env: 'RIG_SECRET' }, empty: { env: 'NO_SUCH' } }) });
  await rig.startWorkers();
});
afterEach(async () => {
  rig.gate.reset();
  Object.assign(receiver, { down: null, statuses: [] });
  await rig.replayAll();
  receiver.told.length = 0;
});
afterAll(async () => {
  await rig?.close();
  await receiver?.close();
});

const endpoint = (over: Partial<WebhookEndpoint> = {}): WebhookEndpoint => ({ url: receiver.url, events: [...WEBHOOK_EVENTS], secret: 'hook', ...over });
const deliveries = async (job: string): Promise<DeliveryRecord[]> => (await rig.store.listDeliveries(TENANT, job, { limit: 100 })).items;
const settled = (job: string, count: number): Promise<DeliveryRecord[]> => eventually(async () => {
  const found = await deliveries(job);
  return found.length === count && found.every(({ state }) => state !== 'pending') && found;
});
const over = (job: string, name = 'job-1'): Promise<unknown> => eventually(async () => (await rig.env.client.workflow.getHandle(webhookWorkflowId(job, name)).describe()).status.name !== 'RUNNING');
const types = (): string[] => receiver.told.map(({ type }) => type);

describe('an endpoint', () => {
  test('is told in order: rows that failed, how far the job is, its end', async () => {
    rig.gate.hold = (key) => key === 'a3';
    rig.gate.fail = (key) => (key === 'a2' ? { code: 'bad_row' } : null);
    const job = await rig.create('told', rowsOf(4), { request: { ...(await rig.gated(1)), webhooks: [endpoint()] } });
    await rig.gate.until(() => rig.gate.held === 1);
    await rig.jobs.control(TENANT, job.id, 'pause');
    rig.gate.release();
    await rig.when(job.id, ({ state }) => state === 'paused');
    await rig.jobs.control(TENANT, job.id, 'resume');
    await rig.ended(job.id);
    await over(job.id);
    const found = await deliveries(job.id);
    expect(found.map(({ state }) => state)).toEqual(found.map(() => 'delivered'));
    expect(receiver.told.map(({ id }) => id)).toEqual(found.map(({ number }) => `${job.id}.job-1.${number}`));
    expect(types().filter((type) => type !== 'progress')).toEqual(['item_failed', 'completed']);
    expect(receiver.told.find(({ type }) => type === 'item_failed')?.data).toMatchObject({ job: { id: job.id, handler: 'module' }, items: [{ row: 3, key: 'a2', error: { code: 'bad_row', retryable: false } }] });
    expect(receiver.told.at(-1)?.data).toMatchObject({ job: { id: job.id, state: 'completed', attempt: 1 }, details: { done: 3, failed: 1, remaining: 0 } });
  });

  test('that is away keeps no job waiting, is tried again with the same message, and gets those after it later', async () => {
    receiver.statuses = [500];
    const job = await rig.create('away', rowsOf(3), { request: { webhooks: [endpoint({ events: ['completed', 'progress', 'waiting'] })] } });
    await rig.ended(job.id);
    await over(job.id);
    const last = (await deliveries(job.id)).at(-1)!;
    expect(last).toMatchObject({ type: 'completed', state: 'delivered' });
    expect((await deliveries(job.id))[0]).toMatchObject({ tries: 2, log: [{ status: 500, code: 'webhook_refused' }, { status: 204, code: null }] });
    expect(receiver.told[0]).toEqual(receiver.told[1]);
  });

  test('is told only what it wants, and each by itself', async () => {
    const other = await startReceiver('rig-secret');
    const job = await rig.create('two', rowsOf(2), { request: { webhooks: [endpoint({ events: ['failed'] }), endpoint({ url: other.url, events: ['completed'] })] } });
    await rig.ended(job.id);
    await Promise.all([over(job.id, 'job-1'), over(job.id, 'job-2')]);
    expect([types(), other.told.map(({ type }) => type)]).toEqual([[], ['completed']]);
    await other.close();
  });

  test('is told of what a retry comes to, under numbers that go on', async () => {
    rig.gate.fail = () => ({ code: 'bad_row' });
    const job = await rig.create('again', rowsOf(1), { request: { ...(await rig.gated()), webhooks: [endpoint({ events: ['completed', 'item_failed'] })] } });
    await rig.ended(job.id);
    await over(job.id);
    rig.gate.fail = () => null;
    await rig.jobs.retry(TENANT, job.id, { codes: null });
    await rig.when(job.id, ({ state, attempt }) => state === 'completed' && attempt === 2);
    const found = await settled(job.id, 3);
    expect(found.map(({ number, type }) => `${number} ${type}`)).toEqual(['1 item_failed', '2 completed', '3 completed']);
    await over(job.id);
  });

  test('gets a message once more when somebody asks, also while another is tried', async () => {
    const job = await rig.create('redelivered', rowsOf(1), { request: { webhooks: [endpoint({ events: ['completed'] })] } });
    await rig.ended(job.id);
    await settled(job.id, 1);
    await over(job.id);
    await repeatDelivery(rig.env.client, { tenant: TENANT, jobId: job.id, endpoint: 'job-1' }, 1);
    await eventually(async () => receiver.told.length === 2);
    expect(receiver.told[0]).toEqual(receiver.told[1]);
    await over(job.id);
    expect(await deliveries(job.id)).toMatchObject([{ state: 'delivered', tries: 2 }]);
  });

  test.each([
    ['inside', { url: 'http://127.0.0.2:9/hook' }, 'url_not_allowed'], ['without a secret', { secret: 'empty' }, 'secret_unknown'], ['unknown-secret', { secret: 'none' }, 'secret_unknown'],
  ])('%s is given up at once', async (name, change, code) => {
    const job = await rig.create(name.replaceAll(' ', '-'), rowsOf(1), { request: { webhooks: [endpoint({ events: ['completed'], ...change })] } });
    expect(await settled(job.id, 1)).toMatchObject([{ state: 'failed', tries: 1, log: [{ status: null, code }] }]);
    await over(job.id);
  });

  test('that says it is gone is given up', async () => {
    receiver.statuses = [410];
    const job = await rig.create('gone', rowsOf(1), { request: { webhooks: [endpoint({ events: ['completed'] })] } });
    expect(await settled(job.id, 1)).toMatchObject([{ state: 'failed', log: [{ status: 410, code: 'webhook_gone' }] }]);
    await over(job.id);
  });

  test('of a job that is deleted is told nothing more', async () => {
    receiver.down = 503;
    const job = await rig.create('deleted', rowsOf(1), { request: { webhooks: [endpoint({ events: ['completed'] })] } });
    await rig.ended(job.id);
    await eventually(async () => receiver.told.length > 0);
    await rig.jobs.remove(TENANT, job.id);
    await eventually(async () => (await rig.store.getJob(TENANT, job.id)) === null);
    await over(job.id);
    expect(await deliveries(job.id)).toEqual([]);
  });

  test('leaves no secret and no address in histories', async () => {
    const job = await rig.create('discreet', rowsOf(1), { request: { webhooks: [endpoint({ url: `${receiver.url}?token=geheim`, events: ['completed'] })] } });
    await rig.ended(job.id);
    await over(job.id);
    expect(types()).toEqual(['completed']);
    const histories = [...await historiesOf(rig.env.client, webhookWorkflowId(job.id, 'job-1')), ...await historiesOf(rig.env.client, `${job.id}/1`)];
    const text = Buffer.concat(histories.flatMap(({ history }) => history.events!.map((event) => Buffer.from(JSON.stringify(event, (_, value: unknown) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value)))))).toString();
    expect(text).toContain(job.id);
    expect(text).not.toMatch(/geheim|rig-secret|\/hook/);
  });
});

/** With activities that are made up, for days and thousands of messages in seconds. */
async function withActivities<T>(env: TestWorkflowEnvironment, activities: Partial<WebhookActivities>, work: () => Promise<T>): Promise<T> {
  const shared = { connection: env.nativeConnection, namespace: env.namespace ?? 'default' };
  const jobs = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: await bundleWorkflows() } });
  const webhooks = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.webhooks, activities });
  return jobs.runUntil(webhooks.runUntil(work()));
}

const nothing: WebhookCursor = { attempt: 1, event: 0, pages: [], finished: 0 };
const ref = { tenant: 'default', jobId: 'job', endpoint: 'job-1' };
const messageOf = (event: number, at: string): WebhookMessage => ({ type: 'waiting', at, attempt: 1, message: '', details: {}, cursor: { ...nothing, event } });

test('a run whose history is full is continued by one that knows how far it got', { timeout: 120_000 }, async () => {
  const MESSAGES = 5;
  const env = await realEnv();
  const told: number[] = [];
  const handle = await env.client.workflow.start(WEBHOOK_WORKFLOW, { workflowId: 'long', taskQueue: TASK_QUEUES.jobs, args: [ref] });
  for (let sent = 0; sent < MAX_HISTORY_EVENTS; sent += 100) await Promise.all(Array.from({ length: 100 }, () => handle.signal(WEBHOOK_NEWS)));
  await withActivities(env, {
    openWebhook: async () => ({ cursor: nothing, number: 0 }),
    webhookNews: async ({ cursor }) => {
      const messages = Array.from({ length: MESSAGES - cursor.event }, (_, index) => messageOf(cursor.event + index + 1, new Date().toISOString()));
      return { messages, cursor: messages.at(-1)?.cursor ?? cursor, next: messages.length > 0 ? 'more' : 'over' };
    },
    deliverWebhook: async ({ number, message }) => void told.push(number === message.cursor.event ? number : -1),
  }, () => env.client.workflow.getHandle('long').result());
  expect(told).toEqual(Array.from({ length: MESSAGES }, (_, index) => index + 1));
  const histories = await historiesOf(env.client, 'long');
  expect(histories.length).toBe(2);
  for (const { history } of histories) expect(history.events!.length).toBeLessThan(2_000);
  await replay(histories);
  await env.teardown();
});

test('an endpoint that is away for days: a message is given up after one, and what came meanwhile is tried for a moment', { timeout: 120_000 }, async () => {
  const env = await timeSkippingEnv();
  const tries: Record<number, number[]> = {};
  const givenUp: number[] = [];
  const begun = new Date(await env.currentTimeMs()).toISOString();
  await withActivities(env, {
    openWebhook: async () => ({ cursor: nothing, number: 0 }),
    webhookNews: async ({ cursor }) => {
      const messages = cursor.event === 0 ? [messageOf(1, begun), messageOf(2, begun)] : [];
      return { messages, cursor: messages.at(-1)?.cursor ?? cursor, next: 'over' };
    },
    deliverWebhook: async ({ number }) => {
      (tries[number] ??= []).push(await env.currentTimeMs() - Date.parse(begun));
      throw ApplicationFailure.retryable('No.', 'webhook_refused');
    },
    giveUpWebhook: async ({ number }) => void givenUp.push(number),
  }, () => env.client.workflow.execute(WEBHOOK_WORKFLOW, { workflowId: 'away', taskQueue: TASK_QUEUES.jobs, args: [ref] }));
  expect(givenUp).toEqual([1, 2]);
  const [first, second] = [tries[1]!, tries[2]!];
  expect(first.length).toBeGreaterThan(20);
  expect(first.at(-1)!).toBeGreaterThan(22 * 3_600_000);
  expect(first.at(-1)!).toBeLessThan(24 * 3_600_000);
  expect(second.length).toBeLessThan(first.length / 2);
  await env.teardown();
});

test('somebody who asks for a delivery ends the wait for the next try', { timeout: 120_000 }, async () => {
  const env = await realEnv();
  let away = true;
  const told: string[] = [];
  await withActivities(env, {
    openWebhook: async () => ({ cursor: { ...nothing, event: 1 }, number: 1 }),
    webhookNews: async ({ cursor }) => (cursor.event === 1 ? { messages: [messageOf(2, new Date().toISOString())], cursor: { ...nothing, event: 2 }, next: 'more' } : { messages: [], cursor, next: 'over' }),
    deliverWebhook: async ({ number }) => {
      told.push(`${number} ${away ? 'refused' : 'taken'}`);
      if (away) throw ApplicationFailure.create({ message: 'No.', type: 'webhook_refused', nextRetryDelay: '6h' });
    },
    redeliverWebhook: async ({ number }) => void told.push(`${number} again`),
  }, async () => {
    const handle = await env.client.workflow.start(WEBHOOK_WORKFLOW, { workflowId: 'nudged', taskQueue: TASK_QUEUES.jobs, args: [ref] });
    await eventually(async () => told.length === 1);
    away = false;
    await handle.signal(WEBHOOK_AGAIN, 1);
    await handle.result();
  });
  expect(told).toEqual(['2 refused', '1 again', '2 taken']);
  await replay(await historiesOf(env.client, 'nudged'));
  await env.teardown();
});
