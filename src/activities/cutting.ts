/**
 * Where pages are cut. Reading a large sheet is half parsing and half naming, hashing and packing its rows; a thread of its own
 * takes the second half off the parser's core. A small sheet is read before a thread has begun.
 */
import os from 'node:os';
import { Worker } from 'node:worker_threads';
import type { TextBytes } from '../domain/text-bytes.ts';
import type { FromCutter, ToCutter } from './cutting-thread.ts';
import { packPage, PageCutter, type Cut, type CutBatch, type CutOptions } from './page-cutter.ts';

export interface Cutting {
  /** Resolves when more may come: little waits to be cut, and no more pages to be written than `write` lets. */
  add(batch: CutBatch): Promise<void>;
  /** Resolves when the last page has been given to `write`. */
  end(): Promise<Cut>;
  /** Once, whatever happened. */
  close(): Promise<void>;
}

/** Takes the next page, packed or about to be; resolves when one more may be given. */
export type WritePage = (packed: Promise<Uint8Array>) => Promise<void>;

/** Bytes of a file that are worth a thread. */
const LARGE = 8 * 1024 * 1024;
/** Beside a thread, the process keeps a core. */
const MOST_THREADS = os.availableParallelism() - 1;
let threads = 0;

/** `bytes`: what there is to read; null: nobody knows. */
export const openCutting = (options: CutOptions, bytes: number | null, write: WritePage): Cutting =>
  bytes !== null && bytes > LARGE && threads < MOST_THREADS ? cutInThread(options, write) : cutHere(options, write);

export function cutHere(options: CutOptions, write: WritePage): Cutting {
  const cutter = new PageCutter(options);
  const give = async (pages: Iterable<TextBytes>): Promise<void> => {
    for (const lines of pages) await write(packPage(lines));
  };
  return {
    add: (batch) => give(cutter.add(batch)),
    async end() {
      await give(cutter.rest());
      return cutter.result();
    },
    async close() {},
  };
}

/** Batches that the thread has not taken: enough that it never waits for the next. */
const BATCHES_AHEAD = 8;

export function cutInThread(options: CutOptions, write: WritePage): Cutting {
  threads++;
  const thread = new Worker(new URL('cutting-thread.ts', import.meta.url), { workerData: options, resourceLimits: { maxYoungGenerationSizeMb: 8 } });
  const pages: Uint8Array[] = [];
  let ahead = 0;
  let cut: Cut | undefined;
  let failure: unknown;
  let news = Promise.withResolvers<void>();
  thread.on('message', (message: FromCutter) => {
    if (message === 'taken') ahead--;
    else if ('page' in message) pages.push(message.page);
    else cut = message.cut;
    news.resolve();
  });
  thread.on('error', (error) => (failure = error));
  thread.on('exit', () => {
    failure ??= new Error('The thread that cuts pages ended.');
    news.resolve();
  });

  const post = (message: ToCutter): void => thread.postMessage(message);
  /** Until so much has come from the thread; meanwhile its pages are written. */
  const until = async (enough: () => boolean): Promise<void> => {
    for (;;) {
      news = Promise.withResolvers();
      for (let page = pages.shift(); page; page = pages.shift()) await write(Promise.resolve(page));
      if (enough()) return;
      if (failure) throw failure;
      await news.promise;
    }
  };
  return {
    async add(batch) {
      ahead++;
      post(batch);
      await until(() => ahead < BATCHES_AHEAD);
    },
    async end() {
      post('end');
      await until(() => cut !== undefined);
      return cut!;
    },
    async close() {
      threads--;
      await thread.terminate();
    },
  };
}
