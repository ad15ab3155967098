/** File operations that force what they write to the disk, and what the disk's refusals mean. */
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import fs from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import { SheafError } from '../../contracts/errors.ts';

export const READ_ONLY_FILE = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0);

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
export const OBJECT_OR_FOLDER = new Set(['EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST']);
export const NOT_THERE = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP']);

export const errno = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';

/** Runs file operations and says what their errors mean. */
export async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const remedy = REMEDIES[errno(error)];
    if (remedy === undefined) throw error;
    throw new SheafError('blobs_unavailable', `The folder of the blobs cannot be used (${errno(error)}).`, { remedy, cause: error });
  }
}

export async function statOrNull(place: string): Promise<Stats | null> {
  try {
    return await fs.lstat(place);
  } catch (error) {
    if (NOT_THERE.has(errno(error))) return null;
    throw error;
  }
}

/** Forces a folder's entries to the disk. Windows does that by itself and cannot be asked. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Bytes written. Errors of the content's stream pass as they are; those of the disk are translated. */
export async function writeAside(file: string, content: Uint8Array | Readable, signal: AbortSignal | undefined): Promise<number> {
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
