/** The step from stored bytes to a document. May be repeated after a crash: it looks whether it was done. */
import type { DocumentRecord } from '../contracts/document.ts';
import { documentOf } from '../domain/document-record.ts';
import { allOf } from '../store/all-of.ts';
import type { Idempotency } from '../temporal/jobs.ts';
import type { Arrived, Received, UploadDeps } from './uploads.ts';

/**
 * Where the tenant has a document of these bytes and `force` is not asked for, that one answers, and the new bytes are the caller's
 * to remove. Rejects with `idempotency_conflict`. An error of the store after the job was written is none: the job makes the document's record itself.
 */
export async function becomeDocument(
  deps: Omit<UploadDeps, 'limits'>, { upload, size, sha256 }: Arrived, password: string | null, { idempotency, batch }: { idempotency?: Idempotency | undefined; batch?: string | undefined } = {},
): Promise<Received> {
  const { store, documents } = deps;
  const { tenant, owner, document: id, job, blob, request: { force, ...request } } = upload;
  const begunBefore = (await store.getJob(tenant, job)) !== null;
  const same = force || begunBefore || idempotency !== undefined ? null : await sameBytes(deps, tenant, sha256);
  // Its own, where another process has just made it.
  if (same !== null) return { document: same, created: same.id === id, queued: true };
  // Of uploads of the same bytes at once, the first to claim them makes the document. No client's key has a space.
  const claim = idempotency ?? (force ? undefined : { key: `bytes ${sha256}`, requestHash: sha256 });
  try {
    const made = await documents.create({ ...request, tenant, owner, ids: { document: id, job }, size, sha256, original: blob, password, batch: batch ?? null }, claim);
    return { ...made, created: made.document.id === id };
  } catch (error) {
    const kept = await store.getJob(tenant, job).catch(() => null);
    if (kept?.kind !== 'document') throw error;
    return { document: documentOf(kept), created: true, queued: false };
  }
}

/** The first document of these bytes; one that is about to be deleted is none. */
async function sameBytes({ store }: Pick<UploadDeps, 'store'>, tenant: string, sha256: string): Promise<DocumentRecord | null> {
  let first: DocumentRecord | null = null;
  for await (const document of allOf((page) => store.listDocuments(tenant, { sha256 }, page))) {
    if ((await store.getJob(tenant, document.job))?.desired !== 'deleted') first = document;
  }
  return first;
}
