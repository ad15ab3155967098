/**
 * Once a test run: a real Temporal server on a free port, with its database in a temporary folder; and an Elasticsearch,
 * when a test asks for it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { freePort } from '../../src/embedded/free-port.ts';
import { findTemporalCli } from '../../src/embedded/temporal-cli.ts';
import { temporalReady, temporalServerArguments } from '../../src/embedded/temporal-server.ts';
import { elasticsearchOnDemand } from './elasticsearch/on-demand.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** host:port */
    temporalAddress: string;
    /** See `elasticsearch/shared.ts`. */
    elasticsearchOnDemand: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cli = await findTemporalCli();
  if (cli === null) throw new Error('There is no Temporal CLI for the tests. Run "node scripts/setup.mjs", which finds or makes one.');
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-test-'));
  const port = await freePort();
  const server = spawn(process.execPath, [
    fileURLToPath(new URL('tethered.mjs', import.meta.url)),
    cli.path,
    ...temporalServerArguments({ port, uiPort: null, namespace: 'default', database: path.join(folder, 'temporal.db') }),
  ], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });

  let said = '';
  server.stderr?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-4_000); });
  const exited = once(server, 'exit');
  const gaveUp = new AbortController();
  void exited.then(() => gaveUp.abort(new Error(`The Temporal server for the tests ended at once:\n${said}`)));
  const address = `127.0.0.1:${port}`;
  await temporalReady(address, 'default', AbortSignal.any([gaveUp.signal, AbortSignal.timeout(60_000)]));
  project.provide('temporalAddress', address);

  const elasticsearch = await elasticsearchOnDemand();
  project.provide('elasticsearchOnDemand', elasticsearch.address);

  return async () => {
    await elasticsearch.stop();
    if (server.connected) server.disconnect();
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
}
