/** What a job would do and cost, told without making it. Types only: its workflow imports them. */
import type { JobRequest } from './job.ts';

export const FORECAST_WORKFLOW = 'forecastJob';

/** Kept in the blobs while it is worked on. */
export interface ForecastRequest {
  tenant: string;
  id: string;
  owner: string;
  source: string;
  lane: string;
  request: JobRequest;
  /** Rows that are handled, and paid for, to tell better what the others would take. */
  sample: number;
}

export interface Forecast {
  /** All of the sheet; the next five add up to them. */
  rows: number;
  /** Would be handled; `cached` of them without being paid for. */
  toDo: number;
  /** Done by an earlier job, and would not be handled again. */
  unchanged: number;
  /** Failed for good in an earlier job, and would not be tried again. */
  failed: number;
  /** Blank rows. */
  skipped: number;
  /** Rows whose key an earlier row has, or that have none. */
  refused: number;
  cached: number;
  /** Of all rows to do, those of the sample too; null: nobody can tell. */
  tokens: number | null;
  cost: number | null;
  /** What they were told from: the rows that were handled, or the length of what would be asked; null where they are not told. */
  basis: 'sample' | 'length' | null;
  /** That would be sent to others, after those of the sample; null: nobody can tell. */
  requests: number | null;
  /** What named limits and the manners of web sites take at least, with one worker, from an idle limit on; null: nothing holds it back. */
  least: { seconds: number; limit: string } | null;
  sample: { rows: number; failed: number; tokens: number | null; cost: number | null } | null;
}

export interface ForecastInput {
  tenant: string;
  id: string;
}

export interface ForecastActivities {
  /** Reads the sheet and the ledger. Pays for nothing but the sample, whose answers are kept. */
  forecastRows(input: ForecastInput): Promise<Forecast>;
}
