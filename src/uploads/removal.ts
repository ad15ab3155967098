/** Uploads that go: cancelled, refused, or given up. */
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { UploadRecord } from '../contracts/upload.ts';
import type { Store } from '../store/store.ts';

interface Deps {
  store: Store;
  blobs: Blobs;
}

/** Parts, bytes and record, unless the bytes have become a document's: then the record alone. The record goes last, so that whoever finds it goes on. */
export async function removeUploaded({ store, blobs }: Deps, { tenant, id, document, job, blob, blobUpload }: UploadRecord): Promise<void> {
  if (blobUpload !== null) await blobs.parts.abort(blob, blobUpload);
  // The job is what a document begins with.
  if ((await store.getJob(tenant, job)) === null) await blobs.deleteUnder(blobKeys.documentFolder(tenant, document));
  await store.removeUpload(tenant, id);
}

/** Removes what has expired, of every tenant; each is told of before it goes. */
export async function removeExpired({ store, blobs }: Deps, removing: (upload: UploadRecord) => void): Promise<number> {
  let removed = 0;
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await store.expiredUploads(new Date().toISOString(), { limit: 100, ...(cursor !== undefined && { cursor }) });
    for (const upload of page.items) {
      // Not one that somebody has begun to complete since it was listed.
      if ((await store.changeUpload(upload.tenant, upload.id, [upload.state], { state: 'failed' })) === null) continue;
      removing(upload);
      await removeUploaded({ store, blobs }, upload);
      removed += 1;
    }
    cursor = page.nextCursor;
  }
  return removed;
}
