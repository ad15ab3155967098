/**
 * Uploads in parts. Parts go straight to the blob store and are then written down, the first of a number for good: a part that
 * was not written down has not arrived.
 */
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { UploadRecord } from '../contracts/upload.ts';
import { digest } from '../domain/hashing.ts';
import { partSize } from '../domain/upload-parts.ts';
import { localLimits } from '../limits/local.ts';
import { Arriving } from './arriving.ts';
import { completions, ended } from './completing.ts';
import { removeUploaded } from './removal.ts';
import { checkQuota, firstLook, newUpload, tooLarge, type PartUploads, type UploadDeps } from './uploads.ts';

/** Parts that one process receives at once; others wait. On S3 each is held in memory. */
const AT_ONCE = 12;
/** A part that takes longer holds a place that others wait for: with 8 MiB, less than 14 KB/s. */
const PART_LIMIT_MS = 600_000;

export function partUploads(deps: UploadDeps): PartUploads {
  const { store, blobs, limits } = deps;
  const places = localLimits();
  const { find, complete } = completions(deps);

  return {
    find,

    async begin(tenant, owner, request, password, idempotency) {
      if (request.size > limits.maxBytes) throw tooLarge(limits.maxBytes, 'Split it, or raise SHEAF_MAX_UPLOAD_BYTES.');
      const id = idempotency && `upl_${digest(idempotency.key)}`;
      const before = id === undefined ? null : await store.getUpload(tenant, id);
      if (before) return { upload: sameRequest(before, idempotency?.requestHash), created: false };
      await checkQuota(deps, tenant, request.size);
      const wanted = newUpload({ tenant, owner, request, state: 'open', ...(id !== undefined && { id, requestHash: idempotency?.requestHash ?? null }) }, limits.chunkBytes);
      const { blob, document } = wanted;
      const blobUpload = await blobs.parts.begin(blob);
      if (password !== null) await blobs.put(blobKeys.password(tenant, document), Buffer.from(password));
      const { upload, created } = await store.createUpload({ ...wanted, blobUpload });
      if (created) return { upload, created };
      await blobs.parts.abort(blob, blobUpload);
      await blobs.delete(blobKeys.password(tenant, document));
      return { upload: sameRequest(upload, idempotency?.requestHash), created };
    },

    async putPart(tenant, id, { number, md5 }, content, signal) {
      const upload = await find(tenant, id);
      if (number > upload.totalParts) throw new SheafError('invalid_request', `There is no part ${number}: the upload has ${upload.totalParts}.`, { place: { field: 'part_number' } });
      const before = await store.getUploadPart(tenant, id, number);
      if (before) {
        content.resume();
        if (before.md5 !== md5) throw conflict(number);
        return { upload, repeated: true };
      }
      if (upload.state !== 'open') throw ended(upload);
      const size = partSize(upload, number);
      const arriving = new Arriving({
        algorithm: 'md5', maxBytes: size, tooLarge: () => new SheafError('invalid_request', `Part ${number} has more than its ${size} bytes.`, { remedy: 'Cut the file into parts of `chunk_size` bytes.' }),
        ...(number === 1 && { look: firstLook(upload.request.fileName) }),
        atEnd: (hash) => {
          if (hash !== md5) throw new SheafError('checksum_mismatch', `Part ${number} has the MD5 ${hash}, not ${md5}, which was announced.`, { remedy: 'Send the part again.', place: { field: 'chunk_hash' } });
        },
      });
      const place = await places.take('parts', AT_ONCE, signal);
      const patience = AbortSignal.timeout(PART_LIMIT_MS);
      try {
        const { checksum } = await blobs.parts.put(upload.blob, upload.blobUpload ?? '', { number, size }, content.pipe(arriving), { signal: AbortSignal.any([signal, patience]) });
        const added = await store.addUploadPart(tenant, id, { number, size, md5, checksum });
        if (added === null) throw ended(await find(tenant, id));
        // Another content of this number was faster. Its bytes may have been replaced, which completion would find.
        if (added.part.md5 !== md5) throw conflict(number);
        return { upload: added.upload, repeated: false };
      } catch (error) {
        content.unpipe(arriving).resume();
        arriving.destroy();
        if (patience.aborted) throw new SheafError('too_slow', `Part ${number} did not arrive within ${PART_LIMIT_MS / 60_000} minutes.`, { remedy: 'Send the part again.' });
        throw arriving.refusal ?? error;
      } finally {
        places.settle(place);
      }
    },

    complete,

    async cancel(tenant, id) {
      const upload = await find(tenant, id);
      const cancelled = await store.changeUpload(tenant, id, ['open', 'failed'], { state: 'failed' });
      if (cancelled === null) throw ended(await find(tenant, id));
      await removeUploaded(deps, cancelled);
      return upload;
    },
  };
}

const conflict = (number: number): SheafError =>
  new SheafError('part_conflict', `Part ${number} has arrived before, with another hash.`, { remedy: 'Cancel the upload and begin again, where the file has changed.' });

function sameRequest(upload: UploadRecord, requestHash: string | undefined): UploadRecord {
  if (upload.requestHash === requestHash) return upload;
  throw new SheafError('idempotency_conflict', 'The Idempotency-Key was used for another upload before.', { remedy: 'Use a new key for each file.' });
}
