/** The command line against a whole Sheaf: what a person would try by hand, in that order. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EventAnswer, JobAnswer } from '../../src/contracts/job-api.ts';
import type { ItemAnswer } from '../../src/contracts/items-api.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';

const MAIN = path.resolve('src/cli/main.ts');
let stack: TestStack;
/** Where the command runs; no folder that the API may read. */
const elsewhere = mkdtempSync(path.join(tmpdir(), 'sheaf-cli-'));

beforeAll(async () => {
  stack = await startTestStack();
});
afterAll(async () => {
  await stack?.stop();
  rmSync(elsewhere, { recursive: true, force: true });
});

function start(...args: string[]) {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd: elsewhere, stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', SHEAF_API_URL: stack.url },
  });
}

async function sheaf(...args: string[]) {
  const child = start(...args);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
  return { out, err, code };
}

/** What `--json` printed. */
async function asked<Answer>(...args: string[]): Promise<Answer> {
  const { out, err } = await sheaf(...args, '--json');
  if (out === '') throw new Error(err);
  return JSON.parse(out) as Answer;
}

const ORDERS = 'order_id,שם,note\n1,שרה,=1+1\n2,דוד,"a ""quoted"", b"\n3,東京,\n';

describe('a sheet', { timeout: 180_000 }, () => {
  let id: string;

  test('is looked at before a job is made of it', async () => {
    writeFileSync(path.join(stack.folder, 'orders.csv'), ORDERS);
    const { out, code } = await sheaf('job', 'preview', path.join(stack.folder, 'orders.csv'));
    expect(code).toBe(0);
    expect(out).toContain('UTF-8');
    expect(out).toMatch(/A {2,}order_id {2,}integer/);
    expect(out).toContain('東京');
  });

  test('becomes a job that is watched to its end', async () => {
    const { out, err, code } = await sheaf('job', 'create', path.join(stack.folder, 'orders.csv'), '--key', 'order_id', '--tag', 'orders', '--wait');
    expect([err.includes('error'), code]).toEqual([false, 0]);
    expect(out).toContain('done 3  unchanged 0  failed 0  skipped 0  remaining 0');
    const [job] = (await asked<{ items: JobAnswer[] }>('job', 'list', '--tag', 'orders')).items;
    id = job?.id ?? '';
    expect(job).toMatchObject({ state: 'completed', keyColumns: ['order_id'], file: { name: 'orders.csv' } });
  });

  test('shows its rows, its results in three formats, and its log', async () => {
    expect((await asked<{ items: ItemAnswer[] }>('job', 'items', id)).items.map(({ row, key, state, input }) => [row, key, state, input['שם']])).toEqual([
      [2, '1', 'done', 'שרה'], [3, '2', 'done', 'דוד'], [4, '3', 'done', '東京'],
    ]);
    const lines = (await sheaf('job', 'results', id)).out.trim().split('\n').map((line) => JSON.parse(line) as ItemAnswer);
    expect(lines.map(({ row, state }) => [row, state])).toEqual([[2, 'done'], [3, 'done'], [4, 'done']]);

    const csv = (await sheaf('job', 'results', id, '--format', 'csv')).out;
    expect(csv).toContain("1,שרה,'=1+1");
    expect(csv).toContain('"a ""quoted"", b"');
    expect((await sheaf('job', 'results', id, '--format', 'csv', '--raw')).out).toContain('1,שרה,=1+1');

    expect((await sheaf('job', 'results', id, '--output', 'out.xlsx')).code).toBe(0);
    expect(readFileSync(path.join(elsewhere, 'out.xlsx')).subarray(0, 2).toString()).toBe('PK');
    expect(existsSync(path.join(elsewhere, 'out.xlsx.part'))).toBe(false);
    expect((await sheaf('job', 'preview', 'out.xlsx')).out).toContain('שרה');

    const log = (await sheaf('job', 'events', id, '--json')).out.trim().split('\n').map((line) => JSON.parse(line) as EventAnswer);
    expect(log.map(({ type }) => type)).toEqual(expect.arrayContaining(['created', 'completed']));
  });

  test('that has not changed costs nothing the second time', async () => {
    expect((await sheaf('job', 'create', path.join(stack.folder, 'orders.csv'), '--key', 'order_id', '--wait')).out)
      .toContain('done 0  unchanged 3  failed 0');
  });

  test('from elsewhere is uploaded', async () => {
    writeFileSync(path.join(elsewhere, 'mine.csv'), ORDERS);
    expect(await sheaf('job', 'create', 'mine.csv', '--source', 'mine', '--wait')).toMatchObject({ code: 0 });
    const [job] = (await asked<{ items: JobAnswer[] }>('job', 'list', '--source', 'mine')).items;
    expect(job?.file).toMatchObject({ name: 'mine.csv', upload: expect.any(String) });
  });

  test('that is none is refused in words', async () => {
    writeFileSync(path.join(elsewhere, 'broken.xlsx'), 'PK\u0003\u0004 and then nothing');
    const { out, err, code } = await sheaf('job', 'preview', 'broken.xlsx');
    expect([out, code]).toEqual(['', 1]);
    expect(err).toMatch(/^error: .+\n {2}.+/);
    expect(err).not.toContain('    at ');
  });
});

