/**
 * The embedded blob store: files below a folder. An object is written aside (`partial/`), forced to the disk, and
 * renamed to its place below `objects/`; so it is whole or not there, also after a power cut. Several processes may use the
 * folder at once. A key cannot be an object and the folder of other objects at the same time.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { addAbortSignal, Readable } from 'node:stream';
import { SheafError } from '../contracts/errors.ts';
import type { BlobInfo, Blobs } from './blobs.ts';
import { decodeName, keyPath } from './filesystem/paths.ts';

/** What a crashed process left aside is removed at open when it has not grown for so long. */
const LEFTOVER_MS = 3_600_000;
/** A folder may be removed, because it became empty, between its making and the rename into it. */
const PLACE_TRIES = 5;

const READ_ONLY_FILE = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);

const REMEDIES: Record<string, string> = {
  ENOSPC: 'The disk is full: free some space. What was stored stays valid.',
  EDQUOT: "The disk quota is used up: free some space or raise it. What was stored stays valid.",
  EACCES: 'Give the user that runs Sheaf the right to read and write the folder of the blobs.',
  EPERM: 'Give the user that runs Sheaf the right to read and write the folder of the blobs.',
  EROFS: 'The file system is mounted read-only: mount it for writing, or set SHEAF_HOME to another folder.',
  EFBIG: 'The file would be larger than the file system or the limit of the process (ulimit -f) allows: raise it.',
  EIO: 'The disk reports an error: check it.',
  EMFILE: 'Too many files are open: raise the limit (ulimit -n).',
  ENFILE: 'Too many files are open on this machine: raise the limit.',
};
/** An object is where a folder should be, or the other way round. */
const OBJECT_OR_FOLDER = new Set(['EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST']);
const NOT_THERE = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP']);

const errno = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right));

function notFound(key: string): SheafError {
  return new SheafError('blob_not_found', `The stored object ${key} is missing.`, {
    remedy: 'It was deleted, or its folder is not the one that it was written to.',
  });
}

/** Runs file operations and says what their errors mean. */
async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const remedy = REMEDIES[errno(error)];
    if (remedy === undefined) throw error;
    throw new SheafError('blobs_unavailable', `The folder of the blobs cannot be used (${errno(error)}).`, { remedy, cause: error });
  }
}

async function statOrNull(place: string): Promise<Stats | null> {
  try {
    return await fs.lstat(place);
  } catch (error) {
    if (NOT_THERE.has(errno(error))) return null;
    throw error;
  }
}

