/** Requests and answers of the API about jobs. See `api.ts`. */
import { z } from 'zod';
import { count, errorAnswer, ID_PATTERN, jsonObject, time } from './api.ts';
import { CAUSES, DESIRED_STATES, JOB_STATES, ON_FAILURE, PRIORITIES } from './job.ts';
import { columnRules, VALIDATION_LEVELS } from './formats.ts';
import { DOCUMENT_STAGES } from './document.ts';
import { columnAnswer, sheetFields, sourceBody, warningAnswer } from './sheet-api.ts';
import { webhooksBody } from './webhooks-api.ts';

// ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────

const sourceId = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'expected letters, digits, ".", "_" and "-", at most 128');
const lane = z.string().min(1).max(128);
const concurrency = z.int().min(1).max(1000);
export const tags = z.array(z.string().min(1).max(64)).max(20);
const handlerName = z.string().min(1).max(4096);
const columnName = z.string().min(1).max(200);

const maxCost = z.number().positive().max(1e9)
  .meta({ description: 'What the rows may cost together, in the currency of the price table. When the next one would cost more than is left, the job waits, cause `budget`' });

export const writeBackBody = z.strictObject({
  columns: z.record(z.string().min(1).max(200), columnName)
    .refine((columns) => Object.keys(columns).length > 0 && Object.keys(columns).length <= 100, 'expected 1 to 100 columns')
    .refine((columns) => new Set(Object.values(columns)).size === Object.keys(columns).length, 'two fields go into the same column')
    .meta({ description: "Field of the output (`category`, `address.city`) → name of the sheet's column, made at the right edge where it is missing" }),
  tab: z.string().min(1).max(100).exactOptional()
    .meta({ description: 'Into this tab instead, beside the columns that name the rows; made where it is missing' }),
});

export const jobBody = z
  .strictObject({
    source: sourceBody,
    sourceId: sourceId.exactOptional().meta({ description: 'Name of the source whose ledger the rows belong to. Default: made of path or spreadsheet, sheet and range; an upload has its own' }),
    lane: lane.exactOptional().meta({ description: "Default: the handler's name" }),
    ...sheetFields,
    handler: z
      .union([handlerName, z.strictObject({ name: handlerName, options: jsonObject.exactOptional() })], {
        error: 'expected a name, the path of a module, or {"name": …, "options": {…}}',
      })
      .default('store')
      .meta({ description: "A handler's name, or the path of a handler module" }),
    options: jsonObject.exactOptional().meta({ description: "The handler's options; `GET /handlers` describes them" }),
    format: z.union([z.string().min(1).max(64), z.strictObject({ columns: columnRules })], { error: 'expected the name of a format, or {"columns": {…}}' }).exactOptional()
      .meta({ description: 'What rows have to hold: the name of a format (`standard`: Title and Description; or one of SHEAF_FORMATS), or the columns themselves' }),
    validation: z.enum(VALIDATION_LEVELS).exactOptional().meta({
      description: 'What becomes of rows that do not fit the format: `strict` fails the job at the first, before any row is handled; `moderate` (default) fails them; `lenient` makes cells fit where it can, and warns',
    }),
    keyColumns: z.array(z.string().min(1)).max(20).default([]).meta({ description: 'Columns that name a row. Default: the row number does' }),
    onDuplicateKey: z.enum(['fail', 'first', 'last']).default('fail').meta({ description: 'Which row counts where several have the same key' }),
    force: z.boolean().default(false).meta({ description: 'Handle rows again that the ledger has as done' }),
    priority: z.enum(PRIORITIES).default('normal'),
    tags: tags.default([]),
    concurrency: concurrency.exactOptional().meta({ description: "Rows handled at once. Default: the handler's" }),
    breaker: z
      .union([z.literal(false), z.strictObject({ minRows: z.int().min(1).default(200), maxFailedFraction: z.number().min(0).max(1).default(0.3) })], {
        error: 'expected false or {"minRows": …, "maxFailedFraction": …}',
      })
      .default({ minRows: 200, maxFailedFraction: 0.3 })
      .meta({ description: 'Stops the job when too many rows fail; false: never' }),
    runAt: z.iso.datetime({ offset: true }).exactOptional().meta({ description: 'Not before this time (ISO 8601). Default: at once' }),
    dependsOn: z.array(z.string().regex(ID_PATTERN)).max(100).default([]).meta({ description: 'Jobs that have to complete first' }),
    onFailure: z.enum(ON_FAILURE).default('cancel').meta({
      description: 'When one of them fails, is cancelled or deleted: `cancel` this one too, `run` it all the same once all have ended, or `wait` for a retry',
    }),
    fanOut: z.enum(['workflow']).exactOptional().meta({ description: 'Every row is a workflow of its own: for long, expensive rows. Default: rows are handled in pages' }),
    webhooks: webhooksBody.exactOptional().meta({ description: 'Who is told of the job, by signed requests (Standard Webhooks), in order, for up to a day' }),
    drainSeconds: z.number().min(0).max(3600).default(30).meta({ description: 'How long rows in flight may take to finish after a pause or cancel' }),
    maxCost: maxCost.exactOptional(),
    writeBack: writeBackBody.exactOptional().meta({
      description: 'What of the results is written into the Google Sheet that the rows came from, as values, never as formulas. Columns written so are no part of the rows',
    }),
  })
  .meta({ id: 'JobRequest' });
