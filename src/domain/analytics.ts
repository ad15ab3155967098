/** Figures over summaries of jobs, for a store that does not aggregate by itself. */
import type { EndedState } from '../contracts/job.ts';
import { STAGES, type Analytics, type Figures, type JobSummary, type Percentiles, type Stage } from '../contracts/summary.ts';
import { NOTHING_SPENT, plus } from './spent.ts';

/** What figures are made of, once it is summed up. */
export interface Sums {
  states: Record<EndedState, number>;
  done: number;
  unchanged: number;
  failed: number;
  skipped: number;
  /** Milliseconds in which rows ran. */
  rowsMs: number;
  tokens: number | null;
  cost: number | null;
  total: Percentiles;
}

export function figuresOf({ states, done, unchanged, failed, skipped, rowsMs, tokens, cost, total }: Sums): Figures {
  const handled = done + unchanged + failed;
  const rows = handled + skipped;
  return {
    jobs: states.completed + states.failed + states.cancelled, ...states, rows, failedRows: failed,
    errorRate: handled === 0 ? null : failed / handled,
    rowsPerMinute: rowsMs === 0 ? null : (rows * 60_000) / rowsMs,
    tokens, cost, total,
  };
}

/** Milliseconds from the creation to the end. */
export const totalTime = ({ stages }: Pick<JobSummary, 'stages'>): number => STAGES.reduce((sum, stage) => sum + stages[stage], 0);

class Group {
  readonly #sums: Omit<Sums, 'total'> = {
    states: { completed: 0, failed: 0, cancelled: 0 }, done: 0, unchanged: 0, failed: 0, skipped: 0, rowsMs: 0, ...NOTHING_SPENT,
  };
  readonly #totals: number[] = [];

  add({ state, counts, stages, tokens, cost }: JobSummary): void {
    const sums = this.#sums;
    sums.states[state]++;
    for (const outcome of ['done', 'unchanged', 'failed', 'skipped'] as const) sums[outcome] += counts[outcome];
    sums.rowsMs += stages.rows;
    Object.assign(sums, plus(sums, { tokens, cost }));
    this.#totals.push(totalTime({ stages }));
  }

  figures(): Figures {
    return figuresOf({ ...this.#sums, total: percentiles(this.#totals) });
  }
}

interface HandlerGroup {
  group: Group;
  stages: Record<Stage, number[]>;
}

export class Analysis {
  readonly #all = new Group();
  readonly #handlers = new Map<string, HandlerGroup>();
  readonly #days = new Map<string, Group>();
  readonly #errors = new Map<string, number>();

  add(summary: JobSummary): void {
    const day = summary.endedAt.slice(0, 10);
    let handler = this.#handlers.get(summary.handler);
    if (!handler) this.#handlers.set(summary.handler, (handler = { group: new Group(), stages: { queued: [], snapshot: [], rows: [], waiting: [], paused: [] } }));
    let ofDay = this.#days.get(day);
    if (!ofDay) this.#days.set(day, (ofDay = new Group()));
    for (const group of [this.#all, handler.group, ofDay]) group.add(summary);
    for (const stage of STAGES) handler.stages[stage].push(summary.stages[stage]);
    for (const { code, rows } of summary.errors) this.#errors.set(code, (this.#errors.get(code) ?? 0) + rows);
  }

  result(): Analytics {
    const handlers = [...this.#handlers].map(([handler, { group, stages }]) => ({ handler, ...group.figures(), stages: perStage((stage) => percentiles(stages[stage])) }));
    return {
      all: this.#all.figures(),
      handlers: handlers.sort((a, b) => b.jobs - a.jobs || (a.handler < b.handler ? -1 : 1)),
      days: [...this.#days].map(([day, group]) => ({ day, ...group.figures() })).sort((a, b) => (a.day < b.day ? -1 : 1)),
      errors: [...this.#errors].map(([code, rows]) => ({ code, rows })).sort((a, b) => b.rows - a.rows || (a.code < b.code ? -1 : 1)),
    };
  }
}

export const perStage = <T>(of: (stage: Stage) => T): Record<Stage, T> =>
  ({ queued: of('queued'), snapshot: of('snapshot'), rows: of('rows'), waiting: of('waiting'), paused: of('paused') });

/** By nearest rank. Sorts what it is given. */
function percentiles(values: number[]): Percentiles {
  if (values.length === 0) return { p50: null, p95: null };
  values.sort((a, b) => a - b);
  const rank = (share: number): number => values[Math.max(0, Math.ceil(share * values.length) - 1)]!;
  return { p50: rank(0.5), p95: rank(0.95) };
}
