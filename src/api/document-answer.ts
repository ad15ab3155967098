/** The document, and what is on its way to be one, as the API shows them. */
import type { z } from 'zod';
import type { ActiveUploadAnswer, DocumentAnswer, DocumentStatusAnswer, processingOptions } from '../contracts/document-api.ts';
import { documentPercent, type DocumentOptions, type DocumentRecord, type DocumentStage } from '../contracts/document.ts';
import type { JobState } from '../contracts/job.ts';
import type { UploadRecord } from '../contracts/upload.ts';
import { TOKEN_ENCODINGS } from '../documents/document.ts';
import { documentAddress, jobAddress } from './job-answer.ts';
import { InvalidRequest } from './problem.ts';

const STAGE_MESSAGES: Record<DocumentStage, string> = {
  upload: 'Uploaded and queued for processing', validation: 'Checking the file', scan: 'Scanning for malware', extraction: 'Extracting the text', chunking: 'Cutting into passages',
  analysis: 'Analysing the text', indexing: 'Indexing the passages', completion: 'Finishing',
};

type TaskState = DocumentStatusAnswer['task_state'];

/** Other words for a document's state, as the seed's clients know them. */
export function statusOf(state: JobState): { status: DocumentStatusAnswer['status']; task: TaskState } {
  if (state === 'completed') return { status: 'ready', task: 'SUCCESS' };
  if (state === 'failed' || state === 'cancelled') return { status: 'failed', task: 'FAILURE' };
  return { status: 'processing', task: state === 'queued' ? 'PENDING' : 'PROCESSING' };
}

function messageOf({ state, stage, reason, error, counts: { passages }, partial }: DocumentRecord): string {
  if (state === 'completed') return `Ready: ${passages ?? 0} passage${passages === 1 ? '' : 's'}${partial ? '; some of the file could not be read' : ''}`;
  if (state === 'cancelled') return 'Cancelled';
  if (error !== null) return error.message;
  return reason ?? (state === 'queued' ? STAGE_MESSAGES.upload : STAGE_MESSAGES[stage]);
}

/** Of the record alone: it is asked for every two seconds by everybody who waits. */
export function documentStatusOf(document: DocumentRecord): DocumentStatusAnswer {
  const { status, task } = statusOf(document.state);
  return {
    document_id: document.id, status, progress: documentPercent(document), task_state: task, message: messageOf(document),
    total_chunks: document.counts.passages ?? 0, ready: status === 'ready',
  };
}

export function documentAnswerOf(document: DocumentRecord): DocumentAnswer {
  const short = documentStatusOf(document);
  const self = documentAddress(document.id);
  const { counts, metadata } = document;
  return {
    ...short,
    task_status: short.task_state,
    task_info: { progress: short.progress, message: short.message, stage: document.stage, attempt: document.attempt },
    job_id: document.job,
    owner: document.owner,
    filename: document.fileName,
    file_size: document.size,
    sha256: document.sha256,
    content_type: document.contentType,
    document_type: document.type,
    document_key: document.documentKey,
    version: document.version,
    tags: document.tags,
    state: document.state,
    ...(document.cause !== null && { cause: document.cause }),
    ...(document.until !== null && { until: document.until }),
    ...(document.error !== null && { error: document.error }),
    stages: Object.fromEntries(Object.entries(document.stages).map(([stage, { completedAt, milliseconds }]) => [stage, { completed_at: completedAt, milliseconds }])),
    partial: document.partial,
    warnings: document.warnings,
    unscanned: document.unscanned,
    quarantined: document.quarantined,
    searchable: document.published !== null,
    similar_to: document.similarTo,
    processing_options: optionsShown(document.options),
    metadata: {
      title: metadata.title, author: metadata.author, subject: metadata.subject, created_at: metadata.createdAt, modified_at: metadata.modifiedAt,
      languages: metadata.languages, keywords: metadata.keywords, reading_minutes: metadata.readingMinutes,
      summary: metadata.summary ?? null, suggested_tags: metadata.suggestedTags ?? [], embedding_model: metadata.embeddings?.model ?? null,
      page_count: counts.pages, character_count: counts.characters, word_count: counts.words, token_count: counts.tokens, chunk_count: counts.passages,
    },
    created_at: document.createdAt,
    started_at: document.startedAt,
    completed_at: document.completedAt,
    updated_at: document.updatedAt,
    links: { self, status: `${self}/status`, job: jobAddress(document.job), text: `${self}/text`, chunks: `${self}/chunks` },
  };
}

const optionsShown = ({ chunkSize, overlap, encoding, ocr, ocrLanguage }: DocumentOptions) => ({ chunk_size: chunkSize, overlap, encoding, ocr, ocr_language: ocrLanguage });

/** The password apart: it goes another way. `where` names the part of the request that they are in. */
export function optionsAsked(where: string, { chunk_size, ocr_language, password, ...options }: z.output<typeof processingOptions>): { options: DocumentOptions; password: string | null } {
  if (!(TOKEN_ENCODINGS as readonly string[]).includes(options.encoding)) {
    throw new InvalidRequest(where, [{ path: 'processing_options.encoding', message: `expected one of ${TOKEN_ENCODINGS.join(', ')}` }]);
  }
  return { options: { ...options, chunkSize: chunk_size, ocrLanguage: ocr_language ?? null }, password: password ?? null };
}

/** `.PDF` is `pdf`. */
export const typeAsked = (given: string | undefined): string | null => given?.replace('.', '').toLowerCase() ?? null;

export function receivedOf({ totalParts, parts, bytes, request: { size } }: UploadRecord) {
  const share = size === 0 ? parts / totalParts : bytes / size;
  return { total_parts: totalParts, parts_received: parts, bytes_received: bytes, percent: Math.floor(share * 1_000) / 10 };
}

export function activeUploadOf(upload: UploadRecord & { state: ActiveUploadAnswer['state'] }): ActiveUploadAnswer {
  const { request } = upload;
  return {
    upload_id: upload.id, job_id: upload.job, document_id: upload.result ?? upload.document, chunk_size: upload.chunkSize, expires_at: upload.expiresAt,
    state: upload.state, filename: request.fileName, file_size: request.size, content_type: request.contentType, document_type: request.declaredType,
    processing_options: optionsShown(request.options), priority: request.priority, sha256: request.sha256, document_key: request.documentKey,
    tags: request.tags, force: request.force, ...receivedOf(upload), created_at: upload.createdAt, ...(upload.error !== null && { error: upload.error }),
  };
}
