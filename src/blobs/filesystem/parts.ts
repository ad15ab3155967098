/**
 * Objects that arrive in parts. An upload is a folder `uploads/<id>` with `about.json` (its key and its beginning) and a file a
 * part, whose last eight bytes are the part's checksum. Completion copies the parts into one file and holds each against it.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { SheafError } from '../../contracts/errors.ts';
import type { BlobPart, BlobParts } from '../blobs.ts';
import { Measured } from '../checksum.ts';
import { checkOrder, checkPart, checkParts, exactly, noUpload } from '../parts.ts';
import { errno, NOT_THERE, onDisk, READ_ONLY_FILE, statOrNull, syncFolder, writeAside } from './disk.ts';

const CHECKSUM_BYTES = 8;
const ABOUT = 'about.json';
const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

interface About {
  key: string;
  startedAt: string;
}

interface Folders {
  uploads: string;
  partial: string;
  /** An object's path. */
  locate(key: string): Promise<string>;
  /** Renames into place, durably. */
  place(from: string, file: string): Promise<void>;
}

export function filesystemParts({ uploads, partial, locate, place }: Folders): BlobParts {
  async function about(upload: string): Promise<About | null> {
    if (!UPLOAD_ID.test(upload)) return null;
    try {
      return JSON.parse(await fs.readFile(path.join(uploads, upload, ABOUT), 'utf8')) as About;
    } catch (error) {
      if (NOT_THERE.has(errno(error))) return null;
      throw error;
    }
  }

  /** Throws `upload_not_found`. */
  async function folderOf(key: string, upload: string): Promise<string> {
    await locate(key); // refuses what is no key
    if ((await about(upload))?.key !== key) throw noUpload();
    return path.join(uploads, upload);
  }

  async function found(folder: string): Promise<BlobPart[]> {
    const numbers = (await fs.readdir(folder)).filter((name) => name !== ABOUT).map(Number).sort((left, right) => left - right);
    return Promise.all(numbers.map(async (number) => {
      const handle = await fs.open(path.join(folder, String(number)), READ_ONLY_FILE);
      try {
        const size = (await handle.stat()).size - CHECKSUM_BYTES;
        const { buffer } = await handle.read(Buffer.alloc(CHECKSUM_BYTES), 0, CHECKSUM_BYTES, size);
        return { number, size, checksum: buffer.toString('latin1') };
      } finally {
        await handle.close();
      }
    }));
  }

  /** Writes aside, then hands over; nothing stays aside. */
  async function aside<T>(content: Uint8Array | Readable, signal: AbortSignal | undefined, take: (file: string) => Promise<T>): Promise<T> {
    const file = path.join(partial, randomUUID());
    try {
      await writeAside(file, content, signal);
      return await onDisk(() => take(file));
    } finally {
      await fs.rm(file, { force: true });
    }
  }

  return {
    begin: (key) => onDisk(async () => {
      await locate(key);
      const upload = randomUUID();
      const folder = path.join(partial, upload);
      await fs.mkdir(folder);
      await writeAside(path.join(folder, ABOUT), Buffer.from(JSON.stringify({ key, startedAt: new Date().toISOString() } satisfies About)), undefined);
      await syncFolder(folder);
      await fs.rename(folder, path.join(uploads, upload));
      await syncFolder(uploads);
      return upload;
    }),

    put: async (key, upload, part, content, { signal } = {}) => {
      const folder = await onDisk(() => folderOf(key, upload));
      checkPart(part);
      if (content instanceof Readable && signal) addAbortSignal(signal, content);
      const measured = new Measured(content);
      const withChecksum = async function* () {
        yield* exactly(measured, part);
        yield Buffer.from(measured.checksum, 'latin1');
      };
      return aside(Readable.from(withChecksum(), { objectMode: false }), signal, async (file) => {
        try {
          await fs.rename(file, path.join(folder, String(part.number)));
          await syncFolder(folder);
        } catch (error) {
          // It was completed or aborted meanwhile.
          if (NOT_THERE.has(errno(error))) throw noUpload();
          throw error;
        }
        return { number: part.number, size: part.size, checksum: measured.checksum };
      });
    },

    list: (key, upload) => onDisk(async () => found(await folderOf(key, upload))),

    complete: async (key, upload, parts) => {
      const size = checkOrder(parts);
      const file = await onDisk(() => locate(key));
      const folder = await onDisk(() => folderOf(key, upload)).catch(async (error: unknown) => {
        // The answer of an earlier completion may have been lost.
        if (error instanceof SheafError && error.code === 'upload_not_found' && (await statOrNull(file))?.size === size) return null;
        throw error;
      });
      if (folder === null) return { size };
      checkParts(parts, await onDisk(() => found(folder)));
      await aside(Readable.from(joined(folder, parts), { objectMode: false }), undefined, (whole) => place(whole, file));
      await onDisk(() => fs.rm(folder, { recursive: true, force: true }));
      return { size };
    },

    abort: (key, upload) => onDisk(async () => {
      await locate(key);
      if ((await about(upload))?.key === key) await fs.rm(path.join(uploads, upload), { recursive: true, force: true });
    }),

    async *begunBefore(time) {
      for (const upload of await onDisk(() => fs.readdir(uploads))) {
        const begun = await onDisk(() => about(upload));
        if (begun !== null && new Date(begun.startedAt) < time) yield { key: begun.key, upload, startedAt: new Date(begun.startedAt) };
      }
    },
  };
}

/** Fails with `checksum_mismatch` where the disk gives back something else than it was given. */
async function* joined(folder: string, parts: readonly BlobPart[]): AsyncGenerator<Buffer> {
  for (const part of parts) {
    const measured = new Measured(part.size === 0 ? Buffer.alloc(0) : createReadStream(path.join(folder, String(part.number)), { end: part.size - 1 }));
    yield* exactly(measured, part);
  }
}
