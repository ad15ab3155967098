import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { HandledOutcome, HandledRow, PreparedHandler } from '../../src/handlers/handler.ts';
import { parseOptions } from '../../src/handlers/index.ts';
import { module } from '../../src/handlers/module.ts';
import { handlerContext, type LogLine } from '../servers/handler-context.ts';

let folder: string;
let lines: LogLine[];
let prepared: PreparedHandler[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sheaf-module-'));
  await mkdir(path.join(folder, 'handlers'));
  lines = [];
  prepared = [];
});
afterEach(async () => {
  await Promise.all(prepared.map((one) => one.close()));
  await rm(folder, { recursive: true, force: true });
});

const inside = (name: string): string => path.join(folder, 'handlers', name);

async function prepare(file: string, options: object = {}): Promise<PreparedHandler> {
  const context = handlerContext({ columns: ['name', 'n'], handlerDirs: [path.join(folder, 'handlers')] }, lines);
  const one = await module.prepare(parseOptions(module, { file, ...options }), context);
  prepared.push(one);
  return one;
}

async function withModule(source: string, options: object = {}, name = 'mine.ts'): Promise<PreparedHandler> {
  await writeFile(inside(name), source);
  return prepare(name, options);
}

const problem = async (work: Promise<unknown>): Promise<unknown> => work.then(() => 'nothing was thrown', (error: unknown) => error);
const row = (n: number): HandledRow => ({ row: n + 1, key: `k${n}`, inputHash: 'h', input: { name: `Name ${n}`, n } });
const signal = new AbortController().signal;
const one = async (handler: PreparedHandler, n: number): Promise<HandledOutcome> => (await handler.handle([row(n)], signal))[0]!;
const until = async (seen: () => boolean): Promise<void> => {
  while (!seen()) await new Promise((resolve) => setTimeout(resolve, 5));
};

describe('a module gets a row', () => {
  test('TypeScript: the row, its number and key, the options and columns come in, the output goes out', async () => {
    const handler = await withModule(`
      import type { RowHandler } from 'sheaf/handler';
      const handle: RowHandler<{ currency: string }> = async (row, { row: number, key, options, columns }) =>
        ({ hello: row.name, number, key, currency: options.currency, columns });
      export default handle;`, { options: { currency: 'EUR' } });
    expect(await one(handler, 1)).toEqual({ output: { hello: 'Name 1', number: 2, key: 'k1', currency: 'EUR', columns: ['name', 'n'] } });
    expect(handler).toMatchObject({ reads: null, batchSize: 1, concurrency: 8 });
  });

  test.each(['mine.js', 'mine.mjs', 'mine.mts'])('%s works as well, with top-level await', async (name) => {
    const handler = await withModule('const greeting = await Promise.resolve("hi"); export default (row) => greeting + " " + row.name;', {}, name);
    expect(await one(handler, 5)).toEqual({ output: 'hi Name 5' });
  });

  test('its exports say what it reads, how many at once and its version; nothing else of the row reaches it', async () => {
    const handler = await withModule('export const columns = ["n"]; export const concurrency = 20; export const version = "2"; export default (row) => row;');
    expect(handler).toMatchObject({ reads: ['n'], concurrency: 20, identity: { version: '2' } });
    expect(await one(handler, 3)).toEqual({ output: { n: 3 } });
  });

  test('a column that it reads and the sheet does not have is refused with the nearest', async () => {
    const error = await problem(withModule('export const columns = ["naem"]; export default () => 1;'));
    expect(error).toMatchObject({ code: 'column_missing', message: expect.stringContaining('did you mean "name"'), remedy: expect.stringContaining('"n"') });
  });

  test('calls run side by side in the thread', async () => {
    const handler = await withModule(`
      let waiting = [];
      export default (row) => new Promise((resolve) => { waiting.push(resolve); if (waiting.length === 5) waiting.forEach((go) => go(waiting.length)); });`);
    const outcomes = await Promise.all([1, 2, 3, 4, 5].map((n) => one(handler, n)));
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => ({ output: 5 })));
  });

  test('what it logs and prints goes to the log, with the row', async () => {
    const handler = await withModule('export default (row, { log }) => { log.info("seen", { n: row.n, bad: () => 1 }); log.warn("careful", { n: row.n }); console.log("printed"); return null; };');
    await one(handler, 4);
    await until(() => lines.some(({ data }) => JSON.stringify(data)?.includes('printed')));
    expect(lines).toContainEqual({ level: 'warn', message: 'careful', data: { row: 5, n: 4 } });
    expect(lines).toContainEqual({ level: 'info', message: 'seen', data: { row: 5, data: 'cannot be copied' } });
  });
});

