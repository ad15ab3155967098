/**
 * The embedded blob store: files below a folder. An object is written aside (`partial/`), forced to the disk, and
 * renamed to its place below `objects/`; so it is whole or not there, also after a power cut. Parts of objects wait in `uploads/`. Several processes may use the
 * folder at once. A key cannot be an object and the folder of other objects at the same time.
 */
import { randomUUID } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { SheafError } from '../contracts/errors.ts';
import type { BlobInfo, Blobs } from './blobs.ts';
import { errno, NOT_THERE, OBJECT_OR_FOLDER, onDisk, READ_ONLY_FILE, statOrNull, syncFolder, writeAside } from './filesystem/disk.ts';
import { filesystemParts } from './filesystem/parts.ts';
import { decodeName, keyPath } from './filesystem/paths.ts';

/** What a crashed process left aside is removed at open when it has not grown for so long. */
const LEFTOVER_MS = 3_600_000;
/** A folder may be removed, because it became empty, between its making and the rename into it. */
const PLACE_TRIES = 5;

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right));

function notFound(key: string): SheafError {
  return new SheafError('blob_not_found', `The stored object ${key} is missing.`, {
    remedy: 'It was deleted, or its folder is not the one that it was written to.',
  });
}

/** Rejects with `blobs_unavailable`. */
export async function openFilesystemBlobs({ folder }: { folder: string }): Promise<Blobs> {
  const { objects, partial, uploads } = await onDisk(() => makeFolders(folder));
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
  async function place(from: string, file: string, ifAbsent = false): Promise<void> {
    for (let tried = 1; ; tried++) {
      try {
        const made = await fs.mkdir(path.dirname(file), { recursive: true });
        if (ifAbsent) await moveIfAbsent(from, file);
        else await fs.rename(from, file);
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
        await onDisk(() => place(aside, file, options.ifAbsent === true));
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

    tenants: () => onDisk(async () => (await fs.readdir(objects, { withFileTypes: true })).flatMap((entry) => (entry.isDirectory() ? decodeName(entry.name, true) ?? [] : []))),

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

    parts: filesystemParts({ uploads, partial, locate, place }),
  };
  return blobs;
}

/** A rename would replace what is there. */
async function moveIfAbsent(from: string, file: string): Promise<void> {
  try {
    await fs.link(from, file);
  } catch (error) {
    if (errno(error) !== 'EEXIST') throw error;
    throw new SheafError('conflict', 'There is a stored object with this key already.', { cause: error });
  }
  await fs.unlink(from);
}

async function makeFolders(folder: string): Promise<{ objects: string; partial: string; uploads: string }> {
  try {
    await fs.mkdir(path.join(folder, 'objects'), { recursive: true });
    await fs.mkdir(path.join(folder, 'partial'), { recursive: true });
    await fs.mkdir(path.join(folder, 'uploads'), { recursive: true });
  } catch (error) {
    if (!OBJECT_OR_FOLDER.has(errno(error))) throw error;
    throw new SheafError('blobs_unavailable', 'A file is where the folder of the blobs should be.', {
      remedy: 'Move it away, or set SHEAF_HOME to another folder.', cause: error,
    });
  }
  const real = await fs.realpath(folder);
  return { objects: path.join(real, 'objects'), partial: path.join(real, 'partial'), uploads: path.join(real, 'uploads') };
}

async function removeLeftovers(partial: string): Promise<void> {
  for (const name of await fs.readdir(partial)) {
    const file = path.join(partial, name);
    const stat = await statOrNull(file);
    if (stat !== null && Date.now() - stat.mtimeMs > LEFTOVER_MS) await fs.rm(file, { recursive: true, force: true });
  }
}
