/** Requests and answers of the HTTP API about sources that keep themselves in sync. */
import { z } from 'zod';
import { count, ID_PATTERN, jsonObject, NAME_PATTERN, time } from './api.ts';
import { jobBody } from './job-api.ts';
import { PRIORITIES } from './job.ts';
import { DEFAULT_DELETES, DEFAULT_KEEP_VERSIONS, DEFAULT_TASK_HOURS, DELETE_MODES, VERSION_STATES, VERSIONING } from './source.ts';

/** ASCII, because it stands in addresses, ids of schedules and names of files. */
export const SOURCE_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
export const sourceParams = z.strictObject({ id: z.string().regex(SOURCE_ID_PATTERN, 'expected letters, digits, ".", "_" and "-", at most 128') });

const fraction = z.number().min(0).max(1);
const deletes = z.strictObject({ mode: z.enum(DELETE_MODES), maxFraction: fraction });
const schedule = z.union([
  z.strictObject({ every: z.int().min(10).max(366 * 86_400) }),
  z.strictObject({ cron: z.string().trim().min(1).max(200), timeZone: z.string().min(1).max(64).default('UTC') }),
], { error: 'expected {"every": seconds, at least 10} or {"cron": …, "timeZone": …}' });

export const sourceDefinitionBody = jobBody
  .omit({ sourceId: true, runAt: true, dependsOn: true, onFailure: true, force: true })
  .extend({
    name: z.string().min(1).max(500).nullable().default(null).meta({ description: 'For people, in any script' }),
    description: z.string().max(5_000).nullable().default(null),
    versioning: z.enum(VERSIONING).default('content_hash').meta({ description: '`content_hash`: another content is another version. `timestamp`: every fetch is one' }),
    fetch: z.enum(['async', 'sync']).default('async').meta({ description: '`sync`: `sheaf sync process` waits for it' }),
    schedule: schedule.nullable().default(null).meta({ description: 'When it is fetched by the clock' }),
    enabled: z.boolean().default(true).meta({ description: 'False: its schedule is paused' }),
    deletes: z.strictObject({ mode: z.enum(DELETE_MODES).default(DEFAULT_DELETES.mode), maxFraction: fraction.default(DEFAULT_DELETES.maxFraction) })
      .default({ ...DEFAULT_DELETES }).meta({ description: 'Rows that are gone from the sheet: `keep` them, `mark` them so that they are found no more, or `remove` their content. A sync that would take more than `maxFraction` of the rows waits for approval' }),
    keepVersions: z.int().min(1).max(10_000).default(DEFAULT_KEEP_VERSIONS),
    set: z.string().min(1).max(500).nullable().default(null).meta({ description: 'The file that names it: what `sheaf sync apply --prune` goes by' }),
    environment: z.string().min(1).max(64).nullable().default(null),
    indexPrefix: z.string().min(1).max(60).exactOptional().meta({ description: 'The prefix of the Elasticsearch indices that are meant: an installation with another refuses' }),
    scheduled: z.boolean().exactOptional().meta({ description: 'Whether Temporal is to have a schedule for it. Default: as it is, and false for a new one' }),
  })
  .meta({ id: 'SourceRequest' });
export type SourceDefinitionBody = z.input<typeof sourceDefinitionBody>;

export const sourceAnswer = z
  .strictObject({
    id: z.string(),
    tenant: z.string(),
    owner: z.string(),
    name: z.string().nullable(),
    description: z.string().nullable(),
    location: jsonObject.meta({ description: 'Where the sheet is' }),
    sheet: z.union([z.string(), z.int()]).optional(),
    range: z.string().optional(),
    handler: z.string(),
    options: jsonObject,
    keyColumns: z.array(z.string()),
    maxCost: z.number().optional().meta({ description: 'What the rows of each of its jobs may cost together' }),
    priority: z.enum(PRIORITIES),
    tags: z.array(z.string()),
    versioning: z.enum(VERSIONING),
    fetch: z.enum(['async', 'sync']),
    schedule: schedule.nullable(),
    enabled: z.boolean(),
    deletes,
    keepVersions: z.int(),
    set: z.string().nullable(),
    environment: z.string().nullable(),
    clock: z.strictObject({
      state: z.enum(['active', 'paused', 'none', 'missing', 'unknown']).meta({ description: '`missing`: Temporal has lost it; applying it again makes it. `unknown`: Temporal does not answer' }),
      next: time.nullable(),
    }).optional().meta({ description: 'Its schedule; not in lists' }),
    scheduled: z.boolean(),
    deleting: z.boolean(),
    current: count.nullable().meta({ description: 'Sequence of the version that counts; null before the first' }),
    fetched: z.strictObject({ at: time, job: z.string(), outcome: z.enum(['new', 'unchanged']) }).nullable().meta({ description: 'The newest fetch that was read to its end' }),
    createdAt: time,
    updatedAt: time,
  })
  .meta({ id: 'Source' });
