// Makes a checkout ready to run: dependencies, Node, the Temporal CLI and the workflow bundle; with `--tests` the
// time-skipping test server too. Plain JavaScript without dependencies, for Node 18 and later.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { nodeForSheaf, runningNodeIsEnough } from './pinned-node.mjs';

export const root = fileURLToPath(new URL('..', import.meta.url));
const modules = path.join(root, 'node_modules');
/** npm's own account of what is in node_modules; it writes it last. */
const installedList = path.join(modules, '.package-lock.json');
/** Ours: the hash of the package-lock.json that this script has installed. */
const stamp = path.join(modules, '.sheaf-setup');

/** Returns the path of the Node to run Sheaf with. Says on stderr, in one line, what it did. Throws with a remedy. */
export async function setup({ tests = false } = {}) {
  const did = [];
  if (!dependenciesInstalled()) did.push(await installDependencies());
  const node = nodeForSheaf();
  did.push(...(await prepare(node, 'src/embedded/prepare.ts')));
  if (tests) did.push(...(await prepare(node, 'test/servers/prepare.ts')));
  process.stderr.write(`Setup: ${did.join(', ')}\n`);
  return node;
}

/** True when every package of package-lock.json that this machine needs is in node_modules in the version that it names. */
function dependenciesInstalled() {
  try {
    const lock = readFileSync(path.join(root, 'package-lock.json'), 'utf8');
    const found = JSON.parse(readFileSync(installedList, 'utf8')).packages;
    // npm leaves out optional packages that it cannot get: once it has tried here, they are not asked for again.
    const tried = existsSync(stamp) && readFileSync(stamp, 'utf8') === hashOf(lock);
    return Object.entries(JSON.parse(lock).packages).every(([place, wanted]) => {
      if (place === '') return true;
      if (found[place] === undefined) return wanted.optional === true && (tried || !isForThisMachine(wanted));
      return found[place].version === wanted.version && (wanted.optional === true || existsSync(path.join(root, place, 'package.json')));
    });
  } catch {
    return false;
  }
}

/** Packages with a binary inside name the machines that it is for. */
function isForThisMachine({ os: systems, cpu, libc }) {
  if (systems === undefined || cpu === undefined) return false;
  const ownLibc = process.report?.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc';
  return systems.includes(process.platform) && cpu.includes(process.arch) && (libc === undefined || libc.includes(ownLibc));
}

const hashOf = (text) => createHash('sha256').update(text).digest('hex');

async function installDependencies() {
  const unlock = await takeLock(path.join(os.tmpdir(), `sheaf-setup-${hashOf(root).slice(0, 16)}.lock`));
  try {
    if (dependenciesInstalled()) return 'dependencies installed by another setup';
    process.stderr.write('Installing the dependencies with "npm ci"; this takes a minute or so …\n');
    const started = Date.now();
    // First of all, so that an installation that is cut short does not pass for a whole one.
    rmSync(installedList, { force: true });
    await withEnoughNode((node) => npm(node, root, ['ci', '--include=dev', '--include=optional']));
    writeFileSync(stamp, hashOf(readFileSync(path.join(root, 'package-lock.json'), 'utf8')));
    return `dependencies installed (${seconds(started)})`;
  } finally {
    unlock();
  }
}

/**
 * npm leaves out optional packages that do not support the Node that it runs on, and the binaries of our tools are such:
 * where the running Node is too old, npm itself runs on the one of the lockfile, got for the time being.
 */
async function withEnoughNode(install) {
  if (runningNodeIsEnough()) return install(process.execPath);
  const { version } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages['node_modules/node'];
  const folder = mkdtempSync(path.join(os.tmpdir(), 'sheaf-node-'));
  try {
    // Newer npm runs only the install scripts that the project names.
    writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts: { node: true } }));
    await npm(process.execPath, folder, ['install', `node@${version}`]);
    await install(path.join(folder, 'node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs npm on the given Node: the npm that runs this script, else the one on PATH. */
async function npm(node, cwd, args) {
  const running = process.env.npm_execpath;
  const known = running !== undefined && /npm-cli\.c?js$/.test(running) && existsSync(running);
  const [command, ...first] = known ? [node, running] : [process.platform === 'win32' ? 'npm.cmd' : 'npm'];
  // npm and the install scripts that it runs take the first Node on PATH.
  const env = { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH}` };
  const { code, output } = await run(command, [...first, ...args, '--no-audit', '--no-fund', '--loglevel=error'], cwd, env);
  if (code !== 0) {
    throw new Error(`"npm ${args.join(' ')}" failed (exit code ${code}):\n${output.trim().slice(0, 2_000)}\nCheck that npm reaches its registry (npm ping), then try again.`);
  }
}

function run(command, args, cwd, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], shell: command.endsWith('.cmd') });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
    child.once('error', (error) => reject(new Error(`"${command}" cannot be run (${error.code}). Install npm, which comes with Node.`)));
    child.once('close', (code) => resolve({ code, output }));
  });
}

/** What needs the dependencies is TypeScript in a process of its own. Returns what it did, as phrases. */
function prepare(node, script) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, [path.join(root, script)], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => { output += text; });
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(JSON.parse(output)) : reject(new Error('The setup did not finish; see above.'))));
  });
}

/** Waits until no other live process holds the lock. Returns what gives it back. */
async function takeLock(file) {
  let said = false;
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    removeIfStale(file);
    if (!said && existsSync(file)) process.stderr.write('Another setup is installing the dependencies; waiting for it …\n');
    said = true;
    await sleep(500);
  }
}

/** A lock is stale when its process is gone, or so old that its number belongs to somebody else by now. */
function removeIfStale(file) {
  try {
    const holder = readFileSync(file, 'utf8');
    const age = Date.now() - statSync(file).mtimeMs;
    // Just made, and its number not written yet.
    if (holder === '' && age < 5_000) return;
    if (isAlive(Number(holder)) && age < 30 * 60_000) return;
    const aside = `${file}.${process.pid}`;
    renameSync(file, aside);
    // Somebody was quicker and this is their new lock: give it back.
    if (readFileSync(aside, 'utf8') !== holder) linkSync(aside, file);
    rmSync(aside, { force: true });
  } catch {
    // It is gone, or changes hands: look again.
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

const seconds = (started) => `${Math.round((Date.now() - started) / 1000)} s`;

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  setup({ tests: process.argv.includes('--tests') }).catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
