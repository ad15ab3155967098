/** Requests and answers of the HTTP API about rows that are workflows of their own. */
import { z } from 'zod';
import { ITEM_STATUSES } from './items.ts';
import { PRIORITIES } from './job.ts';

export const itemChangeBody = z.strictObject({ priority: z.enum(PRIORITIES).meta({ description: 'Rows that wait are started in this order' }) }).meta({ id: 'ItemChange' });

export const itemJobAnswer = z
  .strictObject({
    job: z.string(),
    row: z.int(),
    key: z.string().nullable(),
    attempt: z.int(),
    status: z.enum(ITEM_STATUSES),
    outcome: z.enum(['done', 'unchanged', 'failed', 'skipped']).optional().meta({ description: "In the job, once the row's page was counted" }),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
    priority: z.enum(PRIORITIES),
    until: z.iso.datetime().optional().meta({ description: 'While it is `rate_limited`' }),
    events: z.array(z.strictObject({ at: z.iso.datetime(), status: z.enum(ITEM_STATUSES), reason: z.string().optional() }))
      .meta({ description: 'The last fifty; none of a row that needed no workflow' }),
  })
  .meta({ id: 'ItemJob' });
export type ItemJobAnswer = z.infer<typeof itemJobAnswer>;
