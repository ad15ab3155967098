/** A server that the tests start, kill and start again: it ends with the process that started it, and its data with `stop`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export interface OwnServer {
  /** `kill -9`; resolves when it is gone. Its data stays. */
  kill(): Promise<void>;
  /** After `kill`, with the same data on the same port; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** How a server is run, in the foreground; `kill` ends it hard, `remove` its data. */
export interface Way {
  command: string;
  args: string[];
  /** Beside this process's. */
  env?: Record<string, string>;
  kill(child: ChildProcess): Promise<void>;
  remove(): Promise<void>;
}

const LIMIT_MS = 120_000;
const ASK_EVERY_MS = 50;
/** Of what it wrote, for an error that says why it did not start. */
const SAID_CHARS = 4_000;

/** Resolves when it answers. Rejects with an error that holds what the server wrote. */
export async function startOwnServer(name: string, way: Way, answers: () => Promise<boolean>): Promise<OwnServer> {
  let child = await launch(name, way, answers);
  const ended = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return {
    async kill() {
      await way.kill(child);
      await ended();
    },
    async restart() {
      child = await launch(name, way, answers);
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended();
      await way.remove();
    },
  };
}

/** `kill` of a process that the tether runs itself. */
export const killThroughTether = (child: ChildProcess): Promise<void> => Promise.resolve(void child.send('SIGKILL'));

async function launch(name: string, { command, args, env }: Way, answers: () => Promise<boolean>): Promise<ChildProcess> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('tethered.mjs', import.meta.url)), command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-SAID_CHARS); });
  const limit = performance.now() + LIMIT_MS;
  while (!(await answers())) {
    if (child.exitCode !== null) throw new Error(`${name} ended before it answered:\n${said}`);
    if (performance.now() > limit) {
      child.disconnect();
      throw new Error(`${name} did not answer within ${LIMIT_MS / 1_000} s:\n${said}`);
    }
    await sleep(ASK_EVERY_MS);
  }
  return child;
}
