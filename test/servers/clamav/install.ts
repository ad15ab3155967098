/** ClamAV's daemon for the tests, and tesseract: Debian's packages, installed where they are missing and may be. */
import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../src/embedded/cache-folder.ts';
import { withElapsed } from '../../../src/embedded/elapsed.ts';
import { lock } from '../../../src/process-lock.ts';

const run = promisify(execFile);
const LIMIT_MS = 600_000;

/** Path of clamd. Rejects with what a person can do. */
export const installedClamd = (): Promise<string> => installed('clamd', 'clamav-daemon', 'or set SHEAF_TEST_CLAMAV to the address of one');

/** Path of tesseract. Rejects with what a person can do. */
export const installedTesseract = (): Promise<string> => installed('tesseract', 'tesseract-ocr', 'which reads scanned pages');

async function installed(program: string, debianPackage: string, otherwise: string): Promise<string> {
  const found = await onPath(program);
  if (found !== null) return found;
  const unlock = await lock(cacheFolder('apt.lock'), () => process.stderr.write('Another process is installing packages for the tests; waiting for it …\n'));
  try {
    const meanwhile = await onPath(program);
    if (meanwhile !== null) return meanwhile;
    if (process.getuid?.() !== 0 || (await onPath('apt-get')) === null) throw new Error(`${program} is not installed, and only root on Debian or Ubuntu gets it by itself`);
    await withElapsed(`Installing ${debianPackage} with apt-get`, aptInstall(debianPackage));
    const now = await onPath(program);
    if (now === null) throw new Error(`apt-get installed ${debianPackage}, but there is no ${program}`);
    return now;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(-1_000) : error instanceof Error ? error.message : String(error);
    throw new Error(`Install ${program} (Debian: apt-get install ${debianPackage}), ${otherwise}.\n${said}`, { cause: error });
  } finally {
    unlock();
  }
}

async function aptInstall(debianPackage: string): Promise<void> {
  const options = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, timeout: LIMIT_MS };
  await run('apt-get', ['update', '-qq'], options);
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', debianPackage], options);
}

/** Daemons lie where the PATH of ordinary users does not lead. */
async function onPath(program: string): Promise<string | null> {
  for (const folder of [...(process.env['PATH'] ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin', '/opt/homebrew/sbin']) {
    const file = path.join(folder, program);
    if (folder !== '' && (await access(file).then(() => true, () => false))) return file;
  }
  return null;
}
