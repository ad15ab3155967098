/** The user's cache folder: for binaries that every checkout on a machine shares. */
import os from 'node:os';
import path from 'node:path';

/** Absolute; it may not exist yet. */
export function cacheFolder(name: string): string {
  return path.join(base(), 'sheaf', name);
}

function base(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME !== undefined && path.isAbsolute(XDG_CACHE_HOME)) return XDG_CACHE_HOME;
  if (process.platform === 'win32') return LOCALAPPDATA ?? path.join(os.homedir(), 'AppData', 'Local');
  if (process.platform === 'darwin') return path.join(os.homedir(), 'Library', 'Caches');
  return path.join(os.homedir(), '.cache');
}
