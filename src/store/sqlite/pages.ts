/** Page counts and events of jobs, in the control file. */
import type { JobEvent, JobTotals, PageRecord } from '../../contracts/job.ts';
import type { Json, Spent } from '../../contracts/row.ts';
import { ifKnown } from '../../domain/spent.ts';
import { listed, numberCursor, readCursor } from '../cursor.ts';
import type { PageStore } from '../ports/pages.ts';
import type { SqliteFile } from './database.ts';

/** Events kept of a job. */
const NEWEST_EVENTS = 1_000;

/** `cached` is null in what was written before there was any. */
type SpentRow = Pick<PageRow, 'tokens' | 'cost' | 'cached'>;

interface PageRow {
  page: number;
  attempt: number;
  done: number;
  unchanged: number;
  failed: number;
  skipped: number;
  tried: number;
  faults: number;
  complete: number;
  result: string | null;
  tokens: number | null;
  cost: number | null;
  cached: number | null;
  submitted: number;
}

const pageRecord = ({ done, unchanged, failed, skipped, complete, tokens, cost, cached, submitted, ...rest }: PageRow): PageRecord => ({
  ...rest, counts: { done, unchanged, failed, skipped }, complete: complete === 1, ...ifKnown(spentOf({ tokens, cost, cached })), ...(submitted > 0 && { submitted }),
});

const spentOf = ({ tokens, cost, cached }: SpentRow): Spent => ({ tokens, cost, ...(cached !== null && cached > 0 && { cached }) });

interface EventRow extends Omit<JobEvent, 'data'> {
  data: string | null;
}

const jobEvent = ({ data, ...rest }: EventRow): JobEvent =>
  data === null ? rest : { ...rest, data: JSON.parse(data) as { [key: string]: Json } };

export function pageMethods(file: SqliteFile): PageStore {
  const { db } = file;
  const columns = 'page, attempt, done, unchanged, failed, skipped, tried, faults, complete, result, tokens, cost, cached, submitted';
  const upsertPage = db.prepare(`
    INSERT INTO pages (tenant, job, fence, ${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET attempt = excluded.attempt, fence = excluded.fence,
      done = excluded.done, unchanged = excluded.unchanged, failed = excluded.failed, skipped = excluded.skipped,
      tried = excluded.tried, faults = excluded.faults, complete = excluded.complete, result = coalesce(excluded.result, result),
      tokens = excluded.tokens, cost = excluded.cost, cached = excluded.cached, submitted = excluded.submitted
    WHERE excluded.fence >= fence`);
  const selectPage = db.prepare<[string, string, number], PageRow>(
    `SELECT ${columns} FROM pages WHERE tenant = ? AND job = ? AND page = ?`);
  const selectPages = db.prepare<[string, string, number, number], PageRow>(
    `SELECT ${columns} FROM pages WHERE tenant = ? AND job = ? AND page > ? ORDER BY page LIMIT ?`);
  const sumPages = db.prepare<[number, number, string, string], JobTotals & SpentRow & { submitted: number }>(`
    SELECT coalesce(sum(done), 0) AS done, coalesce(sum(unchanged), 0) AS unchanged,
      coalesce(sum(failed), 0) AS failed, coalesce(sum(skipped), 0) AS skipped, coalesce(sum(submitted), 0) AS submitted,
      coalesce(sum(tried) FILTER (WHERE attempt = ?), 0) AS tried, coalesce(sum(faults) FILTER (WHERE attempt = ?), 0) AS faults,
      sum(tokens) AS tokens, sum(cost) AS cost, sum(cached) AS cached
    FROM pages WHERE tenant = ? AND job = ?`);
  const sumSpent = db.prepare<[string, string], SpentRow>('SELECT sum(tokens) AS tokens, sum(cost) AS cost, sum(cached) AS cached FROM pages WHERE tenant = ? AND job = ?');
  const insertEvent = db.prepare(`
    INSERT INTO events (tenant, job, seq, dedupe, at, type, message, data)
    SELECT :tenant, :job, coalesce(max(seq), 0) + 1, :dedupe, :at, :type, :message, :data FROM events
    WHERE tenant = :tenant AND job = :job ON CONFLICT DO NOTHING`);
  const dropEvents = db.prepare<[string, string, string, string, number]>(`
    DELETE FROM events WHERE tenant = ? AND job = ?
      AND seq <= (SELECT max(seq) FROM events WHERE tenant = ? AND job = ?) - ?`);
  const selectEvents = db.prepare<[string, string, number, number], EventRow>(
    'SELECT seq, at, type, message, data FROM events WHERE tenant = ? AND job = ? AND seq > ? ORDER BY seq LIMIT ?');

  return {
    writePage: (tenant, job, { page, attempt, fence, counts, tried, faults, spent, complete, result, submitted = 0 }) => file.write(() =>
      upsertPage.run(tenant, job, fence, page, attempt, counts.done, counts.unchanged, counts.failed, counts.skipped,
        tried, faults, complete ? 1 : 0, result, spent?.tokens ?? null, spent?.cost ?? null, spent?.cached ?? null, submitted).changes > 0),

    listPages: async (tenant, job, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [-1];
      const found = await file.read(() => selectPages.all(tenant, job, after, page.limit + 1));
      return listed(found.map(pageRecord), page.limit, (record) => [record.page]);
    },

    getPage: (tenant, job, page) => file.read(() => {
      const found = selectPage.get(tenant, job, page);
      return found === undefined ? null : pageRecord(found);
    }),

    jobTotals: (tenant, job, attempt) => file.read(() => {
      const { tokens, cost, cached, submitted, ...totals } = sumPages.get(attempt, attempt, tenant, job)!;
      return { ...totals, ...ifKnown(spentOf({ tokens, cost, cached })), ...(submitted > 0 && { submitted }) };
    }),

    jobSpent: (tenant, job) => file.read(() => spentOf(sumSpent.get(tenant, job)!)),

    appendEvent: (tenant, job, { dedupe, at, type, message, data }) => file.write(() => {
      insertEvent.run({ tenant, job, dedupe, at, type, message, data: data === undefined ? null : JSON.stringify(data) });
      dropEvents.run(tenant, job, tenant, job, NEWEST_EVENTS);
    }),

    listEvents: async (tenant, job, page) => {
      const [after] = readCursor(page.cursor, numberCursor) ?? [0];
      const found = await file.read(() => selectEvents.all(tenant, job, after, page.limit + 1));
      return listed(found.map(jobEvent), page.limit, (event) => [event.seq]);
    },
  };
}
