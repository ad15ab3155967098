/** Config → adapters: the one place that knows which adapter is which. */
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { openFilesystemBlobs } from './blobs/filesystem.ts';
import type { Blobs } from './blobs/blobs.ts';
import type { Config } from './config.ts';
import { createLog, type Log } from './log.ts';
import type { SheetLimits } from './sources/source.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { Store } from './store/store.ts';
import { temporalClient } from './temporal/connection.ts';
import { createJobs, type Jobs } from './temporal/jobs.ts';

export interface Container {
  config: Config;
  log: Log;
  store: Store;
  blobs: Blobs;
  temporal: Client;
  jobs: Jobs;
  sheetLimits: SheetLimits;
  close(): Promise<void>;
}

/** `name` is the process's in its log lines. Rejects with `store_unavailable`, `schema_too_new`, `blobs_unavailable`. */
export async function createContainer(config: Config, name: string): Promise<Container> {
  const store = await openSqliteStore({ folder: path.join(config.SHEAF_HOME, 'store') });
  const blobs = await openFilesystemBlobs({ folder: path.join(config.SHEAF_HOME, 'blobs') });
  const temporal = temporalClient(temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE);
  return {
    config, store, blobs, temporal: temporal.client,
    log: createLog(config, name),
    jobs: createJobs(store, temporal.client),
    sheetLimits: {
      maxRecordChars: config.SHEAF_MAX_RECORD_CHARS, maxColumns: config.SHEAF_MAX_COLUMNS, maxInflatedBytes: config.SHEAF_MAX_INFLATED_BYTES,
    },
    async close() {
      await temporal.close();
      await store.close();
    },
  };
}

export const temporalAddress = (config: Config): string => config.SHEAF_TEMPORAL_ADDRESS ?? `127.0.0.1:${config.SHEAF_TEMPORAL_PORT}`;
