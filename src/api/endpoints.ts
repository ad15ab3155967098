/** Every endpoint: the server serves this list and the OpenAPI document describes it. */
import type { Endpoint } from './endpoint.ts';
import { analyticsEndpoints } from './routes/analytics.ts';
import { cleanupEndpoints } from './routes/cleanup.ts';
import { batchEndpoints } from './routes/batches.ts';
import { callbackEndpoints } from './routes/callbacks.ts';
import { bulkEndpoints } from './routes/bulk.ts';
import { documentBulkEndpoints } from './routes/documents-bulk.ts';
import { documentEndpoints } from './routes/documents.ts';
import { documentPartUploadEndpoints } from './routes/document-part-uploads.ts';
import { documentSimpleUploadEndpoints } from './routes/document-simple-uploads.ts';
import { handlerEndpoints } from './routes/handlers.ts';
import { jobItemEndpoints } from './routes/job-item.ts';
import { jobEndpoints } from './routes/jobs.ts';
import { limitEndpoints } from './routes/limits.ts';
import { jobRowEndpoints } from './routes/job-rows.ts';
import { scheduleEndpoints } from './routes/schedules.ts';
import { searchEndpoints } from './routes/search.ts';
import { sourceEndpoints } from './routes/sources.ts';
import { syncedSourceEndpoints } from './routes/synced-sources.ts';
import { systemEndpoints } from './routes/system.ts';
import { webhookEndpoints } from './routes/webhooks.ts';
import { uploadEndpoints } from './routes/uploads.ts';

export const endpoints: readonly Endpoint[] = [
  // Before the jobs: theirs would take `batch` for a job's id.
  ...bulkEndpoints,
  ...jobEndpoints, ...batchEndpoints, ...scheduleEndpoints, ...jobRowEndpoints, ...jobItemEndpoints, ...webhookEndpoints, ...uploadEndpoints, ...sourceEndpoints, ...syncedSourceEndpoints,
  ...searchEndpoints, ...callbackEndpoints, ...handlerEndpoints, ...systemEndpoints, ...limitEndpoints,
  ...cleanupEndpoints, ...analyticsEndpoints,
  ...documentPartUploadEndpoints, ...documentSimpleUploadEndpoints, ...documentBulkEndpoints, ...documentEndpoints,
];
