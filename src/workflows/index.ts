/** The entry of the workflow bundle. */
export { cleanup_old_documents, reprocess_documents } from './documents-bulk.ts';
export { documentJob } from './document-job.ts';
export { forecastJob } from './forecast-job.ts';
export { sheetJob } from './sheet-job.ts';
export { itemJob } from './item-job.ts';
export { closeJob } from './close-job.ts';
export { deleteJob } from './delete-job.ts';
export { scheduledJob } from './scheduled-job.ts';
export { makeBatch } from './make-batch.ts';
export { bulkAction } from './bulk-action.ts';
export { sweepUploads } from './sweep-uploads.ts';
export { jobWebhooks } from './job-webhooks.ts';
export { limitBroker } from './limit-broker.ts';
export { cleanUp } from './clean-up.ts';
export { deleteSource } from './delete-source.ts';
export { cleanUpSources } from './clean-up-sources.ts';
