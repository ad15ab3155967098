/** The job as the API shows it. */
import { API_PREFIX } from '../contracts/api.ts';
import type { JobAnswer } from '../contracts/api.ts';
import type { JobRecord, Manifest } from '../contracts/job.ts';
import { progressOf } from '../domain/progress.ts';
import type { Store } from '../store/store.ts';
import { waitsForOthers } from '../temporal/dependents.ts';
import type { ApiContext } from './app.ts';
import { queueAnswer } from './job-queue.ts';

export const jobAddress = (id: string): string => `${API_PREFIX}/jobs/${id}`;

export async function jobAnswerOf(store: Store, job: JobRecord): Promise<JobAnswer> {
  const totals = await store.jobTotals(job.tenant, job.id, job.attempt);
  const { location, fileName, sheet, range, headerRow, startRow, numRows, delimiter, encoding, ...request } = job.request;
  return {
    id: job.id,
    kind: job.kind,
    state: job.state,
    ...(job.desired !== null && { desired: job.desired }),
    ...(job.cause !== null && { cause: job.cause }),
    ...(job.until !== null && { until: job.until }),
    ...(job.reason !== null && { reason: job.reason }),
    tenant: job.tenant,
    owner: job.owner,
    source: job.source,
    lane: job.lane,
    file: { name: fileName, ...location, sheet, range, headerRow, startRow, numRows, delimiter, encoding },
    handler: request.handler,
    options: request.options,
    keyColumns: request.keyColumns,
    onDuplicateKey: request.onDuplicateKey,
    force: request.force,
    priority: job.priority,
    tags: job.tags,
    concurrency: request.concurrency,
    breaker: request.breaker ?? false,
    drainSeconds: request.drainSeconds,
    ...(request.fanOut && { fanOut: request.fanOut }),
    ...(job.runAt !== null && { runAt: job.runAt }),
    dependsOn: job.dependsOn,
    onFailure: job.onFailure,
    ...(job.batch !== null && { batch: job.batch }),
    ...(job.schedule !== null && { schedule: { id: job.schedule.id, at: job.schedule.at } }),
    progress: progressOf(job, totals, Date.now()),
    attempt: job.attempt,
    createdAt: job.createdAt,
    startedAt: job.startedAt,
    completedAt: job.completedAt,
    updatedAt: job.updatedAt,
    ...(job.error !== null && { error: job.error }),
    ...(job.manifest !== null && { manifest: manifestOf(job.manifest) }),
    links: {
      self: jobAddress(job.id),
      items: `${jobAddress(job.id)}/items`,
      events: `${jobAddress(job.id)}/events`,
      results: `${jobAddress(job.id)}/results`,
      dependencies: `${jobAddress(job.id)}/dependencies`,
    },
  };
}

/** With the failed rows by code, the place in the queue and what it waits for, which a list leaves out. */
export async function wholeJobAnswer({ store, config }: Pick<ApiContext, 'store' | 'config'>, job: JobRecord): Promise<JobAnswer> {
  const [queue, waitsFor, answer] = await Promise.all([
    queueAnswer(store, config, job), waitsForOthers(job) ? unmetOf(store, job) : [], jobAnswerOf(store, job),
  ]);
  // Asked for only where there are any: on Elasticsearch it is a search, and people look at jobs often.
  const errors = answer.progress.failed === 0 ? [] : await store.countFailedRows(job.tenant, job.id);
  return { ...answer, ...queue, errors, ...(waitsFor.length > 0 && { waitsFor }) };
}

async function unmetOf(store: Store, job: JobRecord): Promise<NonNullable<JobAnswer['waitsFor']>> {
  const states = await Promise.all(job.dependsOn.map(async (id) => ({ job: id, state: (await store.getJob(job.tenant, id))?.state ?? null })));
  return states.filter(({ state }) => state !== 'completed');
}

const manifestOf = ({ rows, columns, keyColumns, duplicates, warnings }: Manifest): NonNullable<JobAnswer['manifest']> => ({
  rows, columns, keyColumns, identifiedBy: keyColumns.length > 0 ? 'columns' : 'row number', duplicates, warnings,
});
