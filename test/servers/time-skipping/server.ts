/**
 * The time-skipping Temporal test server: the SDK's own download where that is within reach, else the same server
 * from its Maven artifact with a small wrapper that starts it as the SDK does (`EXECUTABLE PORT`).
 */
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../src/embedded/cache-folder.ts';
import { secondsSince, withElapsed } from '../../../src/embedded/elapsed.ts';
import { lock } from '../../../src/process-lock.ts';
import { downloadWithSdk } from '../../../src/embedded/sdk-download.ts';
import { executableName } from '../../../src/embedded/temporal-cli.ts';

/** Of io.temporal:temporal-test-server; pom.xml names it too. */
const VERSION = '1.38.0';
const MAVEN_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const windows = process.platform === 'win32';

const folder = (): string => cacheFolder(`temporal-test-server-${VERSION}`);
const downloaded = executableName('temporal-test-server');
const wrapper = windows ? 'temporal-test-server.cmd' : 'temporal-test-server';

/** Path of the executable, whichever way it was made; null when it has not been. */
export async function findTimeSkippingServer(): Promise<string | null> {
  for (const file of new Set([downloaded, wrapper])) {
    const candidate = path.join(folder(), file);
    if (await access(candidate).then(() => true, () => false)) return candidate;
  }
  return null;
}

/** Finds or makes it; resolves with where it came from, rejects with what a person can do. */
export async function prepareTimeSkippingServer(): Promise<string> {
  if ((await findTimeSkippingServer()) !== null) return 'cache';
  const unlock = await lock(cacheFolder('temporal-test-server.lock'), () =>
    process.stderr.write('Another setup is making the time-skipping test server; waiting for it …\n'));
  const workshop = `${folder()}-making`;
  const finish = async (): Promise<void> => {
    await rm(folder(), { recursive: true, force: true });
    await rename(workshop, folder());
  };
  try {
    if ((await findTimeSkippingServer()) !== null) return 'cache';
    // What a setup left that was killed; nobody else is at it, because the lock is ours.
    await rm(workshop, { recursive: true, force: true });
    await mkdir(workshop);
    const started = performance.now();
    const failed = await withElapsed('Downloading the time-skipping test server', download(workshop)).then(() => null, String);
    if (failed !== null) {
      await withElapsed('Making the time-skipping test server with Maven', withMaven(workshop)).catch((error: Error) => {
        throw new Error(`There is no time-skipping test server, and none could be made:\n  the SDK's download: ${failed}\n  Maven: ${error.message}`);
      });
    }
    await finish();
    return `${failed === null ? "the SDK's download" : 'Maven'} (${secondsSince(started)})`;
  } finally {
    await rm(workshop, { recursive: true, force: true });
    unlock();
  }
}

async function download(workshop: string): Promise<void> {
  const binary = await downloadWithSdk('test-server', VERSION, workshop);
  await rename(binary, path.join(workshop, downloaded));
}

async function withMaven(workshop: string): Promise<void> {
  await run('java', ['-version'], 'Install Java 17 or later.');
  await run(windows ? 'mvn.cmd' : 'mvn', [
    '--batch-mode', '--quiet', '--file', fileURLToPath(new URL('pom.xml', import.meta.url)),
    `${MAVEN_PLUGIN}:copy-dependencies`, `-DoutputDirectory=${path.join(workshop, 'lib')}`, '-DincludeScope=runtime',
  ], 'Install Maven, and see that it reaches Maven Central.');
  await writeFile(path.join(workshop, wrapper), windows ? WINDOWS_WRAPPER : POSIX_WRAPPER);
  await chmod(path.join(workshop, wrapper), 0o755);
}

// A short-lived server: what shortens the start counts, not what makes a long run fast.
const JAVA = 'java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx512m';
// `exec`, so that the process which the SDK ends is the server itself. It says nothing of use on stderr.
const POSIX_WRAPPER = `#!/bin/sh
here=$(dirname "$0")
exec ${JAVA} -cp "$here/lib/*" io.temporal.testserver.TestServer "$@" 2>/dev/null
`;
const WINDOWS_WRAPPER = `@${JAVA} -cp "%~dp0lib\\*" io.temporal.testserver.TestServer %* 2>nul\r\n`;

async function run(command: string, args: string[], remedy: string): Promise<void> {
  try {
    await promisify(execFile)(command, args, { timeout: 300_000, shell: windows });
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout).trim().slice(-1_000) : '';
    throw new Error(`"${command}" failed. ${remedy}${output && `\n${output}`}`, { cause: error });
  }
}
