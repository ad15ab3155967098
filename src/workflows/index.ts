/** The entry of the workflow bundle. */
export { cleanup_old_documents, reprocess_documents } from './documents-bulk.ts';
export { documentJob } from './document-job.ts';
export { sheetJob } from './sheet-job.ts';
export { closeJob } from './close-job.ts';
export { deleteJob } from './delete-job.ts';
export { sweepUploads } from './sweep-uploads.ts';
