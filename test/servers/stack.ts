/**
 * A whole Sheaf as processes of their own, for tests that kill them: a Temporal server with a database file, the
 * worker and the API, under one temporary folder. Each can be killed and started again on the same ports and files.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobAnswer, JobBody } from '../../src/contracts/job-api.ts';
import type { ItemAnswer } from '../../src/contracts/items-api.ts';
import type { UploadAnswer } from '../../src/contracts/sheet-api.ts';
import { freePort } from '../../src/embedded/free-port.ts';
import { findTemporalCli } from '../../src/embedded/temporal-cli.ts';
import { temporalReady, temporalServerArguments } from '../../src/embedded/temporal-server.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';

export const PARTS = ['temporal', 'worker', 'api'] as const;
/** `worker-2` runs where a stack was asked for two workers. */
export type Part = (typeof PARTS)[number] | 'worker-2';

/** A server that the stack stands on, with data and address that outlive it. */
export interface Ground {
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<void>;
  /** Resolves when it answers again. */
  restart(): Promise<void>;
}

export interface TestStackOptions {
  /** What the worker and the API get beside the usual. */
  env?: Record<string, string>;
  workers?: 1 | 2;
  /** Can be killed and started by these names, as the stack's own parts can. */
  ground?: Record<string, Ground>;
}

const READY_MS = 60_000;
const LOG_LINES = 25;

export interface TestStack {
  /** Sheets and handler modules that jobs name by path go here. */
  folder: string;
  /** SHEAF_HOME. */
  home: string;
  /** The environment of the worker and the API. */
  env: Record<string, string | undefined>;
  /** `http://host:port` of the API. */
  url: string;
  /** host:port */
  temporal: string;
  /** Path of the `temporal` binary. */
  temporalCli: string;
  /** Resolves when it works. */
  start(part: string): Promise<void>;
  /** Starts those that a test left dead. */
  startMissing(): Promise<void>;
  /** `kill -9`; resolves when the process is gone. */
  kill(part: string): Promise<void>;
  /** One request to the API; rejects when it does not answer, or answers with an error. */
  call<Answer>(method: string, address: string, body?: object, tenant?: string): Promise<Answer>;
  upload(name: string, content: string, tenant?: string): Promise<string>;
  create(job: JobBody, tenant?: string): Promise<JobAnswer>;
  job(id: string, tenant?: string): Promise<JobAnswer>;
  /** The NDJSON results, a row a line. */
  results(id: string, tenant?: string): Promise<ItemAnswer[]>;
  /** The last lines that each process wrote. */
  logs(): Promise<string>;
  /** Ends every process and removes the folder. */
  stop(): Promise<void>;
}

/** Starts all three and resolves when they work; on other ports, where somebody took one before it was listened on. */
export async function startTestStack(options: TestStackOptions = {}, tries = 3): Promise<TestStack> {
  try {
    return await startOnce(options);
  } catch (error) {
    if (tries === 1 || !(error instanceof Error) || !error.message.includes('is in use')) throw error;
    return startTestStack(options, tries - 1);
  }
}

