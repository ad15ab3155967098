/** Lanes, inside a transaction of the caller's: one job at a time works on a source's lane. */
import type { JobStore } from '../ports/jobs.ts';
import type { LaneRef } from '../ports/rows.ts';
import type { SqliteFile } from './database.ts';

interface LaneRow {
  generation: number;
  holder: string | null;
  attempt: number;
}

type LaneAnswer = Awaited<ReturnType<JobStore['acquireLane']>>;

export function lanesOf({ db }: SqliteFile) {
  const select = db.prepare<[string, string, string], LaneRow>('SELECT generation, holder, attempt FROM lanes WHERE tenant = ? AND source = ? AND lane = ?');
  const take = db.prepare<[string, string, string, number, string, number]>(`
    INSERT INTO lanes (tenant, source, lane, generation, holder, attempt) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET generation = excluded.generation, holder = excluded.holder, attempt = excluded.attempt`);
  const free = db.prepare<[string, string, string, string, number]>(
    'UPDATE lanes SET holder = NULL WHERE tenant = ? AND source = ? AND lane = ? AND holder = ? AND attempt <= ?');

  return {
    holder: ({ tenant, source, lane }: LaneRef): string | null => select.get(tenant, source, lane)?.holder ?? null,

    /** `over`: a holder that works no more, whose lane may be taken. */
    acquire({ tenant, source, lane }: LaneRef, job: string, attempt: number, over: string | null = null): LaneAnswer {
      const found = select.get(tenant, source, lane);
      if (found?.holder === job && found.attempt === attempt) return { granted: true, generation: found.generation, holder: job };
      // Free, or held by an earlier attempt of the same job. A late question of an earlier attempt gets nothing.
      const available = !found?.holder || found.holder === over || (found.holder === job && found.attempt < attempt);
      if (!available) return { granted: false, generation: found.generation, holder: found.holder ?? job };
      const generation = (found?.generation ?? 0) + 1;
      take.run(tenant, source, lane, generation, job, attempt);
      return { granted: true, generation, holder: job };
    },

    /** Nothing happens when another job, or a later attempt, holds it. */
    release({ tenant, source, lane }: LaneRef, job: string, attempt: number): void {
      free.run(tenant, source, lane, job, attempt);
    },
  };
}
