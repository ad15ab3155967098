/** Calls to services that answer later, one an item. */
import type { IntentRecord, IntentState, OpenIntents } from '../../contracts/intent.ts';
import type { LaneRef } from './rows.ts';
import type { Listed, ListPage } from './lists.ts';

export interface IntentStore {
  /** By item key; those that are not there are left out. */
  readIntents(lane: LaneRef, keys: string[]): Promise<Map<string, IntentRecord>>;
  /** By `intentId`. */
  getIntent(tenant: string, id: string): Promise<IntentRecord | null>;
  /** Writes where the stored revision is the record's (0: there is none), and raises it; null where it is another. */
  changeIntent(intent: IntentRecord): Promise<IntentRecord | null>;
  /** Ascending by page and row. Rejects with `invalid_cursor`. */
  listIntents(tenant: string, job: string, filter: { state: IntentState; page?: number }, page: ListPage): Promise<Listed<IntentRecord>>;
  openIntents(tenant: string, job: string): Promise<OpenIntents>;
}
