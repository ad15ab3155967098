/** Answers of the HTTP API about rows that are workflows of their own. */
import { z } from 'zod';
import { ITEM_STATUSES } from './items.ts';
import { PRIORITIES } from './job.ts';

export const itemJobAnswer = z
  .strictObject({
    job: z.string(),
    row: z.int(),
    attempt: z.int(),
    status: z.enum(ITEM_STATUSES),
    priority: z.enum(PRIORITIES),
    until: z.iso.datetime().optional(),
    events: z.array(z.strictObject({ at: z.iso.datetime(), status: z.enum(ITEM_STATUSES), reason: z.string().optional() })),
  })
  .meta({ id: 'ItemJob' });
export type ItemJobAnswer = z.infer<typeof itemJobAnswer>;
