/** `sheaf start` as a person meets it: real processes, real ports, real signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { freePort } from '../../src/embedded/free-port.ts';
import { identify } from '../../src/embedded/process-identity.ts';
import { readStackFile, type StackFile } from '../../src/embedded/stack-file.ts';

// Each starts whole stacks, which a busy machine takes its time for.
vi.setConfig({ testTimeout: 240_000 });

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const SAMPLE = fileURLToPath(new URL('../../samples/support-tickets.csv', import.meta.url));
const PATIENCE = { timeout: 60_000, interval: 50 };

interface Started {
  child: ChildProcess;
  /** Both streams, as a terminal would mix them. */
  said(): string;
  says(text: string): Promise<void>;
  /** Resolves with the exit code. */
  ended: Promise<number | null>;
}

let home: string;
let env: NodeJS.ProcessEnv;
let started: Started[];

beforeEach(async () => {
  home = await mkdtemp(path.join(os.tmpdir(), 'sheaf-start-'));
  const [api, temporal, ui] = [await freePort(), await freePort(), await freePort()];
  env = {
    ...process.env, NO_COLOR: '1', SHEAF_HOME: home,
    SHEAF_API_PORT: String(api), SHEAF_TEMPORAL_PORT: String(temporal), SHEAF_TEMPORAL_UI_PORT: String(ui),
  };
  started = [];
});

afterEach(async () => {
  const left = Object.values(readStackFile(home)?.children ?? {});
  for (const { child, ended } of started) {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await ended;
  }
  for (const { pid } of left) await end(pid);
  await rm(home, { recursive: true, force: true, maxRetries: 5 });
});

async function end(pid: number): Promise<void> {
  if ((await identify(pid)) !== null) process.kill(pid, 'SIGKILL');
  await expect.poll(() => identify(pid), PATIENCE).toBeNull();
}

function sheaf(...args: string[]): Started {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { output += text; });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const one: Started = {
    child,
    said: () => output,
    async says(text) {
      await expect.poll(() => output, PATIENCE).toContain(text);
    },
    ended,
  };
  started.push(one);
  return one;
}

function stack(): StackFile {
  const file = readStackFile(home);
  if (file === null) throw new Error('There is no stack.json');
  return file;
}

