/** Where the API is: `--url`, `SHEAF_API_URL`, the stack that runs in SHEAF_HOME, else the port of the configuration. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config.ts';
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
  return config.SHEAF_API_URL ?? runningStack(config.SHEAF_HOME) ?? `http://127.0.0.1:${config.SHEAF_API_PORT}`;
}

/** The address in `stack.json`, which the embedded stack writes while it runs; null where there is none. */
function runningStack(home: string): string | null {
  try {
    const stack: unknown = JSON.parse(readFileSync(path.join(home, 'stack.json'), 'utf8'));
    const api = typeof stack === 'object' && stack !== null && 'api' in stack ? stack.api : null;
    return typeof api === 'string' && URL.canParse(api) ? api : null;
  } catch {
    return null;
  }
}
