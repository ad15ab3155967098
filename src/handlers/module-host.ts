/**
 * The inside of the thread that a user's module runs in; `module-thread.ts` is the outside. Messages are sent in
 * bundles, because a message costs more than a simple row.
 */
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { workerData } from 'node:worker_threads';
import { LIMIT_NAME } from '../contracts/limits.ts';
import type { RowFailure } from '../contracts/row.ts';
import type { HandledRow, HandlerLog } from './handler.ts';
import { RUNNING, STARTED } from './module-protocol.ts';
import type { FromHost, HostCall, HostData, HostOutcome, LoadedModule, ToHost } from './module-protocol.ts';
import { RowError } from './row-error.ts';

const DEFAULT_CONCURRENCY = 8;
const MAX_OUTPUT_BYTES = 1_000_000;
const MAX_MESSAGE_CHARS = 1_000;
const MAX_STACKS = 100;
const MAX_RETRY_AFTER_SECONDS = 86_400;
const CODE = /^[A-Za-z0-9_.:-]{1,64}$/;

type ModuleFunction = (rows: unknown, context: object) => unknown;

async function host(data: HostData): Promise<void> {
  const { port } = data;
  const post = (message: FromHost): void => port.postMessage(message);
  const progress = new Int32Array(data.progress);
  const aborts = new Map<number, AbortController>();
  const stacks = new Set<string>();
  let results: { id: number; outcomes: HostOutcome[] }[] = [];

  // A module may lie anywhere and import `sheaf/handler` all the same.
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'sheaf/handler' ? { url: new URL('./row-error.ts', import.meta.url).href, shortCircuit: true } : next(specifier, context),
  });
  // Nobody waits for such a promise, so no row depends on it: it is reported, and the rows in flight go on.
  process.on('unhandledRejection', (reason) => post({ log: 'error', message: 'A promise of the handler module was rejected and nobody waited for it', data: { stack: stackOf(reason) } }));

  // Node would print warnings past the log.
  process.removeAllListeners('warning').on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') post({ log: 'warn', message: 'Warning in the handler module', data: { warning: warning.message } });
  });

  let call: ModuleFunction;
  let loaded: LoadedModule;
  try {
    const exported = (await import(data.url)) as Record<string, unknown>;
    loaded = described(exported);
    call = exported['default'] as ModuleFunction;
  } catch (error) {
    post({ invalid: loadProblem(error, data.url) });
    return;
  }
  port.on('message', (message: ToHost) => {
    if ('calls' in message) for (const one of message.calls) void run(one);
    else if ('abort' in message) aborts.get(message.abort)?.abort(new DOMException(message.reason, 'AbortError'));
    else post({ pong: true });
  });
  post({ loaded });

  async function run({ id, rows }: HostCall): Promise<void> {
    const abort = new AbortController();
    aborts.set(id, abort);
    const shared = { signal: abort.signal, options: data.options, columns: data.columns, RowError, log: logOf(rows) };
    const first = rows[0]!;
    let outcomes: HostOutcome[];
    try {
      let answer: unknown;
      Atomics.store(progress, STARTED, id);
      Atomics.store(progress, RUNNING, id);
      try {
        answer = loaded.batchSize === null
          ? call(first.input, { ...shared, row: first.row, key: first.key })
          : call(rows.map(({ input }) => input), { ...shared, rows: rows.map(({ row, key }) => ({ row, key })) });
      } finally {
        Atomics.store(progress, RUNNING, 0);
      }
      answer = await answer;
      outcomes = loaded.batchSize === null ? [outcome(answer, rows)] : batchOutcomes(answer, rows);
    } catch (error) {
      const failed = failedOutcome(error, rows);
      outcomes = rows.map(() => failed);
    }
    aborts.delete(id);
    if (results.length === 0) setImmediate(send);
    results.push({ id, outcomes });
  }

  function send(): void {
    post({ results });
    results = [];
  }

  function batchOutcomes(answer: unknown, rows: HandledRow[]): HostOutcome[] {
    if (Array.isArray(answer) && answer.length === rows.length) return rows.map((row, index) => outcome(answer[index], [row]));
    const got = Array.isArray(answer) ? `an array of ${answer.length}` : `${answer === null ? 'null' : typeof answer}`;
    const failed = invalidOutput(`The module must return an array of ${rows.length} outputs for ${rows.length} rows; it returned ${got}`);
    return rows.map(() => failed);
  }

  function outcome(output: unknown, rows: HandledRow[]): HostOutcome {
    if (output instanceof Error) return failedOutcome(output, rows);
    let json: string | undefined;
    try {
      json = JSON.stringify(output === undefined ? null : output);
    } catch (error) {
      return invalidOutput(`The output cannot be written as JSON: ${bounded(messageOf(error))}`);
    }
    if (json === undefined) return invalidOutput(`The output is a ${typeof output}, which JSON does not have`);
    const bytes = Buffer.byteLength(json);
    return bytes > MAX_OUTPUT_BYTES ? invalidOutput(`The output has ${bytes} bytes; at most ${MAX_OUTPUT_BYTES} are kept`) : { json };
  }

  function failedOutcome(error: unknown, rows: HandledRow[]): HostOutcome {
    const after = isRowError(error) ? Number(error.retryAfterSeconds) : NaN;
    return { error: failure(error, rows), ...(after > 0 && { retryAfterSeconds: Math.min(after, MAX_RETRY_AFTER_SECONDS) }) };
  }

  function failure(error: unknown, rows: HandledRow[]): RowFailure {
    if (isRowError(error)) {
      return { code: error.code, message: bounded(error.message), retryable: error.retryable, ...(typeof error.column === 'string' && { column: error.column }) };
    }
    const stack = stackOf(error);
    if (stacks.size < MAX_STACKS && !stacks.has(stack)) {
      stacks.add(stack);
      logOf(rows).warn('The handler module threw', { stack });
    }
    return { code: 'handler_error', message: bounded(messageOf(error)), retryable: false };
  }

  function logOf(rows: HandledRow[]): HandlerLog {
    const log = (level: keyof HandlerLog) => (message: string, more?: object) =>
      post({ log: level, message: String(message), data: { row: rows[0]!.row, ...plain(more) } });
    return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  }
}

