/** Figures over all jobs, in the control file. `analyst.ts` adds the summaries up. */
import type { JobRecord } from '../../contracts/job.ts';
import type { FigureStore, JobCount } from '../ports/figures.ts';
import type { SqliteFile } from './database.ts';

export function figureMethods(file: SqliteFile): Omit<FigureStore, 'analyse'> {
  const { db } = file;
  const count = db.prepare<[], JobCount>('SELECT tenant, state, count(*) AS jobs FROM jobs GROUP BY state, tenant');
  const inStates = db.prepare<[string, number], string>(
    'SELECT record FROM jobs WHERE state IN (SELECT value FROM json_each(?)) ORDER BY created_at, id LIMIT ?').pluck();
  const upsertSummary = db.prepare<[string, string, string]>(`
    INSERT INTO summaries (tenant, job, record) VALUES (?, ?, ?)
    ON CONFLICT DO UPDATE SET record = excluded.record WHERE (excluded.attempt, excluded.sequence) >= (attempt, sequence)`);

  return {
    countJobs: () => file.read(() => count.all()),

    jobsIn: (states, limit) => file.read(() => inStates.all(JSON.stringify(states), limit).map((record) => JSON.parse(record) as JobRecord)),

    writeSummary: (summary) => file.write(() => {
      upsertSummary.run(summary.tenant, summary.job, JSON.stringify(summary));
    }),
  };
}
