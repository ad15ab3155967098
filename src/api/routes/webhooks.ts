/** What was told of a job, to whom, and how that went; and telling it once more. */
import { z } from 'zod';
import { API_PREFIX, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { deliveryAnswer, type DeliveryAnswer } from '../../contracts/webhooks-api.ts';
import type { DeliveryRecord } from '../../contracts/webhooks.ts';
import { endpoint, reply } from '../endpoint.ts';
import { jobOf } from './jobs.ts';

const tag = 'Jobs';
const deliveries = `${API_PREFIX}/jobs/{id}/deliveries`;

const answerOf = ({ endpoint: name, number, type, state, createdAt, deliveredAt, tries, log, body }: DeliveryRecord): DeliveryAnswer =>
  ({ id: `${name}.${number}`, endpoint: name, type, state, createdAt, deliveredAt, tries, log, body: JSON.parse(body) as DeliveryAnswer['body'] });

const list = endpoint({
  method: 'get', path: deliveries, id: 'listDeliveries', tag,
  summary: "List what a job's webhooks were told",
  description: 'By endpoint, in the order of its messages. The first message that is `pending` is being tried; those after it come when it has been delivered or given up.',
  params: idParams,
  query: z.strictObject(listQuery),
  answers: { 200: { description: 'A page of deliveries', schema: listOf(deliveryAnswer) } },
  fails: ['job_not_found', 'invalid_cursor'],
}, async ({ tenant, params, query: { cursor, limit } }, { store }) => {
  const job = await jobOf(store, tenant, params.id);
  const { items, nextCursor } = await store.listDeliveries(tenant, job.id, { limit, ...(cursor !== undefined && { cursor }) });
  return reply(200, { items: items.map(answerOf), nextCursor });
});

const again = endpoint({
  method: 'post', path: `${deliveries}/{delivery}/redeliver`, id: 'redeliver', tag,
  summary: 'Send a message to its webhook once more',
  description: 'The same message under the same `webhook-id`. What was being tried before it is tried at once, too.',
  params: idParams.extend({ delivery: z.string().regex(/^[a-z0-9-]{1,60}\.\d{1,9}$/) }),
  answers: { 202: { description: 'It will be sent', schema: deliveryAnswer } },
  fails: ['job_not_found', 'delivery_not_found', 'temporal_unavailable'],
}, async ({ tenant, params }, { store, webhooks }) => {
  const job = await jobOf(store, tenant, params.id);
  const [name = '', number = ''] = params.delivery.split('.');
  const record = await store.getDelivery(tenant, job.id, name, Number(number));
  if (!record) throw new SheafError('delivery_not_found', `Job ${job.id} has told nothing under ${params.delivery}.`, { remedy: '`sheaf job deliveries` lists what it has told.' });
  await webhooks.redeliver(record);
  return reply(202, answerOf(record));
});

export const webhookEndpoints = [list, again];
