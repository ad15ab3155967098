/** Small documents from upload to search, with one worker and with two; and what a status takes while 100 documents are in work. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Measure, Setting } from './measure.ts';
import { percentile } from './median.ts';
import { benchStack, type BenchStack } from './stack.ts';

const DOCUMENTS = 1_000;
const IN_WORK = 100;
const STATUS_CALLS = 1_000;
/** Uploads and questions sent at once. */
const AT_ONCE = 8;

interface Status {
  document_id: string;
  status: 'processing' | 'ready' | 'failed';
  message: string;
}

export async function smallDocuments({ folder, scale, say }: Setting): Promise<Measure> {
  const count = Math.max(20, Math.round(DOCUMENTS * scale));
  const minutes: Record<number, number> = {};
  let times: number[] = [];
  for (const workers of [1, 2]) {
    // One tenant's documents may all run at once: what is measured is the machine.
    const stack = await benchStack(folder, `documents-${workers}`, folder, { SHEAF_MAX_RUNNING_JOBS: '100', SHEAF_MAX_RUNNING_JOBS_PER_TENANT: '100' });
    const second = workers === 2 ? await startWorker(stack) : null;
    try {
      const begun = performance.now();
      const ids = await uploadAll(stack, count, workers);
      if (workers === 1) times = await statusTimes(stack, ids.slice(-IN_WORK));
      await allReady(stack, ids);
      minutes[workers] = (performance.now() - begun) / 60_000;
      say(`${workers} ${workers === 1 ? 'worker' : 'workers'}: ${Math.round(count / minutes[workers])} documents a minute`);
    } finally {
      second?.kill('SIGTERM');
      await stack.stop();
    }
  }
  const p99 = percentile(times, 99);
  return {
    title: `${count} documents of one page`,
    figures: [
      ...[1, 2].map((workers) => ({ what: `documents a minute, ${workers} ${workers === 1 ? 'worker' : 'workers'}`, measured: `${Math.round(count / minutes[workers]!)}`, budget: 'none', held: true })),
      { what: `status with documents in work, p99 (p50 ${Math.round(percentile(times, 50))} ms)`, measured: `${Math.round(p99)} ms`, budget: '≤ 50 ms', held: p99 <= 50 },
    ],
    details: { minutes, times },
  };
}

async function startWorker(stack: BenchStack): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('../src/worker.ts', import.meta.url)), { env: { ...process.env, SHEAF_TEMPORAL_ADDRESS: stack.temporal }, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  await once(child, 'message');
  return child;
}

async function each<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let index = next++; index < items.length; index = next++) await work(items[index]!, index);
  }));
}

/** A page of prose each, no two alike. */
async function uploadAll(stack: BenchStack, count: number, round: number): Promise<string[]> {
  const ids: string[] = [];
  await each(Array.from({ length: count }), async (_, index) => {
    const text = Array.from({ length: 400 }, (__, word) => `word${(index * 7_919 + word * 104_729 + round) % 50_000}`).join(' ');
    const form = new FormData();
    form.append('file', new Blob([`# Document ${index}\n\n${text}\n`]), `document-${index}.md`);
    const response = await fetch(`${stack.client.url}/documents/upload/simple`, { method: 'POST', body: form });
    ids[index] = ((await response.json()) as Status).document_id;
  });
  return ids;
}

const statusOf = (stack: BenchStack, id: string): Promise<Status> => stack.client.call<Status>('GET', `/documents/${id}/status`);

async function statusTimes(stack: BenchStack, ids: string[]): Promise<number[]> {
  const times: number[] = [];
  for (let call = 0; call < STATUS_CALLS; call++) {
    const begun = performance.now();
    const { status } = await statusOf(stack, ids[call % ids.length]!);
    if (status === 'processing') times.push(performance.now() - begun);
  }
  return times;
}

async function allReady(stack: BenchStack, ids: string[]): Promise<void> {
  await each(ids, async (id) => {
    for (;;) {
      const { status, message } = await statusOf(stack, id);
      if (status === 'ready') return;
      if (status === 'failed') throw new Error(`Document ${id} failed: ${message}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
}
