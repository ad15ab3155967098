/** Jobs on sheets: created, followed, steered, read. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { JobAnswer, JobBody } from '../contracts/job-api.ts';
import type { ErrorGroupsAnswer, ItemAnswer } from '../contracts/items-api.ts';
import type { UploadAnswer } from '../contracts/sheet-api.ts';
import { isEnded, type Priority } from '../contracts/job.ts';
import type { Control } from '../contracts/messages.ts';
import type { Verdict } from '../contracts/source.ts';
import { follow } from './follow.ts';
import { type Http, type Query, SheafApiError } from './http.ts';

/** Which sheet: a file on this machine, which is uploaded; a Google Sheet by its address; or a `source` as the API takes it. */
export type SheetOf = { file: string } | { url: string } | { source: JobBody['source'] };
/** All else of a job is as `POST /jobs` takes it. */
export type NewSheetJob = SheetOf & Omit<JobBody, 'source'>;

export interface CreateOptions {
  /** The same key again answers the job that it made. */
  idempotencyKey?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface WatchOptions {
  /** Told of every answer, also where nothing has changed. */
  onProgress?: ((job: JobAnswer) => void) | undefined;
  /** It has completed; some of its rows may have failed (`progress.failed`). */
  onCompleted?: ((job: JobAnswer) => void) | undefined;
  /** It has failed, or was cancelled. */
  onFailed?: ((job: JobAnswer) => void) | undefined;
  /** Ends the watching, not the job. */
  signal?: AbortSignal | undefined;
}

export interface RetryOptions {
  /** Only rows that failed with one of these codes, or of one of these groups (`errors`). Rows that were not reached always. */
  codes?: string[];
  fingerprints?: string[];
}

/** The job did not complete: it failed, was cancelled, or did not end in time (`wait_timeout`). */
export class SheafJobError extends Error {
  override readonly name = 'SheafJobError';
  readonly code: string;
  /** As it was last seen; null where it was not. */
  readonly job: JobAnswer | null;

