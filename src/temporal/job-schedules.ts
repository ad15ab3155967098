/**
 * Schedules that make jobs. When they run is Temporal's to know; what they run is in the store's record. The record rules: a
 * Temporal schedule without one makes no job and is removed at its first run, so that no crash in between leaves a ghost.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ScheduleAlreadyRunning, ScheduleNotFoundError, type Client, type ScheduleDescription, type ScheduleOptions } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { PLAN_WORKFLOWS, type Overlap, type PlanRef, type ScheduleRecord } from '../contracts/plans.ts';
import { SEARCH_ATTRIBUTES } from '../contracts/search-attributes.ts';
import type { Store } from '../store/store.ts';
import type { ListPage, Listed } from '../store/ports/lists.ts';
import { isUnavailable, SCHEDULE_CALL_MS } from './reached.ts';
import { scheduledJobId, scheduledWorkflowId, scheduleId } from './workflow-ids.ts';

/** What Temporal knows of a schedule. */
export interface ScheduleClock {
  /** `missing`: it has no such schedule (its data was lost, or it was deleted there); resuming makes it again. */
  state: 'active' | 'paused' | 'missing';
  note: string | null;
  /** ISO 8601, the next ten at most. */
  next: string[];
  /** The newest runs last: when each was due, and the job that it made or will make. */
  recent: { at: string; job: string }[];
  counts: { started: number; skipped: number; missed: number };
}

/** `clock` null: Temporal does not answer. */
export interface JobSchedule {
  record: ScheduleRecord;
  clock: ScheduleClock | null;
}

export interface JobSchedules {
  /** Rejects with `invalid_schedule`, `schedule_exists`, `idempotency_conflict`, `temporal_unavailable`. */
  create(record: ScheduleRecord, paused: boolean): Promise<{ schedule: JobSchedule; created: boolean }>;
  /** All below reject with `schedule_not_found`; those that change something with `temporal_unavailable`. */
  show(tenant: string, id: string): Promise<JobSchedule>;
  /** Newest first. Rejects with `invalid_cursor`. */
  list(tenant: string, page: ListPage): Promise<Listed<JobSchedule>>;
  /** Rejects with `invalid_schedule`, `conflict` as well. */
  change(tenant: string, id: string, wanted: Partial<Pick<ScheduleRecord, 'cron' | 'timeZone' | 'overlap'>>): Promise<JobSchedule>;
  pause(tenant: string, id: string, note: string | undefined): Promise<JobSchedule>;
  resume(tenant: string, id: string): Promise<JobSchedule>;
  /** Runs now, also while it is paused or a job of it runs. `job` null: Temporal has not said yet which it is. */
  trigger(tenant: string, id: string): Promise<{ schedule: JobSchedule; job: string | null }>;
  /** Runs what would have been due after `from`, up to `to`, one after the other. A time whose job exists gets no second one. */
  backfill(tenant: string, id: string, from: Date, to: Date): Promise<JobSchedule>;
  /** Jobs that it made stay. */
  remove(tenant: string, id: string): Promise<void>;
  /** Removes a Temporal schedule whose record is gone; not one that was made a moment ago. */
  removeGhost(ref: PlanRef): Promise<void>;
}

/** Who only asks how it is shall not wait so long where Temporal is away. */
const LOOK_MS = 2_000;
const AT_ONCE = 10;
/** Temporal says yes to a wish and carries it out a moment later: an answer waits so long for it. */
const LOOKS = 10;
const LOOK_PAUSE_MS = 150;
/** How far Temporal's clock may be behind: what was due before is the run of a backfill. */
const CLOCKS_MS = 60_000;
/** A laptop that slept through the night runs in the morning what was due. */
const CATCH_UP = '24h';
/** A schedule is made before its record: for so long it may be alone. */
const GHOST_MS = 60_000;

const OVERLAP = {
  skip: 'SKIP', buffer_one: 'BUFFER_ONE', buffer_all: 'BUFFER_ALL', cancel_other: 'CANCEL_OTHER', allow_all: 'ALLOW_ALL',
} as const satisfies Record<Overlap, string>;

