/** Search of the ledger file, in a thread that starts with the first search and ends when there has been none for a while. */
import { Worker } from 'node:worker_threads';
import { type ErrorCode, SheafError } from '../../contracts/errors.ts';
import type { Listed, SearchHit, Store } from '../store.ts';
import type { SearchAnswer, SearchRequest } from './search-thread.ts';

const IDLE_MS = 60_000;

interface Waiting {
  resolve(hits: Listed<SearchHit>): void;
  reject(error: unknown): void;
}

export class Searcher {
  readonly #file: string;
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #asked = 0;
  #closed = false;

  constructor(file: string) {
    this.#file = file;
  }

  readonly search: Store['search'] = (tenant, { terms, filter }, page) => {
    if (this.#closed) return Promise.reject(stopped());
    clearTimeout(this.#idle);
    const thread = this.#thread ??= this.#start();
    const id = ++this.#asked;
    const answer = new Promise<Listed<SearchHit>>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    thread.ref();
    thread.postMessage({ id, tenant, terms, filter, page } satisfies SearchRequest);
    return answer;
  };

  #start(): Worker {
    const thread = new Worker(new URL('./search-thread.ts', import.meta.url), { workerData: this.#file });
    thread.on('message', (answer: SearchAnswer) => this.#answered(thread, answer));
    thread.on('error', (cause) => this.#ended(thread, cause));
    thread.on('exit', () => this.#ended(thread));
    return thread;
  }

  #answered(thread: Worker, answer: SearchAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if ('hits' in answer) waiting?.resolve(answer.hits);
    else {
      const { code, message, ...more } = answer.error;
      waiting?.reject(new SheafError(code as ErrorCode, message, more));
    }
    if (this.#waiting.size > 0) return;
    thread.unref();
    this.#idle = setTimeout(() => {
      this.#thread = undefined;
      void thread.terminate();
    }, IDLE_MS).unref();
  }

  /** What a thread that ended has not answered, nobody will; the next search starts another. */
  #ended(thread: Worker, cause?: unknown): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    const error = this.#closed ? stopped() : new SheafError('store_unavailable', 'The thread that searches has ended.', { remedy: 'Search again.', cause });
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
