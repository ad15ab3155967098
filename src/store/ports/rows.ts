/** The ledger of items, and failed rows. */
import type { RowFailure, RowInput } from '../../contracts/row.ts';
import type { KnownItem } from '../../domain/page-plan.ts';
import type { Listed, ListPage } from './lists.ts';

/** The ledger that an item belongs to. */
export interface LaneRef {
  tenant: string;
  source: string;
  lane: string;
}

/** What the ledger knows of a row: the latest truth. */
export interface Item extends KnownItem {
  key: string;
  row: number;
}

/** Content is JSON already: it is made once, while the row is at hand, and rows that wait for their commit are text. */
export interface ItemWrite extends Omit<Item, 'output'> {
  /** JSON of a `RowInput`. */
  input: string;
  /** JSON; `null` of a failed row. */
  output: string;
  /** Normalised by `domain/search-text.ts`; indexed for full text. */
  text: string;
  /** How often the handler was called for the row in this job's attempt. */
  tries: number;
  latencyMs: number;
}

export interface FailedRow {
  row: number;
  key: string | null;
  error: RowFailure;
  input: RowInput;
}

/** By one of them, or none. */
export type FailedRowFilter = { code: string } | { fingerprint: string } | Record<never, never>;

/** One sub-batch of a page, committed as one: the ledger and the list of failed rows agree. */
export interface RowsCommit {
  lane: LaneRef;
  job: string;
  /** The job's; kept with the items, for search. */
  tags: string[];
  /** See `domain/fence.ts`. An item with a higher fence is left as it is. */
  fence: bigint;
  items: ItemWrite[];
  failed: FailedRow[];
  /** Rows that no longer belong to the failed ones. */
  cleared: number[];
}

export interface RowStore {
  readItems(lane: LaneRef, keys: string[]): Promise<Map<string, Item>>;
  /** Answers the rows that the store will never take as they are (too large, for one), by number: they are written down as
   *  failed with that error, without content, and are the caller's to count as such. */
  commitRows(commit: RowsCommit): Promise<ReadonlyMap<number, RowFailure>>;
  /** Characters of a page's rows that may wait for their commit: so many that the store has some to write while more are made. They are held here and by who writes them. */
  readonly maxUncommittedChars: number;
  /** Ascending by row. Rejects with `invalid_cursor`. */
  listFailedRows(tenant: string, job: string, filter: FailedRowFilter, page: ListPage): Promise<Listed<FailedRow>>;
  countFailedRows(tenant: string, job: string): Promise<{ code: string; rows: number }[]>;
  /** By what their failures have in common (`domain/fingerprint.ts`), the largest first, at most `limit` groups. `first`: the lowest row. */
  groupFailedRows(tenant: string, job: string, limit: number): Promise<{ fingerprint: string; rows: number; first: number }[]>;
}
