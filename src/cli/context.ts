/** What every command gets: the terminal, the configuration and a client, made from the options that all commands share. */
import type { Command } from 'commander';
import { z } from 'zod';
import { type Config, readConfig } from '../config.ts';
import { createSheafClient, type HttpOptions, type SheafClient } from '../client/index.ts';
import { type Client, createClient } from './client.ts';
import { wrongUsage } from './failure.ts';
import { findApi } from './find-api.ts';
import { openTerminal, type Terminal } from './terminal.ts';

export interface Context {
  terminal: Terminal;
  config: Config;
  client: Client;
  /** The library; its errors are for `refuse`. */
  sheaf: SheafClient;
  /** Aborted by Ctrl-C. */
  signal: AbortSignal;
}

interface SharedOptions {
  json?: boolean;
  url?: string;
  tenant?: string;
  owner?: string;
}

export function sharedOptions(program: Command): Command {
  return program
    .option('--json', 'machine output: JSON on stdout, errors as JSON on stderr')
    .option('--url <url>', 'where the API is (default: SHEAF_API_URL, else the stack running in SHEAF_HOME)')
    .option('--tenant <name>', 'act for this tenant')
    .option('--owner <name>', 'act as this owner');
}

export const sharedTerminal = (command: Command): Terminal => openTerminal(command.optsWithGlobals<SharedOptions>().json === true);

/** Once a command. Rejects where the environment or `--url` is wrong. */
export function contextOf(command: Command): Context {
  const { url, tenant, owner } = command.optsWithGlobals<SharedOptions>();
  const config = configOrUsage();
  const interrupted = new AbortController();
  // Once: a second Ctrl-C ends the process at once.
  process.once('SIGINT', () => interrupted.abort());
  return { terminal: sharedTerminal(command), config, ...clientsOf({ url: findApi(url, config), tenant, owner }), signal: interrupted.signal };
}

/** Of one API, for a context that is to speak to another. */
export const clientsOf = (api: HttpOptions): Pick<Context, 'client' | 'sheaf'> => ({ client: createClient(api), sheaf: createSheafClient(api) });

function configOrUsage(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    const wrong = error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw wrongUsage(`The environment is not valid. ${wrong.join('; ')}`, '`sheaf system config` lists every variable.');
  }
}
