/** Sheet files in a folder that may be read. Loaded by every process that reads a document: nothing heavy. */
import { constants, type BigIntStats } from 'node:fs';
import { open, realpath } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { SheafError } from '../contracts/errors.ts';
import type { SheetFile } from './source.ts';

const READ_BYTES = 64 * 1024;

/**
 * A file by its path, absolute or relative to the working directory. With all links resolved it must lie inside one
 * of `inputDirs`. Rejects with `path_not_allowed`, `source_not_found` or `source_unreadable`; its streams with
 * `source_changed` when the file is no longer the one that was opened.
 */
export async function localFile(file: string, inputDirs: string[]): Promise<SheetFile> {
  const name = path.basename(file);
  const real = await resolveInside(file, inputDirs, name);
  const stats = await withFile(real, name, (handle) => handle.stat({ bigint: true }));
  if (!stats.isFile()) {
    throw new SheafError('source_unreadable', `${name} is ${stats.isDirectory() ? 'a folder' : 'not a regular file'}`, { remedy: 'Give the path of a sheet file' });
  }
  const fingerprint = fingerprintOf(stats);

  return {
    name,
    size: Number(stats.size),
    fingerprint,
    async stream({ start = 0, end = Number(stats.size) } = {}) {
      if (end <= start) return Readable.from([]);
      const handle = await openFile(real, name);
      const unchanged = async (): Promise<void> => {
        if (fingerprintOf(await handle.stat({ bigint: true })) !== fingerprint) {
          throw new SheafError('source_changed', `${name} changed while it was read`, { remedy: 'Start again when nobody writes to the file' });
        }
      };
      return Readable.from(
        (async function* () {
          try {
            await unchanged();
            yield* handle.createReadStream({ start, end: end - 1, autoClose: false, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>;
            await unchanged();
          } finally {
            await handle.close();
          }
        })(),
        { objectMode: false, highWaterMark: READ_BYTES },
      );
    },
  };
}

/** The time of change too: unlike that of modification, nobody can set it back. */
const fingerprintOf = (stats: BigIntStats): string => `file:${stats.ino}-${stats.size}-${stats.mtimeNs}-${stats.ctimeNs}`;

async function resolveInside(file: string, inputDirs: string[], name: string): Promise<string> {
  const notAllowed = new SheafError('path_not_allowed', `${name} is outside the folders that may be read`, {
    remedy: 'Upload the file, or add its folder to SHEAF_INPUT_DIRS',
  });
  const folders = await Promise.all(inputDirs.map((folder) => realpath(folder).catch(() => null)));
  const inside = (candidate: string): boolean =>
    folders.some((folder) => {
      if (folder === null) return false;
      const relative = path.relative(folder, candidate);
      return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
    });
  if (file.includes('\0')) throw notAllowed;
  try {
    const real = await realpath(path.resolve(file));
    if (!inside(real) && !folders.includes(real)) throw notAllowed;
    return real;
  } catch (error) {
    if (error instanceof SheafError) throw error;
    // Whether a file exists is told only inside the folders: by the nearest folder above it that does.
    const parent = await nearestFolder(path.dirname(path.resolve(file)));
    if (!inside(parent) && !folders.includes(parent)) throw notAllowed;
    throw unreadable(error, name);
  }
}

async function nearestFolder(folder: string): Promise<string> {
  try {
    return await realpath(folder);
  } catch {
    const above = path.dirname(folder);
    return above === folder ? folder : nearestFolder(above);
  }
}

function unreadable(error: unknown, name: string): SheafError {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new SheafError('source_not_found', `There is no file ${name}`, { remedy: 'Check the path', cause: error });
  }
  return new SheafError('source_unreadable', `${name} cannot be opened (${code ?? 'unknown reason'})`, { remedy: 'Check that the worker may read it', cause: error });
}

type Handle = Awaited<ReturnType<typeof open>>;

/** Without waiting for a writer, should the path be a pipe. */
async function openFile(real: string, name: string): Promise<Handle> {
  return open(real, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) => {
    throw unreadable(error, name);
  });
}

async function withFile<T>(real: string, name: string, use: (handle: Handle) => Promise<T>): Promise<T> {
  const handle = await openFile(real, name);
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}
