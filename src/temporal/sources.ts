/**
 * What can be done to sources: the store's record rules; when a source is fetched by the clock, a Temporal Schedule is made to match
 * it. A schedule whose record is gone, or says otherwise, runs nothing.
 */
import { ScheduleAlreadyRunning, ScheduleNotFoundError, type Client, type ScheduleOptions } from '@temporalio/client';
import { ulid } from 'ulid';
import { SheafError } from '../contracts/errors.ts';
import type { JobRecord, ScheduleRef } from '../contracts/job.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { PLAN_WORKFLOWS, type PlanRef } from '../contracts/plans.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import { SOURCE_WORKFLOWS, type CleanUpSourcesInput, type SourceDefinition, type SourceRecord, type SourcesCleanup, type VersionRecord } from '../contracts/source.ts';
import { digest } from '../domain/hashing.ts';
import { allOf } from '../store/all-of.ts';
import type { Store } from '../store/store.ts';
import type { Idempotency, Jobs, Origin } from './jobs.ts';
import { isUnavailable, reached, SCHEDULE_CALL_MS } from './reached.ts';
import { cleanUpSourcesWorkflowId, deleteSourceWorkflowId, sourceScheduleId, sourceWorkflowId } from './workflow-ids.ts';

/** What Temporal knows of a source's schedule. */
export interface SourceClock {
  /** `none`: it has none. `missing`: it should have one; applying it again makes it. */
  state: 'active' | 'paused' | 'none' | 'missing' | 'unknown';
  /** ISO 8601. */
  next: string | null;
}

export interface SyncAsked {
  force: boolean;
  /** Jobs that have to end first, however they end. */
  after: string[];
  rollback: number | null;
}

export interface Sources {
  /** Makes the record and its schedule what is given; the same again changes nothing. Rejects with `conflict`, `wrong_state` (being deleted), `invalid_schedule`, `temporal_unavailable`. */
  put(tenant: string, owner: string, id: string, wanted: { definition: SourceDefinition; scheduled: boolean | null }): Promise<{ source: SourceRecord; created: boolean }>;
  /** All below reject with `sync_source_not_found`. */
  get(tenant: string, id: string): Promise<SourceRecord>;
  clock(source: SourceRecord): Promise<SourceClock>;
  /** Starts a job that brings it up to date, or back. */
  sync(tenant: string, id: string, asked: SyncAsked, idempotency?: Idempotency): Promise<JobRecord>;
  /** For a run of its schedule. Null: there is nothing to run. */
  runScheduled(run: ScheduleRef & { tenant: string; job: string }): Promise<JobRecord | null>;
  /** By its sequence, or by its content hash or the beginning of it. Rejects with `version_not_found`. */
  version(tenant: string, id: string, named: string): Promise<VersionRecord>;
  /** Removes it with all that it has, durably. */
  remove(tenant: string, id: string): Promise<SourceRecord>;
  /** Rejects with `temporal_unavailable`, `not_ready` where it takes longer than a request may. */
  cleanUp(asked: Omit<CleanUpSourcesInput, 'carried'>): Promise<SourcesCleanup>;
}

const DELETE_MS = 10_000;
const CHANGE_TRIES = 20;
const CLEANUP_MS = 25_000;
/** Runs that were due while Temporal was away: one of them is enough, and only a recent one. */
const CATCH_UP = '1h';
/** So that two hundred sources of one interval do not all begin in one second: a tenth of it, a minute at most. */
const jitterOf = (seconds: number): number => Math.min(60_000, seconds * 100);
/** Characters of a content hash that name a version. */
const SHORTEST_HASH = 6;

