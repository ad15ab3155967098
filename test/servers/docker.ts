import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Way } from './own-server.ts';

const run = promisify(execFile);

/** Whether there is an engine, not only a client. */
export const dockerAnswers = (): Promise<boolean> =>
  run('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 10_000 }).then(() => true, () => false);

/** A container whose data is in a volume of its own, which outlives it. `args`: of `docker run`, the image and its command last. */
export function containerWay(name: string, dataFolder: string, args: string[], env: Record<string, string> = {}): Way {
  return {
    command: 'docker',
    args: ['run', '--rm', '--name', name, '--volume', `${name}:${dataFolder}`, ...args],
    env,
    kill: async () => void await run('docker', ['kill', name]),
    remove: async () => void await run('docker', ['volume', 'rm', '--force', name]),
  };
}
