/** The job as the API shows it. */
import { API_PREFIX } from '../contracts/api.ts';
import type { JobAnswer } from '../contracts/api.ts';
import { documentPercent, type DocumentRecord } from '../contracts/document.ts';
import { isEnded } from '../contracts/job.ts';
import type { DocumentJobRecord, JobRecord, Manifest, SheetJobRecord } from '../contracts/job.ts';
import { progressOf } from '../domain/progress.ts';
import type { Store } from '../store/store.ts';
import type { ApiContext } from './app.ts';
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
    progress: progressOf(job, totals, Date.now()),
    ...(job.manifest !== null && { manifest: manifestOf(job.manifest) }),
    links: {
      self: jobAddress(job.id),
      items: `${jobAddress(job.id)}/items`,
      events: `${jobAddress(job.id)}/events`,
      results: `${jobAddress(job.id)}/results`,
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
    links: { self: jobAddress(job.id), events: `${jobAddress(job.id)}/events`, document: documentAddress(job.request.document) },
  };
}

/** With the failed rows by code and the place in the queue, which a list leaves out. */
export async function wholeJobAnswer({ store, config }: Pick<ApiContext, 'store' | 'config'>, job: JobRecord): Promise<JobAnswer> {
  const [errors, queue, answer] = await Promise.all([
    job.kind === 'sheet' ? store.countFailedRows(job.tenant, job.id) : undefined, queueAnswer(store, config, job), jobAnswerOf(store, job),
  ]);
  return { ...answer, ...queue, ...(errors && { errors }) };
}

const manifestOf = ({ rows, columns, keyColumns, duplicates, warnings }: Manifest): NonNullable<JobAnswer['manifest']> => ({
  rows, columns, keyColumns, identifiedBy: keyColumns.length > 0 ? 'columns' : 'row number', duplicates, warnings,
});