  constructor(code: string, message: string, job: JobAnswer | null) {
    super(message);
    this.code = code;
    this.job = job;
  }
}

/** One job. Everything rejects with `SheafApiError`. */
export interface SheafJob {
  id: string;
  get(signal?: AbortSignal): Promise<JobAnswer>;
  /** Resolves with the ended job, or with null where the signal ended the watching. An API that restarts meanwhile is waited for, up to a minute. */
  watch(options?: WatchOptions): Promise<JobAnswer | null>;
  /** Resolves when it has completed. Rejects with `SheafJobError`, or with the signal's reason. */
  waitForCompletion(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<JobAnswer>;
  pause(signal?: AbortSignal): Promise<JobAnswer>;
  resume(signal?: AbortSignal): Promise<JobAnswer>;
  cancel(signal?: AbortSignal): Promise<JobAnswer>;
  /** Of a job that waits for approval. */
  approve(signal?: AbortSignal): Promise<JobAnswer>;
  reject(signal?: AbortSignal): Promise<JobAnswer>;
  retry(asked?: RetryOptions, signal?: AbortSignal): Promise<JobAnswer>;
  set(change: { priority?: Priority; concurrency?: number; maxCost?: number }, signal?: AbortSignal): Promise<JobAnswer>;
  delete(signal?: AbortSignal): Promise<JobAnswer>;
  /** Row by row, in the sheet's order, while they arrive. */
  results(query?: { state?: ItemAnswer['state'][]; signal?: AbortSignal }): AsyncGenerator<ItemAnswer>;
  /** The file, its body unread. */
  download(query: Query & { format: 'ndjson' | 'csv' | 'xlsx' }, signal?: AbortSignal): Promise<Response>;
  /** Failed rows by what their failures have in common. */
  errors(query?: { limit?: number }, signal?: AbortSignal): Promise<ErrorGroupsAnswer>;
}

export interface SheafJobs {
  createJob(job: NewSheetJob, options?: CreateOptions): Promise<SheafJob & { created: JobAnswer }>;
  job(id: string): SheafJob;
  /** A sheet's bytes; `size` where it is known. Its id is a job's `source.upload`. */
  uploadSheet(name: string, content: AsyncIterable<Uint8Array>, options?: { size?: number | undefined; signal?: AbortSignal | undefined }): Promise<UploadAnswer>;
}

export const JOB_POLL = { first: 500, most: 2_000 };

export const jobText = ({ state, progress: { total, done, unchanged, failed, skipped, submitted } }: JobAnswer): string =>
  JSON.stringify([state, total, done, unchanged, failed, skipped, submitted]);

export function jobsOf(http: Http): SheafJobs {
  const uploadSheet: SheafJobs['uploadSheet'] = (name, content, { size, signal } = {}) => http.call('POST', '/uploads', {
    query: { name }, raw: content, signal, headers: { 'content-type': 'application/octet-stream', ...(size !== undefined && { 'content-length': String(size) }) },
  });

  const sourceOf = async (sheet: SheetOf, signal: AbortSignal | undefined): Promise<JobBody['source']> => {
    if ('source' in sheet) return sheet.source;
    if ('url' in sheet) return { spreadsheet: sheet.url };
    const { size } = await stat(sheet.file);
    return { upload: (await uploadSheet(path.basename(sheet.file), createReadStream(sheet.file), { size, signal })).id };
  };

  const job = (id: string): SheafJob => {
    const at = (rest = ''): string => `/jobs/${encodeURIComponent(id)}${rest}`;
    const get = (signal?: AbortSignal): Promise<JobAnswer> => http.call('GET', at(), { signal });
    const ask = (what: Control | Verdict) => (signal?: AbortSignal): Promise<JobAnswer> => http.call('POST', at(`/${what}`), { signal });
    const watch: SheafJob['watch'] = async ({ onProgress, onCompleted, onFailed, signal } = {}) => {
      const ended = await follow({
        ask: () => get(signal), isEnd: ({ state }) => isEnded(state), text: jobText, onState: (one) => onProgress?.(one),
        isPassing: (error) => error instanceof SheafApiError && error.passing, poll: JOB_POLL, signal,
      });
      if (ended !== null) (ended.state === 'completed' ? onCompleted : onFailed)?.(ended);
      return ended;
    };
    return {
      id, get, watch,
      async waitForCompletion({ timeoutMs, signal } = {}) {
        const late = timeoutMs === undefined ? null : AbortSignal.timeout(timeoutMs);
        let last: JobAnswer | null = null;
        const signals = [late, signal].filter((one) => one !== null && one !== undefined);
        const ended = await watch({ onProgress: (one) => { last = one; }, signal: AbortSignal.any(signals) });
        signal?.throwIfAborted();
        if (ended === null) throw new SheafJobError('wait_timeout', `Job ${id} has not ended within ${timeoutMs} ms; it goes on.`, last);
        if (ended.state === 'completed') return ended;
        throw new SheafJobError(ended.error?.code ?? `job_${ended.state}`, ended.error?.message ?? `Job ${id} was ${ended.state}.`, ended);
      },
      pause: ask('pause'), resume: ask('resume'), cancel: ask('cancel'), approve: ask('approve'), reject: ask('reject'),
      retry: (asked = {}, signal) => http.call('POST', at('/retry'), { body: asked, signal }),
      set: (change, signal) => http.call('PATCH', at(), { body: change, signal }),
      delete: (signal) => http.call('DELETE', at(), { signal }),
      async *results({ state, signal } = {}) {
        const response = await http.open('GET', at('/results'), { query: { format: 'ndjson', state }, signal });
        for await (const line of linesOf(response)) yield JSON.parse(line) as ItemAnswer;
      },
      download: (query, signal) => http.open('GET', at('/results'), { query, signal }),
      errors: (query = {}, signal) => http.call('GET', at('/errors'), { query, signal }),
    };
  };

  return {
    job, uploadSheet,
    async createJob(asked, { idempotencyKey, signal } = {}) {
      const { file: _file, url: _url, source: _source, ...body } = { file: null, url: null, source: null, ...asked };
      const created = await http.call<JobAnswer>('POST', '/jobs', {
        body: { ...body, source: await sourceOf(asked, signal) }, signal, ...(idempotencyKey !== undefined && { headers: { 'idempotency-key': idempotencyKey } }),
      });
      return { ...job(created.id), created };
    },
  };
}

async function* linesOf({ body }: Response): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of body ?? []) {
    const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines.filter((line) => line !== '');
  }
  if (rest !== '') yield rest;
}
