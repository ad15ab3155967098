/** The S3 server for tests on machines without Docker: versitygw, built with Go once into the user's cache folder. */
import { execFile } from 'node:child_process';
import { access, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../src/embedded/cache-folder.ts';
import { withElapsed } from '../../../src/embedded/elapsed.ts';
import { lock } from '../../../src/process-lock.ts';
import { executableName } from '../../../src/embedded/temporal-cli.ts';

export const VERSION = '1.8.0';

const run = promisify(execFile);
const BUILD_LIMIT_MS = 900_000;

/** Path of the binary. Rejects with what a person can do. */
export async function builtGateway(): Promise<string> {
  const folder = cacheFolder(`versitygw-${VERSION}`);
  const binary = path.join(folder, executableName('versitygw'));
  const isBuilt = (): Promise<boolean> => access(binary).then(() => true, () => false);
  if (await isBuilt()) return binary;
  const unlock = await lock(cacheFolder('versitygw.lock'), () =>
    process.stderr.write('Another process is making the S3 server for the tests; waiting for it …\n'));
  const workshop = `${folder}-making`;
  try {
    if (await isBuilt()) return binary;
    // What was left by one that was killed; nobody else is at it, because the lock is ours.
    await rm(workshop, { recursive: true, force: true });
    await mkdir(workshop, { recursive: true });
    await withElapsed(`Building versitygw ${VERSION} with Go; this takes 3 to 5 minutes on 2 cores, once per machine`, goInstall(workshop));
    await rename(workshop, folder);
    return binary;
  } finally {
    await rm(workshop, { recursive: true, force: true });
    unlock();
  }
}

async function goInstall(folder: string): Promise<void> {
  try {
    await run('go', ['install', `github.com/versity/versitygw/cmd/versitygw@v${VERSION}`], {
      env: { ...process.env, GOBIN: folder, GOFLAGS: '' }, timeout: BUILD_LIMIT_MS,
    });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(-1_000) : '';
    throw new Error(
      `No Docker engine answers, and Go could not build versitygw. Start Docker, or install Go 1.25 or later and see that it reaches a module proxy, or set SHEAF_TEST_S3_ENDPOINT.${said && `\n${said}`}`,
      { cause: error },
    );
  }
}
