/** The embedded stack: a Temporal server, a worker and the API as processes of their own, under one folder. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config.ts';
import { bundleWorkflows } from '../temporal/bundle.ts';
import { childLog } from './child-log.ts';
import { freePort } from './free-port.ts';
import { COMPILED, LEAN_ENVIRONMENT, LEAN_NODE_FLAGS, WORKER_NODE_FLAGS } from './lean.ts';
import { temporalCli } from './make-temporal-cli.ts';
import { endProcess, identify } from './process-identity.ts';
import { tryLock, type Unlock } from '../process-lock.ts';
import { readStackFile, removeStackFile, type StackFile, writeStackFile } from './stack-file.ts';
import { type ChildSpec, SupervisedChild } from './supervised-child.ts';
import { temporalReady, temporalServerArguments } from './temporal-server.ts';

/** A little more than the worker and the API take by themselves at most. */
const DRAIN_MS = 100_000;
const TEMPORAL_STOP_MS = 15_000;
const ROTATE_EVERY_MS = 30_000;
/** What outlived its stack has had its time. */
const ORPHAN_PATIENCE_MS = 5_000;

export interface Stack {
  /** `http://host:port` of the API. */
  api: string;
  /** host:port of the Temporal server. */
  temporal: string;
  /** Null where the Temporal server is not Sheaf's own. */
  ui: string | null;
  /** Rejects with `ChildGaveUp` when a process cannot be kept running; resolves after `stop`. */
  ended: Promise<void>;
  /** The worker and the API finish what they are at, then the Temporal server stops. May be called again. */
  stop(): Promise<void>;
}

/** Another stack holds the folder. */
export class AlreadyRunning extends Error {
  override readonly name = 'AlreadyRunning';
  /** Null while it begins to start, or has all but stopped. */
  readonly other: StackFile | null;

  constructor(other: StackFile | null) {
    super('A stack runs in this folder already');
    this.other = other;
  }
}

export interface StackOptions {
  /** Gets a line about whatever a person should know, while it starts and later. */
  say(line: string): void;
  /** Gives the start up: what has started is stopped, and `startStack` rejects with the reason. */
  stop: AbortSignal;
  /** Ends every process at once, at any time. What was in flight is done again by the next stack. */
  kill: AbortSignal;
}

