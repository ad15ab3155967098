import { expect, test, vi } from 'vitest';
import { pino } from 'pino';
import { watchLoad, type Load } from '../../src/temporal/worker-load.ts';

test('a worker says once that it takes no further pages, why, and when it does again; a short load and an idle worker say nothing', () => {
  vi.useFakeTimers();
  const lines: { level: number; msg: string }[] = [];
  const log = pino({ level: 'info' }, { write: (line) => void lines.push(JSON.parse(line) as { level: number; msg: string }) });
  let load: Load = { cpu: 0.5, memory: 0.5 };
  let pages = 8;
  const watch = watchLoad({ targets: { cpu: 0.9, memory: 0.8 }, pages: () => pages, log, measure: () => load, everyMs: 1_000 });
  try {
    const during = (looks: number, now: Load): string[] => {
      load = now;
      lines.length = 0;
      vi.advanceTimersByTime(looks * 1_000);
      return lines.map(({ level, msg }) => `${level} ${msg}`);
    };
    expect(during(2, { cpu: 1, memory: 0.5 })).toEqual([]);
    expect(during(5, { cpu: 0.5, memory: 0.5 })).toEqual([]);
    expect(during(9, { cpu: 0.95, memory: 0.5 })).toEqual(['40 the worker takes no further pages for now: the CPU in use is above SHEAF_WORKER_TARGET_CPU']);
    expect(during(9, { cpu: 0.5, memory: 0.5 })).toEqual(['30 the worker takes further pages again']);
    expect(during(9, { cpu: 0.95, memory: 0.85 })).toEqual(['40 the worker takes no further pages for now: the memory in use is above SHEAF_WORKER_TARGET_MEMORY']);
    expect(during(9, { cpu: 0.5, memory: 0.5 })).toHaveLength(1);
    pages = 3;
    expect(during(9, { cpu: 1, memory: 1 })).toEqual([]);
  } finally {
    watch.stop();
    vi.useRealTimers();
  }
});
