/**
 * A thread that answers questions about a database file on a connection of its own, because SQLite works in the thread that
 * asks, and some questions take long. It starts with the first question and ends when there has been none for a while.
 */
import { parentPort, Worker } from 'node:worker_threads';
import { type ErrorBody, errorOf, SheafError } from '../../contracts/errors.ts';
import type { SqliteFile } from './database.ts';

const IDLE_MS = 60_000;

interface Request<Question> {
  id: number;
  question: Question;
}

type Reply<Answer> = { id: number } & ({ answer: Answer } | { error: ErrorBody });

interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

export class ReadingThread<Question, Answer> {
  readonly #script: URL;
  readonly #file: string;
  readonly #waiting = new Map<number, Waiting<Answer>>();
  #thread: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #asked = 0;
  #closed = false;

  /** `script` calls `answerQuestions`; the file's path is its `workerData`. */
  constructor(script: URL, file: string) {
    this.#script = script;
    this.#file = file;
  }

  ask(question: Question): Promise<Answer> {
    if (this.#closed) return Promise.reject(stopped());
    clearTimeout(this.#idle);
    const thread = this.#thread ??= this.#start();
    const id = ++this.#asked;
    const answer = new Promise<Answer>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    thread.ref();
    thread.postMessage({ id, question } satisfies Request<Question>);
    return answer;
  }

  #start(): Worker {
    const thread = new Worker(this.#script, { workerData: this.#file });
    thread.on('message', (reply: Reply<Answer>) => this.#answered(thread, reply));
    thread.on('error', (cause) => this.#ended(thread, cause));
    thread.on('exit', () => this.#ended(thread));
    return thread;
  }

  #answered(thread: Worker, reply: Reply<Answer>): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    if ('answer' in reply) waiting?.resolve(reply.answer);
    else waiting?.reject(errorOf(reply.error));
    if (this.#waiting.size > 0) return;
    thread.unref();
    this.#idle = setTimeout(() => {
      this.#thread = undefined;
      void thread.terminate();
    }, IDLE_MS).unref();
  }

  /** What a thread that ended has not answered, nobody will; the next question starts another. */
  #ended(thread: Worker, cause?: unknown): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    const error = this.#closed ? stopped() : new SheafError('store_unavailable', 'The thread that reads the store has ended.', { remedy: 'Ask again.', cause });
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    await this.#thread?.terminate();
  }
}

const stopped = (): SheafError => new SheafError('store_unavailable', 'The store was closed because the process is stopping.', { remedy: 'Start Sheaf again.' });

/** Within the thread: answers every question that comes, with the file free to be read. */
export function answerQuestions<Question, Answer>(file: SqliteFile, answer: (question: Question) => Answer): void {
  parentPort?.on('message', async ({ id, question }: Request<Question>) => {
    const reply = await file.read(() => answer(question)).then(
      (found): Reply<Answer> => ({ id, answer: found }),
      (error: unknown): Reply<Answer> => ({ id, error: bodyOf(error) }),
    );
    parentPort?.postMessage(reply);
  });
}

const bodyOf = (error: unknown): ErrorBody =>
  (error instanceof SheafError ? error.body() : { code: 'internal', message: `The store could not be read: ${error instanceof Error ? error.message : String(error)}` });