/** Starts everything; resolves when all of it is ready. Rejects with `AlreadyRunning`, `ChildGaveUp`, or what the store or the blobs say. */
export async function startStack(config: Config, options: StackOptions): Promise<Stack> {
  const home = config.SHEAF_HOME;
  mkdirSync(home, { recursive: true });
  const unlock = tryLock(path.join(home, 'stack.lock'));
  if (unlock === null) throw new AlreadyRunning(readStackFile(home));

  try {
    return await startLocked(config, options, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

async function startLocked(config: Config, { say, stop: stopAsked, kill }: StackOptions, unlock: Unlock): Promise<Stack> {
  const home = config.SHEAF_HOME;
  await endOrphans(home, say);
  await reachServers(config);
  const plan = await planStack(config, say);
  const file: StackFile = { pid: process.pid, startedAt: new Date().toISOString(), api: null, temporal: plan.temporal, ui: plan.ui, children: {} };
  writeStackFile(home, file);

  const running: { child: SupervisedChild; ended: Promise<void> }[] = [];
  let failed: (reason: unknown) => void = () => undefined;
  const failure = new Promise<never>((_resolve, reject) => { failed = reject; });
  failure.catch(() => undefined);

  /** Resolves when it is ready for the first time. */
  const start = (spec: ChildSpec): Promise<void> => new Promise((resolve) => {
    const child = new SupervisedChild(spec, childLog(path.join(home, 'logs'), spec.name));
    let crashed = false;
    const ended = child.run({
      started(pid) {
        void identify(pid).then((identity) => {
          if (identity === null || stopping !== null) return;
          file.children[spec.name] = identity;
          writeStackFile(home, file);
        }).catch((error: Error) => say(`${path.join(home, 'stack.json')} cannot be written: ${error.message}`));
      },
      ready() {
        if (crashed) say(`The ${spec.title} is back.`);
        crashed = false;
        resolve();
      },
      crashed(how, againInMs) {
        crashed = true;
        say(`The ${spec.title} ended unexpectedly (${how}); it starts again in ${againInMs / 1000} s. Log: ${child.log.file}`);
      },
    });
    running.push({ child, ended });
    ended.catch(failed);
  });

  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => (stopping ??= stopAll());
  async function stopAll(): Promise<void> {
    const temporal = running.filter(({ child }) => child.spec.name === 'temporal');
    await Promise.all(running.filter((one) => !temporal.includes(one)).map(({ child }) => child.stop()));
    await Promise.all(temporal.map(({ child }) => child.stop()));
    clearInterval(rotation);
    removeStackFile(home);
    unlock();
  }
  const rotation = setInterval(() => {
    try {
      running.forEach(({ child }) => child.log.rotateIfLarge());
    } catch {
      // A full disk. The next turn may find room; the stack does not end for its logs.
    }
  }, ROTATE_EVERY_MS);
  kill.addEventListener('abort', () => running.forEach(({ child }) => child.kill()));
  const giveUp = (): void => failed(stopAsked.reason);
  stopAsked.addEventListener('abort', giveUp);

  try {
    stopAsked.throwIfAborted();
    for (const together of plan.children) await Promise.race([Promise.all(together.map(start)), failure]);
    file.api = plan.api;
    writeStackFile(home, file);
  } catch (error) {
    await stop();
    throw error;
  } finally {
    stopAsked.removeEventListener('abort', giveUp);
  }
  return {
    api: plan.api,
    temporal: plan.temporal,
    ui: plan.ui,
    ended: Promise.race([Promise.all(running.map(({ ended }) => ended)).then(() => undefined), failure]),
    stop,
  };
}

/** Servers that are to be there already. Said once, and clearly, instead of by processes that wait for them. */
async function reachServers(config: Config): Promise<void> {
  if (config.SHEAF_STORE === 'sqlite' && config.SHEAF_BLOBS === 'filesystem') return;
  const { openBlobs, openStore } = await import('../container.ts');
  if (config.SHEAF_STORE === 'elasticsearch') await (await openStore(config)).close();
  if (config.SHEAF_BLOBS === 's3') await (await openBlobs(config)).check();
}

/** A stack that was killed leaves its Temporal server behind, and for a while the processes that drain. */
async function endOrphans(home: string, say: (line: string) => void): Promise<void> {
  const left = readStackFile(home);
  if (left === null) return;
  for (const [name, identity] of Object.entries(left.children)) {
    if ((await identify(identity.pid))?.started !== identity.started) continue;
    say(`Ending the ${name} process ${identity.pid}, which a stack that was killed has left.`);
    await endProcess(identity, ORPHAN_PATIENCE_MS);
  }
  removeStackFile(home);
}

interface Plan {
  api: string;
  temporal: string;
  ui: string | null;
  /** Those in one list start together, each list when the one before is ready. */
  children: ChildSpec[][];
}

async function planStack(config: Config, say: (line: string) => void): Promise<Plan> {
  const apiPort = await port(config.SHEAF_API_PORT, 'SHEAF_API_PORT', 'API', say, config.SHEAF_API_HOST);
  const own = config.SHEAF_TEMPORAL_ADDRESS === undefined ? await ownTemporal(config, say) : null;
  const temporal = config.SHEAF_TEMPORAL_ADDRESS ?? own?.address ?? '';
  const env = {
    ...process.env,
    SHEAF_HOME: config.SHEAF_HOME,
    SHEAF_TEMPORAL_ADDRESS: temporal,
    SHEAF_API_PORT: String(apiPort),
  };
  if (config.SHEAF_WORKFLOW_BUNDLE === undefined) await bundleWorkflows();
  return {
    api: `http://${reachable(config.SHEAF_API_HOST)}:${apiPort}`,
    temporal,
    ui: own?.ui ?? null,
    children: [
      ...(own === null ? [] : [[own.spec]]),
      [ourProcess('worker', 'worker', '../worker.ts', env, WORKER_NODE_FLAGS), ourProcess('api', 'API', '../server.ts', env)],
    ],
  };
}

async function ownTemporal(config: Config, say: (line: string) => void): Promise<{ address: string; ui: string; spec: ChildSpec }> {
  const cli = await temporalCli();
  const grpcPort = await port(config.SHEAF_TEMPORAL_PORT, 'SHEAF_TEMPORAL_PORT', 'Temporal server', say);
  const uiPort = await port(config.SHEAF_TEMPORAL_UI_PORT, 'SHEAF_TEMPORAL_UI_PORT', 'Temporal Web UI', say);
  const address = `127.0.0.1:${grpcPort}`;
  const namespace = config.SHEAF_TEMPORAL_NAMESPACE;
  return {
    address,
    ui: `http://127.0.0.1:${uiPort}`,
    spec: {
      name: 'temporal',
      title: 'Temporal server',
      command: cli.path,
      args: temporalServerArguments({ port: grpcPort, uiPort, namespace, database: path.join(config.SHEAF_HOME, 'temporal.db') }),
      env: process.env,
      ours: false,
      ready: (_child, signal) => temporalReady(address, namespace, signal),
      drainMs: TEMPORAL_STOP_MS,
    },
  };
}

function ourProcess(name: string, title: string, entry: string, env: NodeJS.ProcessEnv, flags: readonly string[] = []): ChildSpec {
  return {
    name,
    title,
    command: process.execPath,
    args: [...LEAN_NODE_FLAGS, ...flags, fileURLToPath(new URL(entry, import.meta.url))],
    env: { ...LEAN_ENVIRONMENT, ...COMPILED, ...env },
    ours: true,
    ready: saysReady,
    drainMs: DRAIN_MS,
  };
}

function saysReady(child: ChildProcess, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'ready') resolve();
    });
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** The wanted port, or another that is free, and then says so. */
async function port(wanted: number, variable: string, who: string, say: (line: string) => void, host?: string): Promise<number> {
  const free = await freePort(wanted, host);
  if (wanted !== 0 && free !== wanted) {
    say(`Port ${wanted} is in use by another program: the ${who} takes ${free}. To choose another, set ${variable}.`);
  }
  return free;
}

/** A host that listens on all addresses is reached on the loopback. */
const reachable = (host: string): string =>
  host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
