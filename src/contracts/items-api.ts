/** Answers of the API about a job's rows, and what is asked of those that are workflows of their own. See `api.ts`. */
import { z } from 'zod';
import { count, json } from './api.ts';
import { ITEM_STATUSES } from './items.ts';
import { PRIORITIES } from './job.ts';

export const rowFailure = z.strictObject({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  column: z.string().optional(),
  carried: z.boolean().optional().meta({ description: 'Failed in an earlier job and was not tried again' }),
  input: z.boolean().optional().meta({ description: 'The row itself is wrong; no circuit breaker counts it' }),
  raw: z.string().optional().meta({ description: 'The beginning of what a model answered and could not be used' }),
});

/** A row of a job: an entry of `items`, a line of NDJSON results. */
export const itemAnswer = z
  .strictObject({
    row: z.int().meta({ description: 'As a spreadsheet program numbers it' }),
    key: z.string().nullable(),
    state: z.enum(['done', 'unchanged', 'failed', 'skipped', 'remaining']),
    input: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    output: json,
    error: rowFailure.optional(),
    cached: z.literal(true).optional().meta({ description: 'Nothing was paid for it: the same was asked before' }),
  })
  .meta({ id: 'Item' });
export type ItemAnswer = z.infer<typeof itemAnswer>;

/** Failed rows that one cause would explain. */
export const errorGroupsAnswer = z
  .strictObject({
    items: z.array(z.strictObject({
      fingerprint: z.string().meta({ description: 'Names the group; `POST /jobs/{id}/retry` takes it' }),
      code: z.string(),
      rows: count,
      example: z.strictObject({ row: z.int(), key: z.string().nullable(), error: rowFailure, input: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])) }),
    })),
    more: z.boolean().meta({ description: 'There are more groups than `limit`' }),
  })
  .meta({ id: 'ErrorGroups' });
export type ErrorGroupsAnswer = z.infer<typeof errorGroupsAnswer>;

// ── Rows that are workflows of their own ──────────────────────────────────────────────────────────────────────

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
