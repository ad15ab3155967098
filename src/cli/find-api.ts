/** Where the API is: `--url`, `SHEAF_API_URL`, the stack that runs in SHEAF_HOME, else the port of the configuration. */
import type { Config } from '../config.ts';
import { readStackFile } from '../embedded/stack-file.ts';
import { wrongUsage } from './failure.ts';

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** True where the API runs on this machine and may be able to read its files by path. */
export const isLoopback = (url: string): boolean => LOOPBACK.has(new URL(url).hostname);

export function findApi(given: string | undefined, config: Config): string {
  if (given !== undefined) {
    const url = URL.parse(given);
    if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
      throw wrongUsage(`--url ${given} is not an address.`, 'Give it as http://host:port.');
    }
    return given;
  }
  return config.SHEAF_API_URL ?? readStackFile(config.SHEAF_HOME)?.api ?? `http://127.0.0.1:${config.SHEAF_API_PORT}`;
}
