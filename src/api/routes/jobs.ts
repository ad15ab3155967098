/** Jobs: created, listed, shown, changed. Their rows are in `job-rows.ts`. */
import path from 'node:path';
import { z } from 'zod';
import { API_PREFIX, idempotencyHeaders, idParams, jobAnswer, jobBody, jobChangeBody, listOf, listQuery, retryBody } from '../../contracts/api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { JOB_STATES } from '../../contracts/job.ts';
import type { DesiredState, JobRecord, SheetJobRecord } from '../../contracts/job.ts';
import { CONTROLS } from '../../contracts/messages.ts';
import type { Control } from '../../contracts/messages.ts';
import { canonicalJson, digest } from '../../domain/hashing.ts';
import { findHandler, parseOptions, resolveHandler } from '../../handlers/index.ts';
import { localFile } from '../../sources/files.ts';
import type { Store } from '../../store/store.ts';
import type { Controlled, NewJob } from '../../temporal/jobs.ts';
import type { ApiContext } from '../app.ts';
import { endpoint, reply } from '../endpoint.ts';
import { jobAddress, jobAnswerOf, wholeJobAnswer } from '../job-answer.ts';
import { InvalidRequest } from '../problem.ts';
import { readUpload } from '../uploads.ts';

const tag = 'Jobs';
const jobs = `${API_PREFIX}/jobs`;

export async function jobOf(store: Store, tenant: string, id: string): Promise<JobRecord> {
  const job = await store.getJob(tenant, id);
  if (!job) throw new SheafError('job_not_found', `There is no job ${id}.`, { remedy: `GET ${jobs} lists those that there are.` });
  return job;
}

/** Of a job that has rows. */
export async function sheetJobOf(store: Store, tenant: string, id: string): Promise<SheetJobRecord> {
  const job = await jobOf(store, tenant, id);
  if (job.kind === 'sheet') return job;
  throw new SheafError('wrong_state', `Job ${id} is a document's; it has no rows.`, { remedy: `GET ${API_PREFIX}/documents/${job.request.document} has its text and passages.` });
}

const create = endpoint({
  method: 'post', path: jobs, id: 'createJob', tag,
  summary: 'Start a job over a sheet',
  headers: idempotencyHeaders,
  body: jobBody,
  answers: {
    201: { description: 'The job was accepted', schema: jobAnswer, headers: { Location: "The job's address" } },
    200: { description: 'The Idempotency-Key had made this job before', schema: jobAnswer, headers: { Location: "The job's address" } },
  },
  fails: ['idempotency_conflict', 'upload_not_found', 'source_not_found', 'path_not_allowed', 'unknown_handler', 'invalid_options'],
}, async ({ tenant, owner, body, headers, res }, deps) => {
  const key = headers['idempotency-key'];
  const idempotency = key === undefined ? undefined : { key, requestHash: await requestHash(deps, tenant, body) };
  const { job, created } = await deps.jobs.create(await newJob(deps, tenant, owner, body), idempotency);
  res.locals.job = job.id; // for the log
  return reply(created ? 201 : 200, await wholeJobAnswer(deps, job), { Location: jobAddress(job.id) });
});

/** The same file uploaded again is the same request. */
async function requestHash(deps: ApiContext, tenant: string, body: z.output<typeof jobBody>): Promise<string> {
  const source = 'upload' in body.source ? { sha256: (await readUpload(deps.blobs, tenant, body.source.upload)).sha256 } : body.source;
  return digest(canonicalJson({ ...body, source }));
}

async function newJob(deps: ApiContext, tenant: string, owner: string, body: z.output<typeof jobBody>): Promise<NewJob> {
  const { source, sourceId, lane, handler, options, priority, tags, concurrency, breaker, ...request } = body;
  const asked = typeof handler === 'string' ? { name: handler } : handler;
  if (options !== undefined && asked.options !== undefined) {
    throw new InvalidRequest('Body', [{ path: 'options', message: 'options are given here and in handler' }]);
  }
  const choice = resolveHandler(asked.name, options ?? asked.options ?? {});
  parseOptions(findHandler(choice.name), choice.options);
  return {
    tenant, owner, priority, tags,
    source: sourceId ?? null,
    lane: lane ?? null,
    request: {
      ...request,
      ...(await located(deps, tenant, source)),
      handler: choice.name,
      options: choice.options,
      concurrency: concurrency ?? null,
      breaker: breaker === false ? null : breaker,
    },
  };
}

/** The file that a body's `source` names, once it is known to exist. */
async function located(deps: ApiContext, tenant: string, source: z.output<typeof jobBody>['source']) {
  if ('upload' in source) {
    const { name } = await readUpload(deps.blobs, tenant, source.upload);
    return { location: source, fileName: name };
  }
  // The worker may run in another folder, so relative ends here.
  const file = path.resolve(source.path);
  const { name } = await localFile(file, deps.config.SHEAF_INPUT_DIRS);
  return { location: { path: file }, fileName: name };
}