async function startOnce({ env: more = {}, ground = {}, workers = 1 }: TestStackOptions): Promise<TestStack> {
  const cli = await findTemporalCli();
  if (cli === null) throw new Error('There is no Temporal CLI for the tests. Run "node scripts/setup.mjs", which finds or makes one.');
  await bundleWorkflows();
  const root = await mkdtemp(path.join(os.tmpdir(), 'sheaf-stack-'));
  const home = path.join(root, 'home');
  const folder = path.join(root, 'input');
  await Promise.all([mkdir(home), mkdir(folder)]);
  const temporalPort = await freePort();
  const apiPort = await freePort();
  const temporal = `127.0.0.1:${temporalPort}`;
  const url = `http://127.0.0.1:${apiPort}`;
  const api = `${url}/api/v1`;
  const env = {
    ...process.env, SHEAF_HOME: home, SHEAF_TEMPORAL_ADDRESS: temporal, SHEAF_API_HOST: '127.0.0.1', SHEAF_API_PORT: String(apiPort),
    SHEAF_INPUT_DIRS: folder, SHEAF_HANDLER_DIRS: folder, SHEAF_LOG_LEVEL: 'warn',
    // Tests that are not about the queue run as many jobs at once as they like.
    SHEAF_MAX_RUNNING_JOBS: '1000', SHEAF_MAX_RUNNING_JOBS_PER_TENANT: '1000', ...more,
  };
  const sourceOf = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const commands: Record<Part, string[]> = {
    temporal: [sourceOf('tethered.mjs'), cli.path, ...temporalServerArguments({
      port: temporalPort, uiPort: null, namespace: 'default', database: path.join(home, 'temporal.db'),
    })],
    worker: [sourceOf('../../src/worker.ts')],
    'worker-2': [sourceOf('../../src/worker.ts')],
    api: [sourceOf('../../src/server.ts')],
  };
  const parts: Part[] = workers === 2 ? [...PARTS, 'worker-2'] : [...PARTS];
  const running = new Map<Part, ChildProcess>();
  const logFile = (part: Part): string => path.join(root, `${part}.log`);

  const start = async (name: string): Promise<void> => {
    if (ground[name] !== undefined) return ground[name].restart();
    const part = partOf(name);
    const log = openSync(logFile(part), 'a');
    // The IPC channel tells when the process is ready, and ends it when this process is gone.
    const child = spawn(process.execPath, commands[part], { env, stdio: ['ignore', log, log, 'ipc'] });
    closeSync(log);
    running.set(part, child);
    const ended = new AbortController();
    child.once('exit', (code, signal) => ended.abort(new Error(`The ${part} ended (${signal ?? code})`)));
    const patience = AbortSignal.any([ended.signal, AbortSignal.timeout(READY_MS)]);
    try {
      if (part === 'temporal') await temporalReady(temporal, 'default', patience);
      else await once(child, 'message', { signal: patience }); // {type: 'ready'} is all that they say
    } catch {
      throw new Error(`The ${part} does not start: ${String(patience.reason)}\n${await tail(logFile(part))}`);
    }
  };

  const startMissing = async (): Promise<void> => {
    const missing = parts.filter((part) => !running.has(part));
    if (missing.includes('temporal')) await start('temporal');
    await Promise.all(missing.filter((part) => part !== 'temporal').map(start));
  };

  const kill = async (name: string): Promise<void> => {
    if (ground[name] !== undefined) return ground[name].kill();
    const part = partOf(name);
    const child = running.get(part);
    if (child === undefined) throw new Error(`The ${part} does not run`);
    running.delete(part);
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`The ${part} had ended before it was killed\n${await tail(logFile(part))}`);
    const gone = once(child, 'exit');
    // The Temporal server is the tether's child: it is the one to kill, and its tether ends with it.
    if (part === 'temporal') child.send('SIGKILL');
    else child.kill('SIGKILL');
    await gone;
  };

  const logs = async (): Promise<string> =>
    (await Promise.all(parts.map(async (part) => `── ${part} ──\n${await tail(logFile(part))}`))).join('\n');

  const stop = async (): Promise<void> => {
    await Promise.all([...running.keys()].map((part) => kill(part).catch(() => {})));
    await rm(root, { recursive: true, force: true, maxRetries: 5 });
  };

  const request = async (method: string, address: string, body?: string, tenant = 'default', type = 'application/json'): Promise<Response> => {
    const headers = { 'x-sheaf-tenant': tenant, ...(body !== undefined && { 'content-type': type }) };
    const response = await fetch(`${api}${address}`, { method, headers, ...(body !== undefined && { body }) });
    if (!response.ok) throw new Error(`${method} ${address}: ${response.status} ${await response.text()}`);
    return response;
  };
  const call = async <Answer>(method: string, address: string, body?: object, tenant?: string): Promise<Answer> =>
    (await request(method, address, body && JSON.stringify(body), tenant)).json() as Promise<Answer>;

  try {
    await startMissing();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    folder, home, env, url, temporal, temporalCli: cli.path, start, startMissing, kill, call, logs, stop,
    async upload(name, content, tenant) {
      const response = await request('POST', `/uploads?name=${encodeURIComponent(name)}`, content, tenant, 'application/octet-stream');
      return ((await response.json()) as UploadAnswer).id;
    },
    create: (job, tenant) => call('POST', '/jobs', job, tenant),
    job: (id, tenant) => call('GET', `/jobs/${id}`, undefined, tenant),
    async results(id, tenant) {
      const text = await (await request('GET', `/jobs/${id}/results?format=ndjson`, undefined, tenant)).text();
      return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as ItemAnswer);
    },
  };
}

function partOf(name: string): Part {
  const part = [...PARTS, 'worker-2' as const].find((one) => one === name);
  if (part === undefined) throw new Error(`The stack has no part ${name}`);
  return part;
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).slice(-LOG_LINES).join('\n');
}
