/** Every adapter of the blobs port, for the suite and for the processes that it starts. A new adapter is one entry. */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { openS3Blobs, type S3BlobsOptions } from '../../src/blobs/s3.ts';
import { startS3 } from '../servers/s3.ts';

export interface BlobsAdapter {
  /** Starts what it stands on, which ends with the test file; rejects with what is missing. */
  start(): Promise<Stand>;
  open(place: string): Promise<Blobs>;
}

export interface Stand {
  /** An empty blob store somewhere; the answer names it and crosses processes. */
  makePlace(): Promise<string>;
  removePlace(place: string): Promise<void>;
  stop(): Promise<void>;
}

const openS3 = (place: string): Promise<Blobs> => openS3Blobs(JSON.parse(place) as S3BlobsOptions);

export const blobsAdapters: Record<string, BlobsAdapter> = {
  filesystem: {
    start: () => Promise.resolve({
      makePlace: () => fs.mkdtemp(path.join(os.tmpdir(), 'sheaf-blobs-')),
      removePlace: (folder) => fs.rm(folder, { recursive: true, force: true }),
      stop: () => Promise.resolve(),
    }),
    open: (folder) => openFilesystemBlobs({ folder }),
  },
  s3: {
    start: async () => {
      const { endpoint, region, bucket, stop } = await startS3();
      return {
        makePlace: async () => JSON.stringify({ endpoint, region, bucket, prefix: `sheaf/${randomUUID()}` } satisfies S3BlobsOptions),
        removePlace: async (place) => {
          const blobs = await openS3(place);
          for await (const { key } of blobs.list('')) await blobs.delete(key);
        },
        stop,
      };
    },
    open: openS3,
  },
};
