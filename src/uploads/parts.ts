/**
 * Uploads in parts. Parts go straight to the blob store and are then written down, the first of a number for good: a part that
 * was not written down has not arrived. Completion may be repeated by whoever finds it unfinished.
 */
import { createHash } from 'node:crypto';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { UploadPart, UploadRecord } from '../contracts/upload.ts';
import { digest } from '../domain/hashing.ts';
import { missingParts, partRuns, partSize } from '../domain/upload-parts.ts';
import { localLimits } from '../limits/local.ts';
import { Arriving } from './arriving.ts';
import { becomeDocument } from './becoming.ts';
import { removeUploaded } from './removal.ts';
import { checkQuota, firstLook, inADay, newUpload, otherHash, tooLarge, type PartUploads, type Received, type UploadDeps } from './uploads.ts';

/** Parts that one process receives at once; others wait. On S3 each is held in memory. */
const AT_ONCE = 12;
/** A part that takes longer holds a place that others wait for: with 8 MiB, less than 14 KB/s. */
const PART_LIMIT_MS = 600_000;

/** Which parts an upload lacks. */
export class MissingParts extends SheafError {
  readonly parts: number[];

  constructor(parts: number[]) {
    super('parts_mismatch', `The upload lacks ${parts.length === 1 ? 'part' : 'parts'} ${partRuns(parts).slice(0, 500)}.`, { remedy: 'Send what is missing, then complete the upload again.' });
    this.parts = parts;
  }
}

export function partUploads(deps: UploadDeps): PartUploads {
  const { store, blobs, limits } = deps;
  const places = localLimits();
  /** Completions under way here: a client that asks again does not have the file joined and hashed twice. */
  const underWay = new Map<string, ReturnType<PartUploads['complete']>>();

  const find = async (tenant: string, id: string): Promise<UploadRecord> => {
    const upload = await store.getUpload(tenant, id);
    if (upload !== null && upload.state !== 'arriving' && Date.parse(upload.expiresAt) > Date.now()) return upload;
    throw new SheafError('upload_not_found', `There is no upload ${id}.`, { remedy: 'It was cancelled, or abandoned for a day. GET /api/v1/documents/upload/active lists those that there are.' });
  };

  /** Ends an upload that is not what it was announced to be. */
  const fail = async (upload: UploadRecord, error: SheafError): Promise<never> => {
    await store.changeUpload(upload.tenant, upload.id, ['completing'], { state: 'failed', error: error.body() });
    await blobs.deleteUnder(blobKeys.documentFolder(upload.tenant, upload.document));
    throw error;
  };

  /** Makes the object of its parts. Parts that turn out to be others than those written down are forgotten, to be sent again. */
  const join = async (upload: UploadRecord, parts: UploadPart[]): Promise<void> => {
    const { tenant, id, blob, blobUpload, request } = upload;
    try {
      await blobs.parts.complete(blob, blobUpload ?? '', parts.map(({ number, size, checksum }) => ({ number, size, checksum })));
    } catch (error) {
      // Another process, or an earlier try, has done it.
      if ((await blobs.head(blob))?.size === request.size) return;
      const code = error instanceof SheafError ? error.code : null;
      if (code === 'upload_not_found') await fail(upload, new SheafError('upload_not_found', 'The parts of the upload are gone from the blob store.', { remedy: 'Upload the file again.', cause: error }));
      if (code !== 'parts_mismatch') throw error;
      const there = new Map((await blobs.parts.list(blob, blobUpload ?? '')).map((part) => [part.number, part]));
      const wrong = parts.filter(({ number, size, checksum }) => there.get(number)?.size !== size || there.get(number)?.checksum !== checksum);
      await store.dropUploadParts(tenant, id, wrong);
      await store.changeUpload(tenant, id, ['completing'], { state: 'open' });
      throw new MissingParts(wrong.map(({ number }) => number));
    }
  };

  const hashOf = async (key: string): Promise<string> => {
    const hash = createHash('sha256');
    for await (const chunk of await blobs.stream(key)) hash.update(chunk as Buffer);
    return hash.digest('hex');
  };

  const complete: PartUploads['complete'] = async (tenant, id) => {
    const found = await find(tenant, id);
    if (found.state === 'failed') throw ended(found);
    if (found.state === 'completed') {
      const document = await store.getDocument(tenant, found.result ?? found.document);
      if (document) return { document, created: document.id === found.document, queued: true, upload: found };
      throw new SheafError('document_not_found', `The document of the upload ${id} was deleted.`, { remedy: 'Upload the file again.' });
    }
    const parts = await store.uploadParts(tenant, id);
    const missing = missingParts(found.totalParts, parts.map(({ number }) => number));
    if (missing.length > 0) throw new MissingParts(missing);
    const upload = await store.changeUpload(tenant, id, ['open', 'completing'], { state: 'completing', expiresAt: inADay() });
    if (upload === null) return complete(tenant, id); // somebody else has ended it
    const { blob, request } = upload;
    let received: Received;
    try {
      await join(upload, parts);
      const sha256 = await hashOf(blob);
      if (request.sha256 !== null && request.sha256 !== sha256) await fail(upload, otherHash(sha256, request.sha256));
      received = await becomeDocument(deps, { upload, size: request.size, sha256 }, null);
    } catch (error) {
      // Another process has ended it meanwhile, and has removed the bytes where they were a duplicate.
      if ((await store.getUpload(tenant, id))?.state === 'completed') return complete(tenant, id);
      throw error;
    }
    const completed = await store.changeUpload(tenant, id, ['completing'], { state: 'completed', result: received.document.id });
    // Last: until it is known which document answers, the bytes may be needed once more.
    if (!received.created) await blobs.deleteUnder(blobKeys.documentFolder(tenant, upload.document));
    return { ...received, upload: completed ?? upload };
  };

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

    complete(tenant, id) {
      const name = JSON.stringify([tenant, id]);
      const running = underWay.get(name);
      if (running) return running;
      const begun = complete(tenant, id).finally(() => underWay.delete(name));
      underWay.set(name, begun);
      return begun;
    },

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

/** Why an upload takes no parts, or cannot be cancelled or completed. */
function ended({ id, state, error }: UploadRecord): SheafError {
  if (state === 'failed' && error !== null) return new SheafError('wrong_state', `The upload ${id} has failed: ${error.message}`, { remedy: error.remedy ?? 'Upload the file again.' });
  const what = { completed: 'has become a document', completing: 'is becoming a document' }[state as string] ?? 'was cancelled';
  return new SheafError('wrong_state', `The upload ${id} ${what}.`, { remedy: 'GET /api/v1/documents/upload/status/{id} says how it is.' });
}

function sameRequest(upload: UploadRecord, requestHash: string | undefined): UploadRecord {
  if (upload.requestHash === requestHash) return upload;
  throw new SheafError('idempotency_conflict', 'The Idempotency-Key was used for another upload before.', { remedy: 'Use a new key for each file.' });
}
