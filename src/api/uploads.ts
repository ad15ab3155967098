/** Uploaded files in the blob store: content first, then what describes it, so that an upload without the latter never was. */
import { createHash } from 'node:crypto';
import { Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import { ulid } from 'ulid';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { UploadAnswer } from '../contracts/api.ts';
import { SheafError } from '../contracts/errors.ts';

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

/**
 * Streams the content to the blobs. When it breaks off (`signal`) or passes `maxBytes` (`body_too_large`), nothing is
 * left. The content is never destroyed, since a request's answer needs its socket; on failure the rest is let run out.
 */
export async function saveUpload(
  blobs: Blobs, tenant: string, file: { name: string; owner: string; content: Readable; maxBytes: number }, signal: AbortSignal,
): Promise<UploadAnswer> {
  const id = ulid();
  const hash = createHash('sha256');
  let size = 0;
  let tooLarge: SheafError | undefined;
  const measured = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      size += chunk.length;
      if (size > file.maxBytes) return done((tooLarge = tooLargeError(file.maxBytes)));
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    file.content.pipe(measured);
    await blobs.put(blobKeys.upload(tenant, id), measured, { signal });
    const upload: UploadAnswer = {
      id, name: file.name, size, sha256: hash.digest('hex'), owner: file.owner, createdAt: new Date().toISOString(),
    };
    await blobs.put(blobKeys.uploadMeta(tenant, id), Buffer.from(JSON.stringify(upload)), { signal });
    return upload;
  } catch (error) {
    file.content.unpipe(measured).resume();
    measured.destroy();
    await removeUpload(blobs, tenant, id);
    throw tooLarge ?? error;
  }
}

export async function removeUpload(blobs: Blobs, tenant: string, id: string): Promise<void> {
  await blobs.deleteUnder(blobKeys.uploadFolder(tenant, id));
}

/** Rejects with `upload_not_found`. */
export async function readUploadMeta(blobs: Blobs, tenant: string, id: string): Promise<UploadAnswer> {
  try {
    return JSON.parse((await blobs.get(blobKeys.uploadMeta(tenant, id))).toString()) as UploadAnswer;
  } catch (error) {
    if (!(error instanceof SheafError) || error.code !== 'blob_not_found') throw error;
    throw new SheafError('upload_not_found', `There is no upload ${id}.`, { remedy: 'Upload the file again: POST /api/v1/uploads.', cause: error });
  }
}
