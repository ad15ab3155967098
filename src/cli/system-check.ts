/** What `sheaf system check` looks at: this machine first, then the API and what it stands on. */
import { constants, promises as fs } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import type { Config } from '../config.ts';
import type { SystemAnswer, SystemCheck, SystemChecksAnswer } from '../contracts/system-api.ts';
import { findTemporalCli } from '../embedded/temporal-cli.ts';
import { Unreachable } from './client.ts';
import type { Context } from './context.ts';
import { CommandFailure } from './failure.ts';
import { duration } from './format.ts';

const OLDEST_NODE = [22, 19] as const;
const CONNECT_MS = 2000;

export async function checkSystem(context: Context): Promise<SystemCheck[]> {
  const { config } = context;
  const api = await checkApi(context);
  const local = [
    checkNode(),
    await checkHome(config.SHEAF_HOME),
    ...(await Promise.all(config.SHEAF_INPUT_DIRS.map(checkInputDir))),
    ...(config.SHEAF_TEMPORAL_ADDRESS === undefined ? [await checkTemporalCli()] : []),
    ...(api.absent ? await checkPorts(config) : []),
  ];
  return [...local, ...api.checks, ...(api.absent ? await checkServers(config) : [])];
}

function checkNode(): SystemCheck {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [oldest, oldestMinor] = OLDEST_NODE;
  const ok = major > oldest || (major === oldest && minor >= oldestMinor);
  return { name: 'Node.js', ok, found: process.version, ...(!ok && { remedy: `Use Node ${OLDEST_NODE.join('.')} or later; \`npx sheaf\` does.` }) };
}

/** It, or the folder that it will be made in. */
async function checkHome(home: string): Promise<SystemCheck> {
  let folder = home;
  while (true) {
    try {
      await fs.access(folder, constants.W_OK);
      const free = await fs.statfs(folder);
      const gigabytes = (free.bavail * free.bsize) / 1e9;
      const ok = gigabytes >= 1;
      return {
        name: 'SHEAF_HOME', ok, found: `${home}, ${gigabytes.toFixed(1)} GB free`,
        ...(!ok && { remedy: 'Make room, or set SHEAF_HOME to a folder on another disk.' }),
      };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' && path.dirname(folder) !== folder) folder = path.dirname(folder);
      else return { name: 'SHEAF_HOME', ok: false, found: `${folder} cannot be written (${code})`, remedy: 'Set SHEAF_HOME to a folder that this user may write.' };
    }
  }
}

async function checkInputDir(folder: string): Promise<SystemCheck> {
  const ok = await fs.access(folder, constants.R_OK).then(() => true, () => false);
  return {
    name: 'input folder', ok, found: ok ? folder : `${folder} cannot be read`,
    ...(!ok && { remedy: 'Correct SHEAF_INPUT_DIRS; files elsewhere are uploaded.' }),
  };
}

async function checkTemporalCli(): Promise<SystemCheck> {
  const name = 'Temporal CLI';
  const passedOver: string[] = [];
  try {
    const cli = await findTemporalCli(passedOver);
    if (cli !== null) return { name, ok: true, found: `${cli.path} (${cli.from})` };
    return { name, ok: false, found: passedOver[0] ?? 'none', remedy: '`npm start` gets it or makes it.' };
  } catch (error) {
    return { name, ok: false, found: error instanceof Error ? error.message : String(error), remedy: 'Correct SHEAF_TEMPORAL_CLI, or unset it.' };
  }
}

/** Only of interest before a start. */
function checkPorts(config: Config): Promise<SystemCheck[]> {
  const ports: [string, number][] = [['SHEAF_API_PORT', config.SHEAF_API_PORT]];
  if (config.SHEAF_TEMPORAL_ADDRESS === undefined) {
    ports.push(['SHEAF_TEMPORAL_PORT', config.SHEAF_TEMPORAL_PORT], ['SHEAF_TEMPORAL_UI_PORT', config.SHEAF_TEMPORAL_UI_PORT]);
  }
  return Promise.all(ports.map(async ([name, port]) => {
    const taken = await answers('127.0.0.1', port);
    return {
      name, ok: !taken, found: taken ? `port ${port} is taken by another program` : `port ${port} is free`,
      ...(taken && { remedy: `End that program, or set ${name} to another port.` }),
    };
  }));
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/^\[|\]$/g, ''), port, timeout: CONNECT_MS });
    const end = (answered: boolean): void => {
      socket.destroy();
      resolve(answered);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false)).once('timeout', () => end(false));
  });
}

/** What a start would stand on, looked at from here: servers that run already. */
async function checkServers(config: Config): Promise<SystemCheck[]> {
  const external = config.SHEAF_TEMPORAL_ADDRESS !== undefined || config.SHEAF_STORE !== 'sqlite' || config.SHEAF_BLOBS !== 'filesystem';
  if (!external) return [];
  const { diagnose } = await import('../diagnosis.ts');
  const checks = await diagnose(config, null);
  // The embedded Temporal server and the workers come with the start.
  return checks.filter(({ name }) => name !== 'workers' && (config.SHEAF_TEMPORAL_ADDRESS !== undefined || !name.startsWith('Temporal')));
}

/** `absent`: nothing answered. */
async function checkApi({ client, signal }: Context): Promise<{ checks: SystemCheck[]; absent: boolean }> {
  try {
    const { version, uptimeSeconds } = await client.call<SystemAnswer>('GET', '/system/status', { signal });
    const { checks } = await client.call<SystemChecksAnswer>('GET', '/system/check', { signal });
    return { checks: [{ name: 'API', ok: true, found: `${client.url}, version ${version}, up for ${duration(uptimeSeconds)}` }, ...checks], absent: false };
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    const { message, remedy } = error.problem;
    return { checks: [{ name: 'API', ok: false, found: message, ...(remedy !== undefined && { remedy }) }], absent: error instanceof Unreachable };
  }
}
