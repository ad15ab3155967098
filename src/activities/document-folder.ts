/** A document's folder on this worker's disk, for as long as an activity works on it: its file, and what stages read and write. */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdCompress, createZstdDecompress } from 'node:zlib';
import type { Blobs } from '../blobs/blobs.ts';

/** With the process in its name: what a killed one left behind is nobody's. */
const PREFIX = 'sheaf-document-';

export interface DocumentFolder {
  path: string;
  /** Fetches the original unless it is there. Answers where it is, and the SHA-256 of what was fetched. */
  original(key: string): Promise<{ path: string; sha256: string }>;
  /** Fetches what an earlier stage stored, unless it is there. */
  fetch(name: string, key: string): Promise<void>;
  /** Stores what a stage wrote. */
  store(name: string, key: string): Promise<void>;
  remove(): Promise<void>;
}

/** A folder that goes with this process. */
export const scratchFolder = (): Promise<string> => mkdtemp(path.join(os.tmpdir(), `${PREFIX}${process.pid}-`));

export async function openDocumentFolder(blobs: Blobs, signal: AbortSignal): Promise<DocumentFolder> {
  const folder = await scratchFolder();
  const original = path.join(folder, 'original');
  let sha256: string | null = null;
  return {
    path: folder,

    async original(key) {
      if (sha256 === null) {
        const hash = createHash('sha256');
        const hashed = new Transform({
          transform(chunk: Buffer, _encoding, done) {
            hash.update(chunk);
            done(null, chunk);
          },
        });
        await pipeline(await blobs.stream(key), hashed, createWriteStream(original), { signal });
        sha256 = hash.digest('hex');
      }
      return { path: original, sha256 };
    },

    async fetch(name, key) {
      const file = path.join(folder, name);
      if (await stat(file).catch(() => null)) return;
      await pipeline(await blobs.stream(key), createZstdDecompress(), createWriteStream(file), { signal });
    },

    async store(name, key) {
      await blobs.put(key, createReadStream(path.join(folder, name)).pipe(createZstdCompress()), { signal });
    },

    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** Removes the folders of processes that are no more. */
export async function sweepDocumentFolders(): Promise<void> {
  for (const name of await readdir(os.tmpdir())) {
    const owner = Number(/^sheaf-document-(\d+)-/.exec(name)?.[1]);
    if (owner > 0 && !isAlive(owner)) await rm(path.join(os.tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
