/** What is kept of a job after its end, and the figures that are made of it. It outlives the job's record. */
import type { Counts, EndedState } from './job.ts';

/** Where a job's time goes. `rows` and `snapshot` are work; a job that is retried adds to each. */
export const STAGES = ['queued', 'snapshot', 'rows', 'waiting', 'paused'] as const;
export type Stage = (typeof STAGES)[number];
/** Milliseconds. */
export type StageTimes = Record<Stage, number>;

/** Written with each end of a job; a later end of the same job replaces it. */
export interface JobSummary {
  tenant: string;
  job: string;
  /** (attempt, sequence) of the end; an earlier one never replaces a later one. */
  attempt: number;
  sequence: number;
  handler: string;
  state: EndedState;
  /** ISO 8601. */
  endedAt: string;
  stages: StageTimes;
  /** Of the whole job, all attempts. */
  counts: Counts;
  tokens: number | null;
  /** In the currency of the price table; null: unknown. */
  cost: number | null;
  /** Failed rows by code, the most frequent first; at most `MOST_CODES`. */
  errors: { code: string; rows: number }[];
}
export const MOST_CODES = 20;

export interface AnalyticsFilter {
  /** ISO 8601, inclusive: jobs that ended then or later. */
  since: string;
  /** Exclusive. */
  until: string;
  handler?: string;
}

/** Of a set of durations, in milliseconds: the value that half, or 95 of 100, do not exceed. Null of an empty set. */
export interface Percentiles {
  p50: number | null;
  p95: number | null;
}

export interface Figures {
  jobs: number;
  completed: number;
  failed: number;
  cancelled: number;
  /** Rows with an outcome. */
  rows: number;
  failedRows: number;
  /** Failed of those that were done, unchanged or failed; null where there are none. */
  errorRate: number | null;
  /** Rows with an outcome by the time that rows ran; null where none did. */
  rowsPerMinute: number | null;
  tokens: number | null;
  cost: number | null;
  /** From the creation to the end, less the time between an end and a retry. */
  total: Percentiles;
}

export interface HandlerFigures extends Figures {
  handler: string;
  stages: Record<Stage, Percentiles>;
}

export interface DayFigures extends Figures {
  /** `2026-11-25`, in UTC; days without an end are left out. */
  day: string;
}

export interface Analytics {
  all: Figures;
  /** The most jobs first. */
  handlers: HandlerFigures[];
  /** Ascending. */
  days: DayFigures[];
  /** Failed rows by code, the most frequent first. */
  errors: { code: string; rows: number }[];
}
