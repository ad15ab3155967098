/**
 * A store that can be read and not written (its disk is full, its indices are read-only) cannot be told that jobs wait
 * for it. So the API says it of every job and document whose record says that it runs: none can keep a result.
 */
import type { DocumentRecord } from '../contracts/document.ts';
import type { ErrorBody } from '../contracts/errors.ts';
import { SheafError } from '../contracts/errors.ts';
import type { JobRecord } from '../contracts/job.ts';
import type { Store } from '../store/store.ts';

/** How old the knowledge may be. Asked only while somebody looks at jobs that run. */
const EVERY_MS = 2_000;

export function sayingThatJobsWait(store: Store): Store {
  let refusal: ErrorBody | null = null;
  let askedAt = -Infinity;

  const ask = (): void => {
    if (performance.now() - askedAt < EVERY_MS) return;
    askedAt = performance.now();
    store.check().then(
      () => { refusal = null; },
      (error: unknown) => { refusal = error instanceof SheafError && error.code === 'store_unavailable' ? error.body() : null; },
    );
  };
  const shown = <Running extends JobRecord | DocumentRecord>(record: Running): Running => {
    if (record.state !== 'running') return record;
    ask();
    return refusal === null ? record : { ...record, state: 'waiting', cause: 'capacity', until: null, reason: refusal.message };
  };
  return {
    ...store,
    async getJob(tenant, id) {
      const job = await store.getJob(tenant, id);
      return job && shown(job);
    },
    async listJobs(tenant, filter, page) {
      const { items, nextCursor } = await store.listJobs(tenant, filter, page);
      return { items: items.map(shown), nextCursor };
    },
    async getDocument(tenant, id) {
      const document = await store.getDocument(tenant, id);
      return document && shown(document);
    },
    async listDocuments(tenant, filter, page) {
      const { items, nextCursor } = await store.listDocuments(tenant, filter, page);
      return { items: items.map(shown), nextCursor };
    },
  };
}
