/** Every endpoint: the server serves this list and the OpenAPI document describes it. */
import type { Endpoint } from './endpoint.ts';
import { documentBulkEndpoints } from './routes/documents-bulk.ts';
import { documentEndpoints } from './routes/documents.ts';
import { documentPartUploadEndpoints } from './routes/document-part-uploads.ts';
import { documentSimpleUploadEndpoints } from './routes/document-simple-uploads.ts';
import { handlerEndpoints } from './routes/handlers.ts';
import { jobEndpoints } from './routes/jobs.ts';
import { jobRowEndpoints } from './routes/job-rows.ts';
import { searchEndpoints } from './routes/search.ts';
import { sourceEndpoints } from './routes/sources.ts';
import { systemEndpoints } from './routes/system.ts';
import { uploadEndpoints } from './routes/uploads.ts';

export const endpoints: readonly Endpoint[] = [
  ...jobEndpoints, ...jobRowEndpoints, ...uploadEndpoints, ...documentPartUploadEndpoints, ...documentSimpleUploadEndpoints, ...documentBulkEndpoints, ...documentEndpoints, ...sourceEndpoints, ...searchEndpoints, ...handlerEndpoints, ...systemEndpoints,
];
