import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { DeliveryAnswer } from '../../src/contracts/webhooks-api.ts';
import type { DeliveryRecord } from '../../src/contracts/webhooks.ts';
import { webhookWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startApi, type Api } from './api.ts';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';

let api: Api;
beforeAll(async () => {
  api = await startApi();
  await writeFile(path.join(api.folder, 'a.csv'), 'id\n1\n');
});
afterAll(() => api.close());

const body = (webhook: object): { body: object } => ({ body: { source: { path: path.join(api.folder, 'a.csv') }, webhooks: [webhook] } });
const good = { url: 'https://hooks.example.com/sheaf', secret: 'hook' };

test.each([
  [{ ...good, url: 'http://169.254.169.254/' }, 'url_not_allowed', 'webhooks.0.url'], [{ ...good, url: 'http://2130706433/' }, 'url_not_allowed', 'webhooks.0.url'],
  [{ ...good, url: 'ftp://example.com/' }, 'url_invalid', 'webhooks.0.url'], [{ ...good, url: 'https://user:geheim@example.com/' }, 'url_invalid', 'webhooks.0.url'],
  [{ ...good, secret: 'unknown' }, 'secret_unknown', 'webhooks.0.secret'], [{ ...good, events: ['everything'] }, 'invalid_request', 'webhooks.0.events.0'], [{ url: good.url }, 'invalid_request', 'webhooks.0.secret'],
])('a webhook that cannot be called is told when the job is asked for: %j', async (webhook, code, field) => {
  const problem = await api.refused('POST', '/jobs', body(webhook));
  expect(problem).toMatchObject({ code, place: { field } });
  expect(JSON.stringify(problem)).not.toContain('geheim');
});

test('deliveries are listed, and one is sent once more by its workflow', async () => {
  const { body: job } = await api.call<JobAnswer>('POST', '/jobs', body(good));
  const told: DeliveryRecord = {
    tenant: 'default', job: job.id, endpoint: 'job-1', number: 1, type: 'completed', state: 'failed', createdAt: '2026-11-01T10:00:00.000Z', deliveredAt: null, tries: 9,
    log: [{ at: '2026-11-01T10:00:00.000Z', status: 500, code: 'webhook_refused', ms: 3 }], body: '{"type":"completed","data":{}}', cursor: { attempt: 1, event: 1, pages: [], finished: 0 },
  };
  await api.store.writeDelivery(told);
  const { body: list } = await api.call<{ items: DeliveryAnswer[] }>('GET', `/jobs/${job.id}/deliveries`);
  expect(list.items).toEqual([{ id: 'job-1.1', endpoint: 'job-1', type: 'completed', state: 'failed', createdAt: told.createdAt, deliveredAt: null, tries: 9, log: told.log, body: { type: 'completed', data: {} } }]);
  expect((await api.call('POST', `/jobs/${job.id}/deliveries/job-1.1/redeliver`)).status).toBe(202);
  expect((await api.temporal.workflow.getHandle(webhookWorkflowId(job.id, 'job-1')).describe()).status.name).toBe('RUNNING');
  expect(await api.refused('POST', `/jobs/${job.id}/deliveries/job-1.2/redeliver`)).toMatchObject({ status: 404, code: 'delivery_not_found' });
  expect(await api.refused('GET', '/jobs/none/deliveries')).toMatchObject({ status: 404, code: 'job_not_found' });
  expect(await api.refused('GET', `/jobs/${job.id}/deliveries`, { headers: { 'x-sheaf-tenant': 'globex' } })).toMatchObject({ status: 404, code: 'job_not_found' });
});