/** Throws an error whose message says what of the module's exports is wrong. */
function described(exported: Record<string, unknown>): LoadedModule {
  const { version = null, columns = null, batchSize = null, concurrency = DEFAULT_CONCURRENCY, limits = [] } = exported;
  if (!('default' in exported)) throw new Error(`it has no default export; it exports ${Object.keys(exported).join(', ') || 'nothing'}`);
  if (typeof exported['default'] !== 'function') throw new Error('its default export is not a function');
  if (version !== null && typeof version !== 'string' && typeof version !== 'number') throw new Error('its export "version" must be a string or a number');
  if (columns !== null && !(Array.isArray(columns) && columns.every((name): name is string => typeof name === 'string'))) throw new Error('its export "columns" must be an array of column names');
  if (batchSize !== null && !isCount(batchSize)) throw new Error('its export "batchSize" must be a whole number from 1 to 1000');
  if (!isCount(concurrency)) throw new Error('its export "concurrency" must be a whole number from 1 to 1000');
  if (!(Array.isArray(limits) && limits.every((name): name is string => typeof name === 'string' && LIMIT_NAME.test(name)))) throw new Error('its export "limits" must be an array of names of limits');
  return { version, columns, batchSize, concurrency, limits: [...new Set(limits)] };
}

const isCount = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 1000;

/** By shape too: a module may bring a copy of the class. */
function isRowError(error: unknown): error is { code: string; message: string; retryable: boolean; column?: unknown; retryAfterSeconds?: unknown } {
  if (error instanceof RowError) return CODE.test(error.code);
  if (typeof error !== 'object' || error === null) return false;
  const { code, message, retryable } = error as Record<string, unknown>;
  return typeof code === 'string' && CODE.test(code) && typeof message === 'string' && typeof retryable === 'boolean';
}

/** The message, with the line of the module where the error shows one, and without the folder that the module is in. */
function loadProblem(error: unknown, url: string): string {
  const file = fileURLToPath(url);
  const message = bounded(messageOf(error).replaceAll(path.dirname(file) + path.sep, ''));
  const line = lineIn(error, url) ?? lineIn(error, file) ?? (error instanceof SyntaxError ? lineOfSyntaxError(file) : undefined);
  return line === undefined ? message : `${message} (line ${line})`;
}

const lineIn = (error: unknown, name: string): string | undefined => stackOf(error).split(`${name}:`)[1]?.match(/^\d+/)?.[0];

/** Node does not tell it for JavaScript; its TypeScript parser does. */
function lineOfSyntaxError(file: string): string | undefined {
  try {
    stripTypeScriptTypes(readFileSync(file, 'utf8'), { sourceUrl: file });
    return undefined;
  } catch (error) {
    return lineIn(error, file);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message === '' ? error.name : error.message;
  try {
    return String(error);
  } catch {
    return 'something that is not an error';
  }
}

const stackOf = (error: unknown): string => (error instanceof Error && typeof error.stack === 'string' ? error.stack : messageOf(error));
const bounded = (text: string): string => (text.length > MAX_MESSAGE_CHARS ? `${text.slice(0, MAX_MESSAGE_CHARS)}…` : text);
const invalidOutput = (message: string): HostOutcome => ({ error: { code: 'invalid_output', message, retryable: false } });

/** What of a log line's data can leave the thread. */
function plain(data: object | undefined): object {
  try {
    return data === undefined ? {} : (structuredClone(data) as object);
  } catch {
    return { data: 'cannot be copied' };
  }
}

await host(workerData as HostData);
