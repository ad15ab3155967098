/** What a job would do and cost, asked before it is made. See `api.ts`. */
import { z } from 'zod';
import { count } from './api.ts';
import { jobBody } from './job-api.ts';

export const forecastBody = jobBody
  .extend({ sample: z.int().min(1).max(100).exactOptional().meta({ description: 'Rows that are handled, and paid for, to tell better what the others would take. Default: none' }) })
  .meta({ id: 'ForecastRequest' });

const paidTokens = count.nullable();
const paidCost = z.number().min(0).nullable().meta({ description: 'In the currency of the price table; null: nobody can tell' });

export const forecastAnswer = z
  .strictObject({
    rows: count.meta({ description: 'Of the sheet: the next five add up to them' }),
    toDo: count.meta({ description: 'Would be handled' }),
    unchanged: count.meta({ description: 'Done by an earlier job, and would not be handled again' }),
    failed: count.meta({ description: 'Failed for good in an earlier job, and would not be tried again' }),
    skipped: count.meta({ description: 'Blank' }),
    refused: count.meta({ description: 'Without a key, or with the key of an earlier row' }),
    cached: count.meta({ description: 'Of those to do: nothing would be paid for them, because the same was asked before' }),
    tokens: paidTokens.meta({ description: 'Of all rows to do; null: nobody can tell' }),
    cost: paidCost,
    basis: z.enum(['sample', 'length']).nullable().meta({ description: 'What tokens and cost were told from: the rows of the sample, or the length of what would be asked' }),
    requests: count.nullable().meta({ description: 'That would be sent to others (pages, models, your service) after those of the sample; null: nobody can tell' }),
    least: z.strictObject({ seconds: z.number().min(0), limit: z.string() }).nullable()
      .meta({ description: 'How long it takes at least, and the named limit or web site that makes it so; with one worker, and nobody else under that limit. Null: nothing holds it back' }),
    sample: z.strictObject({ rows: count, failed: count, tokens: paidTokens, cost: paidCost }).nullable().meta({ description: 'What was handled and paid for. The answers are kept for the job' }),
  })
  .meta({ id: 'Forecast' });
export type ForecastAnswer = z.infer<typeof forecastAnswer>;