/** What a client sends; what it leaves out has a default. */
export type JobBody = z.input<typeof jobBody>;

export const jobChangeBody = z
  .strictObject({ priority: z.enum(PRIORITIES).exactOptional(), concurrency: concurrency.exactOptional(), maxCost: maxCost.exactOptional() })
  .refine((change) => Object.keys(change).length > 0, 'give priority, concurrency or maxCost');

export const fingerprint = z.string().min(1).max(200);

export const retryBody = z
  .strictObject({
    fingerprints: z.array(fingerprint).min(1).max(100).exactOptional().meta({ description: 'Only rows whose failure is of these groups (`GET /jobs/{id}/errors`)' }),
    codes: z.array(z.string().min(1).max(200)).min(1).max(100).exactOptional().meta({ description: 'Only rows that failed with these codes. Default: all failed and remaining rows' }),
  })
  .default({});

// ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

const progressAnswer = z.strictObject({
  stage: z.enum(['queued', 'snapshot', 'rows', 'write_back', ...DOCUMENT_STAGES, 'ended']),
  total: count.nullable().meta({ description: 'Rows, null until the sheet has been read; passages, null until the document has been cut' }),
  done: count,
  unchanged: count,
  failed: count,
  skipped: count,
  remaining: count.nullable(),
  submitted: count.optional().meta({ description: 'Of the remaining ones: sent to a service that has not answered yet' }),
  percent: z.number().min(0).max(100).nullable(),
  itemsPerSecond: z.number().min(0).nullable(),
  etaSeconds: z.number().min(0).nullable(),
});

