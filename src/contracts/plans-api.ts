/** Requests and answers of the HTTP API about what is planned ahead of jobs: dependencies, schedules, batches, actions on many jobs. */
import { z } from 'zod';
import { count, errorAnswer, ID_PATTERN, jsonObject, time } from './api.ts';
import { jobBody } from './job-api.ts';
import { JOB_STATES, PRIORITIES } from './job.ts';
import { BULK_ACTIONS, BULK_OUTCOMES, OVERLAPS } from './plans.ts';

export const jobGraphAnswer = z
  .strictObject({
    job: z.string().meta({ description: 'The one that was asked about' }),
    jobs: z.array(z.strictObject({
      id: z.string(),
      state: z.enum(JOB_STATES).nullable().meta({ description: 'Null: it was deleted' }),
      file: z.string().optional(),
      handler: z.string().optional(),
      dependsOn: z.array(z.string()),
    })),
    complete: z.boolean().meta({ description: 'False: there are more than fit into one answer' }),
  })
  .meta({ id: 'JobGraph' });
export type JobGraphAnswer = z.infer<typeof jobGraphAnswer>;

// ── schedules ───────────────────────────────────────────────────────────────────────────────────────────────────

export const scheduleBody = z
  .strictObject({
    id: z.string().regex(ID_PATTERN).exactOptional().meta({ description: 'A name of your own. Default: made' }),
    cron: z.string().trim().regex(/^(@(yearly|annually|monthly|weekly|daily|midnight|hourly|every\s+\S+)|\S+(\s+\S+){4})$/, 'expected five fields (minute, hour, day of month, month, day of week), or @daily, @every 30m and the like')
      .meta({ description: 'Five fields: minute, hour, day of month, month, day of week, all of which must match; or `@hourly`, `@daily`, `@every 30m` and the like' }),
    timeZone: z.string().min(1).max(64).default('UTC').meta({ description: 'IANA name, such as `Europe/Berlin`: cron is in its local time' }),
    overlap: z.enum(OVERLAPS).default('skip').meta({ description: 'When it is due while a job of it has not ended: `skip`, `buffer_one` or `buffer_all` to run after it, `cancel_other` to cancel that job first, `allow_all`' }),
    paused: z.boolean().default(false),
    job: jobBody.omit({ runAt: true, dependsOn: true, onFailure: true }).meta({ id: 'ScheduledJobRequest' }),
  })
  .meta({ id: 'ScheduleRequest' });

const { cron, timeZone, overlap } = scheduleBody.shape;
export const scheduleChangeBody = z
  .strictObject({ cron: cron.exactOptional(), timeZone: timeZone.unwrap().exactOptional(), overlap: overlap.unwrap().exactOptional() })
  .refine((body) => Object.keys(body).length > 0, 'say what is to change: cron, timeZone or overlap')
  .meta({ id: 'ScheduleChange' });

export const schedulePauseBody = z.strictObject({ note: z.string().max(500).exactOptional().meta({ description: 'Why, for people' }) }).default({});

export const backfillBody = z
  .strictObject({ from: z.iso.datetime({ offset: true }), to: z.iso.datetime({ offset: true }) })
  .refine(({ from, to }) => Date.parse(from) < Date.parse(to), { path: ['to'], error: 'must be after from' });

export const scheduleAnswer = z
  .strictObject({
    id: z.string(),
    tenant: z.string(),
    owner: z.string(),
    state: z.enum(['active', 'paused', 'missing', 'unknown']).meta({ description: '`missing`: Temporal does not have it; resuming makes it again. `unknown`: Temporal does not answer' }),
    note: z.string().optional(),
    cron: z.string(),
    timeZone: z.string(),
    overlap: z.enum(OVERLAPS),
    next: z.array(time).meta({ description: 'When it is due next' }),
    recent: z.array(z.strictObject({ at: time, job: z.string() })).meta({ description: 'The newest runs last: when they were due, and their jobs' }),
    counts: z.strictObject({ started: count, skipped: count.meta({ description: 'For a job that had not ended' }), missed: count.meta({ description: 'While Temporal was away for more than a day' }) }),
    job: z.strictObject({
      file: z.string(), handler: z.string(), options: jsonObject, source: z.string().optional(), priority: z.enum(PRIORITIES), tags: z.array(z.string()),
    }),
    createdAt: time,
  })
  .meta({ id: 'Schedule' });