export type SourceAnswer = z.infer<typeof sourceAnswer>;

export const appliedAnswer = z.strictObject({
  source: sourceAnswer.nullable().meta({ description: 'Null: it does not exist, and this is a dry run' }),
  changed: z.enum(['created', 'updated', 'unchanged']),
  fields: z.array(z.string()).meta({ description: 'What is defined otherwise than before' }),
});
export type AppliedAnswer = z.infer<typeof appliedAnswer>;

export const putSourceQuery = z.strictObject({ dryRun: z.enum(['true', 'false']).default('false').meta({ description: '`true`: only say what would change' }) });

export const syncBody = z.strictObject({
  force: z.boolean().default(false).meta({ description: 'Handle rows again that are done, and take a content that was rejected or rolled back' }),
  after: z.array(z.string().regex(ID_PATTERN)).max(100).default([]).meta({ description: 'Jobs that have to end first, however they end' }),
}).default({ force: false, after: [] });

export const rollbackBody = z.strictObject({ to: z.string().min(1).max(64).meta({ description: 'A version: its sequence, or its content hash or the first six characters of it' }) });

export const versionAnswer = z
  .strictObject({
    sequence: z.int().min(1),
    hash: z.string().meta({ description: 'Of the content, whatever carried it' }),
    current: z.boolean(),
    state: z.enum(VERSION_STATES),
    job: z.string(),
    fetchedAt: time,
    endedAt: time.nullable(),
    rows: count,
    columns: z.array(z.string()),
    keyColumns: z.array(z.string()),
    base: z.int().nullable().meta({ description: 'The version that it was compared with' }),
    counts: z.strictObject({ added: count, changed: count, moved: count, removed: count }),
    newColumns: z.array(z.string()),
    lostColumns: z.array(z.string()),
    goneKeys: z.array(z.string()).meta({ description: 'Keys of the first rows that it lacks' }),
    asks: z.strictObject({ gone: count, of: count, why: z.string() }).nullable().meta({ description: 'What somebody has to approve' }),
  })
  .meta({ id: 'SourceVersion' });
export type VersionAnswer = z.infer<typeof versionAnswer>;

const version = z.string().min(1).max(64);
export const diffQuery = z.strictObject({
  from: version.exactOptional().meta({ description: 'Default: the one that `to` was compared with' }),
  to: version.exactOptional().meta({ description: 'Default: the current one' }),
});
export const dataQuery = z.strictObject({
  version: version.exactOptional().meta({ description: 'Its sequence or content hash. Default: the current one' }),
  format: z.enum(['ndjson', 'csv']).default('ndjson'),
  limit: z.coerce.number().int().min(1).exactOptional().meta({ description: 'Rows at most' }),
  escape: z.enum(['true', 'false']).default('true').meta({ description: 'CSV: `true` for spreadsheet programs' }),
});

export const sourcesCleanupBody = z.strictObject({
  maxAgeHours: z.number().min(0).max(1_000_000).default(DEFAULT_TASK_HOURS),
  environment: z.string().regex(NAME_PATTERN).nullable().default(null),
  dryRun: z.boolean().default(false),
}).default({ maxAgeHours: DEFAULT_TASK_HOURS, environment: null, dryRun: false });
export const sourcesCleanupAnswer = z.strictObject({ sources: count.meta({ description: 'Looked at' }), jobs: count, versions: count });
export type SourcesCleanupAnswer = z.infer<typeof sourcesCleanupAnswer>;
