/** The SDK's own download of a server binary, in a process of its own so that one that hangs can be ended. */
import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A download that brings nothing for so long is given up. */
const STALL_MS = 45_000;
const PROCESS = fileURLToPath(new URL('sdk-download-process.ts', import.meta.url));

/** Downloads into an empty folder; resolves with the binary's path, rejects with why there is none. */
export async function downloadWithSdk(what: 'temporal-cli' | 'test-server', version: string, folder: string): Promise<string> {
  const child = spawn(process.execPath, [PROCESS, what, version, folder], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2_000); });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });

  let stalled = false;
  let size = -1;
  const watch = setInterval(async () => {
    const now = await sizeOf(folder);
    if (now === size) {
      stalled = true;
      child.kill('SIGKILL');
    }
    size = now;
  }, STALL_MS);
  const code = await exited.finally(() => clearInterval(watch));

  if (stalled) throw new Error(`the download stood still for ${STALL_MS / 1000} s`);
  if (code !== 0) throw new Error(said.trim().split('\n').at(-1) || `the download ended with exit code ${code}`);
  const [file] = await readdir(folder);
  if (file === undefined) throw new Error('the download brought nothing');
  return path.join(folder, file);
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0;
  for (const name of await readdir(folder)) bytes += (await stat(path.join(folder, name)).catch(() => null))?.size ?? 0;
  return bytes;
}
