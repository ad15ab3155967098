/** Every worker says every few seconds that it lives, and how busy it is. Whoever shows workers reads it from the store. */
import { randomUUID } from 'node:crypto';
import os from 'node:os';
import type { Worker } from '@temporalio/worker';
import { WORKER_BEAT_MS, WORKER_FORGOTTEN_MS, type WorkerRecord } from '../contracts/system.ts';
import type { Log } from '../log.ts';
import type { WorkerStore } from '../store/ports/workers.ts';

export interface WorkerBeats {
  /** Takes the record away: a worker that was stopped is not lost. */
  stop(): Promise<void>;
}

export interface BeatingWorker {
  worker: Pick<Worker, 'getStatus'>;
  queue: string;
  /** Activities at once. */
  slots: number;
}

export function startWorkerBeats(given: {
  store: WorkerStore; log: Log; workers: BeatingWorker[]; throttled: () => boolean; versions: WorkerRecord['versions'];
}): WorkerBeats {
  const { store, log, workers, throttled, versions } = given;
  const id = randomUUID();
  const startedAt = new Date().toISOString();
  const usage = cpuMeter();
  let stopped = false;
  let wake: () => void = () => {};

  const beat = async (): Promise<void> => {
    const statuses = workers.map(({ worker, queue, slots }) => ({ queue, total: slots, status: worker.getStatus() }));
    await store.writeWorker({
      id, host: os.hostname(), pid: process.pid, startedAt, seenAt: new Date().toISOString(), versions,
      slots: statuses.map(({ queue, total, status }) => ({ queue, total, used: status.numInFlightActivities })),
      throttled: throttled(),
      cachedWorkflows: statuses.reduce((sum, { status }) => sum + status.numCachedWorkflows, 0),
      cpu: usage(), cores: os.availableParallelism(),
      memory: { used: process.memoryUsage.rss(), hostFree: process.availableMemory(), hostTotal: memoryOfHost() },
    });
    const forgotten = Date.now() - WORKER_FORGOTTEN_MS;
    for (const worker of await store.listWorkers()) if (Date.parse(worker.seenAt) < forgotten) await store.removeWorker(worker.id);
  };

  const loop = async (): Promise<void> => {
    while (!stopped) {
      // A store that is away is told of elsewhere.
      await beat().catch((error: unknown) => log.debug({ reason: error instanceof Error ? error.message : String(error) }, 'a worker could not say that it lives'));
      if (!stopped) await new Promise<void>((resolve) => { wake = resolve; setTimeout(resolve, WORKER_BEAT_MS).unref(); });
    }
    await store.removeWorker(id).catch(() => {});
  };

  const running = loop();
  return {
    stop() {
      stopped = true;
      wake();
      return running;
    },
  };
}

function memoryOfHost(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, os.totalmem()) : os.totalmem();
}

/** Answers what the process used since it was asked last; 1 is one core. */
function cpuMeter(): () => number {
  let before = { at: performance.now(), used: process.cpuUsage() };
  return () => {
    const now = { at: performance.now(), used: process.cpuUsage() };
    const micros = now.used.user + now.used.system - before.used.user - before.used.system;
    const elapsed = (now.at - before.at) * 1_000;
    before = now;
    return elapsed <= 0 ? 0 : Math.round((micros / elapsed) * 100) / 100;
  };
}
