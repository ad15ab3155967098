/**
 * The workflow bundle, made ahead of the worker: webpack runs in a process of its own, so that its memory is not the
 * worker's. Content-addressed: the same sources give the same file, and nothing is made twice.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = path.join(root, 'node_modules/.cache/sheaf');
const BUNDLER = fileURLToPath(new URL('bundle-process.ts', import.meta.url));
/** What workflows may import (design: `workflows → contracts, domain`). */
const SOURCES = ['src/workflows', 'src/contracts', 'src/domain'];

/** Absolute path of the bundle, for `workflowBundle: { codePath }` of a worker. Makes it where it is not there yet. */
export async function bundleWorkflows(): Promise<string> {
  const file = path.join(folder, `workflows-${await sourcesHash()}.js`);
  if (await stat(file).then(() => true, () => false)) return file;
  try {
    await promisify(execFile)(process.execPath, [BUNDLER, file], { cwd: root });
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`The workflows could not be bundled:\n${said}`, { cause: error });
  }
  return file;
}

/** Over the path and content of every source, the SDK that bundles them, and how. */
async function sourcesHash(): Promise<string> {
  const hash = createHash('sha256');
  const sdk: unknown = createRequire(import.meta.url)('@temporalio/worker/package.json');
  hash.update(JSON.stringify(typeof sdk === 'object' && sdk !== null && 'version' in sdk ? sdk.version : null));
  hash.update(await readFile(BUNDLER));
  for (const source of SOURCES) {
    const files = (await readdir(path.join(root, source), { recursive: true })).filter((file) => file.endsWith('.ts')).sort();
    for (const file of files) {
      hash.update(`\0${source}/${file.replaceAll(path.sep, '/')}\0`).update(await readFile(path.join(root, source, file)));
    }
  }
  return hash.digest('hex').slice(0, 24);
}
