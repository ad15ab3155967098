/** The Elasticsearch node made from published jars: built once into the user's cache folder, by one process at a time. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../src/embedded/cache-folder.ts';
import { withElapsed } from '../../../src/embedded/elapsed.ts';
import { lock } from '../../../src/process-lock.ts';

export const VERSION = '9.5.3';

const here = fileURLToPath(new URL('.', import.meta.url));
const windows = process.platform === 'win32';

/** The class path of a built node, whose main class is `org.elasticsearch.node.TestNode`. Rejects with what a person can do. */
export async function builtNode(jdk: string): Promise<string> {
  const folder = cacheFolder(`elasticsearch-${VERSION}-${await fingerprint()}`);
  const classPath = [path.join(folder, 'node.jar'), path.join(folder, 'lib', '*')].join(path.delimiter);
  const isBuilt = (): Promise<boolean> => access(folder).then(() => true, () => false);
  if (await isBuilt()) return classPath;
  const unlock = await lock(cacheFolder('elasticsearch.lock'), () =>
    process.stderr.write('Another process is making Elasticsearch for the tests; waiting for it …\n'));
  try {
    if (await isBuilt()) return classPath;
    const workshop = `${folder}-making`;
    // What was left by one that was killed; nobody else is at it, because the lock is ours.
    await rm(workshop, { recursive: true, force: true });
    await mkdir(workshop, { recursive: true });
    for (const entry of ['pom.xml', 'src']) await cp(path.join(here, entry), path.join(workshop, entry), { recursive: true });
    await withElapsed(`Making Elasticsearch ${VERSION} for the tests with Maven`, runMaven(workshop, jdk));
    await rename(path.join(workshop, 'target'), folder);
    await rm(workshop, { recursive: true, force: true });
    return classPath;
  } finally {
    unlock();
  }
}

/** A changed launcher is a node of its own. */
async function fingerprint(): Promise<string> {
  const files = (await readdir(path.join(here, 'src'), { recursive: true })).filter((file) => file.endsWith('.java')).sort();
  const hash = createHash('sha256').update(await readFile(path.join(here, 'pom.xml')));
  for (const file of files) hash.update(await readFile(path.join(here, 'src', file)));
  return hash.digest('hex').slice(0, 12);
}

async function runMaven(folder: string, jdk: string): Promise<void> {
  try {
    await promisify(execFile)(windows ? 'mvn.cmd' : 'mvn', ['--batch-mode', '--quiet', '--file', path.join(folder, 'pom.xml'), 'package'], {
      env: { ...process.env, JAVA_HOME: jdk }, timeout: 300_000, shell: windows,
    });
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? String(error.stdout).trim().slice(-1_000) : '';
    throw new Error(`Maven could not make it. Install Maven, and see that it reaches its repository.${output && `\n${output}`}`, { cause: error });
  }
}
