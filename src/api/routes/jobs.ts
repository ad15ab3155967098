/** Jobs: created, listed, shown, changed. Their rows are in `job-rows.ts`. */
import { ulid } from 'ulid';
import { z } from 'zod';
import { API_PREFIX, idempotencyHeaders, idParams, listOf, listQuery } from '../../contracts/api.ts';
import { jobAnswer, jobBody, jobChangeBody, retryBody } from '../../contracts/job-api.ts';
import { forecastAnswer, forecastBody } from '../../contracts/forecast-api.ts';
import { jobGraphAnswer } from '../../contracts/plans-api.ts';
import { SheafError } from '../../contracts/errors.ts';
import { JOB_STATES } from '../../contracts/job.ts';
import type { DesiredState, JobRecord, SheetJobRecord } from '../../contracts/job.ts';
import { CONTROLS } from '../../contracts/messages.ts';
import type { Control } from '../../contracts/messages.ts';
import { VERDICTS, type Verdict } from '../../contracts/source.ts';
import type { Store } from '../../store/store.ts';
import type { Controlled } from '../../temporal/jobs.ts';
import type { ApiContext } from '../context.ts';
import { endpoint, reply } from '../endpoint.ts';
import { jobAddress, jobAnswerOf, wholeJobAnswer } from '../job-answer.ts';
import { jobGraph } from '../job-graph.ts';
import { newJob, requestHash } from '../new-job.ts';

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
  fails: ['idempotency_conflict', 'upload_not_found', 'source_not_found', 'path_not_allowed', 'unknown_handler', 'invalid_options', 'unknown_dependency'],
}, async ({ tenant, owner, body, headers, res }, deps) => {
  const key = headers['idempotency-key'];
  const origin = key === undefined ? {} : { idempotency: { key, requestHash: await requestHash(deps, tenant, body) } };
  const { job, created } = await deps.jobs.create(await newJob(deps, tenant, owner, body), origin);
  res.locals.job = job.id; // for the log
  return reply(created ? 201 : 200, await wholeJobAnswer(deps, job), { Location: jobAddress(job.id) });
});

const plan = endpoint({
  method: 'post', path: `${jobs}/plan`, id: 'planJob', tag,
  summary: 'What a job would do and cost, without making it',
  description: 'A worker reads the sheet and looks at what is known of its rows. Nothing is paid for but the rows of `sample`.',
  body: forecastBody,
  answers: { 200: { description: 'What is to do, and what it would take', schema: forecastAnswer } },
  fails: ['upload_not_found', 'source_not_found', 'path_not_allowed', 'unknown_handler', 'invalid_options', 'column_missing', 'key_column_missing', 'model_unknown', 'model_not_configured', 'temporal_unavailable'],
}, async ({ tenant, owner, body: { sample = 0, ...body } }, deps) =>
  reply(200, await deps.forecast(`plan_${ulid().toLowerCase()}`, await newJob(deps, tenant, owner, body), sample)));

const list = endpoint({
  method: 'get', path: jobs, id: 'listJobs', tag,
  summary: 'List jobs, newest first',
  query: z.strictObject({
    state: z.array(z.enum(JOB_STATES)).exactOptional().meta({ description: 'In one of these states; repeated or with commas' }),
    kind: z.enum(['sheet', 'document']).exactOptional(),
    source: z.string().min(1).max(500).exactOptional(),
    tag: z.string().min(1).max(64).exactOptional(),
    batch: z.string().min(1).max(64).exactOptional(),
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

const dependencies = endpoint({
  method: 'get', path: `${jobs}/{id}/dependencies`, id: 'getJobDependencies', tag,
  summary: 'Show the jobs that a job hangs together with',
  description: 'What it depends on, what depends on it, and so on.',
  params: idParams,
  answers: { 200: { description: 'The jobs, nearest first', schema: jobGraphAnswer } },
  fails: ['job_not_found'],
}, async ({ tenant, params }, { store }) => reply(200, await jobGraph(store, await jobOf(store, tenant, params.id))));

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
  resume: { summary: 'Resume a job', description: 'Goes on with the first row that is not done: after a pause, and where it waits because nobody pays.' },
  cancel: { summary: 'Cancel a job', description: 'As a pause, but for good; what is done stays. `retry` takes the remaining rows up again.' },
};

const controls = CONTROLS.map((control) => endpoint({
  method: 'post', path: `${jobs}/{id}/${control}`, id: `${control}Job`, tag, ...CONTROL_TEXTS[control],
  params: idParams, answers: controlled, fails: ['job_not_found', 'wrong_state'],
}, async ({ tenant, params }, deps) => controlledReply(deps, await deps.jobs.control(tenant, params.id, control), WISHES[control])));

const VERDICT_TEXTS: Record<Verdict, { summary: string; description: string }> = {
  approve: { summary: 'Let a job do what it waits for approval of', description: 'A sync that would remove more rows than its source allows; `GET /sources/{id}/versions` shows which.' },
  reject: { summary: 'Do not let it', description: 'The job fails, and the version before stays the current one.' },
};

const verdicts = VERDICTS.map((verdict) => endpoint({
  method: 'post', path: `${jobs}/{id}/${verdict}`, id: `${verdict}Job`, tag, ...VERDICT_TEXTS[verdict],
  params: idParams, answers: controlled, fails: ['job_not_found', 'wrong_state', 'temporal_unavailable'],
}, async ({ tenant, params }, deps) => controlledReply(deps, await deps.jobs.decide(tenant, params.id, verdict))));

const retry = endpoint({
  method: 'post', path: `${jobs}/{id}/retry`, id: 'retryJob', tag,
  summary: 'Run failed and remaining rows of an ended job again',
  params: idParams, body: retryBody,
  answers: { 200: { description: 'The job, queued as a new attempt', schema: jobAnswer } },
  fails: ['job_not_found', 'wrong_state'],
}, async ({ tenant, params, body }, deps) => {
  const job = await deps.jobs.retry(tenant, params.id, { codes: body.codes ?? null, ...(body.fingerprints && { fingerprints: body.fingerprints }) });
  return reply(200, await wholeJobAnswer(deps, job));
});

const change = endpoint({
  method: 'patch', path: `${jobs}/{id}`, id: 'changeJob', tag,
  summary: "Change a job's priority, concurrency or budget",
  description: 'A budget counts from the next page on; a job that waits for it goes on when it is resumed.',
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

export const jobEndpoints = [create, plan, list, show, dependencies, change, remove, ...controls, ...verdicts, retry];
