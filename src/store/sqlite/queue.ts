/** The queue, in the control file: every step is one transaction over entries, lanes and job records. */
import { isEnded, type JobRecord } from '../../contracts/job.ts';
import type { QueueEntry, QueueState } from '../../contracts/queue.ts';
import { compareTurns, effectivePriority, turns } from '../../domain/queue-order.ts';
import type { QueueStore } from '../ports/queue.ts';
import type { SqliteFile } from './database.ts';
import { lanesOf } from './lanes.ts';

const COLUMNS = 'tenant, job AS jobId, attempt, sequence, source, lane, priority, since, state, generation, changed_at AS changedAt';
/** Beyond every time. Bound as a float: the driver takes no infinity, and a column of integers compares with floats. */
const NEVER = Number.MAX_SAFE_INTEGER;
const bounded = (time: number): number => Math.max(-NEVER, Math.min(NEVER, time));

export function queueMethods(file: SqliteFile): QueueStore {
  const { db } = file;
  const select = db.prepare<[string, string], QueueEntry>(`SELECT ${COLUMNS} FROM queue WHERE tenant = ? AND job = ?`);
  const save = db.prepare<[QueueEntry]>(`
    INSERT INTO queue (tenant, job, attempt, sequence, source, lane, priority, since, state, generation, changed_at)
    VALUES (:tenant, :jobId, :attempt, :sequence, :source, :lane, :priority, :since, :state, :generation, :changedAt)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, sequence = excluded.sequence, source = excluded.source, lane = excluded.lane,
      priority = excluded.priority, since = excluded.since, state = excluded.state, generation = excluded.generation, changed_at = excluded.changed_at`);
  const remove = db.prepare<[string, string, number]>('DELETE FROM queue WHERE tenant = ? AND job = ? AND attempt <= ?');
  const first = db.prepare<[number, number, number, string], QueueEntry>(`
    SELECT ${COLUMNS} FROM queue
    WHERE state = 'waiting' AND priority = ? AND since > ? AND since <= ? AND tenant NOT IN (SELECT value FROM json_each(?))
    ORDER BY since, job LIMIT 1`);
  const placed = db.prepare<[], QueueEntry>(`SELECT ${COLUMNS} FROM queue WHERE state IN ('offered', 'running')`);
  const ahead = db.prepare<[{ tenant: string; agedSince: number; priority: number; since: number; jobId: string }], { ahead: number; aheadInTenant: number }>(`
    SELECT count(*) AS ahead, count(*) FILTER (WHERE tenant = :tenant) AS aheadInTenant FROM queue
    WHERE state = 'waiting' AND (CASE WHEN priority = 4 AND since <= :agedSince THEN 3 ELSE priority END, since, job) < (:priority, :since, :jobId)`);
  const blockedOnLane = db.prepare<[string, string, string], QueueEntry>(
    `SELECT ${COLUMNS} FROM queue WHERE state = 'blocked' AND tenant = ? AND source = ? AND lane = ?`);
  const selectJob = db.prepare<[string, string], string>('SELECT record FROM jobs WHERE tenant = ? AND id = ?').pluck();

  const lanes = lanesOf(file);

  const jobOf = (tenant: string, id: string): JobRecord | null => {
    const record = selectJob.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as JobRecord);
  };
  const write = (entry: QueueEntry, state: QueueState, now: number): QueueEntry => {
    const written = { ...entry, state, changedAt: state === entry.state ? entry.changedAt : now };
    save.run(written);
    return written;
  };
  /** Null: another job works on it. A holder that has ended, or is gone, works no more. */
  const acquire = (entry: QueueEntry): number | null => {
    let answer = lanes.acquire(entry, entry.jobId, entry.attempt);
    if (!answer.granted && answer.holder !== entry.jobId) {
      const holder = jobOf(entry.tenant, answer.holder);
      if (!holder || isEnded(holder.state)) answer = lanes.acquire(entry, entry.jobId, entry.attempt, answer.holder);
    }
    return answer.granted ? answer.generation : null;
  };
  const next = (full: string[], agedSince: number): QueueEntry | undefined => {
    for (const pieces of turns(agedSince)) {
      const heads = pieces.flatMap(({ priority, after, until }) => first.get(priority, bounded(after), bounded(until), JSON.stringify(full)) ?? []);
      if (heads.length > 0) return heads.toSorted((a, b) => compareTurns(a, b, agedSince))[0];
    }
    return undefined;
  };

  return {
    enqueue: (request, now) => file.write(() => {
      const job = jobOf(request.tenant, request.jobId);
      if (!job || isEnded(job.state) || job.attempt !== request.attempt) return null;
      const found = select.get(request.tenant, request.jobId);
      if (!found || found.attempt < request.attempt) {
        return write({ ...request, state: 'waiting', generation: 0, changedAt: now }, 'waiting', now);
      }
      if (found.attempt > request.attempt || found.sequence > request.sequence) return found;
      // What was blocked is looked at again: its turn may be another now.
      const state = found.state === 'offered' || found.state === 'running' ? 'running' : 'waiting';
      return write({ ...found, sequence: request.sequence, priority: request.priority }, state, now);
    }),

    admitNext: (limits, now, asking) => file.write(() => {
      const places = placed.all();
      const agedSince = now - limits.ageAfterMs;
      const given: QueueEntry[] = [];
      while (places.length < limits.all) {
        const full = [...Map.groupBy(places, ({ tenant }) => tenant)].filter(([, taken]) => taken.length >= limits.perTenant).map(([tenant]) => tenant);
        const entry = next(full, agedSince);
        if (!entry) break;
        const generation = acquire(entry);
        if (generation === null) {
          write(entry, 'blocked', now);
          continue;
        }
        const asks = asking?.jobId === entry.jobId && asking.tenant === entry.tenant;
        const admitted = write({ ...entry, generation }, asks ? 'running' : 'offered', now);
        places.push(admitted);
        given.push(admitted);
      }
      return given;
    }),

    pauseTurn: ({ tenant, jobId, attempt, sequence }, now) => file.write(() => {
      const found = select.get(tenant, jobId);
      if (!found || found.attempt !== attempt || found.sequence > sequence) return;
      write({ ...found, sequence }, 'paused', now);
    }),

    leaveQueue: (lane, jobId, attempt, now) => file.write(() => {
      const { tenant, source } = lane;
      remove.run(tenant, jobId, attempt);
      lanes.release(lane, jobId, attempt);
      if (lanes.holder(lane) !== null) return null;
      const [released] = blockedOnLane.all(tenant, source, lane.lane).toSorted((a, b) => compareTurns(a, b, -Infinity));
      return released ? write(released, 'waiting', now) : null;
    }),

    queueEntry: (tenant, jobId) => file.read(() => select.get(tenant, jobId) ?? null),

    queueStanding: (tenant, jobId, limits, now) => file.read(() => {
      const entry = select.get(tenant, jobId);
      if (!entry) return null;
      const places = placed.all();
      const agedSince = now - limits.ageAfterMs;
      const holder = lanes.holder(entry);
      return {
        entry,
        ...ahead.get({ tenant, agedSince, priority: effectivePriority(entry.priority, entry.since, agedSince), since: entry.since, jobId })!,
        taken: places.length, takenByTenant: places.filter((place) => place.tenant === tenant).length,
        laneHolder: holder === jobId ? null : holder,
      };
    }),

    placesTaken: () => file.read(() => placed.all()),
  };
}
