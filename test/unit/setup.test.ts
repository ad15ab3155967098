/** The setup script in a small checkout of its own, with a program in the place of npm that installs one package. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const SCRIPTS = fileURLToPath(new URL('../../scripts', import.meta.url));
const NPM = `
const fs = require('fs');
fs.appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n');
if (fs.existsSync('npm-fails')) { console.error('npm error code E404'); process.exit(1); }
const lock = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
fs.mkdirSync('node_modules/one', { recursive: true });
fs.writeFileSync('node_modules/one/package.json', '{}');
if (fs.existsSync('npm-is-killed')) process.kill(process.ppid, 'SIGKILL');
else setTimeout(() => fs.writeFileSync('node_modules/.package-lock.json', JSON.stringify({ packages: { 'node_modules/one': lock.packages['node_modules/one'] } })), 300);
`;

let checkout: string;

beforeEach(async () => {
  checkout = await mkdtemp(path.join(os.tmpdir(), 'sheaf-setup-'));
  await cp(SCRIPTS, path.join(checkout, 'scripts'), { recursive: true });
  await mkdir(path.join(checkout, 'src/embedded'), { recursive: true });
  await writeFile(path.join(checkout, 'src/embedded/prepare.ts'), `process.stdout.write('["the rest"]');`);
  await writeFile(path.join(checkout, 'npm-cli.js'), NPM);
  await wants('1.0.0');
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

const wants = (version: string, more: object = {}): Promise<void> =>
  writeFile(path.join(checkout, 'package-lock.json'), JSON.stringify({
    packages: {
      '': {}, 'node_modules/one': { version },
      'node_modules/other-platform': { version, optional: true, os: ['nonesuch'], cpu: [process.arch] }, ...more,
    },
  }));

async function setup(): Promise<{ code: number | null; said: string }> {
  const child = spawn(process.execPath, [path.join(checkout, 'scripts/setup.mjs')], {
    cwd: os.tmpdir(), env: { ...process.env, npm_execpath: path.join(checkout, 'npm-cli.js') }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => { said += text; });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, said };
}

async function npmCalls(): Promise<string[]> {
  return (await readFile(path.join(checkout, 'npm-calls'), 'utf8')).trim().split('\n');
}

describe('the setup', () => {
  test('installs the dependencies when they are missing, says so, and not a second time', async () => {
    const first = await setup();
    expect(first.code, first.said).toBe(0);
    expect(first.said).toMatch(/Setup: dependencies installed \(\d+ s\), the rest\n$/);
    expect((await npmCalls())[0]).toMatch(/^ci /);

    expect((await setup()).said).toBe('Setup: the rest\n');
    expect(await npmCalls()).toHaveLength(1);
  });

  test('installs again when package-lock.json names another version', async () => {
    await setup();
    await wants('2.0.0');
    await setup();
    expect(await npmCalls()).toHaveLength(2);
  });

  test('installs again when a package is missing from node_modules', async () => {
    await setup();
    await rm(path.join(checkout, 'node_modules/one'), { recursive: true });
    await setup();
    expect(await npmCalls()).toHaveLength(2);
  });

  test('installs once more when a binary for this machine was left out, and then takes that for final', async () => {
    await setup();
    await wants('1.0.0', { 'node_modules/binary': { version: '1.0.0', optional: true, os: [process.platform], cpu: [process.arch] } });
    await setup();
    await setup();
    expect(await npmCalls()).toHaveLength(2);
  });

  test('installs once when two run at the same time', async () => {
    const both = await Promise.all([setup(), setup()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect(await npmCalls()).toHaveLength(1);
  });

  test('that was killed in the middle of an installation is begun anew', async () => {
    await setup();
    await wants('2.0.0');
    await writeFile(path.join(checkout, 'npm-is-killed'), '');
    expect((await setup()).code).toBeNull();
    await rm(path.join(checkout, 'npm-is-killed'));
    // The version that was there before: what the killed one left behind must not pass for it.
    await wants('1.0.0');
    const { code, said } = await setup();
    expect(code, said).toBe(0);
    expect(said).toContain('dependencies installed (');
  });

  test('that cannot install ends with what npm said and what to do', async () => {
    await writeFile(path.join(checkout, 'npm-fails'), '');
    const { code, said } = await setup();
    expect(code).toBe(1);
    expect(said).toContain('npm error code E404');
    expect(said).toContain('npm ping');
  });
});
