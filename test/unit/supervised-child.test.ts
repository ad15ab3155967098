import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { childLog } from '../../src/embedded/child-log.ts';
import { type ChildSpec, SupervisedChild } from '../../src/embedded/supervised-child.ts';

let folder: string;
let children: SupervisedChild[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-child-'));
  children = [];
});
afterEach(async () => {
  for (const child of children) child.kill();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** A child that runs the script, in which `ready()` says that it is. */
function child(script: string, more: Partial<ChildSpec> = {}): SupervisedChild {
  const one = new SupervisedChild({
    name: 'toy',
    title: 'toy',
    command: process.execPath,
    args: ['-e', `const ready = () => process.send({ type: 'ready' });\n${script}`],
    env: process.env,
    ours: true,
    ready: (started) => new Promise((resolve) => { started.once('message', () => resolve()); }),
    drainMs: 30_000,
    ...more,
  }, childLog(folder, 'toy'));
  children.push(one);
  return one;
}

function recorded() {
  const events: string[] = [];
  const pids: number[] = [];
  return {
    events,
    pids,
    started: (pid: number) => { events.push('started'); pids.push(pid); },
    ready: () => void events.push('ready'),
    crashed: (how: string) => void events.push(`crashed: ${how}`),
  };
}

const STAYS = 'setInterval(() => {}, 1000);';

describe('a supervised child', () => {
  test('that is killed starts again and is ready again', async () => {
    const seen = recorded();
    const toy = child(`ready(); ${STAYS}`);
    const run = toy.run(seen);
    await expect.poll(() => seen.events.at(-1)).toBe('ready');
    process.kill(seen.pids[0] as number, 'SIGKILL');
    await expect.poll(() => seen.events, { timeout: 30_000 }).toEqual(['started', 'ready', 'crashed: signal SIGKILL', 'started', 'ready']);
    await toy.stop();
    await run;
  });

  test('that ends three times in a row is given up, with the last lines of its log', async () => {
    const seen = recorded();
    const run = child(`console.log('line one'); console.error('the disk is full'); process.exit(7);`).run(seen);
    await expect(run).rejects.toThrow(/toy ended 3 times within 60 s \(the last time with exit code 7\)[\s\S]*line one\n {2}the disk is full$/);
    expect(seen.events.filter((event) => event === 'started')).toHaveLength(3);
  });

  test('whose program does not exist is given up with the reason', async () => {
    await expect(child('', { command: path.join(folder, 'missing') }).run(recorded())).rejects.toThrow('ENOENT');
  });

  test('may finish what it is at before it ends', async () => {
    const seen = recorded();
    const done = path.join(folder, 'done');
    const toy = child(`process.on('SIGTERM', () => setTimeout(() => { require('fs').writeFileSync(${JSON.stringify(done)}, ''); process.exit(0); }, 100)); ready(); ${STAYS}`);
    const run = toy.run(seen);
    await expect.poll(() => seen.events.at(-1)).toBe('ready');
    await toy.stop();
    await run;
    expect(existsSync(done)).toBe(true);
    expect(seen.events).toEqual(['started', 'ready']);
  });

  test('that does not end when asked is made to', async () => {
    const seen = recorded();
    const toy = child(`process.on('SIGTERM', () => {}); ready(); ${STAYS}`, { drainMs: 50 });
    const run = toy.run(seen);
    await expect.poll(() => seen.events.at(-1)).toBe('ready');
    await toy.stop();
    await run;
    expect(() => process.kill(seen.pids[0] as number, 0)).toThrow('ESRCH');
  });
});

describe('the log of a child', () => {
  test('is emptied into NAME.log.1 when it is large, while the child goes on writing', async () => {
    const seen = recorded();
    let tell = (): void => undefined;
    const toy = child(`
      const { writeSync } = require('fs');
      writeSync(1, 'x'.repeat(21 * 1024 * 1024));
      process.on('message', () => writeSync(1, 'afterwards\\n'));
      ready(); ${STAYS}`, { ready: (started) => new Promise((resolve) => { started.once('message', () => { tell = () => started.send('go'); resolve(); }); }) });
    const run = toy.run(seen);
    await expect.poll(() => seen.events.at(-1), { timeout: 30_000 }).toBe('ready');
    toy.log.rotateIfLarge();
    expect(readFileSync(`${toy.log.file}.1`).length).toBe(21 * 1024 * 1024);
    tell();
    await expect.poll(() => readFileSync(toy.log.file, 'utf8')).toBe('afterwards\n');
    expect(toy.log.lastLines(5)).toEqual(['afterwards']);
    await toy.stop();
    await run;
  });
});
