/**
 * A user's module in a thread of its own, seen from outside: calls go in, outcomes come out, and whatever the module
 * does (endless loop, `process.exit`, crash, all memory), the worker process lives and every call is answered.
 *
 * When the thread ends, a call that had not reached the module goes to the next thread. One that had reached it may
 * have been paid for, like one that took too long: its rows fail as not retryable, so that nothing calls them again
 * until somebody asks for it.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { MessageChannel, type MessagePort, Worker, receiveMessageOnPort } from 'node:worker_threads';
import { SheafError } from '../contracts/errors.ts';
import type { Json, RowFailure } from '../contracts/row.ts';
import type { HandledOutcome, HandledRow, HandlerLog } from './handler.ts';
import { RUNNING, STARTED } from './module-protocol.ts';
import type { FromHost, HostCall, HostData, HostOutcome, LoadedModule, ToHost } from './module-protocol.ts';

const LOAD_TIMEOUT_MS = 30_000;
/** How long a thread that does not answer is believed to be merely busy. */
const GRACE_MS = 2_000;
const MEMORY_MB = 512;
/** Threads that a call may see end before it has reached the module. */
const MOST_RESTARTS = 3;

export interface ModuleThreadOptions {
  /** Absolute, links resolved. */
  file: string;
  options: { [name: string]: Json };
  columns: string[];
  timeoutSeconds: number;
  log: HandlerLog;
}

interface Call extends HostCall {
  resolve(outcomes: HandledOutcome[]): void;
  timer: NodeJS.Timeout | undefined;
  restarts: number;
}

export class ModuleThread {
  readonly #options: ModuleThreadOptions;
  readonly #progress = new Int32Array(new SharedArrayBuffer(8));
  /** Calls without an answer, in the order of their ids. */
  readonly #calls = new Map<number, Call>();
  #bundle: Call[] = [];
  #lastId = 0;
  #thread: Worker | null = null;
  #port: MessagePort | null = null;
  #starting: Promise<LoadedModule> | null = null;
  #hash: string | null = null;
  #changed = false;
  /** Why we end the thread, once we do. */
  #ending: string | null = null;
  /** True from a ping until its pong. */
  #silent = false;
  #closed = false;

  constructor(options: ModuleThreadOptions) {
    this.#options = options;
  }

