/** Requests and answers of the API about the installation: its status, figures over ended jobs, cleanup. See `api.ts`. */
import { z } from 'zod';
import { count, time } from './api.ts';
import { JOB_STATES } from './job.ts';
import { STAGES, type Stage } from './summary.ts';
import { CLEANUP_KINDS, type CleanupKind } from './system.ts';

const seconds = z.number().min(0);

/** A part of the status that is had by itself: in time, or not at all. */
const section = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.union([z.strictObject({ ok: z.literal(true), ...shape }), z.strictObject({ ok: z.literal(false), message: z.string().meta({ description: 'Why it cannot be had' }) })]);

const states = z.partialRecord(z.enum(JOB_STATES), count);

export const partAnswer = z.strictObject({
  ok: z.boolean(),
  message: z.string().optional(),
  latencyMs: z.number().min(0).optional().meta({ description: 'Of a write and a read' }),
});

const workerAnswer = z.strictObject({
  id: z.string(),
  state: z.enum(['running', 'lost']).meta({ description: '`lost`: not heard of for 20 s; forgotten after 10 minutes' }),
  host: z.string(),
  pid: z.int(),
  startedAt: time,
  seenAt: time,
  versions: z.strictObject({ sheaf: z.string(), node: z.string(), temporal: z.string().meta({ description: 'Of the SDK' }) }),
  slots: z.array(z.strictObject({ queue: z.string(), used: count, total: count })),
  throttled: z.boolean().meta({ description: 'It takes no further pages for now: CPU or memory in use is above its target' }),
  cachedWorkflows: count,
  cpu: z.number().min(0).meta({ description: '1 is one core in full use' }),
  cores: z.int(),
  memory: z.strictObject({ used: count, hostFree: count, hostTotal: count }).meta({ description: 'Bytes' }),
});

export const systemSections = {
  jobs: section({
    states: states.meta({ description: 'Of all tenants' }),
    tenants: z.array(z.strictObject({ tenant: z.string(), states })).meta({ description: 'Those with the most jobs that have not ended first; at most 100' }),
  }),
  queue: section({ length: count, oldestSeconds: seconds.nullable().meta({ description: 'How long the first has waited; null: nobody waits' }) }),
  workers: section({ items: z.array(workerAnswer) }),
  taskQueues: section({
    items: z.array(z.strictObject({
      queue: z.string(), tasks: z.enum(['workflows', 'activities']), backlog: count, oldestSeconds: seconds,
      addedPerSecond: z.number().min(0), takenPerSecond: z.number().min(0), pollers: count,
    })),
  }),
  limits: section({
    items: z.array(z.strictObject({
      name: z.string(), used: count.meta({ description: 'Calls in the window that ends now' }), most: count.nullable().meta({ description: 'Null: not limited' }),
      waiting: count.meta({ description: 'Calls that pages wait for, of all tenants' }),
      backOffSeconds: seconds.nullable().meta({ description: 'A server asked to be left alone for so long; null: none did' }),
    })),
  }),
  throughput: section({
    runningJobs: count,
    rowsPerMinute: z.number().min(0).meta({ description: 'Of the jobs that run now; of the 100 oldest where there are more' }),
    lastHour: z.strictObject({
      jobs: count.meta({ description: 'That ended' }), failedJobs: count, rows: count, failedRows: count,
      errorRate: z.number().min(0).max(1).nullable(), p95Seconds: seconds.nullable().meta({ description: 'From creation to end' }),
    }),
  }),
};

// ── figures over ended jobs ─────────────────────────────────────────────────────────────────────────────────────

const day = z.iso.date().or(z.iso.datetime({ offset: true }));

export const analyticsQuery = z.strictObject({
  since: day.exactOptional().meta({ description: 'Jobs that ended then or later; a day begins in UTC. Default: 30 days ago' }),
  until: day.exactOptional().meta({ description: 'Jobs that ended before. Default: now' }),
  handler: z.string().min(1).max(200).exactOptional(),
  format: z.enum(['json', 'csv']).default('json'),
  by: z.enum(['day', 'handler', 'code']).default('day').meta({ description: 'For CSV: what a line is' }),
});

const percentiles = z.strictObject({ p50: seconds.nullable(), p95: seconds.nullable() }).meta({ description: 'Seconds' });
const perStage = Object.fromEntries(STAGES.map((stage) => [stage, percentiles])) as Record<Stage, typeof percentiles>;

const figures = {
  jobs: count, completed: count, failed: count, cancelled: count,
  rows: count.meta({ description: 'With an outcome' }),
  failedRows: count,
  errorRate: z.number().min(0).max(1).nullable().meta({ description: 'Failed of the rows that were done, unchanged or failed' }),
  rowsPerMinute: z.number().min(0).nullable().meta({ description: 'While rows ran' }),
  tokens: count.nullable(),
  cost: z.number().min(0).nullable().meta({ description: 'Null: no handler said what it paid' }),
  total: percentiles.meta({ description: 'Seconds from creation to end, less the time between an end and a retry' }),
};

