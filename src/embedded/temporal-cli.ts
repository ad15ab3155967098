/** Where the `temporal` binary is. The one that a machine lacks is made by `make-temporal-cli.ts`. */
import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.ts';

/** Of github.com/temporalio/cli. */
export const CLI_VERSION = '1.5.1';
/** Fair queues came with this server; what is older on somebody's PATH is passed over. */
const OLDEST_SERVER = [1, 29] as const;

export interface TemporalCli {
  path: string;
  /** `SHEAF_TEMPORAL_CLI`, `PATH` or `cache`. */
  from: string;
}

export const executableName = (name: string): string => (process.platform === 'win32' ? `${name}.exe` : name);
export const cachedCli = (): string => path.join(cacheFolder(`temporal-cli-${CLI_VERSION}`), executableName('temporal'));

/**
 * The first that runs of `SHEAF_TEMPORAL_CLI`, PATH and the cache; null when there is none. Rejects when
 * `SHEAF_TEMPORAL_CLI` is set and does not run. `passedOver` collects why others were not taken.
 */
export async function findTemporalCli(passedOver: string[] = []): Promise<TemporalCli | null> {
  const named = process.env['SHEAF_TEMPORAL_CLI'];
  if (named) {
    const wrong = await wrongWith(named, null);
    if (wrong !== null) throw new Error(`SHEAF_TEMPORAL_CLI names ${named}, which ${wrong}. Correct it, or unset it to let Sheaf find one.`);
    return { path: path.resolve(named), from: 'SHEAF_TEMPORAL_CLI' };
  }
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean)) {
    const candidate = path.join(folder, executableName('temporal'));
    if (!(await isExecutable(candidate))) continue;
    const wrong = await wrongWith(candidate, OLDEST_SERVER);
    if (wrong === null) return { path: candidate, from: 'PATH' };
    passedOver.push(`${candidate} ${wrong}`);
  }
  if (!(await isExecutable(cachedCli()))) return null;
  const wrong = await wrongWith(cachedCli(), null);
  if (wrong === null) return { path: cachedCli(), from: 'cache' };
  passedOver.push(`${cachedCli()} ${wrong}`);
  return null;
}

/** What keeps a binary from being used, as the end of a sentence; null when nothing does. */
export async function wrongWith(binary: string, oldest: readonly [number, number] | null): Promise<string | null> {
  let version: string;
  try {
    version = (await promisify(execFile)(binary, ['--version'], { timeout: 30_000 })).stdout.trim();
  } catch {
    return 'does not run';
  }
  const server = /Server (\d+)\.(\d+)/.exec(version);
  if (server === null) return `is not the Temporal CLI (it says "${version.slice(0, 80)}")`;
  const [major, minor] = [Number(server[1]), Number(server[2])];
  if (oldest !== null && (major < oldest[0] || (major === oldest[0] && minor < oldest[1]))) {
    return `is too old (Server ${major}.${minor}, needed: ${oldest.join('.')})`;
  }
  return null;
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