  /** Loads the module. Rejects with `handler_invalid`, `handler_not_found`. */
  async load(): Promise<LoadedModule & { hash: string }> {
    const loaded = await this.#start();
    return { ...loaded, hash: this.#hash! };
  }

  /** One call of the module's function. Rejects only with the signal's reason, or after `close`. */
  call(rows: HandledRow[], signal: AbortSignal): Promise<HandledOutcome[]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new Error('The handler is closed');
      signal.throwIfAborted();
      const call: Call = { id: 0, rows, restarts: 0, timer: undefined, resolve: (outcomes) => { signal.removeEventListener('abort', abort); resolve(outcomes); } };
      const abort = (): void => {
        this.#forget(call, 'The job was stopped');
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#send(call);
    });
  }

  /** Ends the thread; calls without an answer get none but a failure. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#ending = 'the handler was closed';
    await this.#thread?.terminate();
  }

  /** Ids are given here, so that a call that goes to another thread is again the newest. */
  #send(call: Call): void {
    call.id = ++this.#lastId;
    this.#calls.set(call.id, call);
    call.timer = setTimeout(() => this.#expire(call), this.#options.timeoutSeconds * 1000);
    if (this.#bundle.push(call) === 1) queueMicrotask(() => void this.#flush());
  }

  async #flush(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      for (const call of this.#calls.values()) this.#fail(call, { code: 'handler_error', message: `The module could not be loaded again: ${why}`, retryable: !this.#changed });
      this.#bundle = [];
      return;
    }
    if (this.#thread === null) return; // ended already: its calls are in a new bundle
    const calls = this.#bundle.filter(({ id }) => this.#calls.has(id)).map(({ id, rows }) => ({ id, rows }));
    this.#bundle = [];
    if (calls.length > 0) this.#post({ calls });
  }

  #start(): Promise<LoadedModule> {
    this.#starting ??= this.#spawn().catch((error: unknown) => {
      this.#starting = null;
      throw error;
    });
    return this.#starting;
  }

  async #spawn(): Promise<LoadedModule> {
    const { file, options, columns } = this.#options;
    const hash = createHash('sha256').update(await readFile(file)).digest('hex');
    if (this.#closed) throw new Error('The handler is closed');
    this.#changed = this.#hash !== null && this.#hash !== hash;
    if (this.#changed) {
      throw invalid('its file changed while the job ran', 'Start the job again, so that all rows see the same module');
    }
    this.#hash = hash;
    this.#silent = false;
    this.#ending = null;
    Atomics.store(this.#progress, RUNNING, 0);
    const { port1: port, port2 } = new MessageChannel();
    const workerData: HostData = { url: pathToFileURL(file).href, options, columns, port: port2, progress: this.#progress.buffer };
    const thread = new Worker(new URL('./module-host.ts', import.meta.url), {
      workerData, transferList: [port2], stdout: true, stderr: true, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    });
    this.#thread = thread;
    this.#port = port;
    for (const stream of [thread.stdout, thread.stderr]) this.#logLines(stream);

    const loaded = Promise.withResolvers<LoadedModule>();
    const limit = setTimeout(() => {
      loaded.reject(invalid(`it was not loaded within ${LOAD_TIMEOUT_MS / 1000} s`, 'Let the module do its slow work in its function, not at its top level'));
      void thread.terminate();
    }, LOAD_TIMEOUT_MS);
    let usable = false;
    let crash = '';
    thread.on('error', (error) => (crash = `: ${error instanceof Error ? error.message : String(error)}`.slice(0, 500)));
    thread.on('exit', (code) => {
      // What it said last may still be on its way.
      for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port)) hear(last.message as FromHost);
      port.close();
      this.#thread = null;
      this.#starting = null;
      const why = this.#ending ?? `exit code ${code}${crash}`;
      if (usable) this.#ended(why);
      else loaded.reject(invalid(`it ended its thread while it was loaded (${why})`, 'A module must not end the process'));
    });
    const hear = (message: FromHost): void => {
      if ('results' in message) for (const { id, outcomes } of message.results) this.#answer(id, outcomes);
      else if ('log' in message) this.#options.log[message.log](message.message, message.data);
      else if ('pong' in message) this.#silent = false;
      else if ('loaded' in message) {
        usable = true;
        loaded.resolve(message.loaded);
      } else {
        loaded.reject(invalid(message.invalid, 'Correct the module and create the job again'));
        void thread.terminate();
      }
    };
    port.on('message', hear);
    return loaded.promise.finally(() => clearTimeout(limit));
  }

  #logLines(stream: Readable): void {
    createInterface({ input: stream }).on('line', (line) => this.#options.log.info('Printed by the handler module', { line: line.slice(0, 2_000) }));
  }

  #post(message: ToHost): void {
    this.#port?.postMessage(message);
  }

  #answer(id: number, outcomes: HostOutcome[]): void {
    const call = this.#calls.get(id);
    if (call === undefined) return; // timed out or aborted meanwhile
    this.#settle(call, outcomes.map((outcome) => ('error' in outcome ? outcome : { output: JSON.parse(outcome.json) as Json })));
  }

  #settle(call: Call, outcomes: HandledOutcome[]): void {
    clearTimeout(call.timer);
    this.#calls.delete(call.id);
    call.resolve(outcomes);
  }

  #fail(call: Call, error: RowFailure): void {
    this.#settle(call, call.rows.map(() => ({ error })));
  }

  #forget(call: Call, reason: string): void {
    clearTimeout(call.timer);
    this.#calls.delete(call.id);
    this.#post({ abort: call.id, reason });
  }

  #hasStarted(call: Call): boolean {
    return call.id <= Atomics.load(this.#progress, STARTED);
  }

  /** The call's time is over. One that waits behind others is given its time from here on. */
  #expire(call: Call): void {
    if (this.#hasStarted(call)) {
      this.#post({ abort: call.id, reason: 'The call took too long' });
      this.#fail(call, { code: 'handler_timeout', message: `The call took longer than ${this.#options.timeoutSeconds} s; whether its work was done is not known`, retryable: false });
    } else {
      call.timer = setTimeout(() => this.#expire(call), this.#options.timeoutSeconds * 1000);
    }
    if (this.#silent || this.#thread === null) return;
    this.#silent = true;
    this.#post({ ping: true });
    setTimeout(() => this.#judge(this.#thread), GRACE_MS).unref();
  }

  /** Ends a thread that has answered nothing, unless it is busy with a call that still has time. */
  #judge(thread: Worker | null): void {
    if (!this.#silent || thread === null || thread !== this.#thread) return;
    if (this.#calls.has(Atomics.load(this.#progress, RUNNING))) setTimeout(() => this.#judge(thread), GRACE_MS).unref();
    else {
      this.#ending = 'it stopped answering';
      void thread.terminate();
    }
  }

  /** The call that ended the thread, where that is certain: the one that was running, or the only one. */
  #culprit(): Call | null {
    if (this.#ending !== null) return null;
    const started = [...this.#calls.values()].filter((call) => this.#hasStarted(call));
    return this.#calls.get(Atomics.load(this.#progress, RUNNING)) ?? (started.length === 1 ? started[0]! : null);
  }

  /** The thread is gone: its calls fail, or go to the next one. */
  #ended(why: string): void {
    const culprit = this.#culprit();
    this.#bundle = [];
    if (!this.#closed) this.#options.log.error("The handler module's thread ended", { why });
    const calls = Array.from(this.#calls.values()); // those sent again join the map
    for (const call of calls) {
      if (call === culprit) {
        this.#fail(call, { code: 'handler_error', message: `The module ended its thread (${why})`, retryable: false });
      } else if (this.#hasStarted(call) || this.#closed || call.restarts === MOST_RESTARTS) {
        this.#fail(call, { code: 'handler_error', message: `The module's thread ended (${why}) while the row was in flight; whether its work was done is not known`, retryable: false });
      } else {
        clearTimeout(call.timer);
        this.#calls.delete(call.id);
        call.restarts++;
        this.#send(call);
      }
    }
  }
}

const invalid = (what: string, remedy: string): SheafError => new SheafError('handler_invalid', `The handler module cannot be used: ${what}`, { remedy });
