/** Sheet files that were uploaded to the blob store. */
import { z } from 'zod';
import type { Blobs } from '../blobs/blobs.ts';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { SheetFile } from './source.ts';

const uploadMeta = z.object({ name: z.string(), size: z.number(), content: z.string(), sha256: z.string().optional() });

/** A file that was uploaded. Rejects with `upload_not_found` when there is none, or when its upload never finished. */
export async function uploadedFile(blobs: Blobs, tenant: string, upload: string): Promise<SheetFile> {
  const missing = (cause: unknown): SheafError =>
    new SheafError('upload_not_found', 'There is no such upload', { remedy: 'Upload the file again', cause });
  const meta = await blobs.get(blobKeys.uploadMeta(tenant, upload)).catch((error: unknown) => {
    throw error instanceof SheafError && error.code === 'blob_not_found' ? missing(error) : error;
  });
  const { name, content, sha256 } = uploadMeta.parse(JSON.parse(meta.toString()));
  const key = blobKeys.upload(tenant, upload, content);
  const info = await blobs.head(key);
  if (info === null) throw missing(undefined);
  return {
    name,
    size: info.size,
    // The same content uploaded again is the same file.
    fingerprint: sha256 === undefined ? `upload:${upload}-${info.size}` : `sha256:${sha256}`,
    stream: (range) => blobs.stream(key, range),
  };
}
