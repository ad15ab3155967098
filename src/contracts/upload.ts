/** A document that arrives: what the store keeps of it until it has. */
import type { DocumentOptions } from './document.ts';
import type { Priority } from './job.ts';
import type { ErrorBody } from './errors.ts';

/**
 * `open` takes parts; `completing` takes no more, and whoever asks for completion goes on with it; `completed` has become a
 * document; `failed` was not what was announced, or is being removed. `arriving`: a file that comes in one request, to be found should it break off.
 */
export const UPLOAD_STATES = ['open', 'completing', 'completed', 'failed', 'arriving'] as const;
export type UploadState = (typeof UPLOAD_STATES)[number];

/** What the document will be made with. */
export interface UploadRequest {
  fileName: string;
  /** Bytes, as announced. */
  size: number;
  /** As announced, in hexadecimal; null: not said. */
  sha256: string | null;
  contentType: string | null;
  declaredType: string | null;
  documentKey: string | null;
  options: DocumentOptions;
  priority: Priority;
  tags: string[];
  /** Makes a document also of bytes that the tenant has one of. */
  force: boolean;
}

export interface UploadRecord {
  tenant: string;
  id: string;
  owner: string;
  request: UploadRequest;
  /** Of the request; null where no Idempotency-Key named the upload. */
  requestHash: string | null;
  /** Ids that the document and its job will have. */
  document: string;
  job: string;
  /** Blob key, and the blob store's id of the object in parts; null where it comes in one request. */
  blob: string;
  blobUpload: string | null;
  /** Bytes of every part but the last. */
  chunkSize: number;
  totalParts: number;
  state: UploadState;
  /** Parts that have arrived, and their bytes. */
  parts: number;
  bytes: number;
  /** Id of the document that answers for it once `completed`: another's where the tenant had these bytes. */
  result: string | null;
  error: ErrorBody | null;
  createdAt: string;
  /** ISO 8601: when it is given up, with its parts. */
  expiresAt: string;
}

export interface UploadPart {
  /** From 1. */
  number: number;
  /** Bytes. */
  size: number;
  /** MD5 in hexadecimal. */
  md5: string;
  /** The blob store's. */
  checksum: string;
}

/** What becomes of an upload beside its parts. */
export type UploadPatch = Partial<Pick<UploadRecord, 'state' | 'result' | 'error' | 'expiresAt'>>;
