/** Figures over jobs that have ended, from what each left behind. */
import { API_PREFIX } from '../../contracts/api.ts';
import { type AnalyticsAnswer, analyticsAnswer, analyticsQuery } from '../../contracts/system-api.ts';
import { STAGES, type Analytics, type Figures, type Percentiles } from '../../contracts/summary.ts';
import type { Cell } from '../../contracts/row.ts';
import { perStage } from '../../domain/analytics.ts';
import { endpoint, reply } from '../endpoint.ts';
import { InvalidRequest } from '../problem.ts';
import { csvLines } from '../result-table.ts';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 30;
/** More days would be more buckets than a store gives in one answer. */
const MOST_DAYS = 400;

const jobs = endpoint({
  method: 'get', path: `${API_PREFIX}/analytics/jobs`, id: 'analyseJobs', tag: 'Analytics',
  summary: 'Figures over jobs that have ended',
  description: "Of the caller's tenant, jobs that were deleted since among them. Percentiles may be off by 2 %.",
  query: analyticsQuery,
  answers: { 200: { description: 'The figures; with `format=csv` a table', schema: analyticsAnswer, content: ['text/csv'] } },
}, async ({ tenant, query, res }, { store }) => {
  const until = new Date(query.until ?? Date.now());
  const since = new Date(query.since ?? until.getTime() - DEFAULT_DAYS * DAY_MS);
  if (since > until || until.getTime() - since.getTime() > MOST_DAYS * DAY_MS) {
    throw new InvalidRequest('Query', [{ path: 'since', message: `expected a time before until, by at most ${MOST_DAYS} days` }]);
  }
  const span = { since: since.toISOString(), until: until.toISOString() };
  const found = await store.analyse(tenant, { ...span, ...(query.handler !== undefined && { handler: query.handler }) });
  const answer = { ...span, ...inSeconds(found) };
  if (query.format === 'json') return reply(200, answer);
  res.set('Content-Type', 'text/csv; charset=utf-8').set('Content-Disposition', `attachment; filename="jobs-by-${query.by}.csv"`)
    .send(csvLines(tableOf(answer, query.by), true));
  return 'sent';
});

/** Stores count in milliseconds, people in seconds. */
function inSeconds({ all, handlers, days, errors }: Analytics): Omit<AnalyticsAnswer, 'since' | 'until'> {
  const time = (ms: number | null): number | null => (ms === null ? null : Math.round(ms) / 1000);
  const times = ({ p50, p95 }: Percentiles): Percentiles => ({ p50: time(p50), p95: time(p95) });
  const figures = <One extends Figures>(one: One): One => ({ ...one, total: times(one.total) });
  return {
    all: figures(all), days: days.map(figures), errors,
    handlers: handlers.map((one) => ({ ...figures(one), stages: perStage((stage) => times(one.stages[stage])) })),
  };
}

function tableOf({ days, handlers, errors }: AnalyticsAnswer, by: 'day' | 'handler' | 'code'): Cell[][] {
  if (by === 'code') return [['code', 'rows'], ...errors.map(({ code, rows }) => [code, rows])];
  const names = ['jobs', 'completed', 'failed', 'cancelled', 'rows', 'failedRows', 'errorRate', 'rowsPerMinute', 'tokens', 'cost'] as const;
  const cells = (one: AnalyticsAnswer['all']): Cell[] => [...names.map((name) => one[name]), one.total.p50, one.total.p95];
  const head = [...names, 'totalP50Seconds', 'totalP95Seconds'];
  if (by === 'day') return [['day', ...head], ...days.map((one) => [one.day, ...cells(one)])];
  return [
    ['handler', ...head, ...STAGES.flatMap((stage) => [`${stage}P50Seconds`, `${stage}P95Seconds`])],
    ...handlers.map((one) => [one.handler, ...cells(one), ...STAGES.flatMap((stage) => [one.stages[stage].p50, one.stages[stage].p95])]),
  ];
}

export const analyticsEndpoints = [jobs];