const list = endpoint({
  method: 'get', path: jobs, id: 'listJobs', tag,
  summary: 'List jobs, newest first',
  query: z.strictObject({
    state: z.array(z.enum(JOB_STATES)).exactOptional().meta({ description: 'In one of these states; repeated or with commas' }),
    kind: z.enum(['sheet']).exactOptional(),
    source: z.string().min(1).max(500).exactOptional(),
    tag: z.string().min(1).max(64).exactOptional(),
    ...listQuery,
  }),
  answers: { 200: { description: 'A page of jobs', schema: listOf(jobAnswer) } },
  fails: ['invalid_cursor'],
}, async ({ tenant, query: { cursor, limit, ...filter } }, { store }) => {
  const found = await store.listJobs(tenant, filter, { limit, ...(cursor !== undefined && { cursor }) });
  const items = await Promise.all(found.items.map((job) => jobAnswerOf(store, job)));
  return reply(200, { items, nextCursor: found.nextCursor });
});

const show = endpoint({
  method: 'get', path: `${jobs}/{id}`, id: 'getJob', tag,
  summary: 'Show a job',
  params: idParams,
  answers: { 200: { description: 'The job', schema: jobAnswer } },
  fails: ['job_not_found'],
}, async ({ tenant, params }, deps) => reply(200, await wholeJobAnswer(deps, await jobOf(deps.store, tenant, params.id))));

const controlled = {
  200: { description: 'Done: the job as it is now', schema: jobAnswer },
  202: { description: 'Asked for durably; no worker has answered yet. `desired` says what was asked', schema: jobAnswer },
} as const;

async function controlledReply(deps: ApiContext, { job, applied }: Controlled, desired?: DesiredState) {
  const answer = await wholeJobAnswer(deps, job);
  return applied ? reply(200, answer) : reply(202, { ...answer, ...(desired !== undefined && { desired }) });
}

const WISHES: Record<Control, DesiredState> = { pause: 'paused', resume: 'running', cancel: 'cancelled' };

const CONTROL_TEXTS: Record<Control, { summary: string; description: string }> = {
  pause: { summary: 'Pause a job', description: 'No new row starts; rows in flight are let finish for `drainSeconds`.' },
  resume: { summary: 'Resume a paused job', description: 'Goes on with the first row that is not done.' },
  cancel: { summary: 'Cancel a job', description: 'As a pause, but for good; what is done stays. `retry` takes the remaining rows up again.' },
};

const controls = CONTROLS.map((control) => endpoint({
  method: 'post', path: `${jobs}/{id}/${control}`, id: `${control}Job`, tag, ...CONTROL_TEXTS[control],
  params: idParams, answers: controlled, fails: ['job_not_found', 'wrong_state'],
}, async ({ tenant, params }, deps) => controlledReply(deps, await deps.jobs.control(tenant, params.id, control), WISHES[control])));

const retry = endpoint({
  method: 'post', path: `${jobs}/{id}/retry`, id: 'retryJob', tag,
  summary: 'Run failed and remaining rows of an ended job again',
  params: idParams, body: retryBody,
  answers: { 200: { description: 'The job, queued as a new attempt', schema: jobAnswer } },
  fails: ['job_not_found', 'wrong_state'],
}, async ({ tenant, params, body }, deps) => {
  const job = await deps.jobs.retry(tenant, params.id, { codes: body.codes ?? null });
  return reply(200, await wholeJobAnswer(deps, job));
});

const change = endpoint({
  method: 'patch', path: `${jobs}/{id}`, id: 'changeJob', tag,
  summary: "Change a job's priority or concurrency",
  params: idParams, body: jobChangeBody, answers: controlled, fails: ['job_not_found', 'wrong_state'],
}, async ({ tenant, params, body }, deps) => controlledReply(deps, await deps.jobs.change(tenant, params.id, body)));

const remove = endpoint({
  method: 'delete', path: `${jobs}/{id}`, id: 'deleteJob', tag,
  summary: 'Delete a job',
  description: 'Cancels it, then removes its record, counts, events, failed rows and results; rows in the ledger of a named source stay. The job answers until it is gone.',
  params: idParams,
  answers: { 202: { description: 'It will be gone soon', schema: jobAnswer } },
  fails: ['job_not_found'],
}, async ({ tenant, params }, deps) => reply(202, await wholeJobAnswer(deps, await deps.jobs.remove(tenant, params.id))));

export const jobEndpoints = [create, list, show, change, remove, ...controls, retry];
