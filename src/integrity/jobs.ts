/** Whether sheets' jobs, their pages and their counts agree. What is still in work is left alone. */
import { blobKeys } from '../blobs/keys.ts';
import { isEnded, type PageRecord, type SheetJobRecord } from '../contracts/job.ts';
import type { Parts, Suspicion } from './finding.ts';
import { allOf } from '../store/all-of.ts';

export async function* jobSuspicions(parts: Parts, tenant: string): AsyncGenerator<Suspicion> {
  for await (const job of allOf((page) => parts.store.listJobs(tenant, { kind: 'sheet' }, page))) {
    if (job.kind === 'sheet' && isEnded(job.state) && job.desired === null) yield* suspicionsOf(parts, job);
  }
  yield* strayBlobs(parts, tenant);
}

async function* suspicionsOf({ store, blobs }: Parts, job: SheetJobRecord): AsyncGenerator<Suspicion> {
  const { tenant, id, manifest, attempt } = job;
  const unmoved = async (): Promise<boolean> => {
    const now = await store.getJob(tenant, id);
    return now !== null && now.attempt === attempt && isEnded(now.state) && now.desired === null;
  };
  if (manifest === null) return;
  const pages: PageRecord[] = [];
  for await (const page of allOf((asked) => store.listPages(tenant, id, asked))) pages.push(page);
  const named = [
    ...Array.from({ length: manifest.pages }, (_, index) => ({ key: blobKeys.page(tenant, id, index + 1), what: `page ${index + 1}` })),
    ...pages.flatMap(({ page, result }) => (result === null ? [] : [{ key: result, what: `the result of page ${page}` }])),
  ];
  const there = new Set<string>();
  for await (const { key } of blobs.list(blobKeys.jobFolder(tenant, id))) there.add(key);
  for (const { key, what } of named.filter((one) => !there.has(one.key))) {
    yield {
      kind: 'missing_blob', tenant, of: id, key, message: `Of job ${id} ${what} is not there: restore it from a backup, or run the sheet again.`,
      stillSo: async () => (await unmoved()) && (await blobs.head(key)) === null, repair: null,
    };
  }
  const wanted = new Set(named.map(({ key }) => key));
  for (const key of there) {
    // Tries that were overtaken leave their results behind.
    if (wanted.has(key) || !key.startsWith(`${blobKeys.jobFolder(tenant, id)}results/`)) continue;
    yield {
      kind: 'orphaned_blob', tenant, of: id, key, message: `A result of job ${id} that a later try has replaced.`,
      stillSo: async () => (await unmoved()) && (await blobs.head(key)) !== null, repair: () => blobs.delete(key),
    };
  }
  const wrong = async (): Promise<string | null> => {
    const { done, unchanged, failed, skipped } = await store.jobTotals(tenant, id, attempt);
    const finished = done + unchanged + failed + skipped;
    if (finished > manifest.rows) return `${finished} of ${manifest.rows} rows have an outcome`;
    if (job.state === 'completed' && finished < manifest.rows) return `it is completed and ${manifest.rows - finished} of its rows have no outcome`;
    const listed = (await store.countFailedRows(tenant, id)).reduce((sum, { rows }) => sum + rows, 0);
    return listed === failed ? null : `${failed} rows have failed and ${listed} are listed`;
  };
  const message = await wrong();
  if (message === null) return;
  yield { kind: 'wrong_counts', tenant, of: id, message: `The counts of job ${id} do not add up: ${message}.`, stillSo: async () => (await unmoved()) && (await wrong()) !== null, repair: null };
}

/** Pages and results of jobs that are gone. */
async function* strayBlobs({ store, blobs }: Parts, tenant: string): AsyncGenerator<Suspicion> {
  let known = { id: '', gone: false };
  for await (const { key } of blobs.list(`${tenant}/jobs/`)) {
    const id = key.split('/')[2] ?? '';
    if (id !== known.id) known = { id, gone: (await store.getJob(tenant, id)) === null };
    if (!known.gone) continue;
    yield {
      kind: 'orphaned_blob', tenant, of: id, key, message: `An object of job ${id}, which is gone.`,
      stillSo: async () => (await store.getJob(tenant, id)) === null && (await blobs.head(key)) !== null, repair: () => blobs.delete(key),
    };
  }
}
