/**
 * Reads documents in child processes, so that a parser that crashes, hangs or swallows memory costs one document. A child
 * reads one at a time; it is used again only after it ended the last one as foreseen, with little memory.
 */
import { fork, type ChildProcess } from 'node:child_process';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { errorOf, SheafError } from '../contracts/errors.ts';
import { DOCUMENT_LIMITS, type Analysis, type Chunking, type DetectedType, type DocumentLimits, type DocumentReader, type Extraction } from './document.ts';
import { MEMORY_MARK, type Answer, type Task } from './reader-protocol.ts';

export interface ReaderOptions {
  limits?: Partial<DocumentLimits>;
  /** Children at once. Default: the number of processors. */
  concurrency?: number;
  /** What is read is cut into passages or analysed next: a child for that is made ready meanwhile. Default: true. */
  textFollows?: boolean;
}

const PROGRAM = fileURLToPath(new URL('reader-process.ts', import.meta.url));
/** A child is not used again after so many tasks, or with so much of its memory taken. */
const MOST_TASKS = 200;
const MOST_MEMORY_SHARE = 0.25;
/** Of a child that has nothing to do. */
const IDLE_MS = 30_000;
/** Of 19: books that are read keep the processors busy for minutes, and whoever asks the API must not wait for them. */
const NICENESS = 10;
/** A page's objects die with it: with more room for what is new they do so before they are moved. A helper thread as in `lean.ts`. */
const COLLECTOR = ['--max-semi-space-size=32', '--v8-pool-size=1'];
/** What a child is told of the environment: nothing that is secret. With its code compiled before, a new one starts in half of the time. */
const ENVIRONMENT = ['PATH', 'TESSDATA_PREFIX', 'LANG', 'LC_ALL', 'TMPDIR', 'TEMP', 'SystemRoot', 'MALLOC_ARENA_MAX', 'NODE_COMPILE_CACHE'];
const LAST_WORDS = 4_000;

/** What a child has loaded: parsers of files, or what counts and tells of text. */
type Skill = 'files' | 'text';
const skillOf = ({ task }: Task): Skill => (task === 'validate' || task === 'extract' ? 'files' : 'text');

interface Child {
  process: ChildProcess;
  skills: Set<Skill>;
  /** It may start tesseract; others may start nothing. */
  spawns: boolean;
  tasks: number;
  said: string;
  idle: NodeJS.Timeout | null;
}

