/** Schedules, batches, actions on many jobs, and what depends on a job, in the control file. */
import type { JobRecord, JobState } from '../../contracts/job.ts';
import type { BatchRecord, BatchTotals, BulkRecord, PlanKind, PlanRecord, PlanRecords } from '../../contracts/plans.ts';
import { jobCursor, listed, readCursor, tripleCursor } from '../cursor.ts';
import { idempotencyConflict } from '../idempotency.ts';
import type { PlanStore } from '../ports/plans.ts';
import type { SqliteFile } from './database.ts';

export function planMethods(file: SqliteFile): PlanStore {
  const { db } = file;
  const insert = db.prepare<[string, string, string, string]>('INSERT INTO plans (tenant, kind, id, record) VALUES (?, ?, ?, ?)');
  const update = db.prepare<[string, string, string, string]>('UPDATE plans SET record = ? WHERE tenant = ? AND kind = ? AND id = ?');
  const remove = db.prepare<[string, string, string]>('DELETE FROM plans WHERE tenant = ? AND kind = ? AND id = ?');
  const select = db.prepare<[string, string, string], string>('SELECT record FROM plans WHERE tenant = ? AND kind = ? AND id = ?').pluck();
  const newest = db.prepare<[Record<string, string | number | null>], string>(`
    SELECT record FROM plans
    WHERE tenant = :tenant AND kind = :kind AND (:createdAt IS NULL OR (created_at, id) < (:createdAt, :id))
    ORDER BY created_at DESC, id DESC LIMIT :limit`).pluck();
  const open = db.prepare<[string, string, string, number], string>(`
    SELECT record FROM plans WHERE open = 1 AND (tenant, kind, id) > (?, ?, ?) ORDER BY tenant, kind, id LIMIT ?`).pluck();
  const closed = db.prepare<[string, string, string, string, number], string>(`
    SELECT record FROM plans WHERE open = 0 AND kind IN ('batch', 'bulk') AND created_at < ? AND (tenant, kind, id) > (?, ?, ?)
    ORDER BY tenant, kind, id LIMIT ?`).pluck();
  const dependents = db.prepare<[string, string, string, number], string>(`
    SELECT jobs.record FROM dependencies JOIN jobs ON jobs.tenant = dependencies.tenant AND jobs.id = dependencies.job
    WHERE dependencies.tenant = ? AND dependency = ? AND job > ? ORDER BY job LIMIT ?`).pluck();
  const members = db.prepare<[string, string], { state: JobState; jobs: number; rows: number; unread: number }>(`
    SELECT state, count(*) AS jobs, coalesce(sum(record ->> '$.manifest.rows'), 0) AS rows,
      count(*) FILTER (WHERE record ->> '$.manifest.rows' IS NULL) AS unread
    FROM jobs WHERE tenant = ? AND batch = ? GROUP BY state`);
  const counts = db.prepare<[string, string, string], Pick<BatchTotals, 'done' | 'unchanged' | 'failed' | 'skipped'>>(`
    SELECT coalesce(sum(done), 0) AS done, coalesce(sum(unchanged), 0) AS unchanged, coalesce(sum(failed), 0) AS failed, coalesce(sum(skipped), 0) AS skipped
    FROM pages WHERE tenant = ? AND job IN (SELECT id FROM jobs WHERE tenant = ? AND batch = ?)`);

  const find = <Kind extends PlanKind>(tenant: string, kind: Kind, id: string): PlanRecords[Kind] | null => {
    const record = select.get(tenant, kind, id);
    return record === undefined ? null : (JSON.parse(record) as PlanRecords[Kind]);
  };

  return {
    createPlan: <Kind extends PlanKind>(record: PlanRecords[Kind]) => file.write(() => {
      const existing = find(record.tenant, record.kind as Kind, record.id);
      if (existing === null) {
        insert.run(record.tenant, record.kind, record.id, JSON.stringify(record));
        return { record, created: true };
      }
      if (existing.requestHash !== record.requestHash) throw idempotencyConflict();
      return { record: existing, created: false };
    }),

    getPlan: (tenant, kind, id) => file.read(() => find(tenant, kind, id)),

    listPlans: async <Kind extends PlanKind>(tenant: string, kind: Kind, page: { cursor?: string; limit: number }) => {
      const after = readCursor(page.cursor, jobCursor);
      const found = await file.read(() => newest.all({ tenant, kind, createdAt: after?.[0] ?? null, id: after?.[1] ?? null, limit: page.limit + 1 }));
      return listed(found.map((record) => JSON.parse(record) as PlanRecords[Kind]), page.limit, ({ createdAt, id }) => [createdAt, id]);
    },

    changePlan: <Kind extends PlanKind>(record: PlanRecords[Kind]) => file.write(() => {
      if (find(record.tenant, record.kind, record.id)?.revision !== record.revision) return null;
      const saved = { ...record, revision: record.revision + 1 };
      update.run(JSON.stringify(saved), record.tenant, record.kind, record.id);
      return saved;
    }),

    removePlan: (tenant, kind, id) => file.write(() => void remove.run(tenant, kind, id)),

    openPlans: async (page) => {
      const [tenant, kind, id] = readCursor(page.cursor, tripleCursor) ?? ['', '', ''];
      const found = await file.read(() => open.all(tenant, kind, id, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as PlanRecord), page.limit, (record) => [record.tenant, record.kind, record.id]);
    },

    closedPlans: async (before, page) => {
      const [tenant, kind, id] = readCursor(page.cursor, tripleCursor) ?? ['', '', ''];
      const found = await file.read(() => closed.all(before, tenant, kind, id, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as BatchRecord | BulkRecord), page.limit, (record) => [record.tenant, record.kind, record.id]);
    },

    listDependents: async (tenant, job, page) => {
      const [, after] = readCursor(page.cursor, jobCursor) ?? ['', ''];
      const found = await file.read(() => dependents.all(tenant, job, after, page.limit + 1));
      return listed(found.map((record) => JSON.parse(record) as JobRecord), page.limit, ({ id }) => [job, id]);
    },

    batchTotals: (tenant, batch) => file.read(() => {
      const totals: BatchTotals = { jobs: {}, rows: 0, unread: 0, ...counts.get(tenant, tenant, batch)! };
      for (const { state, jobs, rows, unread } of members.all(tenant, batch)) {
        totals.jobs[state] = jobs;
        totals.rows += rows;
        totals.unread += unread;
      }
      return totals;
    }),
  };
}