describe('sheaf start', () => {
  test('with --once runs the sample, shows what came out, and leaves no process behind', async () => {
    const run = sheaf('start', '--sample', '--once');
    await run.says('Temporal Web UI');
    const running = Object.values(stack().children);
    expect(await run.ended, run.said()).toBe(0);

    expect(run.said()).toMatch(/completed +500 rows/);
    expect(run.said()).toContain('T-1001');
    expect(run.said()).toContain('/results?format=csv');
    expect(existsSync(path.join(home, 'stack.json'))).toBe(false);
    expect(running).toHaveLength(3);
    for (const { pid } of running) expect(await identify(pid)).toBeNull();
  });

  test('with --once and a job that fails ends with exit code 1 and says why', async () => {
    const run = sheaf('start', SAMPLE, '--key', 'nonesuch', '--once');
    expect(await run.ended, run.said()).toBe(1);
    expect(run.said()).toContain('key_column_missing');
    expect(run.said()).toContain('Stopped.');
  });

  test('takes and names another port when one is in use, says when it runs already, and starts a killed worker again', async () => {
    const squatter = net.createServer().listen(Number(env['SHEAF_API_PORT']), '127.0.0.1');
    await once(squatter, 'listening');
    try {
      const run = sheaf('start');
      await run.says('Ctrl-C stops everything.');
      expect(run.said()).toContain(`Port ${env['SHEAF_API_PORT']} is in use`);
      const { api, pid, children } = stack();
      expect(api).not.toContain(`:${env['SHEAF_API_PORT']}`);
      expect((await fetch(`${api}/readyz`)).status).toBe(200);

      const second = sheaf('start');
      expect(await second.ended).toBe(0);
      expect(second.said()).toContain(`already: process ${pid}`);
      expect(second.said()).toContain(api);

      const third = sheaf('start', SAMPLE, '--key', 'ticket', '--once');
      expect(await third.ended, third.said()).toBe(0);
      expect(third.said()).toContain('The job runs there.');

      const worker = children['worker']?.pid ?? 0;
      process.kill(worker, 'SIGKILL');
      await run.says('The worker ended unexpectedly (signal SIGKILL)');
      await run.says('The worker is back.');
      await expect.poll(() => stack().children['worker']?.pid, PATIENCE).not.toBe(worker);

      const last = Object.values(stack().children);
      run.child.kill('SIGINT');
      expect(await run.ended, run.said()).toBe(0);
      for (const one of last) expect(await identify(one.pid)).toBeNull();
      expect(existsSync(path.join(home, 'stack.json'))).toBe(false);
    } finally {
      squatter.close();
    }
  });

  test('ends what a killed stack has left behind, and takes its ports again', async () => {
    const killed = sheaf('start');
    await killed.says('Ctrl-C stops everything.');
    const before = stack();
    killed.child.kill('SIGKILL');
    await killed.ended;

    const run = sheaf('start');
    await run.says('Ctrl-C stops everything.');
    expect(run.said()).not.toContain('is in use');
    expect(stack().api).toBe(before.api);
    expect(stack().temporal).toBe(before.temporal);
    for (const { pid } of Object.values(before.children)) expect(await identify(pid)).toBeNull();
    run.child.kill('SIGTERM');
    expect(await run.ended, run.said()).toBe(0);
  });

  test('may be stopped while it starts, and at once by a second Ctrl-C while a row is in flight', async () => {
    const early = sheaf('start');
    await early.says('Starting …');
    early.child.kill('SIGINT');
    expect(await early.ended).toBe(130);
    expect(existsSync(path.join(home, 'stack.json'))).toBe(false);

    const calls = http.createServer(() => {}).listen(0, '127.0.0.1');
    await once(calls, 'listening');
    const { port } = calls.address() as net.AddressInfo;
    const handler = path.join(home, 'slow.ts');
    await writeFile(handler, `export default async () => { await fetch('http://127.0.0.1:${port}'); return null; };`);
    env['SHEAF_HANDLER_DIRS'] = home;
    try {
      const called = once(calls, 'request');
      const run = sheaf('start', SAMPLE, '--handler', handler);
      await Promise.race([called, run.ended]);
      const { children } = stack();
      run.child.kill('SIGINT');
      await run.says('Ctrl-C again stops at once.');
      // Nothing ends the drain but the second Ctrl-C, which is one as soon as it is not taken for an echo of the first.
      const again = setInterval(() => run.child.kill('SIGINT'), 100);
      expect(await run.ended.finally(() => clearInterval(again)), run.said()).toBe(0);
      expect(run.said()).toMatch(/The job job_\w+ goes on as soon as the stack runs again/);
      for (const { pid } of Object.values(children)) expect(await identify(pid)).toBeNull();
    } finally {
      calls.closeAllConnections();
      calls.close();
    }
  });

  test('stops everything when nobody reads its output any more', async () => {
    const run = sheaf('start');
    await run.says('Ctrl-C stops everything.');
    const { children } = stack();
    run.child.stdout?.destroy();
    run.child.stderr?.destroy();
    // What it has to say about this finds the output closed.
    process.kill(children['worker']?.pid ?? 0, 'SIGKILL');
    await run.ended;
    for (const { pid } of Object.values(children)) expect(await identify(pid)).toBeNull();
    expect(existsSync(path.join(home, 'stack.json'))).toBe(false);
  });

  test('wants a first job for --once', async () => {
    const run = sheaf('start', '--once');
    expect(await run.ended).toBe(2);
    expect(run.said()).toContain('--sample');
  });
});
