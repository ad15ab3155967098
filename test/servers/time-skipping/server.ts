/**
 * The time-skipping Temporal test server: the SDK's own download where that is within reach, else the same server
 * from its Maven artifact with a small wrapper that starts it as the SDK does (`EXECUTABLE PORT`).
 */
import { execFile } from 'node:child_process';
import { access, chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../src/embedded/cache-folder.ts';

/** Of io.temporal:temporal-test-server; pom.xml names it too. */
const VERSION = '1.38.0';
const MAVEN_PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const windows = process.platform === 'win32';

const folder = (): string => cacheFolder(`temporal-test-server-${VERSION}`);
/** Whichever made it, the executable lies here. */
export const timeSkippingServer = (): string =>
  path.join(folder(), windows ? 'temporal-test-server.cmd' : 'temporal-test-server');

export async function hasTimeSkippingServer(): Promise<boolean> {
  return access(timeSkippingServer()).then(() => true, () => false);
}

/** Makes it with Maven and Java, all or nothing. */
export async function makeTimeSkippingServer(): Promise<void> {
  await mkdir(path.dirname(folder()), { recursive: true });
  const making = await mkdtemp(`${folder()}.`);
  try {
    await run('java', ['-version'], 'Install Java 17 or later.');
    await run(windows ? 'mvn.cmd' : 'mvn', [
      '--batch-mode', '--quiet', '--file', fileURLToPath(new URL('pom.xml', import.meta.url)),
      `${MAVEN_PLUGIN}:copy-dependencies`, `-DoutputDirectory=${path.join(making, 'lib')}`, '-DincludeScope=runtime',
    ], 'Install Maven, and check that it reaches Maven Central.');
    const executable = path.join(making, path.basename(timeSkippingServer()));
    await writeFile(executable, windows ? WINDOWS_WRAPPER : POSIX_WRAPPER);
    await chmod(executable, 0o755);
    await rm(folder(), { recursive: true, force: true });
    await rename(making, folder());
  } finally {
    await rm(making, { recursive: true, force: true });
  }
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
    throw new Error(`The time-skipping test server could not be made: "${command}" failed. ${remedy}${output && `\n${output}`}`);
  }
}
