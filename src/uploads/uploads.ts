/** Documents on their way in: whole, or in parts that any process may take. What the rooms' files share, and what they offer. */
import type { Readable } from 'node:stream';
import { ulid } from 'ulid';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { DocumentRecord } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import type { UploadRecord, UploadRequest } from '../contracts/upload.ts';
import { detectType, HEAD_BYTES } from '../documents/detect.ts';
import { cutIntoParts } from '../domain/upload-parts.ts';
import type { Store } from '../store/store.ts';
import { newDocumentIds, type Documents } from '../temporal/documents.ts';
import type { Idempotency } from '../temporal/jobs.ts';
import type { Expected } from './arriving.ts';

export interface UploadLimits {
  /** Bytes of one file. */
  maxBytes: number;
  /** Bytes of a part. */
  chunkBytes: number;
  /** Bytes of a tenant's documents, and of those on their way in parts; null: no limit. */
  quotaBytes: number | null;
}

export interface Uploads {
  parts: PartUploads;
  whole: WholeUploads;
}

export interface UploadDeps {
  store: Store;
  blobs: Blobs;
  documents: Documents;
  limits: UploadLimits;
}

/** A file that is stored and no document yet. */
export interface Arrived {
  upload: UploadRecord;
  size: number;
  sha256: string;
}

export interface Received {
  document: DocumentRecord;
  /** False: there was one before, of the same bytes or made with the same Idempotency-Key. */
  created: boolean;
  /** False: Temporal did not take its job (yet). */
  queued: boolean;
}

export interface PartUploads {
  /** Reserves the ids of document and job. The same key answers what it began. Rejects with `body_too_large`, `quota_exceeded`, `idempotency_conflict`. */
  begin(tenant: string, owner: string, request: UploadRequest, password: string | null, idempotency?: Idempotency): Promise<{ upload: UploadRecord; created: boolean }>;
  /** Rejects with `upload_not_found`. */
  find(tenant: string, id: string): Promise<UploadRecord>;
  /** `repeated`: it had arrived before. Rejects with `upload_not_found`, `wrong_state`, `part_conflict`, `checksum_mismatch`, `invalid_request` (size),
   *  `unsupported_type`, `too_slow`. */
  putPart(tenant: string, id: string, part: { number: number; md5: string }, content: Readable, signal: AbortSignal): Promise<{ upload: UploadRecord; repeated: boolean }>;
  /** May be repeated, and is to be when its answer was lost. `batch`: the one whose file it is. Rejects with `MissingParts`, `checksum_mismatch`, `upload_not_found`. */
  complete(tenant: string, id: string, batch?: string): Promise<Received & { upload: UploadRecord }>;
  /** Removes it with its parts. Rejects with `upload_not_found`, `wrong_state` (it becomes a document). */
  cancel(tenant: string, id: string): Promise<UploadRecord>;
}

export interface WholeUploads {
  /** Stores the file, of which nothing is kept when it breaks off. `atLeast`: bytes that it must have, by the length of the request. Rejects with `body_too_large`, `quota_exceeded`, `unsupported_type`. */
  receive(tenant: string, owner: string, file: { name: string; content: Readable; maxBytes: number; atLeast: number }, signal: AbortSignal): Promise<Arrived>;
  /** Makes a document of it, or finds the one that there is of these bytes. Rejects with `checksum_mismatch`, `idempotency_conflict`; nothing is kept then. */
  finish(arrived: Arrived, request: UploadRequest, password: string | null, idempotency?: Idempotency): Promise<Received>;
  /** Forgets a file that is not to become a document. */
  discard(arrived: Arrived): Promise<void>;
}

/** An upload that nobody goes on with is given up after so long. */
const LIFE_MS = 24 * 3_600_000;
export const inADay = (): string => new Date(Date.now() + LIFE_MS).toISOString();

/** A new upload's record, with the ids that its document and job will have; its own is made of them unless a key gives it another. */
export function newUpload(given: Pick<UploadRecord, 'tenant' | 'owner' | 'request' | 'state'> & Partial<UploadRecord>, chunkBytes: number): UploadRecord {
  const ids = newDocumentIds();
  return {
    id: ids.document.replace('doc_', 'upl_'), requestHash: null, ...ids, blob: blobKeys.original(given.tenant, ids.document, ulid().toLowerCase()), blobUpload: null,
    ...cutIntoParts(given.request.size, chunkBytes), parts: 0, bytes: 0, result: null, error: null,
    createdAt: new Date().toISOString(), expiresAt: inADay(), ...given,
  };
}

/** Refuses what is no document by its first bytes, before any of them is kept. What else is wrong with it, its job will say. */
export const firstLook = (name: string): NonNullable<Expected['look']> => ({
  bytes: HEAD_BYTES,
  at(head) {
    try {
      detectType(head, name);
    } catch (error) {
      if (error instanceof SheafError && error.code === 'unsupported_type') throw error;
    }
  },
});

/** Rejects with `quota_exceeded`. Files that arrive at the same moment may exceed the quota together. */
export async function checkQuota({ store, limits: { quotaBytes } }: UploadDeps, tenant: string, size: number): Promise<void> {
  if (quotaBytes === null) return;
  const used = (await store.documentUsage(tenant)).bytes + (await store.uploadUsage(tenant));
  if (used + size <= quotaBytes) return;
  throw new SheafError('quota_exceeded', `The tenant's documents may have ${quotaBytes} bytes; ${used} are taken, and this file has ${size}.`, {
    remedy: 'Delete documents, cancel uploads, or raise SHEAF_TENANT_QUOTA_BYTES.',
  });
}

export const tooLarge = (maxBytes: number, remedy: string): SheafError => new SheafError('body_too_large', `The file is larger than ${maxBytes} bytes.`, { remedy });

export const otherHash = (hash: string, announced: string): SheafError =>
  new SheafError('checksum_mismatch', `The file has the SHA-256 ${hash}, not ${announced}, which was announced.`, { remedy: 'Upload the file again, with its own hash.' });