export type ScheduleAnswer = z.infer<typeof scheduleAnswer>;

export const triggerAnswer = z.strictObject({ job: z.string().nullable().meta({ description: 'Null: not known yet' }), schedule: scheduleAnswer });
export type TriggerAnswer = z.infer<typeof triggerAnswer>;

// ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────

const jobFields = z.looseObject({});

export const batchBody = z
  .strictObject({
    name: z.string().min(1).max(200).exactOptional().meta({ description: 'For people' }),
    defaults: jobFields.default({}).meta({ description: 'Fields of a JobRequest that all jobs share' }),
    jobs: z.array(jobFields).min(1).exactOptional().meta({
      description: 'A job each: fields of a JobRequest, over the defaults; and `name`, by which `dependsOn` of the others may call it',
    }),
    tabs: z.union([z.literal('all'), z.array(z.string().min(1).max(255)).min(1)], { error: 'expected "all" or names of sheets' }).exactOptional()
      .meta({ description: 'In place of `jobs`: one job for each visible sheet, or for each of these, of the workbook that `defaults.source` names' }),
    files: z.array(z.strictObject({ upload: z.string().regex(ID_PATTERN).meta({ description: 'An upload in parts, of which all have arrived and that is not completed' }) })).min(1).exactOptional()
      .meta({ description: 'In place of `jobs`: a document of each of these uploads, with what was asked for when each began' }),
  })
  .refine(({ jobs, tabs, files }) => [jobs, tabs, files].filter((given) => given !== undefined).length === 1, 'give one of jobs, tabs and files')
  .refine(({ defaults, files }) => files === undefined || Object.keys(defaults).length === 0, { path: ['defaults'], error: 'are of jobs: what documents are made with is asked for when their uploads begin' })
  .refine(({ files }) => new Set(files?.map(({ upload }) => upload)).size === (files?.length ?? 0), { path: ['files'], error: 'names an upload twice' })
  .meta({ id: 'BatchRequest' });

const bulkCounts = z.strictObject({ done: count, asked: count, skipped: count, failed: count });

export const batchAnswer = z
  .strictObject({
    id: z.string(),
    name: z.string().optional(),
    tenant: z.string(),
    owner: z.string(),
    state: z.enum(['creating', 'queued', 'running', 'paused', 'completed', 'failed', 'cancelled'])
      .meta({ description: 'What its jobs come to: `paused` when all that have not ended are; when all have ended, `failed` if any failed, else `cancelled` if any was' }),
    size: count.meta({ description: 'Jobs or files that were asked for' }),
    made: count.meta({ description: 'Those of them that have been dealt with: each job is there, of each file is known what came of it' }),
    files: z.strictObject({ duplicate: count.meta({ description: 'Answered by a document that there was before' }), refused: count }).optional()
      .meta({ description: 'Of a batch of files: those that no job was made of. The `progress` of such a batch counts files' }),
    jobs: z.partialRecord(z.enum(JOB_STATES), count).meta({ description: 'By state' }),
    progress: z.strictObject({
      total: count.nullable().meta({ description: 'Rows of all its jobs, null until every sheet has been read; or its files' }),
      done: count, unchanged: count, failed: count, skipped: count,
      remaining: count.nullable(),
      percent: z.number().min(0).max(100).nullable(),
      ended: count.meta({ description: 'Jobs that have ended' }),
    }),
    action: z.strictObject({ id: z.string(), action: z.enum(BULK_ACTIONS), state: z.string(), counts: bulkCounts }).optional()
      .meta({ description: 'What was asked of it last, and how far that is' }),
    createdAt: time,
    links: z.strictObject({ self: z.string(), jobs: z.string(), files: z.string().optional() }),
  })
  .meta({ id: 'Batch' });
