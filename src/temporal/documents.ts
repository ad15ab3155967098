/** What can be done to documents: the blobs and the store's records first, then the workflow. The API calls this. */
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ulid } from 'ulid';
import { blobKeys } from '../blobs/keys.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { DocumentRecord, DocumentRequest, Reprocess } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import type { DocumentJobRecord, Priority } from '../contracts/job.ts';
import { STATUS_QUERY, TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import type { BulkInput, BulkReport } from '../contracts/document-messages.ts';
import { documentOf } from '../domain/document-record.ts';
import type { Store } from '../store/store.ts';
import type { Idempotency, Jobs } from './jobs.ts';
import { startSoon } from './job-calls.ts';
import { isUnavailable } from './reached.ts';
import { documentBulkWorkflowId } from './workflow-ids.ts';

/** A document and its job have the same name but for what it begins with. An upload reserves both before its first byte. */
export interface DocumentIds {
  document: string;
  job: string;
}

export function newDocumentIds(): DocumentIds {
  const name = ulid().toLowerCase();
  return { document: `doc_${name}`, job: `job_${name}` };
}

/** `original` lies there already: `blobKeys.original`. */
export interface NewDocument extends Omit<DocumentRequest, 'document' | 'documentKey' | 'drainSeconds'> {
  tenant: string;
  owner: string;
  ids: DocumentIds;
  /** Null: the document's id, so that it is nobody's newer version. */
  documentKey: string | null;
  /** Of an encrypted file. Kept in a blob until it has been used, and nowhere else. */
  password: string | null;
  priority: Priority;
  tags: string[];
  /** The batch whose file it is. */
  batch: string | null;
}

export interface Documents {
  /** Writes the records as `queued`, then starts the workflow. When Temporal is unreachable the records stay and the reconciler
   *  starts it. `created` is false when the idempotency key had made a document before: then that one is answered, and the file
   *  of this one is the caller's to delete. `queued` is false when Temporal did not take it (yet). */
  create(document: NewDocument, idempotency?: Idempotency): Promise<{ document: DocumentRecord; created: boolean; queued: boolean }>;
  /** Does an ended document again from a stage on, as a new attempt of its job. Rejects with `document_not_found`, `wrong_state`
   *  (not ended, or what the stage needs is not there). */
  reprocess(tenant: string, id: string, asked: Reprocess & { password: string | null }): Promise<DocumentRecord>;
  /** Does something to all documents that a filter finds, durably: deletes them, or does them again. Answers the id to ask for its
   *  report. Rejects with `temporal_unavailable`: nothing was begun. */
  bulk(tenant: string, asked: Omit<BulkInput, 'tenant' | 'carried'>): Promise<string>;
  /** Null: there is none of the tenant's with this id, or it ended longer ago than Temporal remembers. */
  bulkReport(tenant: string, id: string): Promise<BulkReport | null>;
  /** Cancels its job, then removes the document everywhere, durably; the record answers until it is gone. Rejects with `document_not_found`. */
  remove(tenant: string, id: string): Promise<DocumentRecord>;
}

/** A stage of a document is let finish that long after a pause or cancel. */
const DRAIN_SECONDS = 30;
/** What Temporal may take to answer. */
const CALL_MS = 5_000;

export function createDocuments(deps: { store: Store; blobs: Blobs; client: Client; jobs: Jobs }): Documents {
  const { store, blobs, client, jobs } = deps;

  const get = async (tenant: string, id: string): Promise<DocumentRecord> => {
    const document = await store.getDocument(tenant, id);
    if (!document) throw new SheafError('document_not_found', `There is no document ${id}.`, { remedy: '`sheaf doc list` shows those that there are.' });
    return document;
  };

  const keepPassword = async (tenant: string, id: string, password: string | null): Promise<void> => {
    if (password !== null) await blobs.put(blobKeys.password(tenant, id), Buffer.from(password));
  };

  return {
    async create({ tenant, owner, ids, documentKey, password, priority, tags, batch, ...file }, idempotency) {
      const now = new Date().toISOString();
      const key = documentKey ?? ids.document;
      await keepPassword(tenant, ids.document, password);
      const record: DocumentJobRecord = {
        tenant, id: ids.job, owner, kind: 'document', request: { ...file, document: ids.document, documentKey: key, drainSeconds: DRAIN_SECONDS },
        source: `document:${key}`, lane: 'document', priority, tags, state: 'queued', desired: null, cause: null, until: null,
        reason: null, error: null, attempt: 1, sequence: 0, revision: 0, retry: null, manifest: null,
        createdAt: now, startedAt: null, completedAt: null, updatedAt: now, runningSince: null, finishedBefore: 0,
        runAt: null, dependsOn: [], onFailure: 'cancel', batch, schedule: null,
      };
      const { job, created } = await store.createJob(record, idempotency);
      if (job.kind !== 'document') throw new SheafError('idempotency_conflict', 'The Idempotency-Key was used for a job over a sheet.', { remedy: 'Use a new key.' });
      if (!created && job.id !== ids.job) await blobs.delete(blobKeys.password(tenant, ids.document));
      // The job says all that the document's record begins with: whoever finds it missing writes it, as its workflow does.
      const { document } = await store.createDocument(documentOf(job));
      if (created) {
        await store.appendEvent(tenant, job.id, { at: now, type: 'created', dedupe: 'created', message: `Uploaded by ${owner}: ${file.fileName}, ${file.size} bytes.` });
      }
      return { document, created, queued: !created || await startSoon(client, job) };
    },

    async reprocess(tenant, id, { password, ...reprocess }) {
      const document = await get(tenant, id);
      if (document.quarantined) throw new SheafError('malware_found', `Document ${id} holds malware and is not processed.`, { remedy: 'Delete it.' });
      const { from } = reprocess;
      const needsText = from === 'chunking' || from === 'analysis' || from === 'indexing';
      if (needsText && document.blobs.text === null) throw missing(id, from, 'extraction');
      if ((from === 'analysis' || from === 'indexing') && document.blobs.chunks === null) throw missing(id, from, 'chunking');
      await keepPassword(tenant, id, password);
      await jobs.retry(tenant, document.job, { codes: null, reprocess });
      return get(tenant, id);
    },

    async bulk(tenant, asked) {
      const id = `bulk_${ulid().toLowerCase()}`;
      await unlessAway(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.start(asked.reprocess === null ? WORKFLOWS.cleanupOldDocuments : WORKFLOWS.reprocessDocuments, {
        workflowId: documentBulkWorkflowId(tenant, id), taskQueue: TASK_QUEUES.jobs, args: [{ tenant, ...asked } satisfies BulkInput],
        staticSummary: `${asked.reprocess === null ? 'delete' : 'do again'}${asked.dryRun ? ' (only counted)' : ''}`,
      })));
      return id;
    },

    async bulkReport(tenant, id) {
      try {
        return await unlessAway(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.getHandle(documentBulkWorkflowId(tenant, id)).query<BulkReport, []>(STATUS_QUERY)));
      } catch (error) {
        if (error instanceof WorkflowNotFoundError) return null;
        throw error;
      }
    },

    async remove(tenant, id) {
      const document = await get(tenant, id);
      await jobs.remove(tenant, document.job);
      return document;
    },
  };
}

async function unlessAway<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    throw new SheafError('temporal_unavailable', 'Temporal cannot be reached.', { remedy: 'Try again when it is back; `sheaf system check` tells.', cause: error });
  }
}

const missing = (id: string, from: string, before: string): SheafError =>
  new SheafError('wrong_state', `Document ${id} cannot be done again from ${from} on: its ${before} has no result.`, { remedy: `Ask for it from ${before} on.` });
