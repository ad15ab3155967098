/** Files that come in one request. */
import type { SheafError } from '../contracts/errors.ts';
import type { UploadRequest } from '../contracts/upload.ts';
import { DEFAULT_DOCUMENT_OPTIONS } from '../contracts/document.ts';
import { digest } from '../domain/hashing.ts';
import { Arriving } from './arriving.ts';
import { becomeDocument } from './becoming.ts';
import { removeUploaded } from './removal.ts';
import { checkQuota, firstLook, newUpload, otherHash, tooLarge, type UploadDeps, type WholeUploads } from './uploads.ts';

const IN_PARTS = 'Upload it in parts: POST /api/v1/documents/upload/initiate.';

/** What is not known before the whole form has been read. */
const NOT_YET: UploadRequest = {
  fileName: '', size: 0, sha256: null, contentType: null, declaredType: null, documentKey: null, options: DEFAULT_DOCUMENT_OPTIONS, priority: 'normal', tags: [], force: false,
};

export function wholeUploads(deps: UploadDeps): WholeUploads {
  const { store, blobs, limits } = deps;
  return {
    async receive(tenant, owner, { name, content, maxBytes, atLeast }, signal) {
      const tooMuch = (): SheafError => tooLarge(maxBytes, maxBytes < limits.maxBytes ? IN_PARTS : 'Split it, or raise SHEAF_MAX_UPLOAD_BYTES.');
      if (atLeast > maxBytes) throw tooMuch();
      // Written first, so that the sweep finds what a killed process leaves.
      const { upload } = await store.createUpload(newUpload({ tenant, owner, request: { ...NOT_YET, fileName: name }, state: 'arriving' }, limits.chunkBytes));
      const arriving = new Arriving({ algorithm: 'sha256', maxBytes, tooLarge: tooMuch, look: firstLook(name) });
      try {
        const { size } = await blobs.put(upload.blob, content.pipe(arriving), { signal });
        await checkQuota(deps, tenant, size);
        return { upload, size, sha256: arriving.digest };
      } catch (error) {
        content.unpipe(arriving).resume();
        arriving.destroy();
        await removeUploaded(deps, upload).catch(() => {}); // what cannot be removed now is swept
        throw arriving.refusal ?? error;
      }
    },

    async finish({ upload, size, sha256 }, request, password, idempotency) {
      const { tenant, id } = upload;
      try {
        if (request.sha256 !== null && request.sha256 !== sha256) throw otherHash(sha256, request.sha256);
        // The same key with another file is another request.
        const keyed = idempotency && { key: idempotency.key, requestHash: digest(`${idempotency.requestHash} ${sha256}`) };
        const received = await becomeDocument(deps, { upload: { ...upload, request }, size, sha256 }, password, { idempotency: keyed });
        await (received.created ? store.removeUpload(tenant, id) : removeUploaded(deps, upload)).catch(() => {});
        return received;
      } catch (error) {
        await removeUploaded(deps, upload).catch(() => {});
        throw error;
      }
    },

    discard: ({ upload }) => removeUploaded(deps, upload),
  };
}