export type BatchAnswer = z.infer<typeof batchAnswer>;

export const FILE_OUTCOMES = ['waiting', 'processing', 'ready', 'failed', 'cancelled', 'duplicate', 'refused', 'deleted'] as const;

export const batchFileAnswer = z
  .strictObject({
    number: z.int().min(1).meta({ description: 'Its place in the batch' }),
    file: z.string(),
    outcome: z.enum(FILE_OUTCOMES).meta({ description: '`waiting`: its document has not been made. `duplicate`: the document was there before. `refused`: it is no document. `deleted`: its document was' }),
    document: z.string().optional(),
    job: z.string().optional(),
    partial: z.boolean().optional().meta({ description: 'Some of it could not be read' }),
    passages: count.optional(),
    error: errorAnswer.optional().meta({ description: 'Why it failed or was refused' }),
  })
  .meta({ id: 'BatchFile' });
export type BatchFileAnswer = z.infer<typeof batchFileAnswer>;

export const batchRetryBody = z
  .strictObject({ failed: z.boolean().default(false).meta({ description: 'Leave out jobs that were cancelled' }) })
  .default({ failed: false });

// ── actions on many jobs ────────────────────────────────────────────────────────────────────────────────────────

const bulkFilter = z.strictObject({
  state: z.array(z.enum(JOB_STATES)).min(1).exactOptional(),
  kind: z.enum(['sheet', 'document']).exactOptional(),
  source: z.string().min(1).max(500).exactOptional(),
  tag: z.string().min(1).max(64).exactOptional(),
  batch: z.string().regex(ID_PATTERN).exactOptional(),
});

export const bulkBody = z
  .strictObject({
    action: z.enum(BULK_ACTIONS),
    filter: bulkFilter.refine((filter) => Object.keys(filter).length > 0, 'name at least one of state, kind, source, tag, batch')
      .meta({ description: 'Jobs that match all of it when it begins' }),
    priority: z.enum(PRIORITIES).exactOptional().meta({ description: 'For `set`' }),
    codes: z.array(z.string().min(1).max(200)).min(1).max(100).exactOptional().meta({ description: 'For `retry`: only rows that failed with these codes' }),
    dryRun: z.boolean().default(false).meta({ description: 'Say what would become of each job, and do nothing' }),
  })
  .refine(({ action, priority }) => (action === 'set') === (priority !== undefined), { path: ['priority'], error: 'goes with the action set, and only with it' })
  .refine(({ action, codes }) => codes === undefined || action === 'retry', { path: ['codes'], error: 'goes with the action retry only' })
  .meta({ id: 'BulkRequest' });

export const bulkAnswer = z
  .strictObject({
    id: z.string(),
    action: z.enum(BULK_ACTIONS),
    filter: bulkFilter,
    priority: z.enum(PRIORITIES).optional(),
    codes: z.array(z.string()).optional(),
    dryRun: z.boolean(),
    state: z.enum(['running', 'completed', 'superseded']).meta({ description: '`superseded`: a newer action on the same batch took its place' }),
    counts: bulkCounts,
    owner: z.string(),
    createdAt: time,
    completedAt: time.nullable(),
    links: z.strictObject({ self: z.string(), results: z.string() }),
  })
  .meta({ id: 'BulkAction' });
export type BulkAnswer = z.infer<typeof bulkAnswer>;

export const bulkResultAnswer = z
  .strictObject({
    job: z.string(),
    outcome: z.enum(BULK_OUTCOMES).meta({
      description: '`asked`: durably, no worker has answered yet. `skipped`: its state does not allow it. In a dry run, what would be',
    }),
    state: z.enum(JOB_STATES).nullable().meta({ description: "The job's, after it; null: the job is gone" }),
    code: z.string().optional(),
    message: z.string().optional(),
  })
  .meta({ id: 'BulkResult' });
export type BulkResultAnswer = z.infer<typeof bulkResultAnswer>;