export function createSources(store: Store, client: Client, jobs: Jobs): Sources {
  const get = async (tenant: string, id: string): Promise<SourceRecord> => {
    const source = await store.getSource(tenant, id);
    if (!source) throw new SheafError('sync_source_not_found', `There is no source ${id}.`, { remedy: '`sheaf sync apply FILE` makes those that a file names.' });
    return source;
  };
  const handleOf = ({ tenant, id }: SourceRecord) => client.schedule.getHandle(sourceScheduleId(tenant, id));

  const ask = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await client.withDeadline(Date.now() + SCHEDULE_CALL_MS, call);
    } catch (error) {
      if (isUnavailable(error)) throw new SheafError('temporal_unavailable', 'Temporal cannot be reached, and it keeps the schedules.', { remedy: 'Try again when it is back; `sheaf system check` tells.', cause: error });
      // What the server calls an invalid argument, the client calls a TypeError.
      if (error instanceof TypeError) throw new SheafError('invalid_schedule', `Temporal does not take the schedule: ${error.message}.`, { remedy: 'cron has five fields; the time zone is an IANA name such as Europe/Berlin.', cause: error });
      throw error;
    }
  };

  /** One update: a patch sent beside it would be applied in an order of Temporal's own. */
  const matchSchedule = async (source: SourceRecord): Promise<void> => {
    const options = optionsOf(source);
    if (options === null || source.deleting) {
      await ask(() => handleOf(source).delete()).catch((error: unknown) => {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
      });
      return;
    }
    await ask(async () => {
      try {
        await client.schedule.create(options);
      } catch (error) {
        if (!(error instanceof ScheduleAlreadyRunning)) throw error;
        const handle = handleOf(source);
        const now = await handle.describe();
        if (now.action.memo?.['definition'] === options.action.memo.definition && now.state.paused === options.state.paused) return;
        const { spec, action, policies, state } = options;
        await handle.update(() => ({ spec, action, policies, state }));
      }
    });
  };

  const change = async (tenant: string, id: string, decide: (source: SourceRecord) => SourceRecord): Promise<SourceRecord> => {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      const found = await get(tenant, id);
      const wanted = decide(found);
      if (same(wanted, found)) return found;
      const changed = await store.changeSource({ ...wanted, updatedAt: new Date().toISOString() });
      if (changed) return changed;
    }
    throw new SheafError('conflict', `Source ${id} is being changed by others.`, { remedy: 'Try again.' });
  };

  const start = async (source: SourceRecord, asked: SyncAsked, origin: Origin): Promise<JobRecord> => {
    if (source.deleting) throw new SheafError('wrong_state', `Source ${source.id} is being deleted.`);
    const { request: { writeBack, ...request }, ...job } = source.definition.job;
    const created = await jobs.create({
      ...job, tenant: source.tenant, source: source.id, dependsOn: asked.after, onFailure: 'run', runAt: null,
      // What is brought back is not what stands in the sheet.
      request: { ...request, ...(writeBack && asked.rollback === null && { writeBack }), force: asked.force || request.force, sync: { rollback: asked.rollback } },
    }, origin);
    return created.job;
  };

  return {
    get,

    async put(tenant, owner, id, { definition, scheduled }) {
      const now = new Date().toISOString();
      const fresh: SourceRecord = {
        tenant, id, owner, createdAt: now, updatedAt: now, revision: 0, definition, scheduled: scheduled ?? false, deleting: false,
        current: null, versions: 0, touched: [], fetched: null,
      };
      const before = await store.getSource(tenant, id);
      const made = await store.createSource(fresh);
      const source = made.created ? made.source : await change(tenant, id, (found) => {
        if (found.deleting) throw new SheafError('wrong_state', `Source ${id} is being deleted.`, { remedy: 'Try again in a moment.' });
        return { ...found, definition, scheduled: scheduled ?? found.scheduled };
      });
      // Where Temporal is away the record stands, and the next apply makes the schedule.
      if (scheduled !== null || (source.scheduled && source.revision !== before?.revision)) await matchSchedule(source);
      return { source, created: made.created };
    },

    async clock(source) {
      if (!source.scheduled || source.definition.schedule === null) return { state: 'none', next: null };
      try {
        const { state, info } = await client.withDeadline(Date.now() + SCHEDULE_CALL_MS, () => handleOf(source).describe());
        return { state: state.paused ? 'paused' : 'active', next: state.paused ? null : (info.nextActionTimes[0]?.toISOString() ?? null) };
      } catch (error) {
        if (error instanceof ScheduleNotFoundError) return { state: 'missing', next: null };
        if (isUnavailable(error)) return { state: 'unknown', next: null };
        throw error;
      }
    },

    async sync(tenant, id, asked, idempotency) {
      const source = await get(tenant, id);
      return start(source, asked, { id: `job_${ulid().toLowerCase()}`, ...(idempotency && { idempotency }) });
    },

    async runScheduled({ tenant, id, at, workflow, job }) {
      const source = await store.getSource(tenant, id);
      if (!source?.scheduled || source.deleting || !source.definition.enabled) return null;
      return start(source, { force: false, after: [], rollback: null }, { id: job, schedule: { id, at, workflow } });
    },

    async version(tenant, id, named) {
      await get(tenant, id);
      if (/^\d{1,9}$/.test(named)) {
        const version = await store.getVersion(tenant, id, Number(named));
        if (version) return version;
      }
      if (named.length >= SHORTEST_HASH) {
        for await (const version of allOf((page) => store.listVersions(tenant, id, page))) if (version.hash.startsWith(named)) return version;
      }
      throw new SheafError('version_not_found', `Source ${id} has no version ${named}.`, { remedy: `\`sheaf sync versions ${id}\` lists those that are kept.` });
    },

    async remove(tenant, id) {
      const source = await change(tenant, id, (found) => ({ ...found, deleting: true }));
      await reached(() => client.withDeadline(Date.now() + DELETE_MS, () => client.workflow.start(SOURCE_WORKFLOWS.deleteSource, {
        workflowId: deleteSourceWorkflowId(tenant, id), taskQueue: TASK_QUEUES.jobs, args: [{ tenant, id }], workflowIdConflictPolicy: 'USE_EXISTING',
      }))).then((done) => {
        if (!done) throw new SheafError('temporal_unavailable', 'Temporal cannot be reached; the source is marked as one to be deleted.', { remedy: 'Delete it again when it is back.' });
      });
      await matchSchedule(source);
      return source;
    },

    async cleanUp(asked) {
      try {
        return await client.withDeadline(Date.now() + CLEANUP_MS, async () => {
          const started = await client.workflow.start(SOURCE_WORKFLOWS.cleanUpSources, {
            workflowId: cleanUpSourcesWorkflowId(ulid().toLowerCase()), taskQueue: TASK_QUEUES.jobs, args: [asked], staticSummary: asked.dryRun ? 'dry run' : 'cleanup of sources',
          });
          return (await started.result()) as SourcesCleanup;
        });
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        throw new SheafError('temporal_unavailable', 'The cleanup has not ended within the time of a request; once Temporal has it, it goes on by itself.', { cause: error });
      }
    },
  };
}

