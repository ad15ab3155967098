/** The job as the API shows it. */
import { API_PREFIX } from '../contracts/api.ts';
import type { JobAnswer } from '../contracts/job-api.ts';
import { documentPercent, type DocumentRecord } from '../contracts/document.ts';
import { isEnded, NOTHING_WRITTEN } from '../contracts/job.ts';
import type { DocumentJobRecord, JobRecord, Manifest, SheetJobRecord } from '../contracts/job.ts';
import { progressOf } from '../domain/progress.ts';
import type { Store } from '../store/store.ts';
import { waitsForOthers } from '../temporal/dependents.ts';
import type { ApiContext } from './context.ts';
import { queueAnswer } from './job-queue.ts';

export const jobAddress = (id: string): string => `${API_PREFIX}/jobs/${id}`;
export const documentAddress = (id: string): string => `${API_PREFIX}/documents/${id}`;

export async function jobAnswerOf(store: Store, job: JobRecord): Promise<JobAnswer> {
  return job.kind === 'sheet' ? sheetJobAnswerOf(store, job) : documentJobAnswerOf(await store.getDocument(job.tenant, job.request.document), job);
}

const anyJobOf = (job: JobRecord) => ({
  id: job.id,
  state: job.state,
  ...(job.desired !== null && { desired: job.desired }),
  ...(job.cause !== null && { cause: job.cause }),
  ...(job.until !== null && { until: job.until }),
  ...(job.reason !== null && { reason: job.reason }),
  tenant: job.tenant,
  owner: job.owner,
  source: job.source,
  lane: job.lane,
  priority: job.priority,
  tags: job.tags,
  drainSeconds: job.request.drainSeconds,
  ...(job.runAt !== null && { runAt: job.runAt }),
  dependsOn: job.dependsOn,
  onFailure: job.onFailure,
  ...(job.batch !== null && { batch: job.batch }),
  ...(job.schedule !== null && { schedule: { id: job.schedule.id, at: job.schedule.at } }),
  attempt: job.attempt,
  createdAt: job.createdAt,
  startedAt: job.startedAt,
  completedAt: job.completedAt,
  updatedAt: job.updatedAt,
  ...(job.error !== null && { error: job.error }),
});

async function sheetJobAnswerOf(store: Store, job: SheetJobRecord): Promise<JobAnswer> {
  const totals = await store.jobTotals(job.tenant, job.id, job.attempt);
  const { location, fileName, sheet, range, headerRow, startRow, numRows, delimiter, encoding, ...request } = job.request;
  return {
    ...anyJobOf(job),
    kind: job.kind,
    file: { name: fileName, ...location, sheet, range, headerRow, startRow, numRows, delimiter, encoding },
    handler: request.handler,
    options: request.options,
    keyColumns: request.keyColumns,
    onDuplicateKey: request.onDuplicateKey,
    force: request.force,
    concurrency: request.concurrency,
    breaker: request.breaker ?? false,
    ...(request.writeBack && { writeBack: { ...request.writeBack, ...(job.writeBack ?? NOTHING_WRITTEN) } }),
    ...(request.fanOut && { fanOut: request.fanOut }),
    ...(request.maxCost !== undefined && { maxCost: request.maxCost }),
    progress: progressOf(job, totals, Date.now()),
    ...(totals.spent && { tokens: totals.spent.tokens, cost: totals.spent.cost, cached: totals.spent.cached ?? 0 }),
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

/** `document`: null until its record is written, moments after the job's. */
function documentJobAnswerOf(document: DocumentRecord | null, job: DocumentJobRecord): JobAnswer {
  const total = document?.counts.passages ?? null;
  const done = document?.counts.indexed ?? 0;
  return {
    ...anyJobOf(job),
    kind: job.kind,
    document: job.request.document,
    file: { name: job.request.fileName },
    handler: 'document',
    options: { ...(document?.options ?? job.request.options) },
    keyColumns: [],
    concurrency: null,
    progress: {
      stage: isEnded(job.state) ? 'ended' : job.startedAt === null || document === null ? 'queued' : document.stage,
      total, done, unchanged: 0, failed: 0, skipped: 0,
      remaining: total === null ? null : Math.max(0, total - done),
      percent: document === null ? 0 : documentPercent({ ...document, state: job.state }),
      itemsPerSecond: null, etaSeconds: null,
    },
    links: { self: jobAddress(job.id), events: `${jobAddress(job.id)}/events`, dependencies: `${jobAddress(job.id)}/dependencies`, document: documentAddress(job.request.document) },
  };
}

/** With the failed rows by code, the place in the queue and what it waits for, which a list leaves out. */
export async function wholeJobAnswer({ store, config }: Pick<ApiContext, 'store' | 'config'>, job: JobRecord): Promise<JobAnswer> {
  const [queue, waitsFor, answer] = await Promise.all([
    queueAnswer(store, config, job), waitsForOthers(job) ? unmetOf(store, job) : [], jobAnswerOf(store, job),
  ]);
  // Asked for only where there are any: on Elasticsearch it is a search, and people look at jobs often.
  const errors = job.kind === 'document' ? undefined : answer.progress.failed === 0 ? [] : await store.countFailedRows(job.tenant, job.id);
  return { ...answer, ...queue, ...(errors && { errors }), ...(waitsFor.length > 0 && { waitsFor }) };
}

async function unmetOf(store: Store, job: JobRecord): Promise<NonNullable<JobAnswer['waitsFor']>> {
  const states = await Promise.all(job.dependsOn.map(async (id) => ({ job: id, state: (await store.getJob(job.tenant, id))?.state ?? null })));
  return states.filter(({ state }) => state !== 'completed');
}

const manifestOf = ({ rows, columns, keyColumns, duplicates, warnings }: Manifest): NonNullable<JobAnswer['manifest']> => ({
  rows, columns, keyColumns, identifiedBy: keyColumns.length > 0 ? 'columns' : 'row number', duplicates, warnings,
});