export function createJobSchedules(store: Store, client: Client): JobSchedules {
  const recordOf = async (tenant: string, id: string): Promise<ScheduleRecord> => {
    const record = await store.getPlan(tenant, 'schedule', id);
    if (!record) throw new SheafError('schedule_not_found', `There is no schedule ${id}.`, { remedy: '`sheaf schedule list` shows those that there are.' });
    return record;
  };
  const handleOf = ({ tenant, id }: PlanRef) => client.schedule.getHandle(scheduleId(tenant, id));

  const ask = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await client.withDeadline(Date.now() + SCHEDULE_CALL_MS, call);
    } catch (error) {
      throw refusal(error);
    }
  };

  /**
   * Makes Temporal's schedule what the record says; one that is there stays paused or active, unless it is to be active. That is one
   * update: Temporal applies a patch (`unpause`) before an update that was sent first, when it meets both at once.
   */
  const ensure = (record: ScheduleRecord, state: 'as it is' | 'active', pausedIfNew = false): Promise<void> => ask(async () => {
    const options = optionsOf(record, pausedIfNew);
    try {
      await client.schedule.create(options);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      await handleOf(record).update((now) => ({
        spec: options.spec, action: options.action, policies: options.policies, state: state === 'active' ? { paused: false } : now.state,
      }));
    }
  });

  const look = async (record: ScheduleRecord, patienceMs = SCHEDULE_CALL_MS): Promise<JobSchedule> => {
    try {
      return { record, clock: clockOf(await client.withDeadline(Date.now() + patienceMs, () => handleOf(record).describe())) };
    } catch (error) {
      if (error instanceof ScheduleNotFoundError) {
        return { record, clock: { state: 'missing', note: null, next: [], recent: [], counts: { started: 0, skipped: 0, missed: 0 } } };
      }
      if (isUnavailable(error)) return { record, clock: null };
      throw error;
    }
  };

  const lookUntil = async (record: ScheduleRecord, come: (schedule: JobSchedule) => boolean): Promise<JobSchedule> => {
    for (let looks = 1; ; looks++) {
      const schedule = await look(record);
      if (schedule.clock === null || come(schedule) || looks === LOOKS) return schedule;
      await sleep(LOOK_PAUSE_MS);
    }
  };

  const show = async (tenant: string, id: string): Promise<JobSchedule> => look(await recordOf(tenant, id), LOOK_MS);

  return {
    async create(record, paused) {
      const before = await store.getPlan(record.tenant, 'schedule', record.id);
      if (!before) await ensure(record, 'as it is', paused);
      try {
        const made = await store.createPlan<'schedule'>(record);
        return { schedule: await look(made.record), created: made.created };
      } catch (error) {
        // Somebody else made it in between: theirs is what runs.
        const theirs = before ? null : await store.getPlan(record.tenant, 'schedule', record.id);
        if (theirs) await ensure(theirs, 'as it is');
        throw error;
      }
    },

    show,

    async list(tenant, page) {
      const { items, nextCursor } = await store.listPlans(tenant, 'schedule', page);
      const schedules: JobSchedule[] = [];
      for (let index = 0; index < items.length; index += AT_ONCE) {
        // One that did not answer stands for the others: nobody waits for each of hundreds.
        const away = schedules.some(({ clock }) => clock === null);
        schedules.push(...(await Promise.all(items.slice(index, index + AT_ONCE).map(async (record) => (away ? { record, clock: null } : look(record, LOOK_MS))))));
      }
      return { items: schedules, nextCursor };
    },

    async change(tenant, id, wanted) {
      const before = await show(tenant, id);
      const record = { ...before.record, ...wanted };
      // Temporal first, since it knows whether they can be. Should we die in between, the next resume or change puts it right.
      await ensure(record, 'as it is');
      const changed = await store.changePlan<'schedule'>(record);
      const due = JSON.stringify(before.clock?.next);
      const isTimed = record.cron !== before.record.cron || record.timeZone !== before.record.timeZone;
      if (changed) return isTimed && before.clock?.state === 'active' ? lookUntil(changed, ({ clock }) => JSON.stringify(clock?.next) !== due) : look(changed);
      await ensure(await recordOf(tenant, id), 'as it is');
      throw new SheafError('conflict', `Schedule ${id} is being changed by others.`, { remedy: 'Try again.' });
    },

    async pause(tenant, id, note) {
      const record = await recordOf(tenant, id);
      await ask(() => handleOf(record).pause(note));
      return lookUntil(record, ({ clock }) => clock?.state !== 'active');
    },

    async resume(tenant, id) {
      const record = await recordOf(tenant, id);
      await ensure(record, 'active');
      return lookUntil(record, ({ clock }) => clock?.state !== 'paused');
    },

    async trigger(tenant, id) {
      const record = await recordOf(tenant, id);
      const known = new Set((await ask(() => handleOf(record).describe())).info.recentActions.map(jobOf));
      const asked = Date.now();
      await ask(() => handleOf(record).trigger('ALLOW_ALL'));
      const jobIn = ({ clock }: JobSchedule): string | null =>
        clock?.recent.find((run) => !known.has(run.job) && Date.parse(run.at) > asked - CLOCKS_MS)?.job ?? null;
      const schedule = await lookUntil(record, (now) => jobIn(now) !== null);
      return { schedule, job: jobIn(schedule) };
    },

    async backfill(tenant, id, from, to) {
      const record = await recordOf(tenant, id);
      await ask(() => handleOf(record).backfill({ start: from, end: to, overlap: record.overlap === 'allow_all' ? 'ALLOW_ALL' : 'BUFFER_ALL' }));
      return look(record);
    },

    async remove(tenant, id) {
      const record = await recordOf(tenant, id);
      // Should Temporal be away, or this process die: the record is gone, and the schedule removes itself when it is due.
      await store.removePlan(tenant, 'schedule', id);
      await client.withDeadline(Date.now() + SCHEDULE_CALL_MS, () => handleOf(record).delete()).catch((error: unknown) => {
        if (!(error instanceof ScheduleNotFoundError) && !isUnavailable(error)) throw error;
      });
    },

    async removeGhost(ref) {
      try {
        const { info } = await handleOf(ref).describe();
        if (Date.now() - info.createdAt.getTime() > GHOST_MS) await handleOf(ref).delete();
      } catch (error) {
        if (!(error instanceof ScheduleNotFoundError)) throw error;
      }
    },
  };
}