export const analyticsAnswer = z
  .strictObject({
    since: time,
    until: time,
    all: z.strictObject(figures),
    handlers: z.array(z.strictObject({ handler: z.string(), ...figures, stages: z.strictObject(perStage) })),
    days: z.array(z.strictObject({ day: z.iso.date(), ...figures })).meta({ description: 'In UTC; days on which no job ended are left out' }),
    errors: z.array(z.strictObject({ code: z.string(), rows: count })).meta({ description: 'Failed rows by code' }),
  })
  .meta({ id: 'Analytics' });
export type AnalyticsAnswer = z.infer<typeof analyticsAnswer>;

// ── cleanup ─────────────────────────────────────────────────────────────────────────────────────────────────────

export const cleanupBody = z.strictObject({ dryRun: z.boolean().default(false).meta({ description: 'Count what would go, and remove nothing' }) }).default({ dryRun: false });

const cutoff = time.nullable();
const before = Object.fromEntries(CLEANUP_KINDS.map((kind) => [kind, cutoff])) as Record<CleanupKind, typeof cutoff>;

export const cleanupAnswer = z
  .strictObject({
    id: z.string(),
    dryRun: z.boolean(),
    state: z.enum(['queued', 'running', 'completed']),
    startedAt: time,
    updatedAt: time,
    endedAt: time.nullable(),
    before: z.strictObject(before).meta({ description: 'What is older goes; null: the kind is kept for ever' }),
    gone: z.array(z.strictObject({ kind: z.enum(CLEANUP_KINDS), tenant: z.string(), count, bytes: count }))
      .meta({ description: 'What went, or in a dry run would go; of a job its record and files count as bytes' }),
  })
  .meta({ id: 'Cleanup' });
export type CleanupAnswer = z.infer<typeof cleanupAnswer>;

export const systemAnswer = z
  .strictObject({
    status: z.enum(['ok', 'degraded', 'down']).meta({ description: '`degraded`: reads work, jobs wait. `down`: the store or the blobs are out of reach' }),
    version: z.string(),
    node: z.string(),
    startedAt: time,
    uptimeSeconds: z.number(),
    parts: z.strictObject({
      store: partAnswer,
      blobs: partAnswer,
      temporal: partAnswer,
      workers: partAnswer.meta({ description: 'Whether a worker asks for jobs; a stopped one counts for up to a minute' }),
    }),
    ...systemSections,
  })
  .meta({ id: 'SystemStatus' });
export type SystemAnswer = z.infer<typeof systemAnswer>;

export const systemCheck = z
  .strictObject({
    name: z.string(),
    ok: z.boolean(),
    found: z.string().meta({ description: 'What was found, for people' }),
    remedy: z.string().optional().meta({ description: 'What to do, where it is not ok' }),
  })
  .meta({ id: 'SystemCheck' });
export type SystemCheck = z.infer<typeof systemCheck>;
export const systemChecksAnswer = z.strictObject({ checks: z.array(systemCheck) }).meta({ id: 'SystemChecks' });
export type SystemChecksAnswer = z.infer<typeof systemChecksAnswer>;

const limitUse = z.strictObject({
  used: count.meta({ description: 'In the window that ends now, calls that were granted and not made yet among them' }),
  most: count,
  left: count.meta({ description: 'What could be taken at once' }),
});

export const limitAnswer = z
  .strictObject({
    name: z.string(),
    configured: z.boolean().meta({ description: 'False: it has the defaults' }),
    windowSeconds: z.number(),
    project: limitUse.nullable().meta({ description: 'Calls of all users of all tenants; null: not limited' }),
    concurrency: limitUse.nullable().meta({ description: 'Calls at the same time' }),
    tokens: limitUse.nullable(),
    waiting: count.meta({ description: 'Calls that pages wait for, of all tenants' }),
    workers: count.meta({ description: 'Workers that have asked of late' }),
    backOffUntil: time.optional().meta({ description: 'A server asked to be left alone: nobody calls until then' }),
    users: z.array(z.strictObject({
      owner: z.string(),
      used: count,
      most: count.nullable(),
      left: count.nullable(),
      waiting: count,
      waitsUntil: time.optional().meta({ description: 'Its jobs are `waiting` until then' }),
    })).meta({ description: "The tenant's, as far as they called in the last window or wait" }),
  })
  .meta({ id: 'Limit' });
export type LimitAnswer = z.infer<typeof limitAnswer>;
export const limitsAnswer = z.strictObject({ limits: z.array(limitAnswer) }).meta({ id: 'Limits' });
export type LimitsAnswer = z.infer<typeof limitsAnswer>;
