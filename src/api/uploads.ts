/**
 * Uploaded files in the blob store: content first, then what describes it, so that an upload without the latter never was. Of
 * requests with the same Idempotency-Key at once, the first to describe its content made the upload.
 */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ulid } from 'ulid';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { UploadAnswer } from '../contracts/sheet-api.ts';
import { SheafError } from '../contracts/errors.ts';
import { digest } from '../domain/hashing.ts';
import { Arriving } from '../uploads/arriving.ts';

/** Longest name of a file that is kept, in characters. */
const MAX_NAME = 255;

/** The last part of what a client calls a file, without control characters. */
export function fileNameOf(given: string): string {
  const last = given.split(/[/\\]/).at(-1) ?? '';
  return last.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '').trim().slice(-MAX_NAME);
}

const tooLargeError = (maxBytes: number): SheafError =>
  new SheafError('body_too_large', `The file is larger than ${maxBytes} bytes.`, {
    remedy: 'Split it, raise SHEAF_MAX_UPLOAD_BYTES, or give a path that the server can read.',
  });

export interface IncomingFile {
  name: string;
  owner: string;
  content: Readable;
  maxBytes: number;
  /** The same key again answers the upload that it made. */
  idempotencyKey: string | undefined;
}

/**
 * Streams the content to the blobs. When it breaks off (`signal`) or passes `maxBytes` (`body_too_large`), nothing is
 * left. The content is never destroyed, since a request's answer needs its socket; on failure the rest is let run out.
 * Rejects with `idempotency_conflict` where the key came with another content before.
 */
export async function saveUpload(
  blobs: Blobs, tenant: string, file: IncomingFile, signal: AbortSignal,
): Promise<{ upload: UploadAnswer; created: boolean }> {
  const id = file.idempotencyKey === undefined ? ulid() : digest(file.idempotencyKey);
  const measured = new Arriving({ algorithm: 'sha256', maxBytes: file.maxBytes, tooLarge: () => tooLargeError(file.maxBytes) });
  const before = file.idempotencyKey === undefined ? null : await findUpload(blobs, tenant, id);
  const content = ulid();
  const key = blobKeys.upload(tenant, id, content);
  let unwanted = before === null;
  try {
    file.content.pipe(measured);
    if (before) {
      await finished(measured.resume(), { signal });
      return { upload: sameUpload(before, measured), created: false };
    }
    await blobs.put(key, measured, { signal });
    const upload: UploadAnswer = {
      id, name: file.name, size: measured.size, sha256: measured.digest, owner: file.owner, createdAt: new Date().toISOString(),
    };
    signal.throwIfAborted();
    // Should the answer to the description be lost, it may be there all the same, and needs its content.
    unwanted = false;
    const stored = await describe(blobs, tenant, { ...upload, content });
    if (stored.content === content) return { upload, created: true };
    unwanted = true;
    return { upload: sameUpload(stored, measured), created: false };
  } catch (error) {
    file.content.unpipe(measured).resume();
    measured.destroy();
    throw measured.refusal ?? error;
  } finally {
    // What cannot be deleted either has no description, and so is no upload.
    if (unwanted) await blobs.delete(key).catch(() => {});
  }
}

/** Content is the name of the blob with the bytes. */
type StoredUpload = UploadAnswer & { content: string };

/** What describes the upload in the end: this, or what another request with the same key wrote first. */
async function describe(blobs: Blobs, tenant: string, upload: StoredUpload): Promise<StoredUpload> {
  try {
    await blobs.put(blobKeys.uploadMeta(tenant, upload.id), Buffer.from(JSON.stringify(upload)), { ifAbsent: true });
    return upload;
  } catch (error) {
    const first = error instanceof SheafError && error.code === 'conflict' ? await findUpload(blobs, tenant, upload.id) : null;
    if (first === null) throw error;
    return first;
  }
}

function shown(stored: StoredUpload): UploadAnswer {
  const { content: _, ...upload } = stored;
  return upload;
}

function sameUpload(before: StoredUpload, measured: Arriving): UploadAnswer {
  if (measured.digest === before.sha256) return shown(before);
  throw new SheafError('idempotency_conflict', 'The Idempotency-Key came with another file before.', { remedy: 'Use a new key for each file.' });
}

export async function removeUpload(blobs: Blobs, tenant: string, id: string): Promise<void> {
  await blobs.deleteUnder(blobKeys.uploadFolder(tenant, id));
}

/** Rejects with `upload_not_found`. */
export async function readUpload(blobs: Blobs, tenant: string, id: string): Promise<UploadAnswer> {
  const upload = await findUpload(blobs, tenant, id);
  if (upload) return shown(upload);
  throw new SheafError('upload_not_found', `There is no upload ${id}.`, { remedy: 'Upload the file again: POST /api/v1/uploads.' });
}

async function findUpload(blobs: Blobs, tenant: string, id: string): Promise<StoredUpload | null> {
  try {
    return JSON.parse((await blobs.get(blobKeys.uploadMeta(tenant, id))).toString()) as StoredUpload;
  } catch (error) {
    if (error instanceof SheafError && error.code === 'blob_not_found') return null;
    throw error;
  }
}