function optionsOf(record: ScheduleRecord, paused: boolean): ScheduleOptions & { policies: object } {
  const { tenant, id, createdAt, cron, timeZone, overlap, job } = record;
  const input: PlanRef = { tenant, id };
  const typedSearchAttributes = [{ key: SEARCH_ATTRIBUTES.tenant, value: tenant }, { key: SEARCH_ATTRIBUTES.kind, value: 'schedule' }];
  return {
    scheduleId: scheduleId(tenant, id),
    spec: { cronExpressions: [cron], timezone: timeZone },
    action: {
      type: 'startWorkflow', workflowType: PLAN_WORKFLOWS.scheduledJob, workflowId: scheduledWorkflowId(tenant, id, createdAt), taskQueue: TASK_QUEUES.jobs,
      args: [input], typedSearchAttributes, staticSummary: `${job.request.handler}: ${job.request.fileName}`,
    },
    policies: { overlap: OVERLAP[overlap], catchupWindow: CATCH_UP },
    state: { paused },
    typedSearchAttributes,
  };
}

const jobOf = ({ action }: ScheduleDescription['info']['recentActions'][number]): string => scheduledJobId(action.workflow.workflowId);

function clockOf({ state, info }: ScheduleDescription): ScheduleClock {
  return {
    state: state.paused ? 'paused' : 'active',
    note: (state.paused && state.note) || null,
    next: state.paused ? [] : info.nextActionTimes.map((time) => time.toISOString()),
    recent: info.recentActions.map((run) => ({ at: run.scheduledAt.toISOString(), job: jobOf(run) })),
    counts: { started: info.numActionsTaken, skipped: info.numActionsSkippedOverlap, missed: info.numActionsMissedCatchupWindow },
  };
}

function refusal(error: unknown): unknown {
  if (error instanceof ScheduleNotFoundError) {
    return new SheafError('schedule_not_found', 'Temporal does not have this schedule any more.', { remedy: '`sheaf schedule resume` makes it again.', cause: error });
  }
  if (isUnavailable(error)) {
    return new SheafError('temporal_unavailable', 'Temporal cannot be reached, and it keeps the schedules.', { remedy: 'Try again when it is back; `sheaf system check` tells.', cause: error });
  }
  // What the server calls an invalid argument, the client calls a TypeError.
  if (error instanceof TypeError) {
    return new SheafError('invalid_schedule', `Temporal does not take the schedule: ${error.message}.`, {
      remedy: 'cron has five fields: minute, hour, day of month, month, day of week. The time zone is an IANA name such as Europe/Berlin.', cause: error,
    });
  }
  return error;
}
