/** Every adapter of the store port, for the suite and for the processes that it starts. A new adapter is one entry. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';

export interface StoreAdapter {
  /** An empty store somewhere; the answer names it and crosses processes. */
  makePlace(): Promise<string>;
  open(place: string): Promise<Store>;
  removePlace(place: string): Promise<void>;
}

export const storeAdapters: Record<string, StoreAdapter> = {
  sqlite: {
    makePlace: () => fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-store-')),
    open: (folder) => openSqliteStore({ folder }),
    removePlace: (folder) => fs.rm(folder, { recursive: true, force: true }),
  },
};
