/** The answer to whoever has sent a whole document, in whatever way. */
import type { Response } from 'express';
import type { z } from 'zod';
import type { AcceptedAnswer } from '../contracts/document-api.ts';
import type { ErrorCode } from '../contracts/errors.ts';
import type { Received } from '../uploads/uploads.ts';
import { statusOf } from './document-answer.ts';
import { documentAddress } from './job-answer.ts';

const NOW = 'Document uploaded and queued for processing';
const LATER = 'Document uploaded and kept. Its processing starts by itself when the queue can be reached again';
const HOW = { ready: 'is ready', processing: 'is being processed', failed: 'has failed: reprocess it, or upload with force' };

export const ACCEPTING_FAILS: ErrorCode[] = ['invalid_request', 'body_too_large', 'quota_exceeded', 'unsupported_type', 'checksum_mismatch', 'idempotency_conflict', 'store_unavailable', 'blobs_unavailable'];

const headers = { Location: "The document's address" };
export const acceptedAnswers = <Schema extends z.ZodType>(schema: Schema) => ({
  201: { description: 'Kept, and queued for processing', schema, headers },
  200: { description: 'There is a document of these bytes, or of this Idempotency-Key, and it answers', schema, headers },
  202: { description: 'Kept; the processing starts when Temporal can be reached', schema, headers },
} as const);

/** For the log. */
export function accepted<Any extends Received>(res: Response, received: Any): Any {
  res.locals.job = received.document.job;
  return received;
}

export const acceptedHeaders = ({ document }: Received) => ({ Location: documentAddress(document.id) });

export function acceptedOf({ document, created, queued }: Received): { status: 200 | 201 | 202; body: AcceptedAnswer } {
  const { status } = statusOf(document.state);
  const base = { success: true as const, document_id: document.id, job_id: document.job, status };
  if (created) return { status: queued ? 201 : 202, body: { ...base, message: queued ? NOW : LATER } };
  return { status: 200, body: { ...base, message: `The same file was uploaded before; its document ${HOW[status]}`, duplicateOf: document.id } };
}
