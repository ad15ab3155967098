import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Whether there is an engine, not only a client. */
export const dockerAnswers = (): Promise<boolean> =>
  promisify(execFile)('docker', ['version', '--format', '{{.Server.Version}}'], { timeout: 10_000 }).then(() => true, () => false);
