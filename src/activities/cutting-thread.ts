/** A thread that cuts pages: takes batches of rows in their order, gives packed pages back, says what it has taken. */
import { on } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { hasChunk } from '../domain/give-back.ts';
import type { TextBytes } from '../domain/text-bytes.ts';
import { packPage, PageCutter, type Cut, type CutBatch, type CutOptions } from './page-cutter.ts';

/** `end`: no rows follow. */
export type ToCutter = CutBatch | 'end';
/** A page comes before what takes its last row. */
export type FromCutter = { page: Uint8Array } | 'taken' | { cut: Cut };

const port = parentPort!;
const say = (message: FromCutter, moved: ArrayBuffer[] = []): void => port.postMessage(message, moved);
const cutter = new PageCutter(workerData as CutOptions);

async function give(pages: Iterable<TextBytes>): Promise<void> {
  for (const lines of pages) {
    const page = await packPage(lines);
    say({ page }, hasChunk(page) ? [page.buffer] : []);
  }
}

for await (const [message] of on(port, 'message') as AsyncIterable<[ToCutter]>) {
  if (message === 'end') break;
  await give(cutter.add(message));
  say('taken');
}
await give(cutter.rest());
say({ cut: cutter.result() });