describe('a module that takes batches', () => {
  test('gets an array and returns one of the same length, with a RowError where a row failed', async () => {
    const handler = await withModule(`
      import { RowError, type BatchHandler } from 'sheaf/handler';
      export const batchSize = 20;
      const handle: BatchHandler = (rows, context) => rows.map((row, i) => row.n === 2 ? new RowError('no_twos', 'Two is refused', { column: 'n' }) : context.rows[i].key);
      export default handle;`);
    expect(handler.batchSize).toBe(20);
    expect(await handler.handle([row(1), row(2), row(3)], signal)).toEqual([
      { output: 'k1' }, { error: { code: 'no_twos', message: 'Two is refused', retryable: false, column: 'n' } }, { output: 'k3' },
    ]);
  });

  test('that returns another number of outputs fails every row of the call', async () => {
    const handler = await withModule('export const batchSize = 5; export default (rows) => rows.slice(1);');
    const outcomes = await handler.handle([row(1), row(2)], signal);
    expect(outcomes).toEqual(Array.from({ length: 2 }, () => ({ error: { code: 'invalid_output', message: expect.stringContaining('an array of 1'), retryable: false } })));
  });

  test('that throws fails every row of the call with that code', async () => {
    const handler = await withModule('export const batchSize = 5; export default (rows, { RowError }) => { throw new RowError("down", "The service is down", { retryable: true }); };');
    const outcomes = await handler.handle([row(1), row(2)], signal);
    expect(outcomes).toEqual(Array.from({ length: 2 }, () => ({ error: { code: 'down', message: 'The service is down', retryable: true } })));
  });
});

describe('what a module throws and returns', () => {
  const cases: [string, string, object][] = [
    ['a RowError keeps its code', 'throw new context.RowError("no_name", "There is no name", { retryable: true, column: "name" })', { code: 'no_name', message: 'There is no name', retryable: true, column: 'name' }],
    ['an error of the same shape counts as one', 'throw Object.assign(new Error("odd"), { code: "odd_row", retryable: false })', { code: 'odd_row', message: 'odd', retryable: false }],
    ['another error is a handler_error with its message', 'throw new TypeError("cannot read that")', { code: 'handler_error', message: 'cannot read that', retryable: false }],
    ['a system error is not taken for a RowError', 'throw Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })', { code: 'handler_error', message: 'connect ECONNREFUSED', retryable: false }],
    ['a RowError whose code is a sentence is a handler_error', 'throw new context.RowError("not a code", "hm")', { code: 'handler_error', message: 'hm', retryable: false }],
    ['a thrown text is a handler_error', 'throw "plain"', { code: 'handler_error', message: 'plain', retryable: false }],
    ['a long message is cut', 'throw new Error("x".repeat(5000))', { code: 'handler_error', message: `${'x'.repeat(1000)}…`, retryable: false }],
    ['an output with a BigInt', 'return { n: 1n }', { code: 'invalid_output', message: expect.stringContaining('BigInt'), retryable: false }],
    ['an output in a circle', 'const a = {}; a.a = a; return a', { code: 'invalid_output', message: expect.stringContaining('JSON'), retryable: false }],
    ['a function as output', 'return () => 1', { code: 'invalid_output', message: expect.stringContaining('function'), retryable: false }],
    ['an output over 1 MB', 'return "é".repeat(500_001)', { code: 'invalid_output', message: expect.stringContaining('1000004 bytes'), retryable: false }],
  ];
  test.each(cases)('%s', async (_name, body, error) => {
    const handler = await withModule(`export default async (row, context) => { ${body}; };`, {}, 'mine.mjs');
    expect(await one(handler, 1)).toEqual({ error });
  });

  test('nothing is null, and what JSON leaves out is left out', async () => {
    const handler = await withModule('export default (row) => row.n === 1 ? undefined : { at: new Date(0), gone: undefined };');
    expect(await one(handler, 1)).toEqual({ output: null });
    expect(await one(handler, 2)).toEqual({ output: { at: '1970-01-01T00:00:00.000Z' } });
  });

  test('a stack goes to the log, never into the outcome', async () => {
    const handler = await withModule('export default function explode() { throw new Error("boom"); }');
    expect(JSON.stringify(await one(handler, 1))).not.toContain('explode');
    await until(() => lines.length > 0);
    expect(JSON.stringify(lines)).toContain('explode');
  });
});

