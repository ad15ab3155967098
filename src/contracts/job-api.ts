/** Requests and answers of the API about sheets and their jobs. See `api.ts`. */
import { z } from 'zod';
import { count, errorAnswer, ID_PATTERN, json, jsonObject, NAME_PATTERN, time } from './api.ts';
import { CAUSES, DESIRED_STATES, JOB_STATES, ON_FAILURE, PRIORITIES } from './job.ts';
import { columnRules, VALIDATION_LEVELS } from './formats.ts';
import { DOCUMENT_STAGES } from './document.ts';
import { webhooksBody } from './webhooks-api.ts';
// ── Requests about sheets and jobs ──────────────────────────────────────────────────────────────────────────────

const spreadsheetBody = z.strictObject({
  spreadsheet: z.string().min(1).max(2048).meta({ description: 'Address of a Google Sheet, as the browser shows it, or its id. A `gid` in the address says which sheet, unless `gid` or `sheet` do' }),
  gid: z.int().min(0).exactOptional().meta({ description: "Google's number of a sheet in it" }),
  credentials: z.string().regex(NAME_PATTERN).exactOptional()
    .meta({ description: 'Name of credentials in SHEAF_CREDENTIALS. Default: those called `default`, else Application Default Credentials' }),
  useAdc: z.boolean().exactOptional().meta({ description: 'Application Default Credentials' }),
});

export const sourceBody = z
  .union([z.strictObject({ upload: z.string().regex(ID_PATTERN) }), z.strictObject({ path: z.string().min(1).max(4096) }), spreadsheetBody], {
    error: 'expected {"upload": id}, {"path": file} or {"spreadsheet": address or id}',
  })
  .meta({ description: 'An uploaded file by its id, a file inside the folders that the configuration allows, or a Google Sheet' });

const sheetFields = {
  sheet: z.union([z.string().min(1).max(255), z.int().min(1)], { error: "expected a sheet's name or its number from 1" })
    .exactOptional().meta({ description: "XLSX and Google Sheets: a sheet's name, or its number from 1. Default: the first visible sheet" }),
  range: z.string().min(1).max(50).exactOptional().meta({ description: 'A1 notation: `B2:F100`, `A:D`, `2:50`' }),
  headerRow: z.int().min(0).exactOptional().meta({ description: 'Row of the column names; 0: there is none, columns are called A, B, … Default: the first row' }),
  startRow: z.int().min(1).exactOptional().meta({ description: 'First data row. Default: the one after the header' }),
  numRows: z.int().min(1).exactOptional().meta({ description: 'At most so many data rows' }),
  delimiter: z.enum([',', ';', '\t', '|']).exactOptional().meta({ description: 'CSV; found out unless given' }),
  encoding: z.enum(['utf-8', 'utf-16le', 'utf-16be', 'windows-1252']).exactOptional().meta({ description: 'CSV; found out unless given' }),
};

export const previewBody = z.strictObject({ source: sourceBody, ...sheetFields });

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

export const forecastBody = jobBody
  .extend({ sample: z.int().min(1).max(100).exactOptional().meta({ description: 'Rows that are handled, and paid for, to tell better what the others would take. Default: none' }) })
  .meta({ id: 'ForecastRequest' });

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

const warningAnswer = z.strictObject({ code: z.string(), message: z.string(), row: z.int().optional(), column: z.string().optional() });

const columnAnswer = z.strictObject({
  name: z.string().meta({ description: 'Unique in the sheet; what results, handlers and key columns call it' }),
  header: z.string().nullable().meta({ description: 'As it stands in the sheet' }),
  letter: z.string(),
});

export const previewAnswer = z
  .strictObject({
    format: z.string().meta({ description: 'What the file turned out to be, for people' }),
    sheet: z.string().nullable(),
    sheets: z.array(z.string()).meta({ description: 'Of the workbook; none for CSV' }),
    columns: z.array(columnAnswer.extend({
      renamed: z.enum(['empty', 'duplicate', 'too_long', 'reserved', 'whitespace']).nullable().meta({ description: 'Why the name is not the header' }),
      type: z.enum(['integer', 'number', 'boolean', 'date', 'datetime', 'text', 'empty', 'mixed']),
    })),
    rows: z.array(z.strictObject({ row: z.int(), cells: z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])) })),
    rowCount: count.nullable().meta({ description: 'Data rows; null where counting would have taken too long' }),
    rowCountAtLeast: count.meta({ description: 'Rows counted until then' }),
    warnings: z.array(warningAnswer),
  })
  .meta({ id: 'Preview' });
