/** A document of five gigabytes in parts: what the API's memory comes to. And what a status takes while a hundred documents are in work. */
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createSheafClient } from '../src/client/index.ts';
import { megabytes, percentile, seconds } from './median.ts';
import type { Measure, Setting } from './measure.ts';
import { benchStack } from './stack.ts';

const SIZE = 5e9;
const DOCUMENTS = 100;
const DOCUMENT_BYTES = 1_500_000;
const STATUS_CALLS = 2_000;
/** Callers of the status at once. */
const CALLERS = 4;

export async function documentUpload({ folder, scale, say }: Setting): Promise<Measure> {
  const size = SIZE * scale;
  const book = path.join(folder, 'book.txt');
  await writeBook(book, size);
  const stack = await benchStack(folder, 'stack', folder);
  let [idle, peak, time] = [NaN, NaN, NaN];
  try {
    const client = createSheafClient({ url: stack.url });
    await client.documents();
    idle = (await stack.apiMemory()).now;
    await stack.forgetPeak();
    const startedAt = performance.now();
    const { job_id: job } = await client.uploadDocument(book);
    time = (performance.now() - startedAt) / 1_000;
    peak = (await stack.apiMemory()).peak;
    say(`${megabytes(size)} in ${seconds(time)}, API idle ${megabytes(idle)}, at most ${megabytes(peak)}`);
    await client.call('POST', `/jobs/${job}/cancel`);
  } finally {
    await stack.stop();
  }
  return {
    title: `A document of ${megabytes(size)} in parts of 8 MiB, in ${seconds(time)}`,
    figures: [{ what: "the API's memory above idle, at most", measured: megabytes(peak - idle), budget: '≤ 150 MB', held: peak - idle <= 150e6 }],
    details: { size, seconds: time, idle, peak },
  };
}

export async function documentStatus({ folder, scale, say }: Setting): Promise<Measure> {
  const stack = await benchStack(folder, 'stack', folder);
  const times: number[] = [];
  let [before, after] = [0, 0];
  try {
    const client = createSheafClient({ url: stack.url });
    const ids: string[] = [];
    for (let n = 0; n < Math.max(2, Math.round(DOCUMENTS * scale)); n++) {
      const file = path.join(folder, `document ${n}.txt`);
      await writeFile(file, `Document ${n}. ${`The quick brown fox ${n} jumps over the lazy dog. `.repeat(DOCUMENT_BYTES / 50)}`);
      ids.push((await client.uploadDocument(file)).document_id);
    }
    const inWork = async (): Promise<number> => (await Promise.all(ids.map((id) => client.documentStatus(id)))).filter(({ status }) => status === 'processing').length;
    before = await inWork();
    await Promise.all(Array.from({ length: CALLERS }, async (_, caller) => {
      for (let call = caller; call < STATUS_CALLS; call += CALLERS) {
        const askedAt = performance.now();
        await client.documentStatus(ids[call % ids.length]!);
        times.push(performance.now() - askedAt);
      }
    }));
    after = await inWork();
    say(`${before} documents in work before ${STATUS_CALLS} questions, ${after} after`);
  } finally {
    await stack.stop();
  }
  const p99 = percentile(times, 99);
  return {
    title: `Status of a document, with ${before} to ${after} documents in work and ${CALLERS} who ask at once`,
    figures: [{ what: `p99 (p50 ${percentile(times, 50).toFixed(1)} ms)`, measured: `${p99.toFixed(1)} ms`, budget: '≤ 50 ms', held: p99 <= 50 }],
    details: { before, after, times },
  };
}

async function writeBook(file: string, size: number): Promise<void> {
  const page = Buffer.alloc(16 * 2 ** 20, 'All happy families are alike; each unhappy family is unhappy in its own way. ');
  const handle = await open(file, 'w');
  for (let written = 0; written < size; written += page.length) await handle.write(page, 0, Math.min(page.length, size - written));
  await handle.close();
}
