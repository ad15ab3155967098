/** The command as a process, against an API that answers by script: requests, output, exit codes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { type Answer, type Asked, job, problem, progress, type ScriptedApi, scriptedApi } from '../servers/scripted-api.ts';

const MAIN = path.resolve('src/cli/main.ts');
const folder = mkdtempSync(path.join(tmpdir(), 'sheaf-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let api: ScriptedApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

const serve = async (script: (asked: Asked) => Answer | undefined): Promise<void> => {
  api = await scriptedApi(script);
};

function start(args: string[], environment: Record<string, string> = {}) {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...(api !== undefined && { SHEAF_API_URL: api.url }), ...environment },
  });
}

async function run(args: string[], environment?: Record<string, string>) {
  const child = start(args, environment);
  child.stdin.end();
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close') as Promise<[number | null]>]);
  return { out, err, code };
}

const sheet = path.join(folder, 'orders.csv');
writeFileSync(sheet, 'id,name\n1,a\n');
const created = job({ id: '01NEW' });
const asks = (): string[] => (api?.asked ?? []).map(({ method, path: asked }) => `${method} ${asked}`);

describe('creating a job', () => {
  test('names the file by its path, and prints the id alone on stdout', async () => {
    await serve(() => ({ status: 201, json: created }));
    const { out, err, code } = await run(['job', 'create', 'orders.csv', '--key', 'id', '--tenant', 'acme', '--owner', 'ann', '--idempotency-key', 'k1']);
    expect([out, code]).toEqual(['01NEW\n', 0]);
    expect(err).toContain('npx sheaf job watch 01NEW');
    expect(asks()).toEqual(['POST /jobs']);
    expect(JSON.parse(api?.asked[0]?.body ?? '')).toEqual({ source: { path: sheet }, handler: 'store', keyColumns: ['id'] });
    expect(api?.asked[0]?.headers).toMatchObject({ 'x-sheaf-tenant': 'acme', 'x-sheaf-owner': 'ann', 'idempotency-key': 'k1' });
  });

  test('uploads the file where its path is refused', async () => {
    await serve(({ path: asked, body }) => {
      if (asked === '/uploads') return { status: 201, json: { id: '01UP' } };
      return body.includes('"path"') ? problem(403, 'path_not_allowed', 'The path is outside.') : { status: 201, json: created };
    });
    expect((await run(['job', 'create', 'orders.csv'])).code).toBe(0);
    expect(asks()).toEqual(['POST /jobs', 'POST /uploads', 'POST /jobs']);
    expect(api?.asked[1]).toMatchObject({ body: 'id,name\n1,a\n', headers: { 'content-length': '12' } });
    expect(api?.asked[1]?.query.get('name')).toBe('orders.csv');
    expect(JSON.parse(api?.asked[2]?.body ?? '')).toMatchObject({ source: { upload: '01UP' } });
  });

  test('gives a Google Sheet by its address, with who reads it and what is written back', async () => {
    await serve(() => ({ status: 201, json: created }));
    const address = 'https://docs.google.com/spreadsheets/d/1fEgiCLNMQQZqBgQFlkABXgke8I2kI1i1XUvj8Yba9Ow/edit#gid=0';
    expect((await run(['job', 'create', address, '--credentials', 'bot', '--write-back', 'category=סיווג', '--write-back', 'a.b=C=D', '--write-back-tab', 'Results'])).code).toBe(0);
    expect(JSON.parse(api?.asked[0]?.body ?? '')).toEqual({
      source: { spreadsheet: address, credentials: 'bot' }, handler: 'store', writeBack: { columns: { category: 'סיווג', 'a.b': 'C=D' }, tab: 'Results' },
    });
    expect(await run(['job', 'create', address, '--write-back-tab', 'Results'])).toMatchObject({ code: 2, err: expect.stringContaining('--write-back FIELD=COLUMN') });
  });

  test('with --wait ends with 1 when a row failed, with 0 when none did', async () => {
    for (const failed of [1, 0]) {
      const ended = job({ id: '01NEW', state: 'completed', progress: progress(2, { done: 2 - failed, failed }) });
      await serve(({ method }) => ({ json: method === 'POST' ? created : ended }));
      const { out, code } = await run(['job', 'create', 'orders.csv', '--wait']);
      expect(out).toContain('completed  2 rows');
      expect(code).toBe(failed);
      await api?.close();
    }
  });

  test('says what is wrong with the file, with exit code 2 and without asking the API', async () => {
    await serve(() => undefined);
    const missing = await run(['job', 'create', 'nothing.csv']);
    expect(missing).toMatchObject({ out: '', code: 2 });
    expect(missing.err).toContain('There is no file nothing.csv.');
    expect((await run(['job', 'create', folder])).err).toContain('is a directory');
    expect(asks()).toEqual([]);
  });

  test('ends with 2 for what the API calls an invalid request, with 1 for a sheet that cannot be read', async () => {
    await serve(({ body }) => (body.includes('"high"')
      ? problem(422, 'invalid_options', 'Unknown option "x".', { remedy: 'Known: y.' })
      : problem(422, 'corrupt_file', 'The zip ends early.', { place: { part: 'xl/workbook.xml' } })));
    const usage = await run(['job', 'create', 'orders.csv', '--priority', 'high']);
    expect(usage).toMatchObject({ out: '', code: 2, err: 'error: Unknown option "x".\n  Known: y.\n' });
    expect(await run(['job', 'create', 'orders.csv'])).toMatchObject({ code: 1, err: 'error: The zip ends early.\n  at part xl/workbook.xml\n' });
  });
});

describe('watching', () => {
  test('Ctrl-C leaves the job alone and says so', async () => {
    await serve(() => ({ json: job({ id: '01NEW', state: 'running', progress: progress(10, { done: 1 }) }) }));
    const child = start(['job', 'watch', '01NEW']);
    child.stdout.once('data', () => child.kill('SIGINT'));
    const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number]>]);
    expect(err).toContain('the job goes on');
    expect(code).toBe(130);
    expect(new Set(asks())).toEqual(new Set(['GET /jobs/01NEW']));
  });
});

describe('steering', () => {
  test('a change says what the job is now, and what was only asked for', async () => {
    await serve(() => ({ status: 202, json: job({ id: '01NEW', state: 'running', desired: 'paused' }) }));
    const { out, err } = await run(['job', 'pause', '01NEW']);
    expect(out).toBe('01NEW  running\n');
    expect(err).toContain('Asked for: paused.');
    await run(['job', 'set', '01NEW', '--priority', 'high', '--concurrency', '7']);
    await run(['job', 'retry', '01NEW', '--code', 'a', '--code', 'b']);
    expect((api?.asked ?? []).map(({ method, path: asked, body }) => [method, asked, body])).toEqual([
      ['POST', '/jobs/01NEW/pause', ''],
      ['PATCH', '/jobs/01NEW', '{"priority":"high","concurrency":7}'],
      ['POST', '/jobs/01NEW/retry', '{"codes":["a","b"]}'],
    ]);
  });

  test('a wrong moment is an error with the remedy', async () => {
    await serve(() => problem(409, 'wrong_state', 'The job is completed.', { remedy: 'Only a paused job can be resumed.' }));
    expect(await run(['job', 'resume', '01NEW'])).toMatchObject({ out: '', code: 1, err: 'error: The job is completed.\n  Only a paused job can be resumed.\n' });
  });

  test('nothing is deleted without a yes', async () => {
    await serve(() => ({ status: 202, json: created }));
    expect(await run(['job', 'delete', '01NEW'])).toMatchObject({ code: 2 });
    expect(asks()).not.toContain('DELETE /jobs/01NEW');
    expect(await run(['job', 'delete', '01NEW', '--yes'])).toMatchObject({ code: 0, out: 'The job 01NEW is being deleted.\n' });
  });
});

describe('results', () => {
  test('go to stdout as they come, in the format asked for', async () => {
    await serve(() => ({ text: '{"row":2}\n{"row":3}\n' }));
    expect(await run(['job', 'results', '01NEW', '--state', 'done'])).toMatchObject({ out: '{"row":2}\n{"row":3}\n', code: 0 });
    expect(String(api?.asked[0]?.query)).toBe('format=ndjson&state=done');
  });

  test('take their format from the file, which appears when it is whole', async () => {
    await serve(() => ({ text: 'id,state\n1,done\n' }));
    await run(['job', 'results', '01NEW', '--output', 'out.csv', '--raw']);
    expect(readFileSync(path.join(folder, 'out.csv'), 'utf8')).toBe('id,state\n1,done\n');
    expect(String(api?.asked[0]?.query)).toBe('format=csv&escape=false');
  });

  test('that break off leave no file and end with 1', async () => {
    await serve(() => ({ text: 'id,state\n', breaks: true }));
    const { code, err } = await run(['job', 'results', '01NEW', '--output', 'broken.csv']);
    expect(code).toBe(1);
    expect(err).toContain('broke off');
    expect([existsSync(path.join(folder, 'broken.csv')), existsSync(path.join(folder, 'broken.csv.part'))]).toEqual([false, false]);
  });

  test('a reader that has seen enough is no error', async () => {
    await serve(() => ({ text: '{"row":2}\n'.repeat(500_000) }));
    const child = start(['job', 'results', '01NEW']);
    child.stdout.once('data', () => child.stdout.destroy());
    const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'close') as Promise<[number]>]);
    expect([err, code]).toEqual(['', 0]);
  });
});

describe('lists', () => {
  test('are read page by page up to the limit', async () => {
    const all = Array.from({ length: 700 }, (_, index) => job({ id: `01J${index}`, state: 'completed' }));
    await serve(({ query }) => {
      const from = Number(query.get('cursor') ?? 0);
      const to = from + Number(query.get('limit'));
      return { json: { items: all.slice(from, to), nextCursor: to < all.length ? String(to) : null } };
    });
    const { out, err } = await run(['job', 'list', '--limit', '600', '--state', 'completed', '--state', 'failed', '--tag', 'x']);
    expect(out.trim().split('\n')).toHaveLength(601);
    expect(err).toContain('There are more');
    expect((api?.asked ?? []).map(({ query }) => String(query))).toEqual([
      'state=completed&state=failed&tag=x&limit=500', 'state=completed&state=failed&tag=x&limit=100&cursor=500',
    ]);
    const json = JSON.parse((await run(['job', 'list', '--limit', '2', '--json'])).out) as { items: { id: string }[]; nextCursor: string };
    expect([json.items.map(({ id }) => id), json.nextCursor]).toEqual([['01J0', '01J1'], '2']);
  });

  test('what a sheet holds cannot steer the terminal', async () => {
    await serve(() => ({ json: { items: [{ row: 2, key: 'a\u001b[2J', state: 'failed', input: {}, output: null, error: { code: 'x', message: 'no\u001b]0;t\u0007', retryable: false } }], nextCursor: null } }));
    const { out } = await run(['job', 'items', '01NEW', '--state', 'failed']);
    // oxlint-disable-next-line no-control-regex
    expect(out).not.toMatch(/[\u001b\u0007]/);
    expect(out).toContain('a[2J');
  });

  test('events are followed until the job has ended, each once', async () => {
    const events = [1, 2, 3].map((seq) => ({ seq, at: '2026-11-23T10:00:00.000Z', type: 'page', message: `page ${seq}` }));
    let asked = 0;
    await serve(({ path: address }) => {
      if (!address.endsWith('/events')) return { json: job({ state: asked >= 2 ? 'completed' : 'running' }) };
      asked += 1;
      return { json: { items: events.slice(0, asked), nextCursor: null } };
    });
    const { out, code } = await run(['job', 'events', '01NEW', '--follow']);
    expect(out.match(/page \d/g)).toEqual(['page 1', 'page 2', 'page 3']);
    expect(code).toBe(0);
  });
});

describe('the system', () => {
  test('config names every variable, with what is in force, and what is wrong', async () => {
    const { out, code } = await run(['system', 'config', '--json'], { SHEAF_API_PORT: '9000', SHEAF_LOG_LEVEL: 'loud' });
    const variables = JSON.parse(out) as { name: string; value: unknown; default: unknown; problem?: string }[];
    expect(variables.find(({ name }) => name === 'SHEAF_API_PORT')).toMatchObject({ value: 9000, default: 8088, set: true });
    expect(variables.find(({ name }) => name === 'SHEAF_LOG_LEVEL')?.problem).toBeDefined();
    expect(code).toBe(2);
  });

  test('check says what to do when no API answers, and ends with 1', async () => {
    const { out, code } = await run(['system', 'check', '--url', 'http://127.0.0.1:1', '--json']);
    const checks = JSON.parse(out) as { name: string; ok: boolean; remedy?: string }[];
    expect(checks.find(({ name }) => name === 'Node.js')?.ok).toBe(true);
    expect(checks.find(({ name }) => name === 'API')).toMatchObject({ ok: false, remedy: expect.stringContaining('npx sheaf start') });
    expect(code).toBe(1);
  });

  test('what answers but is not Sheaf is named as such', async () => {
    await serve(() => ({ text: '<html>hello</html>' }));
    expect((await run(['job', 'list'])).err).toContain('is not a Sheaf API');
  });
});

describe('usage', () => {
  test('wrong usage ends with 2, help with 0', async () => {
    for (const wrong of [[], ['job'], ['job', 'lits'], ['job', 'show'], ['job', 'list', '--nope'], ['job', 'create', 'orders.csv', '--concurrency', 'x'], ['job', 'list', '--url', 'nowhere']]) {
      expect([wrong, (await run(wrong)).code]).toEqual([wrong, 2]);
    }
    expect(await run(['job', 'create', '--help'])).toMatchObject({ code: 0, err: '' });
  });

  test('with --json an error is one line of JSON on stderr, and stdout stays empty', async () => {
    for (const wrong of [['job', 'lits', '--json'], ['job', 'create', 'nothing.csv', '--json'], ['job', 'show', 'x', '--json', '--url', 'http://127.0.0.1:1']]) {
      const { out, err } = await run(wrong);
      expect(out).toBe('');
      expect(JSON.parse(err)).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    }
  });

  test('no stack is shown unless it is asked for', async () => {
    const quiet = await run(['job', 'show', 'x', '--url', 'http://127.0.0.1:1']);
    expect(quiet.err).not.toContain('    at ');
    const loud = await run(['job', 'show', 'x', '--url', 'http://127.0.0.1:1'], { SHEAF_LOG_LEVEL: 'debug' });
    expect(loud.err).toContain('    at ');
  });
});

test('limits are listed with what is used, left and waited for', async () => {
  const limit = {
    name: 'openai', configured: false, windowSeconds: 60, project: { used: 80, most: 300, left: 220 }, concurrency: { used: 3, most: 10, left: 7 }, tokens: null,
    waiting: 5, workers: 2, users: [{ owner: 'ann', used: 60, most: 60, left: 0, waiting: 5 }],
  };
  await serve(() => ({ status: 200, json: { limits: [limit] } }));
  const { out, code } = await run(['system', 'limits']);
  expect(code).toBe(0);
  expect(out.split('\n').slice(1, 4).map((line) => line.trim().split(/\s{2,}/))).toEqual([
    ['openai', '60 s', 'all', '80 / 300', '220', '5', 'defaults'], ['all, at once', '3 / 10', '7'], ['ann', '60 / 60', '0', '5'],
  ]);
  expect(JSON.parse((await run(['system', 'limits', '--json'])).out)).toEqual({ limits: [limit] });
  expect(asks()).toEqual(['GET /system/limits', 'GET /system/limits']);
});