export const jobAnswer = z
  .strictObject({
    id: z.string(),
    kind: z.enum(['sheet', 'document']),
    document: z.string().optional().meta({ description: "Its id, where `kind` is document" }),
    state: z.enum(JOB_STATES),
    desired: z.enum(DESIRED_STATES).optional().meta({ description: 'What was asked for and has not come about yet' }),
    cause: z.enum(CAUSES).optional().meta({ description: 'Why it is `waiting`' }),
    until: time.optional().meta({ description: 'When the wait ends, where that is known' }),
    reason: z.string().optional(),
    queue: z
      .strictObject({
        position: z.int().min(1).meta({ description: 'Among the jobs of all tenants that wait for a place' }),
        positionInTenant: z.int().min(1),
        waitsFor: z.enum(['tenant', 'deployment', 'lane', 'worker']).meta({ description: "`tenant`, `deployment`: as many jobs run as may. `lane`: another job works on its source and lane. `worker`: it has a place and a worker must take it" }),
        since: time.meta({ description: 'In line since then' }),
        running: count.meta({ description: 'Jobs of all tenants that have a place' }),
        maxRunning: count,
        runningInTenant: count,
        maxRunningInTenant: count,
      })
      .optional()
      .meta({ description: 'Where it stands while it waits for a place among the running jobs; not in lists' }),
    tenant: z.string(),
    owner: z.string(),
    source: z.string(),
    lane: z.string(),
    file: z.strictObject({
      name: z.string(),
      upload: z.string().optional(),
      path: z.string().optional(),
      spreadsheet: z.string().optional().meta({ description: 'Id of the Google Sheet' }),
      gid: z.int().optional(),
      credentials: z.string().optional(),
      useAdc: z.boolean().optional(),
      sheet: z.union([z.string(), z.int()]).optional(),
      range: z.string().optional(),
      headerRow: z.int().optional(),
      startRow: z.int().optional(),
      numRows: z.int().optional(),
      delimiter: z.string().optional(),
      encoding: z.string().optional(),
    }),
    handler: z.string().meta({ description: '`document` of a document' }),
    options: jsonObject,
    keyColumns: z.array(z.string()),
    onDuplicateKey: z.enum(['fail', 'first', 'last']).optional().meta({ description: 'Like all that is about rows: not of a document' }),
    force: z.boolean().optional(),
    priority: z.enum(PRIORITIES),
    tags: z.array(z.string()),
    concurrency: z.int().nullable().meta({ description: "Null: the handler's own" }),
    breaker: z.union([z.literal(false), z.strictObject({ minRows: z.int(), maxFailedFraction: z.number() })]).optional(),
    drainSeconds: z.number(),
    writeBack: z
      .strictObject({
        columns: z.record(z.string(), z.string()),
        tab: z.string().optional(),
        current: count.meta({ description: 'Rows whose cells hold the results' }),
        written: count.meta({ description: 'Those of them that had to be changed for it' }),
        moved: count.meta({ description: 'Those of them that stood elsewhere than when the sheet was read, and were found by their key' }),
        missing: count.meta({ description: 'Rows that are not in the sheet any more, or not for certain: nothing was written for them' }),
        cut: count.meta({ description: 'Values that a cell cannot hold as a whole' }),
        completedAt: time.nullable(),
      })
      .optional()
      .meta({ description: 'What was written into the sheet, where that was asked for' }),
    fanOut: z.enum(['workflow']).optional(),
    maxCost: z.number().optional(),
    runAt: time.optional().meta({ description: 'Not before' }),
    dependsOn: z.array(z.string()),
    onFailure: z.enum(ON_FAILURE),
    waitsFor: z.array(z.strictObject({ job: z.string(), state: z.enum(JOB_STATES).nullable().meta({ description: 'Null: it was deleted' }) })).optional()
      .meta({ description: 'Those of `dependsOn` that have not completed, until it starts; not in lists' }),
    batch: z.string().optional(),
    schedule: z.strictObject({ id: z.string(), at: time }).optional().meta({ description: 'Which run of which schedule made it' }),
    progress: progressAnswer,
    tokens: count.nullable().optional().meta({ description: 'Like `cost` and `cached`: of all attempts so far, and left out while nothing is known. Null: nobody tells' }),
    cost: z.number().min(0).nullable().optional().meta({ description: 'In the currency of the price table, of the rows whose cost is known. Null: of none' }),
    cached: count.optional().meta({ description: 'Rows that nothing was paid for, because the same was asked before' }),
    attempt: z.int().min(1),
    createdAt: time,
    startedAt: time.nullable(),
    completedAt: time.nullable(),
    updatedAt: time,
    error: errorAnswer.optional(),
    errors: z.array(z.strictObject({ code: z.string(), rows: count })).optional().meta({ description: 'Failed rows by code; not in lists' }),
    manifest: z
      .strictObject({
        rows: count,
        columns: z.array(columnAnswer),
        keyColumns: z.array(z.string()),
        identifiedBy: z.enum(['columns', 'row number']),
        duplicates: count.meta({ description: 'Rows whose key another row has too, and which are not handled for it' }),
        warnings: z.array(warningAnswer),
      })
      .optional()
      .meta({ description: 'What the sheet turned out to be; from the end of the snapshot on' }),
    links: z.strictObject({
      self: z.string(), events: z.string(), dependencies: z.string(), items: z.string().optional(), results: z.string().optional(), document: z.string().optional(),
    }),
  })
  .meta({ id: 'Job' });
export type JobAnswer = z.infer<typeof jobAnswer>;

export const eventAnswer = z
  .strictObject({ seq: z.int(), at: time, type: z.string(), message: z.string(), data: jsonObject.optional() })
  .meta({ id: 'Event' });
export type EventAnswer = z.infer<typeof eventAnswer>;