export function openReader({ limits: given, concurrency = os.availableParallelism(), textFollows = true }: ReaderOptions = {}): DocumentReader {
  const limits = { ...DOCUMENT_LIMITS, ...given };
  const children = new Set<Child>();
  const idle: Child[] = [];
  const waiting: (() => void)[] = [];
  let busy = 0;
  let closed = false;

  const start = (spawns: boolean): Child => {
    const heapMegabytes = Math.max(64, Math.floor((limits.memoryBytes * 0.75) / 2 ** 20));
    const child: Child = {
      process: fork(PROGRAM, [String(limits.memoryBytes)], {
        execArgv: [`--max-old-space-size=${heapMegabytes}`, ...COLLECTOR, '--no-warnings', '--permission', '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker', ...(spawns ? ['--allow-child-process'] : [])],
        env: Object.fromEntries(ENVIRONMENT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))),
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
        // A group of its own, so that what it starts ends with it.
        detached: process.platform !== 'win32',
      }),
      skills: new Set(), spawns, tasks: 0, said: '', idle: null,
    };
    children.add(child);
    yieldToOthers(child.process.pid);
    child.process.stderr?.setEncoding('utf8').on('data', (text: string) => { child.said = (child.said + text).slice(-LAST_WORDS); });
    child.process.once('exit', () => {
      children.delete(child);
      const at = idle.indexOf(child);
      if (at >= 0) idle.splice(at, 1);
      if (child.idle) clearTimeout(child.idle);
    });
    // What goes wrong with a child is told by its end, and by the task that it had.
    child.process.on('error', () => undefined);
    return child;
  };

  const kill = ({ process: child }: Child): void => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    try {
      process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
    } catch {
      child.kill('SIGKILL');
    }
  };

  const release = (child: Child, reusable: boolean): void => {
    if (!reusable || closed || child.tasks >= MOST_TASKS) {
      kill(child);
      return;
    }
    child.process.unref();
    child.process.channel?.unref();
    child.idle = setTimeout(() => kill(child), IDLE_MS).unref();
    idle.push(child);
  };

  /** Rather one that has loaded what the task needs. */
  const take = (task: Task): Child => {
    const spawns = task.task === 'extract' && task.options?.ocr === true;
    const able = idle.filter((child) => child.spawns === spawns && child.process.connected);
    const child = able.find(({ skills }) => skills.has(skillOf(task))) ?? able[0] ?? start(spawns);
    if (able.includes(child)) idle.splice(idle.indexOf(child), 1);
    child.skills.add(skillOf(task));
    if (child.idle) clearTimeout(child.idle);
    child.process.ref();
    child.process.channel?.ref();
    child.tasks += 1;
    return child;
  };

  /** While a file is read, another child loads what its text needs next. */
  const prepareForText = (): void => {
    if (concurrency < 2 || [...children].some(({ skills }) => skills.has('text'))) return;
    const task: Task = { task: 'prepare', limits };
    const child = take(task);
    void ask(child, task, undefined).then(({ clean }) => release(child, clean), () => undefined);
  };

  async function run<T>(task: Task, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    if (closed) throw shuttingDown();
    while (busy >= concurrency) {
      await new Promise<void>((resolve) => { waiting.push(resolve); });
      if (signal?.aborted) waiting.shift()?.();
      signal?.throwIfAborted();
      if (closed) throw shuttingDown();
    }
    busy += 1;
    const child = take(task);
    if (task.task === 'extract' && textFollows) prepareForText();
    try {
      const answer = await ask(child, task, signal);
      release(child, answer.clean && answer.rss < limits.memoryBytes * MOST_MEMORY_SHARE);
      if ('error' in answer) throw errorOf(answer.error);
      return answer.value as T;
    } finally {
      busy -= 1;
      waiting.shift()?.();
    }
  }

  function ask(child: Child, task: Task, signal: AbortSignal | undefined): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      let why: unknown = null;
      const end = (reason: unknown): void => {
        why ??= reason;
        kill(child);
      };
      const abort = (): void => end(signal?.reason);
      const late = setTimeout(() => end(new SheafError('extraction_timeout', `Reading the document took longer than ${Math.round(limits.timeMs / 1000)} s`, { remedy: 'Split the document, or raise SHEAF_DOCUMENT_STEP_MINUTES' })), limits.timeMs);
      const settle = (): void => {
        clearTimeout(late);
        signal?.removeEventListener('abort', abort);
        child.process.off('message', answered).off('close', ended);
      };
      const answered = (message: Answer | 'ready'): void => {
        if (message === 'ready' || why !== null) return;
        settle();
        resolve(message);
      };
      const ended = (code: number | null, by: NodeJS.Signals | null): void => {
        settle();
        reject(why ?? (closed ? shuttingDown() : endedUnasked(child.said, code, by)));
      };
      signal?.addEventListener('abort', abort, { once: true });
      child.process.on('message', answered).once('close', ended);
      child.process.send(task, (error) => { if (error) kill(child); });
    });
  }

  return {
    validate: (file, password, signal) => run<DetectedType>({ task: 'validate', limits, file, password }, signal),
    extract: (request, signal) => run<Extraction>({ task: 'extract', limits, ...request }, signal),
    chunk: (folder, options, signal) => run<Chunking>({ task: 'chunk', limits, folder, options }, signal),
    analyse: (folder, extraction, { encoding }, signal) => run<Analysis>({ task: 'analyse', limits, folder, extraction, encoding }, signal),
    async close() {
      closed = true;
      const ends = [...children].map(({ process: child }) => new Promise<void>((resolve) => { child.ref(); child.once('exit', () => resolve()); }));
      for (const child of children) kill(child);
      for (const wake of waiting.splice(0)) wake();
      await Promise.all(ends);
    },
  };
}

/** It may have ended already, which whoever gives it a task is told. */
function yieldToOthers(pid: number | undefined): void {
  try {
    if (pid !== undefined) os.setPriority(pid, NICENESS);
  } catch {
    // It reads all the same.
  }
}

const shuttingDown = (): SheafError => new SheafError('shutting_down', 'The reader of documents is being closed', { remedy: 'Try again' });

/** 134 is how Node ends when its heap is full. A kill that nobody here asked for is the system's, out of memory. */
function endedUnasked(said: string, code: number | null, by: NodeJS.Signals | null): SheafError {
  if (said.includes(MEMORY_MARK) || said.includes('heap out of memory') || code === 134 || by === 'SIGABRT' || by === 'SIGKILL') {
    return new SheafError('extraction_memory', 'Reading the document took more memory than is allowed', { remedy: 'Split the document, or raise SHEAF_DOCUMENT_MEMORY_BYTES' });
  }
  return new SheafError('extraction_crashed', `The document ended the process that read it (${by ?? `exit code ${code}`})`, {
    remedy: 'Open it in the program that it comes from, save it again, and give that', cause: new Error(said),
  });
}
