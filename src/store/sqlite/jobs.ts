/** Job records, idempotency keys and lanes, in the control file. */
import type { JobRecord } from '../../contracts/job.ts';
import { changedJob, requeuedJob } from '../job-records.ts';
import { jobCursor, listed, readCursor } from '../cursor.ts';
import { idempotencyConflict } from '../idempotency.ts';
import type { JobStore } from '../ports/jobs.ts';
import type { SqliteFile } from './database.ts';
import { lanesOf } from './lanes.ts';

export function jobMethods(file: SqliteFile): Omit<JobStore, 'removeJob'> {
  const { db } = file;
  const insert = db.prepare<[string, string, string]>('INSERT INTO jobs (tenant, id, record) VALUES (?, ?, ?)');
  const update = db.prepare<[string, string, string]>('UPDATE jobs SET record = ? WHERE tenant = ? AND id = ?');
  const select = db.prepare<[string, string], string>('SELECT record FROM jobs WHERE tenant = ? AND id = ?').pluck();
  // Each filter is off when its value is NULL; one statement for all combinations.
  const newestWhere = (of: string) => db.prepare<[Record<string, string | number | null>], string>(`
    SELECT record FROM jobs
    WHERE tenant = :tenant ${of}
      AND (:createdAt IS NULL OR (created_at, id) < (:createdAt, :id))
      AND (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
      AND (:kind IS NULL OR kind = :kind)
      AND (:source IS NULL OR source = :source)
      AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))
    ORDER BY created_at DESC, id DESC LIMIT :limit`).pluck();
  const newest = newestWhere('');
  const newestOfBatch = newestWhere('AND batch = :batch');
  const openJobs = (also = '') => db.prepare<[string, string, number], string>(`
    SELECT record FROM jobs WHERE open = 1 ${also} AND (tenant, id) > (?, ?) ORDER BY tenant, id LIMIT ?`).pluck();
  const open = { all: openJobs(), active: openJobs('AND resting = 0'), resting: openJobs('AND resting = 1') };
  const selectKey = db.prepare<[string, string], { request_hash: string; job: string }>(
    'SELECT request_hash, job FROM idempotency_keys WHERE tenant = ? AND key = ?');
  const insertKey = db.prepare<[string, string, string, string]>(
    'INSERT INTO idempotency_keys (tenant, key, request_hash, job) VALUES (?, ?, ?, ?)');
  const lanes = lanesOf(file);

  const find = (tenant: string, id: string): JobRecord | null => {
    const record = select.get(tenant, id);
    return record === undefined ? null : (JSON.parse(record) as JobRecord);
  };
  const save = (job: JobRecord): JobRecord => {
    const saved = { ...job, revision: job.revision + 1, updatedAt: new Date().toISOString() };
    update.run(JSON.stringify(saved), job.tenant, job.id);
    return saved;
  };

  return {
    createJob: (job, idempotency) => file.write(() => {
      const claimed = idempotency && selectKey.get(job.tenant, idempotency.key);
      if (claimed && claimed.request_hash !== idempotency?.requestHash) throw idempotencyConflict();
      const existing = find(job.tenant, claimed?.job ?? job.id);
      if (existing !== null) return { job: existing, created: false };
      insert.run(job.tenant, job.id, JSON.stringify(job));
      if (idempotency) insertKey.run(job.tenant, idempotency.key, idempotency.requestHash, job.id);
      return { job, created: true };
    }),

    getJob: (tenant, id) => file.read(() => find(tenant, id)),

    listJobs: async (tenant, filter, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const found = await file.read(() => (filter.batch === undefined ? newest : newestOfBatch).all({
        tenant, ...(filter.batch !== undefined && { batch: filter.batch }), createdAt: after?.[0] ?? null, id: after?.[1] ?? null,
        states: filter.state ? JSON.stringify(filter.state) : null,
        kind: filter.kind ?? null, source: filter.source ?? null, tag: filter.tag ?? null,
        limit: page.limit + 1,
      }));
      return listed(found.map((record) => JSON.parse(record) as JobRecord), page.limit, (job) => [job.createdAt, job.id]);
    },

    changeJob: (tenant, id, revision, change) => file.write(() => {
      const job = find(tenant, id);
      if (job?.revision !== revision) return null;
      return save(changedJob(job, change));
    }),

    requeueJob: (tenant, id, revision, retry) => file.write(() => {
      const job = find(tenant, id);
      if (job?.revision !== revision) return null;
      return save(requeuedJob(job, retry));
    }),

    advanceJob: (tenant, id, at, patch) => file.write(() => {
      const job = find(tenant, id);
      const later = job !== null
        && (at.attempt > job.attempt || (at.attempt === job.attempt && at.sequence > job.sequence));
      if (later) save({ ...job, ...patch, ...at });
      return later;
    }),

    openJobs: async (page, which) => {
      const [tenant, id] = readCursor(page.cursor, jobCursor) ?? ['', ''];
      const found = await file.read(() => open[which ?? 'all'].all(tenant, id, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as JobRecord), page.limit, (job) => [job.tenant, job.id]);
    },

    acquireLane: (lane, job, attempt) => file.write(() => lanes.acquire(lane, job, attempt)),
  };
}