describe('a module that misbehaves does not take the worker down', () => {
  test('process.exit fails the row that called it and the next row is handled', async () => {
    const handler = await withModule('export default (row) => { if (row.n === 1) process.exit(7); return row.n; };');
    expect(await one(handler, 1)).toEqual({ error: { code: 'handler_error', message: expect.stringContaining('exit code 7'), retryable: false } });
    expect(await one(handler, 2)).toEqual({ output: 2 });
  });

  test('rows in flight beside a crash fail, and are not called again; rows that had not been called are', async () => {
    const seen: string[] = [];
    const server = createServer((request, response) => { seen.push(request.url!); if (request.url !== '/1') response.end('ok'); });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const handler = await withModule(`
        export default async (row) => {
          if (row.n === 2) process.exit(1);
          await fetch('http://127.0.0.1:${port}/' + row.n);
          return row.n;
        };`);
      const first = one(handler, 1);
      await until(() => seen.includes('/1'));
      const outcomes = await Promise.all([first, one(handler, 2), one(handler, 3)]);
      expect(outcomes[0]).toEqual({ error: { code: 'handler_error', message: expect.stringContaining('not known'), retryable: false } });
      expect(outcomes[1]).toMatchObject({ error: { code: 'handler_error', retryable: false } });
      expect(outcomes[2]).toEqual({ output: 3 });
      expect(seen.filter((url) => url === '/1')).toHaveLength(1);
      expect(seen.filter((url) => url === '/3')).toHaveLength(1);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test('an endless loop ends in handler_timeout for its row alone; rows behind it run in a new thread', async () => {
    const handler = await withModule('export default (row) => { if (row.n === 1) for (;;); return row.n; };', { timeoutSeconds: 0.5 });
    const outcomes = await Promise.all([1, 2, 3].map((n) => one(handler, n)));
    expect(outcomes).toEqual([{ error: { code: 'handler_timeout', message: expect.stringContaining('0.5 s'), retryable: false } }, { output: 2 }, { output: 3 }]);
  });

  test('a call that never answers is timed out, told so by its signal, and the thread goes on with the others', async () => {
    const handler = await withModule(`
      let told = null;
      const answers = [];
      export default (row, { signal }) => new Promise((resolve) => {
        if (row.n === 1) signal.addEventListener('abort', () => { told = signal.reason.message; answers.forEach((go) => go(told)); });
        else told === null ? answers.push(resolve) : resolve(told);
      });`, { timeoutSeconds: 0.3 });
    expect(await one(handler, 1)).toMatchObject({ error: { code: 'handler_timeout' } });
    expect(await one(handler, 2)).toEqual({ output: 'The call took too long' });
  });

  test('a row that is busy within its time keeps the thread, though another row timed out', async () => {
    const handler = await withModule(`
      export default (row, { log }) => {
        if (row.n === 1) return new Promise(() => setTimeout(() => log.info('old'), 2500));
        const end = Date.now() + 3000;
        while (Date.now() < end);
        return row.n;
      };`, { timeoutSeconds: 4 });
    const first = one(handler, 1);
    await until(() => lines.some(({ message }) => message === 'old'));
    expect(await one(handler, 2)).toEqual({ output: 2 });
    expect(await first).toMatchObject({ error: { code: 'handler_timeout' } });
  });

  test('a module that talks on the port of its thread disturbs nobody', async () => {
    const handler = await withModule(`
      import { parentPort } from 'node:worker_threads';
      export default (row) => { parentPort.postMessage('hello'); parentPort.postMessage({ results: 5 }); parentPort.close(); return row.n; };`);
    expect(await one(handler, 1)).toEqual({ output: 1 });
    expect(await one(handler, 2)).toEqual({ output: 2 });
  });

  test('a promise that nobody waits for is logged and the row is handled', async () => {
    const handler = await withModule('export default async (row) => { Promise.reject(new Error("floating")); await new Promise((go) => setTimeout(go, 5)); return row.n; };');
    expect(await one(handler, 1)).toEqual({ output: 1 });
    expect(JSON.stringify(lines)).toContain('floating');
  });

  test('an exception in a timer ends the thread, names itself, and the next row is handled', async () => {
    const handler = await withModule('export default (row) => row.n === 1 ? new Promise(() => setTimeout(() => { throw new Error("late"); }, 1)) : row.n;');
    expect(await one(handler, 1)).toEqual({ error: { code: 'handler_error', message: expect.stringContaining('late'), retryable: false } });
    expect(await one(handler, 2)).toEqual({ output: 2 });
  });

  test('memory without bounds ends the thread only', async () => {
    const handler = await withModule('const all = []; export default (row) => { if (row.n === 1) for (;;) all.push(new Array(100_000).fill(row.n)); return row.n; };');
    expect(await one(handler, 1)).toEqual({ error: { code: 'handler_error', message: expect.stringContaining('memory'), retryable: false } });
    expect(await one(handler, 2)).toEqual({ output: 2 });
  });

  test('the caller\'s abort rejects with its reason and reaches the module', async () => {
    const handler = await withModule(`
      let aborted = 0;
      export default (row, { signal, log }) => row.n === 1
        ? new Promise((resolve, reject) => { log.info('called'); signal.addEventListener('abort', () => { aborted++; reject(signal.reason); }); })
        : aborted;`);
    const stop = new AbortController();
    const call = problem(handler.handle([row(1)], stop.signal));
    await until(() => lines.some(({ message }) => message === 'called'));
    const reason = new Error('paused');
    stop.abort(reason);
    expect(await call).toBe(reason);
    expect(await one(handler, 2)).toEqual({ output: 1 });
    expect(await problem(handler.handle([row(3)], stop.signal))).toBe(reason);
  });

  test('a file that changed while the job ran is not mixed with what was prepared', async () => {
    const handler = await withModule('export default (row) => { if (row.n === 1) process.exit(1); return "old"; };');
    await one(handler, 1);
    await writeFile(inside('mine.ts'), 'export default () => "new";');
    expect(await one(handler, 2)).toEqual({ error: { code: 'handler_error', message: expect.stringContaining('changed while the job ran'), retryable: false } });
  });

  test('closing answers what is in flight', async () => {
    const handler = await withModule('export default (row, { log }) => { log.info("called"); return new Promise(() => {}); };');
    const call = one(handler, 1);
    await until(() => lines.some(({ message }) => message === 'called'));
    await handler.close();
    expect(await call).toMatchObject({ error: { code: 'handler_error', message: expect.stringContaining('closed') } });
    expect(await problem(handler.handle([row(2)], signal))).toBeInstanceOf(Error);
  });
});

describe('identity', () => {
  test('the same file and options are the same handler; another file, version or option is not', async () => {
    const source = 'export default () => 1;';
    const first = (await withModule(source, { options: { a: 1 } })).identity;
    expect((await prepare('mine.ts', { options: { a: 1 } })).identity).toEqual(first);
    expect((await prepare('mine.ts', { options: { a: 2 } })).identity).not.toEqual(first);
    expect((await prepare('mine.ts', { options: { a: 1 }, timeoutSeconds: 5 })).identity).toEqual(first);
    expect((await withModule(`${source}\n`, { options: { a: 1 } })).identity).not.toEqual(first);
    expect((await withModule(source, { options: { a: 1 } }, 'copy.ts')).identity).toEqual(first);
  });
});

describe('a module that cannot be used is refused before any row', () => {
  const broken: [string, string, string, string][] = [
    ['a syntax error in TypeScript names its line', 'bad.ts', 'const a = 1;\nconst = 2;\nexport default () => 1;', '(line 2)'],
    ['a syntax error in JavaScript names its line', 'bad.mjs', 'const a = 1;\n\nconst = 2;\nexport default () => 1;', '(line 3)'],
    ['TypeScript that cannot be erased', 'bad.ts', 'enum A { B }\nexport default () => 1;', 'enum is not supported'],
    ['no default export', 'bad.ts', 'export const handler = () => 1;', 'no default export; it exports handler'],
    ['a default export that is no function', 'bad.ts', 'export default {};', 'not a function'],
    ['a crash at the top level names its line', 'bad.ts', '\n\nnull.x;\nexport default () => 1;', '(line 3)'],
    ['process.exit at the top level', 'bad.ts', 'process.exit(0); export default () => 1;', 'exit code 0'],
    ['an import that is missing', 'bad.ts', 'import "./missing.ts"; export default () => 1;', "Cannot find module 'missing.ts'"],
    ['a batch size that is no number', 'bad.ts', 'export const batchSize = "20"; export default () => 1;', '"batchSize" must be'],
    ['columns that are no list', 'bad.ts', 'export const columns = "n"; export default () => 1;', '"columns" must be'],
  ];
  test.each(broken)('%s', async (_name, file, source, message) => {
    expect(await problem(withModule(source, {}, file))).toMatchObject({ code: 'handler_invalid', message: expect.stringContaining(message) });
  });

  test('a file that is not there', async () => {
    expect(await problem(prepare('nothing.ts'))).toMatchObject({ code: 'handler_not_found' });
    expect(await problem(prepare(inside('nothing.ts')))).toMatchObject({ code: 'handler_not_found' });
  });

  test('a file outside the handler folders, by any way of naming it', async () => {
    await writeFile(path.join(folder, 'outside.ts'), 'export default () => 1;');
    await mkdir(path.join(folder, 'handlers-2'));
    await writeFile(path.join(folder, 'handlers-2', 'x.ts'), 'export default () => 1;');
    await symlink(path.join(folder, 'outside.ts'), inside('link.ts'));
    for (const file of ['../outside.ts', path.join(folder, 'outside.ts'), 'link.ts', inside('link.ts'), '../handlers-2/x.ts', '/nowhere/at/all.ts']) {
      expect(await problem(prepare(file)), file).toMatchObject({ code: 'handler_not_allowed', place: { field: 'options.file' } });
    }
  });

  test('a file of another kind', async () => {
    await writeFile(inside('mine.py'), 'print(1)');
    expect(await problem(prepare('mine.py'))).toMatchObject({ code: 'handler_invalid' });
  });
});
