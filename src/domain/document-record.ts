/** A document's record: as it begins, and as it is written to. */
import { NO_DOCUMENT_COUNTS, NO_METADATA, type DocumentPatch, type DocumentRecord, type DocumentWriter } from '../contracts/document.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';

/** All of it is known from its job; `version` is the store's to give. */
export function documentOf({ tenant, id: job, owner, tags, request, attempt, createdAt, updatedAt }: DocumentJobRecord): DocumentRecord {
  const { document, documentKey, fileName, contentType, declaredType, size, sha256, original, options } = request;
  return {
    tenant, id: document, owner, job, fileName, contentType, declaredType, type: null, size, sha256, documentKey, version: 0, tags, options,
    state: 'queued', cause: null, until: null, reason: null, error: null, attempt, sequence: 0, dispatch: 0, generation: 0,
    // The file is there: its upload is the one stage that is done before there is a record.
    stage: 'upload', stagePercent: 100, stages: {}, workedMs: 0, partial: false, warnings: [], unscanned: false, quarantined: false,
    counts: { ...NO_DOCUMENT_COUNTS }, metadata: { ...NO_METADATA }, similarity: null, similarTo: [],
    blobs: { original, text: null, blocks: null, extraction: null, chunks: null }, published: null,
    createdAt, startedAt: null, completedAt: null, updatedAt,
  };
}

/** The record after a write; null where the writer comes late. A writer may write more than once. */
export function advanced(document: DocumentRecord, by: DocumentWriter, patch: DocumentPatch): DocumentRecord | null {
  if (by.attempt < document.attempt) return null;
  const before = by.attempt === document.attempt ? document : { sequence: 0, dispatch: 0 };
  const at = 'sequence' in by ? { sequence: by.sequence, dispatch: before.dispatch } : { sequence: before.sequence, dispatch: by.dispatch };
  if (at.sequence < before.sequence || at.dispatch < before.dispatch) return null;
  return { ...document, ...patch, attempt: by.attempt, ...at, updatedAt: new Date().toISOString() };
}
