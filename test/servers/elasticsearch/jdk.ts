/** A JDK that Elasticsearch can be compiled and run with. */
import { execFile } from 'node:child_process';
import { access, readdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const OLDEST = 21;
const executable = (name: string): string => (process.platform === 'win32' ? `${name}.exe` : name);

/** Folders in which systems and version managers keep a folder for each JVM. */
const shelves = (): string[] => [
  '/usr/lib/jvm', '/usr/java', '/opt/java', '/Library/Java/JavaVirtualMachines', '/opt/homebrew/opt', '/usr/local/opt',
  path.join(os.homedir(), '.sdkman/candidates/java'), path.join(os.homedir(), '.jdks'),
  'C:\\Program Files\\Java', 'C:\\Program Files\\Eclipse Adoptium', 'C:\\Program Files\\Microsoft',
];

/** Its home folder, the first of JAVA_HOME, PATH and the usual folders; null when there is none. */
export async function findJdk(): Promise<string | null> {
  const onPath = (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean).map((folder) => path.dirname(folder));
  for (const home of [process.env['JAVA_HOME'] ?? '', ...onPath, ...(await Promise.all(shelves().map(homesIn))).flat()]) {
    if (home !== '' && (await isRecentJdk(home))) return home;
  }
  return null;
}

async function homesIn(shelf: string): Promise<string[]> {
  const names = await readdir(shelf).catch(() => []);
  return names.filter((name) => /jdk|jvm|java|temurin|zulu|corretto|graal|\d/i.test(name))
    .flatMap((name) => [path.join(shelf, name), path.join(shelf, name, 'Contents/Home'), path.join(shelf, name, 'libexec/openjdk.jdk/Contents/Home')]);
}

async function isRecentJdk(home: string): Promise<boolean> {
  try {
    await access(path.join(home, 'bin', executable('java')));
    const { stdout } = await promisify(execFile)(path.join(home, 'bin', executable('javac')), ['-version']);
    return Number(/javac (\d+)/.exec(stdout)?.[1]) >= OLDEST;
  } catch {
    return false;
  }
}

export const javaOf = (jdk: string): string => path.join(jdk, 'bin', executable('java'));
