/** Removing what has been kept long enough, a bounded step a call, from both files; and the reports about it. */
import type { JobRecord } from '../../contracts/job.ts';
import type { RowInput } from '../../contracts/row.ts';
import type { CleanupReport, Sweep, Tally } from '../../contracts/system.ts';
import { searchText } from '../../domain/search-text.ts';
import { encodeCursor, endedCursor, listed, numberCursor, readCursor } from '../cursor.ts';
import type { CleanupStore } from '../ports/cleanup.ts';
import { addTo } from '../tallies.ts';
import type { SqliteFile } from './database.ts';

/** Jobs looked at, and summaries removed, in one step; it ends early where their events are many. */
const JOBS_A_STEP = 500;
const EVENTS_A_STEP = 5_000;
/** Items looked at in one step: some 50 ms where all have outputs. */
const ITEMS_A_STEP = 2_000;
const KEPT_REPORTS = 100;

interface OldOutput {
  id: number;
  tenant: string;
  job: string;
  bytes: number;
}

const placeOf = ({ completedAt, tenant, id }: JobRecord): [string, string, string] => [completedAt ?? '', tenant, id];

export function cleanupMethods(control: SqliteFile, ledger: SqliteFile): CleanupStore {
  const ended = control.db.prepare<[string, string, string, string, number], string>(`
    SELECT record FROM jobs WHERE open = 0 AND completed_at < ? AND (completed_at, tenant, id) > (?, ?, ?)
    ORDER BY completed_at, tenant, id LIMIT ?`).pluck();
  const isOpen = control.db.prepare<[string, string], number>('SELECT open FROM jobs WHERE tenant = ? AND id = ?').pluck();
  const sumEvents = control.db.prepare<[string, string], { count: number; bytes: number }>(`
    SELECT count(*) AS count, coalesce(sum(length(message) + coalesce(length(data), 0)), 0) AS bytes FROM events WHERE tenant = ? AND job = ?`);
  const deleteEvents = control.db.prepare<[string, string]>('DELETE FROM events WHERE tenant = ? AND job = ?');
  const lastId = ledger.db.prepare<[number, number], number | null>('SELECT max(id) FROM (SELECT id FROM items WHERE id > ? ORDER BY id LIMIT ?)').pluck();
  const oldOutputs = ledger.db.prepare<[number, number, number], OldOutput>(`
    SELECT items.id, lanes.tenant, items.job, length(items.output) AS bytes FROM items JOIN lanes ON lanes.id = items.lane
    WHERE items.id > ? AND items.id <= ? AND items.updated_at < ? AND items.output IS NOT NULL ORDER BY items.id`);
  const dropOutput = ledger.db.prepare<[number, number], string>(
    'UPDATE items SET output = NULL WHERE id = ? AND updated_at < ? AND output IS NOT NULL RETURNING input').pluck();
  const replaceText = ledger.db.prepare<[number, string]>('INSERT OR REPLACE INTO item_text (rowid, text) VALUES (?, ?)');
  const sumSummaries = control.db.prepare<[string], Tally>(
    'SELECT tenant, count(*) AS count, sum(length(record)) AS bytes FROM summaries WHERE ended_at < ? GROUP BY tenant');
  const deleteSummaries = control.db.prepare<[string, number], { tenant: string; bytes: number }>(`
    DELETE FROM summaries WHERE rowid IN (SELECT rowid FROM summaries WHERE ended_at < ? ORDER BY ended_at LIMIT ?)
    RETURNING tenant, length(record) AS bytes`);
  const upsertReport = control.db.prepare<[string, string]>(`
    INSERT INTO cleanups (id, record) VALUES (?, ?) ON CONFLICT DO UPDATE SET record = excluded.record WHERE excluded.step > step`);
  const dropReports = control.db.prepare<[number]>(`
    DELETE FROM cleanups WHERE id NOT IN (SELECT id FROM cleanups ORDER BY started_at DESC, id DESC LIMIT ?)`);
  const selectReport = control.db.prepare<[string], string>('SELECT record FROM cleanups WHERE id = ?').pluck();
  const selectReports = control.db.prepare<[], string>('SELECT record FROM cleanups ORDER BY started_at DESC, id DESC').pluck();

  const endedAfter = (before: string, cursor: string | undefined, limit: number): JobRecord[] => {
    const after = readCursor(cursor, endedCursor) ?? ['', '', ''];
    return ended.all(before, ...after, limit).map((record) => JSON.parse(record) as JobRecord);
  };

  return {
    endedJobs: async (before, page) =>
      listed(await control.read(() => endedAfter(before, page.cursor, page.limit + 1)), page.limit, placeOf),

    sweepEvents: ({ before, cursor, dryRun }) => {
      const step = (): Sweep => {
        const gone: Tally[] = [];
        const { items, nextCursor } = listed(endedAfter(before, cursor ?? undefined, JOBS_A_STEP + 1), JOBS_A_STEP, placeOf);
        let events = 0;
        for (const job of items) {
          const { count, bytes } = sumEvents.get(job.tenant, job.id)!;
          if (count === 0) continue;
          addTo(gone, { tenant: job.tenant, count, bytes });
          if (!dryRun) deleteEvents.run(job.tenant, job.id);
          if ((events += count) >= EVENTS_A_STEP && job !== items.at(-1)) return { gone, next: encodeCursor(placeOf(job)) };
        }
        return { gone, next: nextCursor };
      };
      return dryRun ? control.read(step) : control.write(step);
    },

    sweepOutputs: async ({ before, cursor, dryRun }) => {
      const [from] = readCursor(cursor ?? undefined, numberCursor) ?? [0];
      const to = await ledger.read(() => lastId.get(from, ITEMS_A_STEP) ?? null);
      if (to === null) return { gone: [], next: null };
      const time = Date.parse(before);
      const found = await ledger.read(() => oldOutputs.all(from, to, time));
      // A job that has not ended may yet take its finished rows from the ledger.
      const open = new Map<string, boolean>();
      await control.read(() => {
        for (const { tenant, job } of found) if (!open.has(`${tenant}/${job}`)) open.set(`${tenant}/${job}`, isOpen.get(tenant, job) === 1);
      });
      const old = found.filter(({ tenant, job }) => open.get(`${tenant}/${job}`) === false);
      const gone: Tally[] = [];
      const drop = (): void => {
        gone.length = 0; // a write that met a lock is made again
        for (const { id, tenant, bytes } of old) {
          const input = dryRun ? '' : dropOutput.get(id, time);
          if (input === undefined) continue;
          if (!dryRun) replaceText.run(id, searchText(JSON.parse(input) as RowInput, null));
          addTo(gone, { tenant, count: 1, bytes });
        }
      };
      if (dryRun) drop();
      else if (old.length > 0) await ledger.write(drop);
      return { gone, next: encodeCursor([to]) };
    },

    sweepSummaries: ({ before, dryRun }) => control.write(() => {
      if (dryRun) return { gone: sumSummaries.all(before), next: null };
      const gone: Tally[] = [];
      const removed = deleteSummaries.all(before, JOBS_A_STEP);
      for (const { tenant, bytes } of removed) addTo(gone, { tenant, count: 1, bytes });
      return { gone, next: removed.length < JOBS_A_STEP ? null : '' };
    }),

    writeCleanup: (report) => control.write(() => {
      upsertReport.run(report.id, JSON.stringify(report));
      dropReports.run(KEPT_REPORTS);
    }),

    getCleanup: (id) => control.read(() => {
      const record = selectReport.get(id);
      return record === undefined ? null : (JSON.parse(record) as CleanupReport);
    }),

    listCleanups: () => control.read(() => selectReports.all().map((record) => JSON.parse(record) as CleanupReport)),
  };
}
