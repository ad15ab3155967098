/** How the Temporal CLI is found or made, with programs in the place of `temporal` and `go` that do nothing else. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLI_VERSION } from '../../src/embedded/temporal-cli.ts';

const PREPARE = fileURLToPath(new URL('../../src/embedded/prepare.ts', import.meta.url));
const TEMPORAL = (server: string) => `#!/bin/sh\necho "temporal version ${CLI_VERSION} (Server ${server}, UI 2.42.1)"\n`;

let folder: string;
let cached: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-cli-'));
  cached = path.join(folder, 'cache/sheaf', `temporal-cli-${CLI_VERSION}`, 'temporal');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, content: string): Promise<string> {
  const file = path.join(folder, 'bin', name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
  await chmod(file, 0o755);
  return file;
}

/** A Go that takes its time, notes each call, and installs a Temporal CLI. */
const go = () => program('go', `#!/bin/sh
echo "$*" >> "${folder}/go-calls"
/bin/sleep 0.3
printf '%s' '${TEMPORAL('1.29.1')}' > "$GOBIN/temporal"
`);

/** Runs the setup's part that finds the CLI, on a machine that has only what the test put there, and no way out. */
async function prepare(env: NodeJS.ProcessEnv = {}): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [PREPARE], {
    env: {
      HOME: folder, XDG_CACHE_HOME: path.join(folder, 'cache'), PATH: path.join(folder, 'bin'),
      HTTPS_PROXY: 'http://127.0.0.1:9', ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { err += text; });
  const [code] = (await once(child, 'close')) as [number];
  return { code, out, err };
}

describe('the Temporal CLI', () => {
  test('is taken from PATH', async () => {
    await program('temporal', TEMPORAL('1.30.0'));
    expect((await prepare()).out).toBe('["Temporal CLI from PATH"]');
  });

  test('that SHEAF_TEMPORAL_CLI names comes before the one on PATH', async () => {
    await program('temporal', TEMPORAL('1.30.0'));
    const other = await program('other', TEMPORAL('1.29.0'));
    expect((await prepare({ SHEAF_TEMPORAL_CLI: other })).out).toBe('["Temporal CLI from SHEAF_TEMPORAL_CLI"]');
  });

  test('that SHEAF_TEMPORAL_CLI names and that is none is an error, not passed over', async () => {
    await program('temporal', TEMPORAL('1.30.0'));
    const { code, err } = await prepare({ SHEAF_TEMPORAL_CLI: path.join(folder, 'nonesuch') });
    expect(code).toBe(1);
    expect(err).toMatch(/SHEAF_TEMPORAL_CLI names .*nonesuch, which does not run/);
  });

  test('is built with Go where there is none and no download, and then found in the cache', async () => {
    await go();
    const first = await prepare();
    expect(first.err).toContain('Building the Temporal CLI');
    expect(first.out).toMatch(/Temporal CLI from go install \(\d+ s\)/);
    expect(await readFile(path.join(folder, 'go-calls'), 'utf8')).toBe(`install github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}\n`);
    expect(await readdir(path.dirname(cached))).toEqual(['temporal']);

    expect((await prepare()).out).toBe('["Temporal CLI from cache"]');
  });

  test('is built once when two ask for it at the same time', async () => {
    await go();
    const both = await Promise.all([prepare(), prepare()]);
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect((await readFile(path.join(folder, 'go-calls'), 'utf8')).trim().split('\n')).toHaveLength(1);
  });

  test('on PATH that is too old is passed over, and said so', async () => {
    const old = await program('temporal', TEMPORAL('1.20.3'));
    await go();
    const { out, err } = await prepare();
    expect(err).toContain(`Passed over: ${old} is too old (Server 1.20`);
    expect(out).toContain('go install');
  });

  test('that cannot be had ends the setup with every way that was tried and what to do', async () => {
    await program('go', '#!/bin/sh\necho "no such module" >&2\nexit 3\n');
    const { code, out, err } = await prepare();
    expect(code).toBe(1);
    expect(out).toBe('');
    expect(err).toContain("the SDK's download:");
    expect(err).toMatch(/go install: it ended with exit code 3\n +no such module/);
    expect(err).toContain('set SHEAF_TEMPORAL_CLI');
    expect(await readdir(path.dirname(cached))).toEqual([]);
  });
});
