/** Figures over summaries of jobs, added up by Elasticsearch. */
import type { estypes } from '@elastic/elasticsearch';
import { STAGES, type Figures, type Percentiles } from '../../contracts/summary.ts';
import { figuresOf, perStage } from '../../domain/analytics.ts';
import type { Store } from '../store.ts';
import type { Cluster } from './connection.ts';

type Aggregations = Record<string, estypes.AggregationsAggregationContainer>;

const MOST_HANDLERS = 100;
const MOST_CODES = 1_000;
const SUMS = ['done', 'unchanged', 'failed', 'skipped', 'rows'] as const;

/** By nearest rank, as other stores have it: two digits of each value are kept. */
const percentiles = (field: string): estypes.AggregationsAggregationContainer =>
  ({ percentiles: { field, percents: [50, 95], hdr: { number_of_significant_value_digits: 2 }, keyed: false } });

const FIGURES: Aggregations = {
  states: { terms: { field: 'state' } },
  ...Object.fromEntries(SUMS.map((name) => [name, { sum: { field: name } }])),
  // A sum of nothing is 0; the count of values tells it from unknown.
  tokens: { stats: { field: 'tokens' } },
  cost: { stats: { field: 'cost' } },
  total: percentiles('total'),
};

type Found = Record<string, unknown>;

const percentilesOf = (found: unknown): Percentiles => {
  const { values } = found as { values: { key: number; value: number | null }[] };
  const at = (percent: number): number | null => {
    const value = values.find(({ key }) => key === percent)?.value;
    return value === null || value === undefined || Number.isNaN(value) ? null : value;
  };
  return { p50: at(50), p95: at(95) };
};

function figures(found: Found): Figures {
  const { buckets } = found['states'] as { buckets: { key: string; doc_count: number }[] };
  const jobs = (state: string): number => buckets.find(({ key }) => key === state)?.doc_count ?? 0;
  const sum = (name: string): number => (found[name] as { value: number }).value;
  const known = (name: string): number | null => {
    const stats = found[name] as { count: number; sum: number };
    return stats.count === 0 ? null : stats.sum;
  };
  return figuresOf({
    states: { completed: jobs('completed'), failed: jobs('failed'), cancelled: jobs('cancelled') },
    done: sum('done'), unchanged: sum('unchanged'), failed: sum('failed'), skipped: sum('skipped'), rowsMs: sum('rows'),
    tokens: known('tokens'), cost: known('cost'), total: percentilesOf(found['total']),
  });
}

export function analyseMethod(cluster: Cluster): Store['analyse'] {
  return async (tenant, { since, until, handler }) => {
    const filter: estypes.QueryDslQueryContainer[] = [{ range: { endedAt: { gte: since, lt: until } } }];
    if (tenant !== null) filter.push({ term: { tenant } });
    if (handler !== undefined) filter.push({ term: { handler } });
    const { aggregations } = await cluster.search('summaries', tenant, {
      query: { bool: { filter } }, size: 0, track_total_hits: false,
      aggregations: {
        ...FIGURES,
        handlers: {
          terms: { field: 'handler', size: MOST_HANDLERS, order: [{ _count: 'desc' }, { _key: 'asc' }] },
          aggregations: { ...FIGURES, ...Object.fromEntries(STAGES.map((stage) => [`stage ${stage}`, percentiles(stage)])) },
        },
        days: { date_histogram: { field: 'endedAt', calendar_interval: 'day', format: 'yyyy-MM-dd', min_doc_count: 1 }, aggregations: FIGURES },
        errors: { nested: { path: 'errors' }, aggregations: { codes: { terms: { field: 'errors.code', size: MOST_CODES }, aggregations: { rows: { sum: { field: 'errors.rows' } } } } } },
      },
    });
    const found = aggregations as unknown as Found;
    const { buckets: handlers } = found['handlers'] as { buckets: (Found & { key: string })[] };
    const { buckets: days } = found['days'] as { buckets: (Found & { key_as_string: string })[] };
    const { codes: { buckets: codes } } = found['errors'] as { codes: { buckets: { key: string; rows: { value: number } }[] } };
    return {
      all: figures(found),
      handlers: handlers.map((one) => ({ handler: one.key, ...figures(one), stages: perStage((stage) => percentilesOf(one[`stage ${stage}`])) })),
      days: days.map((one) => ({ day: one.key_as_string, ...figures(one) })),
      errors: codes.map(({ key, rows }) => ({ code: key, rows: rows.value })).sort((a, b) => b.rows - a.rows || (a.code < b.code ? -1 : 1)),
    };
  };
}
