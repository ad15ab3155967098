/** Webhooks in requests and answers. */
import { z } from 'zod';
import { SECRET_NAME, time } from './api.ts';
import { DEFAULT_WEBHOOK_EVENTS, DELIVERY_STATES, WEBHOOK_EVENTS } from './webhooks.ts';

export const webhooksBody = z.array(z.strictObject({
  url: z.string().min(1).max(2_000),
  secret: z.string().regex(SECRET_NAME).meta({ description: 'Name of the secret in SHEAF_SECRETS that messages are signed with' }),
  events: z.array(z.enum(WEBHOOK_EVENTS)).min(1).default([...DEFAULT_WEBHOOK_EVENTS]),
})).min(1).max(5);

export const deliveryAnswer = z
  .strictObject({
    id: z.string().meta({ description: '`<endpoint>.<number>`; in the header `webhook-id` the job stands before it' }),
    endpoint: z.string().meta({ description: "`job-1` …: of the job's request; `tenant-…`: of SHEAF_WEBHOOKS" }),
    type: z.enum(WEBHOOK_EVENTS),
    state: z.enum(DELIVERY_STATES).meta({ description: '`failed`: given up, after a day or because no further try could help' }),
    createdAt: time,
    deliveredAt: time.nullable(),
    tries: z.int(),
    log: z.array(z.strictObject({ at: time, status: z.int().nullable(), code: z.string().nullable(), ms: z.int() })).meta({ description: 'The newest 20 tries' }),
    body: z.record(z.string(), z.json()).meta({ description: 'What is sent' }),
  })
  .meta({ id: 'Delivery' });
export type DeliveryAnswer = z.infer<typeof deliveryAnswer>;