const same = (one: SourceRecord, other: SourceRecord): boolean => JSON.stringify(one) === JSON.stringify(other);

type Options = ScheduleOptions & { policies: object; state: { paused: boolean }; action: { memo: { definition: string } } };

/** Null: it is not fetched by the clock. */
function optionsOf(source: SourceRecord): Options | null {
  const { tenant, id, createdAt, definition: { schedule, enabled, name, job }, scheduled } = source;
  if (!scheduled || schedule === null) return null;
  const input: PlanRef = { tenant, id, of: 'source' };
  const typedSearchAttributes = [{ key: SEARCH_ATTRIBUTES.tenant, value: tenant }, { key: SEARCH_ATTRIBUTES.kind, value: 'source' }, { key: SEARCH_ATTRIBUTES.source, value: id }];
  const staticSummary = `${job.request.handler}: ${name ?? id}`;
  return {
    scheduleId: sourceScheduleId(tenant, id),
    spec: 'every' in schedule
      ? { intervals: [{ every: schedule.every * 1000 }], jitter: jitterOf(schedule.every) }
      : { cronExpressions: [schedule.cron], timezone: schedule.timeZone, jitter: jitterOf(60) },
    action: {
      type: 'startWorkflow', workflowType: PLAN_WORKFLOWS.scheduledJob, workflowId: sourceWorkflowId(tenant, id, createdAt), taskQueue: TASK_QUEUES.jobs,
      args: [input], typedSearchAttributes, staticSummary, memo: { definition: digest(JSON.stringify([SCHEDULE_FORMAT, schedule, createdAt, staticSummary])) },
    },
    policies: { overlap: 'SKIP', catchupWindow: CATCH_UP },
    state: { paused: !enabled },
    typedSearchAttributes,
  };
}

/** Raised when schedules are made otherwise, so that those that are there are brought up to date. */
const SCHEDULE_FORMAT = 1;