export type PreviewAnswer = z.infer<typeof previewAnswer>;

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

const paidTokens = count.nullable();
const paidCost = z.number().min(0).nullable().meta({ description: 'In the currency of the price table; null: nobody can tell' });

export const forecastAnswer = z
  .strictObject({
    rows: count.meta({ description: 'Of the sheet: the next five add up to them' }),
    toDo: count.meta({ description: 'Would be handled' }),
    unchanged: count.meta({ description: 'Done by an earlier job, and would not be handled again' }),
    failed: count.meta({ description: 'Failed for good in an earlier job, and would not be tried again' }),
    skipped: count.meta({ description: 'Blank' }),
    refused: count.meta({ description: 'Without a key, or with the key of an earlier row' }),
    cached: count.meta({ description: 'Of those to do: nothing would be paid for them, because the same was asked before' }),
    tokens: paidTokens.meta({ description: 'Of all rows to do; null: nobody can tell' }),
    cost: paidCost,
    basis: z.enum(['sample', 'length']).nullable().meta({ description: 'What tokens and cost were told from: the rows of the sample, or the length of what would be asked' }),
    requests: count.nullable().meta({ description: 'That would be sent to others (pages, models, your service) after those of the sample; null: nobody can tell' }),
    least: z.strictObject({ seconds: z.number().min(0), limit: z.string() }).nullable()
      .meta({ description: 'How long it takes at least, and the named limit or web site that makes it so; with one worker, and nobody else under that limit. Null: nothing holds it back' }),
    sample: z.strictObject({ rows: count, failed: count, tokens: paidTokens, cost: paidCost }).nullable().meta({ description: 'What was handled and paid for. The answers are kept for the job' }),
  })
  .meta({ id: 'Forecast' });
export type ForecastAnswer = z.infer<typeof forecastAnswer>;

export const rowFailure = z.strictObject({
  code: z.string(),
  message: z.string(),
  retryable: z.boolean(),
  column: z.string().optional(),
  carried: z.boolean().optional().meta({ description: 'Failed in an earlier job and was not tried again' }),
  input: z.boolean().optional().meta({ description: 'The row itself is wrong; no circuit breaker counts it' }),
  raw: z.string().optional().meta({ description: 'The beginning of what a model answered and could not be used' }),
});

/** A row of a job: an entry of `items`, a line of NDJSON results. */
export const itemAnswer = z
  .strictObject({
    row: z.int().meta({ description: 'As a spreadsheet program numbers it' }),
    key: z.string().nullable(),
    state: z.enum(['done', 'unchanged', 'failed', 'skipped', 'remaining']),
    input: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    output: json,
    error: rowFailure.optional(),
    cached: z.literal(true).optional().meta({ description: 'Nothing was paid for it: the same was asked before' }),
  })
  .meta({ id: 'Item' });
export type ItemAnswer = z.infer<typeof itemAnswer>;

/** Failed rows that one cause would explain. */
export const errorGroupsAnswer = z
  .strictObject({
    items: z.array(z.strictObject({
      fingerprint: z.string().meta({ description: 'Names the group; `POST /jobs/{id}/retry` takes it' }),
      code: z.string(),
      rows: count,
      example: z.strictObject({ row: z.int(), key: z.string().nullable(), error: rowFailure, input: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])) }),
    })),
    more: z.boolean().meta({ description: 'There are more groups than `limit`' }),
  })
  .meta({ id: 'ErrorGroups' });
export type ErrorGroupsAnswer = z.infer<typeof errorGroupsAnswer>;

export const eventAnswer = z
  .strictObject({ seq: z.int(), at: time, type: z.string(), message: z.string(), data: jsonObject.optional() })
  .meta({ id: 'Event' });
export type EventAnswer = z.infer<typeof eventAnswer>;

export const uploadAnswer = z
  .strictObject({
    id: z.string().meta({ description: "A job's `source.upload`" }),
    name: z.string(),
    size: count.meta({ description: 'Bytes' }),
    sha256: z.string().meta({ description: 'Of the content, in hex' }),
    owner: z.string(),
    createdAt: time,
  })
  .meta({ id: 'Upload' });
export type UploadAnswer = z.infer<typeof uploadAnswer>;

export const handlerAnswer = z
  .strictObject({
    name: z.string(),
    summary: z.string(),
    version: z.int(),
    work: z.enum(['cheap', 'costly', 'depends']).meta({ description: '`depends`: on the options' }),
    options: jsonObject.meta({ description: 'JSON schema' }),
  })
  .meta({ id: 'Handler' });
export type HandlerAnswer = z.infer<typeof handlerAnswer>;
