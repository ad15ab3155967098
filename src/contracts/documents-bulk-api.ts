/** About many documents at once: what is asked for all that a filter finds, and what the processing comes to. See `document-api.ts`. */
import { z } from 'zod';
import { count, time } from './api.ts';
import { documentKey, processingOptions } from './document-api.ts';
import { DOCUMENT_STAGES, REPROCESS_STAGES } from './document.ts';
import { JOB_STATES } from './job.ts';

const bulkFilter = {
  state: z.array(z.enum(JOB_STATES)).min(1).exactOptional(),
  type: z.string().min(1).max(20).exactOptional(),
  tag: z.string().min(1).max(64).exactOptional(),
  owner: z.string().min(1).max(63).exactOptional(),
};
const dryRun = z.boolean().default(false).meta({ description: 'Only count what would be done' });

export const cleanupBody = z.strictObject({
  ...bulkFilter,
  older_than_days: z.number().min(0).max(36_500).meta({ description: 'Accepted longer ago than this' }),
  dry_run: dryRun,
});

export const reprocessAllBody = z.strictObject({
  ...bulkFilter,
  document_key: documentKey.exactOptional(),
  from: z.enum(REPROCESS_STAGES).exactOptional().meta({ description: 'Default: the stage that each stopped at' }),
  options: processingOptions.exactOptional().meta({ description: 'In place of those before' }),
  dry_run: dryRun,
});

export const bulkStartedAnswer = z.strictObject({ id: z.string(), links: z.strictObject({ report: z.string() }) });

export const bulkAnswer = z
  .strictObject({
    id: z.string(),
    found: count.meta({ description: 'Documents that the filter has found so far' }),
    taken: count.meta({ description: 'Those that it was done to, or would be' }),
    bytes: count.meta({ description: "Of the taken ones' files" }),
    refused: z.record(z.string(), count).meta({ description: 'Those that were in no state for it, by code' }),
    document_ids: z.array(z.string()).meta({ description: 'The first 100 of the taken ones' }),
    done: z.boolean(),
  })
  .meta({ id: 'BulkReport' });
export type BulkAnswer = z.infer<typeof bulkAnswer>;

export const processingMetricsAnswer = z
  .strictObject({
    since: time.meta({ description: 'What was accepted before is not counted' }),
    documents: z.strictObject({ total: count, queued: count, processing: count, ready: count, failed: count }),
    completion_rate: z.number().min(0).max(1).nullable().meta({ description: 'Of those that ended; null where none has' }),
    error_rate: z.number().min(0).max(1).nullable(),
    errors: z.array(z.strictObject({ code: z.string(), documents: count })).meta({ description: 'Most frequent first' }),
    queue_length: count.meta({ description: 'Accepted, and not begun' }),
    average_processing_seconds: z.number().min(0).nullable().meta({ description: 'From the first stage to the end' }),
    throughput_per_minute: z.number().min(0).meta({ description: 'Documents that ended in the last hour, per minute' }),
    stages: z.partialRecord(z.enum(DOCUMENT_STAGES), z.strictObject({ documents: count, average_seconds: z.number().min(0) })),
    types: z.record(z.string(), z.strictObject({ documents: count, average_seconds: z.number().min(0).nullable() })),
    sampled: z.boolean().meta({ description: 'There were more documents than are counted: the newest were' }),
  })
  .meta({ id: 'ProcessingMetrics' });
