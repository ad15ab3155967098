/**
 * How much a worker takes on: Temporal's resource-based tuner hands out slots for pages while CPU and memory allow, and
 * this says in the log when they do not.
 */
import os from 'node:os';
import { ResourceBasedController, type TunerHolder } from '@temporalio/worker';
import type { Log } from '../log.ts';

/** Shares, 0 to 1, above which a worker takes no page beyond the fewest. */
export interface LoadTargets {
  cpu: number;
  memory: number;
}

/**
 * Pages, and sheets being read, at once in a process: the fewest whatever the load, so that work always goes on; the most so
 * that every job that runs has its pages, and a small job waits for nobody's.
 */
export const ROW_SLOTS = { fewest: 4, most: 40 } as const;

/** Rows that are workflows of their own. They mostly wait for somebody else's machine. */
export const ITEM_SLOTS = { fewest: 4, most: 200 } as const;

const LOOK_EVERY_MS = 2_000;
/** Looks in a row that must agree: a moment's load is nobody's concern. */
const LOOKS = 3;

export const rowTuner = (targets: LoadTargets, slots: { fewest: number; most: number }): TunerHolder => ({
  activityTaskSlotSupplier: {
    type: 'resource-based', minimumSlots: slots.fewest, maximumSlots: slots.most,
    controller: ResourceBasedController.create({ targetCpuUsage: targets.cpu, targetMemoryUsage: targets.memory }),
  },
  // The workers of rows have none of these.
  workflowTaskSlotSupplier: { type: 'fixed-size', numSlots: 1 },
  localActivityTaskSlotSupplier: { type: 'fixed-size', numSlots: 1 },
  nexusTaskSlotSupplier: { type: 'fixed-size', numSlots: 1 },
});

export interface Load {
  cpu: number;
  memory: number;
}

/** `pages` tells how many are in flight. `measure` answers the shares in use since it was last asked. */
export function watchLoad({ targets, pages, log, measure = systemLoad(), everyMs = LOOK_EVERY_MS }: {
  targets: LoadTargets; pages: () => number; log: Log; measure?: () => Load; everyMs?: number;
}): { throttled(): boolean; stop(): void } {
  let throttled = false;
  let differing = 0;
  const look = (): void => {
    const { cpu, memory } = measure();
    const over = (cpu > targets.cpu || memory > targets.memory) && pages() >= ROW_SLOTS.fewest;
    differing = over === throttled ? 0 : differing + 1;
    if (differing < LOOKS) return;
    throttled = over;
    differing = 0;
    const load = { cpu: percent(cpu), memory: percent(memory), pages: pages() };
    if (!throttled) log.info(load, 'the worker takes further pages again');
    else {
      const what = memory > targets.memory ? 'the memory in use is above SHEAF_WORKER_TARGET_MEMORY' : 'the CPU in use is above SHEAF_WORKER_TARGET_CPU';
      log.warn({ ...load, fewest: ROW_SLOTS.fewest }, `the worker takes no further pages for now: ${what}`);
    }
  };
  const timer = setInterval(look, everyMs);
  timer.unref();
  return { throttled: () => throttled, stop: () => clearInterval(timer) };
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;

/** Of the machine, or of the container where that has less memory. */
function systemLoad(): () => Load {
  let before = cpuTimes();
  return () => {
    const now = cpuTimes();
    const all = now.all - before.all;
    const cpu = all === 0 ? 0 : 1 - (now.idle - before.idle) / all;
    before = now;
    const limit = process.constrainedMemory();
    const total = limit > 0 && limit < os.totalmem() ? limit : os.totalmem();
    return { cpu, memory: 1 - Math.min(1, process.availableMemory() / total) };
  };
}

function cpuTimes(): { idle: number; all: number } {
  let idle = 0;
  let all = 0;
  for (const { times } of os.cpus()) {
    idle += times.idle;
    all += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, all };
}
