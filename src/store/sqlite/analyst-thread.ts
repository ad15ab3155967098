/** The thread that reads summaries and adds them up: see `reading-thread.ts`. */
import { workerData } from 'node:worker_threads';
import type { Analytics, JobSummary } from '../../contracts/summary.ts';
import { Analysis } from '../../domain/analytics.ts';
import type { AnalysisAsked } from './analyst.ts';
import { SqliteFile } from './database.ts';
import { answerQuestions } from './reading-thread.ts';
import { CONTROL_MIGRATIONS } from './control-schema.ts';

const CACHE_KIB = 4 * 1024;

const file = await SqliteFile.open(workerData as string, CONTROL_MIGRATIONS, CACHE_KIB);

const FILTER = 'ended_at >= :since AND ended_at < :until AND (:handler IS NULL OR handler = :handler)';
const ofAll = file.db.prepare<[Record<string, string | null>], string>(`SELECT record FROM summaries WHERE ${FILTER}`).pluck();
const ofTenant = file.db.prepare<[Record<string, string | null>], string>(`SELECT record FROM summaries WHERE tenant = :tenant AND ${FILTER}`).pluck();

answerQuestions(file, ({ tenant, filter: { since, until, handler } }: AnalysisAsked): Analytics => {
  const analysis = new Analysis();
  const bound = { since, until, handler: handler ?? null };
  const records = tenant === null ? ofAll.iterate(bound) : ofTenant.iterate({ ...bound, tenant });
  for (const record of records) analysis.add(JSON.parse(record) as JobSummary);
  return analysis.result();
});
