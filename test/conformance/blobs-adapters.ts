/** Every adapter of the blobs port, for the suite and for the processes that it starts. A new adapter is one entry. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';

export interface BlobsAdapter {
  /** An empty blob store somewhere; the answer names it and crosses processes. */
  makePlace(): Promise<string>;
  open(place: string): Promise<Blobs>;
  removePlace(place: string): Promise<void>;
}

export const blobsAdapters: Record<string, BlobsAdapter> = {
  filesystem: {
    makePlace: () => fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-blobs-')),
    open: (folder) => openFilesystemBlobs({ folder }),
    removePlace: (folder) => fs.rm(folder, { recursive: true, force: true }),
  },
};
