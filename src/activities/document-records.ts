/** The document's record as its job moves: it says the same, and at the end what must not stay is gone. */
import { blobKeys } from '../blobs/keys.ts';
import type { DocumentRecord } from '../contracts/document.ts';
import type { DocumentJobRecord } from '../contracts/job.ts';
import type { FinishJobInput, RecordStateInput } from '../contracts/messages.ts';
import type { ActivityDeps } from './deps.ts';
import { documentOfJob } from './documents.ts';

export async function recordDocumentState(deps: ActivityDeps, job: DocumentJobRecord, { attempt, sequence, state, cause, until, reason }: RecordStateInput): Promise<void> {
  const document = await documentOfJob(deps, job);
  await deps.store.advanceDocument(job.tenant, document.id, { attempt, sequence }, { state, cause, until, reason });
}

/** While the job still has the lane: no other version writes passages meanwhile. May be repeated. Answers the document as it ended. */
export async function finishDocument(
  { store, blobs, ...deps }: ActivityDeps, job: DocumentJobRecord, { attempt, state, error, reason }: FinishJobInput, sequence: number,
): Promise<DocumentRecord> {
  const { id, documentKey } = await documentOfJob({ store, blobs, ...deps }, job);
  await blobs.delete(blobKeys.password(job.tenant, id));
  // Of a document that did not come to its end nothing is found but what was there before. One that did has removed them itself.
  if (state !== 'completed') while (!(await store.removeStalePassages(job.tenant, documentKey, null)));
  const completedAt = new Date().toISOString();
  await store.advanceDocument(job.tenant, id, { attempt, sequence }, { state, error, reason, cause: null, until: null, completedAt });
  return documentOfJob({ store, blobs, ...deps }, job);
}

/** What the end's event says. */
export const endOf = ({ counts: { pages, passages }, published, partial, error }: DocumentRecord): string => [
  ...(error === null ? [] : [error.message]),
  ...(partial ? ['Some of it could not be read.'] : []),
  `${pages === null ? '' : `${pages} pages, `}${passages ?? 0} passages, ${published === null ? 'none of them' : 'which'} search finds.`,
].join(' ');
