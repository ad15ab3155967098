/** A document's record as it begins: all of it is known from its job. */
import { NO_DOCUMENT_COUNTS, NO_METADATA, type DocumentRecord } from '../contracts/document.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';

/** `version` is the store's to give. */
export function documentOf({ tenant, id: job, owner, tags, request, attempt, createdAt, updatedAt }: DocumentJobRecord): DocumentRecord {
  const { document, documentKey, fileName, contentType, declaredType, size, sha256, original, options } = request;
  return {
    tenant, id: document, owner, job, fileName, contentType, declaredType, type: null, size, sha256, documentKey, version: 0, tags, options,
    state: 'queued', cause: null, until: null, reason: null, error: null, attempt, sequence: 0,
    // The file is there: its upload is the one stage that is done before there is a record.
    stage: 'upload', stagePercent: 100, stages: {}, workedMs: 0, partial: false, warnings: [], unscanned: false, quarantined: false,
    counts: { ...NO_DOCUMENT_COUNTS }, metadata: { ...NO_METADATA }, similarTo: null,
    blobs: { original, text: null, blocks: null, chunks: null }, published: null,
    createdAt, startedAt: null, completedAt: null, updatedAt,
  };
}
