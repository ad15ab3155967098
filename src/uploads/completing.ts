/** From the parts of an upload to its document. May be repeated by whoever finds it unfinished. */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { UploadPart, UploadRecord } from '../contracts/upload.ts';
import { missingParts, partRuns } from '../domain/upload-parts.ts';
import { becomeDocument } from './becoming.ts';
import { inADay, otherHash, type PartUploads, type Received, type UploadDeps } from './uploads.ts';

/** While one process makes the object of the parts again, others may not find it for a moment: not every server puts it in place in one step. */
const LOOK_AGAIN_MS = [100, 300, 1_000] as const;

/** Which parts an upload lacks. */
export class MissingParts extends SheafError {
  readonly parts: number[];

  constructor(parts: number[]) {
    super('parts_mismatch', `The upload lacks ${parts.length === 1 ? 'part' : 'parts'} ${partRuns(parts).slice(0, 500)}.`, { remedy: 'Send what is missing, then complete the upload again.' });
    this.parts = parts;
  }
}

export type Completions = Pick<PartUploads, 'find' | 'complete'>;

export function completions(deps: Omit<UploadDeps, 'limits'>): Completions {
  const { store, blobs } = deps;
  /** Those under way here: a client that asks again does not have the file joined and hashed twice. */
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
      const isThere = async (): Promise<boolean> => (await blobs.head(blob))?.size === request.size;
      // Another process, or an earlier try, has done it.
      if (await isThere()) return;
      const code = error instanceof SheafError ? error.code : null;
      for (const wait of code === 'upload_not_found' ? LOOK_AGAIN_MS : []) {
        await sleep(wait);
        if (await isThere()) return;
      }
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

  const complete = async (tenant: string, id: string, batch: string | undefined, looked = 0): ReturnType<PartUploads['complete']> => {
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
    if (upload === null) return complete(tenant, id, batch); // somebody else has ended it
    const { blob, request } = upload;
    let received: Received;
    try {
      await join(upload, parts);
      const sha256 = await hashOf(blob);
      if (request.sha256 !== null && request.sha256 !== sha256) await fail(upload, otherHash(sha256, request.sha256));
      received = await becomeDocument(deps, { upload, size: request.size, sha256 }, null, { batch });
    } catch (error) {
      // Another process has ended it meanwhile, and has removed the bytes where they were a duplicate.
      const state = (await store.getUpload(tenant, id))?.state;
      if (state === 'completed') return complete(tenant, id, batch);
      const wait = LOOK_AGAIN_MS[looked];
      if (state !== 'completing' || wait === undefined || !(error instanceof SheafError) || error.code !== 'blob_not_found') throw error;
      await sleep(wait);
      return complete(tenant, id, batch, looked + 1);
    }
    const completed = await store.changeUpload(tenant, id, ['completing'], { state: 'completed', result: received.document.id });
    // Last: until it is known which document answers, the bytes may be needed once more. What cannot be removed now is swept with the upload.
    if (!received.created) await blobs.deleteUnder(blobKeys.documentFolder(tenant, upload.document)).catch(() => {});
    return { ...received, upload: completed ?? upload };
  };

  return {
    find,

    complete(tenant, id, batch) {
      const name = JSON.stringify([tenant, id]);
      const running = underWay.get(name);
      if (running) return running;
      const begun = complete(tenant, id, batch).finally(() => underWay.delete(name));
      underWay.set(name, begun);
      return begun;
    },
  };
}

/** Why an upload takes no parts, or cannot be cancelled or completed. */
export function ended({ id, state, error }: UploadRecord): SheafError {
  if (state === 'failed' && error !== null) return new SheafError('wrong_state', `The upload ${id} has failed: ${error.message}`, { remedy: error.remedy ?? 'Upload the file again.' });
  const what = { completed: 'has become a document', completing: 'is becoming a document' }[state as string] ?? 'was cancelled';
  return new SheafError('wrong_state', `The upload ${id} ${what}.`, { remedy: 'GET /api/v1/documents/upload/status/{id} says how it is.' });
}
