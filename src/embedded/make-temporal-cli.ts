/** Gets the `temporal` binary for a machine that lacks it, once: by the SDK's download, else by building it with Go. */
import { spawn } from 'node:child_process';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { cacheFolder } from './cache-folder.ts';
import { secondsSince, withElapsed } from './elapsed.ts';
import { lock } from '../process-lock.ts';
import { downloadWithSdk } from './sdk-download.ts';
import { CLI_VERSION, cachedCli, executableName, findTemporalCli, type TemporalCli, wrongWith } from './temporal-cli.ts';

const GO_PACKAGE = `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`;

/** The Temporal CLI, found or made. Rejects with what was tried and what a person can do. */
export async function temporalCli(): Promise<TemporalCli> {
  const passedOver: string[] = [];
  const found = await findTemporalCli(passedOver);
  if (found !== null) return found;
  for (const sentence of passedOver) process.stderr.write(`Passed over: ${sentence}\n`);
  const unlock = await lock(cacheFolder('temporal-cli.lock'), () =>
    process.stderr.write('Another setup is making the Temporal CLI; waiting for it …\n'));
  try {
    // Whoever held the lock before may have made it.
    return (await findTemporalCli()) ?? (await make());
  } finally {
    unlock();
  }
}

async function make(): Promise<TemporalCli> {
  const folder = path.dirname(cachedCli());
  const workshop = path.join(folder, 'making');
  // What a setup left that was killed; nobody else is at it, because the lock is ours.
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { recursive: true });
  const failures: string[] = [];
  try {
    for (const { what, how, get } of WAYS) {
      const started = performance.now();
      try {
        const binary = await withElapsed(what, get(workshop));
        await chmod(binary, 0o755);
        const wrong = await wrongWith(binary, null);
        if (wrong !== null) throw new Error(`what came of it ${wrong}`);
        await rename(binary, cachedCli());
        return { path: cachedCli(), from: `${how} (${secondsSince(started)})` };
      } catch (error) {
        failures.push(`  ${how}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
  throw new Error(`There is no Temporal CLI on this machine, and none could be made:
  SHEAF_TEMPORAL_CLI: not set
  PATH: no usable "temporal"
${failures.join('\n')}
Do one of these, then try again:
  - install the Temporal CLI (a package manager has it as "temporal") so that it is on PATH
  - set SHEAF_TEMPORAL_CLI to a "temporal" binary
  - install Go 1.25 or later, and see that it reaches a module proxy`);
}

interface Way {
  what: string;
  how: string;
  /** Leaves the binary somewhere in the empty folder, and says where. */
  get(folder: string): Promise<string>;
}

const WAYS: Way[] = [
  {
    what: `Downloading the Temporal CLI ${CLI_VERSION}`,
    how: "the SDK's download",
    get: (folder) => inFolder(folder, 'download', (inside) => downloadWithSdk('temporal-cli', CLI_VERSION, inside)),
  },
  {
    what: `Building the Temporal CLI ${CLI_VERSION} with Go; this takes 3 to 5 minutes on 2 cores, once per machine`,
    how: 'go install',
    get: (folder) => inFolder(folder, 'build', goInstall),
  },
];

async function inFolder(parent: string, name: string, get: (folder: string) => Promise<string>): Promise<string> {
  const folder = path.join(parent, name);
  await mkdir(folder);
  return get(folder);
}

function goInstall(folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', ['install', GO_PACKAGE], {
      env: { ...process.env, GOBIN: folder, GOFLAGS: '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-2_000); });
    child.once('error', (error: NodeJS.ErrnoException) =>
      reject(new Error(error.code === 'ENOENT' ? 'there is no Go on PATH' : error.message)));
    child.once('close', (code) => {
      if (code === 0) resolve(path.join(folder, executableName('temporal')));
      else reject(new Error(`it ended with exit code ${code}\n${said.trim().replace(/^/gm, '    ')}`));
    });
  });
}
