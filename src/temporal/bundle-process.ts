/** `bundle-process.ts FILE`: bundles the workflows into the file, which appears whole or not at all. */
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

const OUTDATED_AFTER_MS = 7 * 24 * 3_600_000;

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('The path of the bundle is missing');
const folder = path.dirname(file);
await mkdir(folder, { recursive: true });

const { code } = await bundleWorkflowCode({
  workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)),
  logger: new DefaultLogger('WARN'),
});
const unfinished = `${file}.${process.pid}`;
await writeFile(unfinished, withoutSources(code));
await rename(unfinished, file);

// Bundles of sources as they were: a worker that runs has its own in memory.
for (const name of await readdir(folder)) {
  const other = path.join(folder, name);
  if (!name.startsWith('workflows-') || other === file) continue;
  const made = await stat(other).catch(() => null);
  if (made !== null && Date.now() - made.mtimeMs > OUTDATED_AFTER_MS) await rm(other, { force: true });
}

/**
 * The bundle with its source map, which names the lines of errors, but without the sources that the map repeats: every worker keeps
 * some copies of it.
 */
function withoutSources(code: string): string {
  const start = code.lastIndexOf('base64,') + 'base64,'.length;
  const { sourcesContent: _, ...map } = JSON.parse(Buffer.from(code.slice(start), 'base64').toString()) as { sourcesContent?: string[] };
  return code.slice(0, start) + Buffer.from(JSON.stringify(map)).toString('base64');
}