describe('rows that fail', { timeout: 180_000 }, () => {
  test('end the command with 1, are listed by code, and are tried again', async () => {
    const switchFile = path.join(stack.folder, 'mended');
    writeFileSync(path.join(stack.folder, 'odd.mjs'), `
      import { existsSync } from 'node:fs';
      export default async (row) => {
        if (row.n % 2 === 1 && !existsSync(${JSON.stringify(switchFile)})) throw Object.assign(new Error('The number is odd'), { name: 'RowError', code: 'odd', retryable: false });
        return { half: row.n / 2 };
      };`);
    writeFileSync(path.join(stack.folder, 'numbers.csv'), `n\n${Array.from({ length: 10 }, (_, n) => n).join('\n')}\n`);
    const first = await sheaf('job', 'create', path.join(stack.folder, 'numbers.csv'), '--handler', path.join(stack.folder, 'odd.mjs'), '--no-breaker', '--tag', 'numbers', '--wait');
    expect(first.code).toBe(1);
    expect(first.out).toContain('done 5  unchanged 0  failed 5');
    const id = (await asked<{ items: JobAnswer[] }>('job', 'list', '--tag', 'numbers')).items[0]?.id ?? '';
    const code = (await asked<JobAnswer>('job', 'show', id)).errors?.[0]?.code ?? '';
    expect((await sheaf('job', 'items', id, '--state', 'failed', '--code', code)).out.match(/The number is odd/g)).toHaveLength(5);

    writeFileSync(switchFile, '');
    const retried = await sheaf('job', 'retry', id, '--code', code, '--wait');
    expect([retried.code, retried.out.includes('done 10  unchanged 0  failed 0')]).toEqual([0, true]);
    expect(await sheaf('job', 'retry', id)).toMatchObject({ code: 1, out: '' });
  });
});

describe('a long job', { timeout: 180_000 }, () => {
  test('is paused, changed, resumed, followed through a restart of the API, and cancelled', async () => {
    writeFileSync(path.join(stack.folder, 'slow.mjs'), `
      export const concurrency = 2;
      export default async (row, { signal }) => {
        await new Promise((resolve, reject) => {
          const timer = setTimeout(resolve, 50);
          signal.addEventListener('abort', () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
        });
        return { n: row.n };
      };`);
    writeFileSync(path.join(stack.folder, 'long.csv'), `n\n${Array.from({ length: 20_000 }, (_, n) => n).join('\n')}\n`);
    const created = await sheaf('job', 'create', path.join(stack.folder, 'long.csv'), '--handler', path.join(stack.folder, 'slow.mjs'));
    const id = created.out.trim();

    const watching = start('job', 'watch', id, '--json');
    const states: JobAnswer[] = [];
    let rest = '';
    const seen = (wanted: (job: JobAnswer) => boolean): Promise<void> => new Promise((resolve) => {
      if (states.some(wanted)) return resolve();
      watching.stdout.on('data', () => { if (states.some(wanted)) resolve(); });
    });
    watching.stdout.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      states.push(...lines.map((line) => JSON.parse(line) as JobAnswer));
    });
    const over = once(watching, 'close') as Promise<[number]>;

    await seen(({ progress }) => progress.done > 0);
    expect((await asked<JobAnswer>('job', 'pause', id)).state).toMatch(/^paus/);
    await seen(({ state }) => state === 'paused');
    const paused = await asked<JobAnswer>('job', 'show', id);
    expect(await asked<JobAnswer>('job', 'set', id, '--priority', 'high', '--concurrency', '4')).toMatchObject({ priority: 'high', concurrency: 4 });

    await stack.kill('api');
    expect((await sheaf('job', 'show', id)).err).toContain('npx sheaf start');
    await stack.start('api');

    expect((await sheaf('job', 'resume', id)).code).toBe(0);
    await seen(({ progress }) => progress.done > paused.progress.done);
    expect((await sheaf('job', 'cancel', id)).code).toBe(0);
    expect((await over)[0]).toBe(1);
    const last = states.at(-1);
    expect(last?.state).toBe('cancelled');
    expect(last?.progress.remaining).toBeGreaterThan(0);

    expect(await sheaf('job', 'resume', id)).toMatchObject({ code: 1, out: '' });
    expect((await sheaf('job', 'delete', id, '--yes')).code).toBe(0);
    await expect.poll(async () => (await sheaf('job', 'show', id)).err, { timeout: 30_000 }).toContain('There is no job');
  });
});

describe('the installation', () => {
  test('says that all is well', async () => {
    expect(await sheaf('system', 'status')).toMatchObject({ code: 0, out: expect.stringContaining('ok') });
    const checks = await asked<{ name: string; ok: boolean }[]>('system', 'check');
    expect(checks.filter(({ name }) => ['API', 'store', 'blobs', 'Temporal', 'workers'].includes(name)).map(({ ok }) => ok)).toEqual([true, true, true, true, true]);
  });
});
