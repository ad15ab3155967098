/** Sources that keep themselves in sync, and their versions. */
import type { SourceRecord, VersionRecord } from '../../contracts/source.ts';
import type { LaneRef } from './rows.ts';
import type { Listed, ListPage } from './lists.ts';

export interface SourceStore {
  /** Where there is one with this id, writes nothing and answers it as it is. */
  createSource(source: SourceRecord): Promise<{ source: SourceRecord; created: boolean }>;
  getSource(tenant: string, id: string): Promise<SourceRecord | null>;
  /** By id. Rejects with `invalid_cursor`. */
  listSources(tenant: string, page: ListPage): Promise<Listed<SourceRecord>>;
  /** Writes where the stored revision is the record's, and raises it; null where it is another, or the record is gone. */
  changeSource(source: SourceRecord): Promise<SourceRecord | null>;
  /** Its items, versions and then the record, in bounded steps; false while there is more to do. Its lanes keep their generations. */
  removeSource(tenant: string, id: string): Promise<boolean>;
  /** Replaces what is there. */
  writeVersion(version: VersionRecord): Promise<void>;
  getVersion(tenant: string, source: string, sequence: number): Promise<VersionRecord | null>;
  /** Newest first. Rejects with `invalid_cursor`. */
  listVersions(tenant: string, source: string, page: ListPage): Promise<Listed<VersionRecord>>;
  removeVersion(tenant: string, source: string, sequence: number): Promise<void>;
  /** From now on search does not find these items, until a job writes them again, or `showItems`. `wipe`: their content goes, so that the
   *  ledger knows nothing of the rows. An item with a higher fence stays as it is; one that is not there is no error. */
  hideItems(lane: LaneRef, fence: bigint, keys: string[], wipe: boolean): Promise<void>;
  /** Those that are hidden and not wiped are found again. */
  showItems(lane: LaneRef, fence: bigint, keys: string[]): Promise<void>;
}
