import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lock, tryLock } from '../../src/process-lock.ts';
import { endProcess, identify } from '../../src/embedded/process-identity.ts';

const MODULE = JSON.stringify(new URL('../../src/process-lock.ts', import.meta.url).href);
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-lock-'));
  file = path.join(folder, 'a.lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Another process that holds the lock until it is killed. */
async function holder() {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { tryLock } from ${MODULE};
    process.send(tryLock(${JSON.stringify(file)}) !== null);
    setInterval(() => {}, 1000);
  `], { cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  expect(await once(child, 'message')).toEqual([true, undefined]);
  return child;
}

test('a lock that another process holds is not given', async () => {
  const other = await holder();
  expect(tryLock(file)).toBeNull();
  other.kill('SIGKILL');
  await once(other, 'exit');
});

test('a lock is free again when its holder was killed', async () => {
  const other = await holder();
  let waited = false;
  const taken = lock(file, () => {
    waited = true;
    other.kill('SIGKILL');
  });
  (await taken)();
  expect(waited).toBe(true);
});

test('a lock that was given back can be taken', () => {
  tryLock(file)?.();
  const unlock = tryLock(file);
  expect(unlock).not.toBeNull();
  unlock?.();
});

test('a process is known by its number and its start', async () => {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  const identity = await identify(child.pid as number);
  expect(identity?.pid).toBe(child.pid);
  expect(await identify(process.pid)).not.toBeNull();

  // The number was given to another process since: it is left alone.
  await endProcess({ pid: child.pid as number, started: 'another time' }, 0);
  expect(child.exitCode).toBeNull();
  expect(await identify(child.pid as number)).toEqual(identity);

  await endProcess(identity as NonNullable<typeof identity>, 10_000);
  expect(await identify(child.pid as number)).toBeNull();
});
