/**
 * The client library for Node: `import { createSheafClient } from 'sheaf/client'`. Jobs are created, watched, steered and read, documents
 * uploaded, followed, read and found; everything else of the API is reached by `call`. Errors are `SheafApiError` with the API's stable codes.
 */
import type { HitAnswer } from '../contracts/search-api.ts';
import type { AcceptedAnswer, ActiveUploadAnswer, DocumentAnswer, DocumentStatusAnswer, ProcessingOptions } from '../contracts/document-api.ts';
import type { ReprocessStage } from '../contracts/document.ts';
import { follow } from './follow.ts';
import { createHttp, type Http, type HttpOptions, type Query, SheafApiError } from './http.ts';
import { jobsOf, type SheafJobs } from './jobs.ts';
import { activeUploads, stageFile, uploadFile, type UploadOptions } from './upload.ts';

export { SheafApiError } from './http.ts';
export { SheafJobError } from './jobs.ts';
export type { CreateOptions, NewSheetJob, RetryOptions, SheafJob, SheafJobs, WatchOptions } from './jobs.ts';
export type { CallOptions, HttpOptions, Query } from './http.ts';
export type { UploadOptions, UploadProgress } from './upload.ts';
export type { AcceptedAnswer, ActiveUploadAnswer, DocumentAnswer, DocumentStatusAnswer, ProcessingOptions } from '../contracts/document-api.ts';
export type { BatchAnswer, BatchFileAnswer } from '../contracts/plans-api.ts';
export type { JobAnswer, JobBody } from '../contracts/job-api.ts';
export type { ErrorGroupsAnswer, ItemAnswer } from '../contracts/items-api.ts';
export type { HitAnswer, PassageHitAnswer, SearchHitAnswer } from '../contracts/search-api.ts';

export interface ListPage<Item> {
  items: Item[];
  /** Null at the end. */
  nextCursor: string | null;
}

export interface DocumentWaitOptions {
  /** Told whenever something has changed. */
  onStatus?: ((status: DocumentStatusAnswer) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface SheafClient extends Http, SheafJobs {
  /** A file on this machine. Resumable: after a crash the same call goes on where the last one stopped. */
  uploadDocument(file: string, options?: UploadOptions): Promise<AcceptedAnswer>;
  /** As `uploadDocument`, but no document is made yet: `POST /batches {files: [{upload}]}` makes those of many. Resumable where `active` is given. Resolves with the upload's id. */
  stageDocument(file: string, options?: UploadOptions, active?: readonly ActiveUploadAnswer[]): Promise<string>;
  /** The caller's uploads in parts that are not complete. */
  activeUploads(signal?: AbortSignal): Promise<ActiveUploadAnswer[]>;
  documentStatus(id: string): Promise<DocumentStatusAnswer>;
  document(id: string): Promise<DocumentAnswer>;
  documents(query?: Query): Promise<ListPage<DocumentAnswer>>;
  /** Resolves when it is `ready` or `failed`; an API that restarts in between is waited for, up to a minute. */
  waitForDocument(id: string, options?: DocumentWaitOptions): Promise<DocumentStatusAnswer>;
  documentText(id: string): Promise<string>;
  reprocessDocument(id: string, asked?: { from?: ReprocessStage; options?: ProcessingOptions }): Promise<DocumentAnswer>;
  deleteDocument(id: string): Promise<DocumentAnswer>;
  search(words: string, query?: Query): Promise<ListPage<HitAnswer>>;
}

/** Milliseconds between two questions, at first and where nothing changes. */
const POLL = { first: 250, most: 2_000 };

export function createSheafClient(options: HttpOptions): SheafClient {
  const http = createHttp(options);
  const documentPath = (id: string, rest = ''): string => `/documents/${encodeURIComponent(id)}${rest}`;
  const documentStatus = (id: string, signal?: AbortSignal): Promise<DocumentStatusAnswer> => http.call('GET', documentPath(id, '/status'), { signal });
  return {
    ...http,
    ...jobsOf(http),
    uploadDocument: (file, upload) => uploadFile(http, file, upload),
    stageDocument: (file, upload = {}, active = []) => stageFile(http, file, upload, active),
    activeUploads: (signal) => activeUploads(http, signal),
    documentStatus: (id) => documentStatus(id),
    document: (id) => http.call('GET', documentPath(id)),
    documents: (query) => http.call('GET', '/documents', { query }),
    async waitForDocument(id, { onStatus, signal } = {}) {
      let before = '';
      const ended = await follow({
        ask: () => documentStatus(id, signal), isEnd: ({ status }) => status !== 'processing', text: (status) => JSON.stringify(status), poll: POLL, signal,
        isPassing: (error) => error instanceof SheafApiError && error.passing,
        onState(status) {
          const now = JSON.stringify(status);
          if (now !== before) onStatus?.(status);
          before = now;
        },
      });
      if (ended === null) throw signal?.reason;
      return ended;
    },
    documentText: async (id) => (await http.open('GET', documentPath(id, '/text'))).text(),
    reprocessDocument: (id, asked = {}) => http.call('POST', documentPath(id, '/reprocess'), { body: asked }),
    deleteDocument: (id) => http.call('DELETE', documentPath(id)),
    search: (words, query = {}) => http.call('GET', '/search', { query: { ...query, q: words } }),
  };
}
