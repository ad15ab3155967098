/** One process that is kept running: started, watched, started again when it ends unasked, given up when that does not help. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChildLog } from './child-log.ts';

/** So many unasked ends within the time, and it is given up. */
const CRASHES = { most: 3, withinMs: 60_000 };
const BACKOFF_MS = [500, 2_000];
/** A process that is not ready after so long is ended and counts as crashed. */
const READY_WITHIN_MS = 120_000;
const LAST_LINES = 15;

export interface ChildSpec {
  /** Names its log file. */
  name: string;
  /** What people call it. */
  title: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  /** It is a Node program of ours: it says `{type: 'ready'}` over IPC, and ends when the channel closes. */
  ours: boolean;
  /** Resolves when it works; called after each start, and aborted when it ends before. */
  ready(child: ChildProcess, signal: AbortSignal): Promise<void>;
  /** How long it may take to end once it was asked to. */
  drainMs: number;
}

/** What a child tells those who watch it. `started`: a new process number; `ready`: it works; both after each start. */
export interface ChildEvents {
  started(pid: number): void;
  ready(): void;
  /** It ended unasked and starts again after so many milliseconds. */
  crashed(how: string, againInMs: number): void;
}

/** A child was given up. The message names it and ends with the last lines of its log. */
export class ChildGaveUp extends Error {
  override readonly name = 'ChildGaveUp';
}

export class SupervisedChild {
  readonly spec: ChildSpec;
  readonly log: ChildLog;
  readonly #stopping = new AbortController();
  #process: ChildProcess | null = null;
  #running: Promise<void> | null = null;

  constructor(spec: ChildSpec, log: ChildLog) {
    this.spec = spec;
    this.log = log;
  }

  /** Keeps it running. Resolves after `stop`; rejects with `ChildGaveUp`. */
  run(events: ChildEvents): Promise<void> {
    this.#running = this.#keepRunning(events);
    return this.#running;
  }

  /** Asks it to end, and makes it end when it takes longer than its spec allows. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#process;
    if (child !== null) {
      if (process.platform === 'win32' && this.spec.ours) child.send({ type: 'stop' }, () => undefined);
      else child.kill('SIGTERM');
      const impatience = setTimeout(() => this.kill(), this.spec.drainMs);
      await this.#running?.catch(() => undefined);
      clearTimeout(impatience);
    }
  }

  kill(): void {
    this.#stopping.abort();
    this.#process?.kill('SIGKILL');
  }

  async #keepRunning(events: ChildEvents): Promise<void> {
    let crashes: number[] = [];
    while (!this.#stopping.signal.aborted) {
      const how = await this.#once(events);
      if (this.#stopping.signal.aborted) return;
      const now = performance.now();
      crashes = [...crashes.filter((at) => now - at < CRASHES.withinMs), now];
      if (crashes.length >= CRASHES.most) throw new ChildGaveUp(this.#lastWords(how));
      const delay = BACKOFF_MS[crashes.length - 1] ?? 0;
      events.crashed(how, delay);
      await sleep(delay, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
    }
  }

  /** One life of the process; resolves with how it ended. */
  async #once(events: ChildEvents): Promise<string> {
    const { command, args, env, ours, title } = this.spec;
    const descriptor = this.log.open();
    const child = spawn(command, args, {
      env,
      stdio: ['ignore', descriptor, descriptor, ...(ours ? ['ipc' as const] : [])],
      // A group of its own, so that Ctrl-C on the terminal reaches only who may decide in which order things stop.
      detached: true,
      windowsHide: true,
    });
    closeSync(descriptor);
    const ended = new Promise<string>((resolve) => {
      child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
      child.once('error', (error) => resolve(error.message));
    });
    this.#process = child;
    if (child.pid !== undefined) events.started(child.pid);

    const over = new AbortController();
    const late = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
    void this.spec.ready(child, over.signal).then(
      () => { clearTimeout(late); if (!over.signal.aborted) events.ready(); },
      () => { if (!over.signal.aborted) child.kill('SIGKILL'); },
    );
    const how = await ended;
    over.abort(new Error(`The ${title} ended`));
    clearTimeout(late);
    this.#process = null;
    return how;
  }

  #lastWords(how: string): string {
    // Where in the code it happened is in the log; what happened would be pushed out by it here.
    const lines = this.log.lastLines(100).filter((line) => !/^\s+at /.test(line)).slice(-LAST_LINES).map((line) => `  ${line}`);
    return `The ${this.spec.title} ended ${CRASHES.most} times within ${CRASHES.withinMs / 1000} s (the last time with ${how}). ` +
      `Its log, ${this.log.file}, ends with:\n${lines.length > 0 ? lines.join('\n') : '  (nothing)'}`;
  }
}