/** Forces a folder's entries to the disk. Windows does that by itself and cannot be asked. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Rejects with `blobs_unavailable`. */
export async function openFilesystemBlobs({ folder }: { folder: string }): Promise<Blobs> {
  const { objects, partial } = await onDisk(() => makeFolders(folder));
  await onDisk(() => removeLeftovers(partial));

  /** The object's path, when no link leads its folder elsewhere. Throws `invalid_request`. */
  async function locate(key: string): Promise<string> {
    const file = path.join(objects, ...keyPath(key));
    await refuseLinks(path.dirname(file));
    return file;
  }

  async function refuseLinks(place: string): Promise<void> {
    let real: string;
    try {
      real = await fs.realpath(place);
    } catch (error) {
      if (NOT_THERE.has(errno(error)) && place !== objects) return refuseLinks(path.dirname(place));
      throw error;
    }
    const within = path.relative(objects, real);
    if (within === '..' || within.startsWith(`..${path.sep}`) || path.isAbsolute(within)) {
      throw new SheafError('blobs_unavailable', 'A link in the folder of the blobs leads out of it.', {
        remedy: 'Remove the link; to keep blobs elsewhere, set SHEAF_HOME.',
      });
    }
  }

  /** Renames into place and forces every new folder entry on the way to the disk. */
  async function place(from: string, file: string): Promise<void> {
    for (let tried = 1; ; tried++) {
      try {
        const made = await fs.mkdir(path.dirname(file), { recursive: true });
        await fs.rename(from, file);
        let parent = path.dirname(file);
        await syncFolder(parent);
        // `made` is the topmost new folder: the entries of it and of those below are new in their parents.
        while (made !== undefined && parent.length >= made.length) {
          parent = path.dirname(parent);
          await syncFolder(parent);
        }
        return;
      } catch (error) {
        if (OBJECT_OR_FOLDER.has(errno(error))) {
          throw new SheafError('invalid_request', 'The key of a stored object is the folder of others, or below another.', { remedy: 'Use another key.' });
        }
        if (errno(error) !== 'ENOENT' || tried === PLACE_TRIES) throw error;
      }
    }
  }

  /** Folders that became empty go too; somebody may be putting something there just now, which is no error. */
  async function removeEmptyFolders(from: string): Promise<void> {
    for (let empty = from; empty.startsWith(objects + path.sep); empty = path.dirname(empty)) {
      try {
        await fs.rmdir(empty);
      } catch (error) {
        if (errno(error) !== 'ENOENT') return;
      }
    }
  }

  async function openObject(key: string): Promise<fs.FileHandle> {
    return onDisk(async () => {
      try {
        const handle = await fs.open(await locate(key), READ_ONLY_FILE);
        if ((await handle.stat()).isFile()) return handle;
        await handle.close();
      } catch (error) {
        if (!NOT_THERE.has(errno(error))) throw error;
      }
      throw notFound(key);
    });
  }

  async function* walk(folder: string, above: string, prefix: string): AsyncIterable<BlobInfo> {
    let entries;
    try {
      entries = await onDisk(() => fs.readdir(folder, { withFileTypes: true }));
    } catch (error) {
      if (NOT_THERE.has(errno(error))) return;
      throw error;
    }
    const keys = entries.flatMap((entry) => {
      const segment = entry.isFile() || entry.isDirectory() ? decodeName(entry.name, above === '') : null;
      return segment === null ? [] : [{ key: `${above}${segment}${entry.isDirectory() ? '/' : ''}`, name: entry.name }];
    });
    for (const { key, name } of keys.sort((left, right) => byBytes(left.key, right.key))) {
      if (key.endsWith('/')) {
        if (key.startsWith(prefix) || prefix.startsWith(key)) yield* walk(path.join(folder, name), key, prefix);
      } else if (key.startsWith(prefix)) {
        const stat = await onDisk(() => statOrNull(path.join(folder, name)));
        if (stat !== null) yield { key, size: stat.size };
      }
    }
  }

  const blobs: Blobs = {
    put: async (key, content, options = {}) => {
      const file = await onDisk(() => locate(key));
      const aside = path.join(partial, randomUUID());
      try {
        const size = await writeAside(aside, content, options.signal);
        await onDisk(() => place(aside, file));
        return { size };
      } catch (error) {
        await fs.rm(aside, { force: true });
        throw error;
      }
    },

    get: async (key) => {
      const handle = await openObject(key);
      try {
        return await onDisk(() => handle.readFile());
      } finally {
        await handle.close();
      }
    },

    stream: async (key, { start = 0, end } = {}) => {
      const handle = await openObject(key);
      if (end !== undefined && end <= start) {
        await handle.close();
        return Readable.from([]);
      }
      return handle.createReadStream({ start, ...(end !== undefined && { end: end - 1 }) });
    },

    head: (key) => onDisk(async () => {
      const stat = await statOrNull(await locate(key));
      return stat?.isFile() ? { key, size: stat.size } : null;
    }),

    list: (prefix) => walk(objects, '', prefix),

    delete: (key) => onDisk(async () => {
      const file = await locate(key);
      if ((await statOrNull(file))?.isFile()) await fs.rm(file, { force: true });
      await removeEmptyFolders(path.dirname(file));
    }),

    deleteUnder: (prefix) => onDisk(async () => {
      if (!prefix.endsWith('/')) throw new SheafError('invalid_request', 'The prefix to delete under must end in "/".');
      const under = await locate(prefix.slice(0, -1));
      if ((await statOrNull(under))?.isDirectory()) await fs.rm(under, { recursive: true, force: true, maxRetries: PLACE_TRIES });
      await removeEmptyFolders(path.dirname(under));
    }),

    check: async () => {
      const probe = path.join(partial, randomUUID());
      const content = Buffer.from('Sheaf looks whether it can write here.');
      await writeAside(probe, content, undefined);
      await onDisk(async () => {
        const read = await fs.readFile(probe);
        await fs.unlink(probe);
        if (!read.equals(content)) {
          throw new SheafError('blobs_unavailable', 'The folder of the blobs gives back something else than was written.', { remedy: 'Check the disk.' });
        }
      });
    },
  };
  return blobs;
}

/** Bytes written. Errors of the content's stream pass as they are; those of the disk are translated. */
async function writeAside(file: string, content: Uint8Array | Readable, signal: AbortSignal | undefined): Promise<number> {
  signal?.throwIfAborted();
  const handle = await onDisk(() => fs.open(file, 'wx'));
  try {
    let size = 0;
    if (content instanceof Readable) {
      if (signal) addAbortSignal(signal, content);
      for await (const chunk of content as AsyncIterable<string | Uint8Array>) {
        await onDisk(() => handle.writeFile(chunk));
        size += Buffer.byteLength(chunk);
      }
    } else {
      await onDisk(() => handle.writeFile(content));
      size = content.byteLength;
    }
    signal?.throwIfAborted();
    await onDisk(() => handle.sync());
    return size;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    await handle.close();
  }
}

async function makeFolders(folder: string): Promise<{ objects: string; partial: string }> {
  try {
    await fs.mkdir(path.join(folder, 'objects'), { recursive: true });
    await fs.mkdir(path.join(folder, 'partial'), { recursive: true });
  } catch (error) {
    if (!OBJECT_OR_FOLDER.has(errno(error))) throw error;
    throw new SheafError('blobs_unavailable', 'A file is where the folder of the blobs should be.', {
      remedy: 'Move it away, or set SHEAF_HOME to another folder.', cause: error,
    });
  }
  const real = await fs.realpath(folder);
  return { objects: path.join(real, 'objects'), partial: path.join(real, 'partial') };
}

async function removeLeftovers(partial: string): Promise<void> {
  for (const name of await fs.readdir(partial)) {
    const file = path.join(partial, name);
    const stat = await statOrNull(file);
    if (stat?.isFile() && Date.now() - stat.mtimeMs > LEFTOVER_MS) await fs.rm(file, { force: true });
  }
}
