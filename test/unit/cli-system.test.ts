/** The status, live and at once, figures and cleanup, as a person reads them. */
import { Writable } from 'node:stream';
import stringWidth from 'string-width';
import { describe, expect, test } from 'vitest';
import { systemAnswer, type SystemAnswer } from '../../src/contracts/system-api.ts';
import { openTerminal, type Output } from '../../src/cli/terminal.ts';
import { bar, sparkline } from '../../src/cli/plot.ts';
import { statusLines } from '../../src/cli/system-status.ts';

const worker = (index: number, more: object = {}) => ({
  id: `w${index}`, state: 'running' as const, host: `a-host-with-a-long-name-${index}.example.org`, pid: 1000 + index, startedAt: '2026-11-25T10:00:00.000Z', seenAt: new Date().toISOString(),
  versions: { sheaf: '0.1.0', node: 'v24', temporal: '1' }, slots: [{ queue: 'sheaf-rows', used: 3, total: 40 }, { queue: 'sheaf-jobs', used: 0, total: 40 }], throttled: false,
  cachedWorkflows: 1, cpu: 1.5, cores: 2, memory: { used: 2.5e8, hostFree: 1, hostTotal: 2 }, ...more,
});

const status = (more: Partial<SystemAnswer> = {}): SystemAnswer => systemAnswer.parse({
  status: 'ok', version: '0.1.0', node: 'v24.0.0', startedAt: '2026-11-25T10:00:00.000Z', uptimeSeconds: 3_600,
  parts: { store: { ok: true, latencyMs: 1.2 }, blobs: { ok: true, latencyMs: 3 }, temporal: { ok: true }, workers: { ok: true } },
  jobs: { ok: true, states: { queued: 12, running: 3, completed: 1204 }, tenants: [{ tenant: 'acme', states: { queued: 12, running: 3 } }, { tenant: 'idle', states: { completed: 1204 } }] },
  queue: { ok: true, length: 12, oldestSeconds: 200 }, workers: { ok: true, items: [worker(1), worker(2, { state: 'lost' })] },
  taskQueues: { ok: true, items: ['sheaf-jobs', 'sheaf-rows', 'sheaf-maintenance'].map((queue) => ({ queue, tasks: 'activities' as const, backlog: 2_000, oldestSeconds: 61, addedPerSecond: 1.25, takenPerSecond: 0.5, pollers: 2 })) },
  limits: { ok: true, items: [{ name: 'openai', used: 250, most: 300, waiting: 4, backOffSeconds: null }] },
  throughput: { ok: true, runningJobs: 3, rowsPerMinute: 12_345.6, lastHour: { jobs: 7, failedJobs: 1, rows: 900, failedRows: 9, errorRate: 0.01, p95Seconds: 75 } },
  ...more,
});

const terminal = (columns?: number) => {
  const out: Output = Object.assign(new Writable({ write: (_chunk, _encoding, done) => done() }), columns === undefined ? {} : { isTTY: true, columns });
  return { ...openTerminal(false, out, out), paint: (_style: unknown, text: string) => text };
};
const lines = (of: SystemAnswer, columns?: number, height: number | null = null): string[] => statusLines(of, 'http://localhost:8088', terminal(columns), height);

describe('the status', () => {
  test('says who waits, who works, what is behind', () => {
    const text = lines(status()).join('\n');
    for (const part of [
      'queued 12  running 3  completed 1,204', '12 waiting, the first for 3 min 20 s', '12,346 rows/min by 3 running jobs', '7 jobs ended, 1 failed, 900 rows, 1.0 % failed, 95 % within 1 min 15 s',
      'a-host-with-a-long-name-1.example.org:1001  running', 'LOST', 'rows 3/40 jobs 0/40', 'openai 250/300 (4 wait)', '150/200 %', '2,000', 'store ok 1.2 ms',
    ]) expect(text).toContain(part);
    expect(text).not.toContain('idle');
    expect(lines(status({ workers: { ok: true, items: [worker(1, { throttled: true })] } })).join('\n')).toContain('throttled');
  });

  test('fits a terminal of 80 by 24, however much there is to say', () => {
    const many = status({
      jobs: { ok: true, states: Object.fromEntries(['queued', 'running', 'waiting', 'paused', 'completed', 'failed', 'cancelled'].map((state) => [state, 100_000])), tenants: Array.from({ length: 100 }, (_, index) => ({ tenant: `tenant-${index}-with-a-name-that-is-as-long-as-names-may-be`, states: { queued: 100_000, running: 100_000, waiting: 100_000, paused: 100_000, completed: 1_000_000 } })) },
      workers: { ok: true, items: Array.from({ length: 50 }, (_, index) => worker(index)) },
    });
    for (const [columns, rows] of [[80, 24], [200, 50], [40, 15]] as const) {
      const shown = lines(many, columns, rows - 1);
      expect(shown.length).toBeLessThanOrEqual(rows - 1);
      for (const line of shown) expect(stringWidth(line)).toBeLessThan(columns);
    }
    const shown = lines(many, 80, 23).join('\n');
    expect(shown).toMatch(/and \d+ more tenants/);
    expect(shown).toMatch(/and \d+ more workers/);
    expect(shown).toContain('sheaf-maintenance');
  });

  test('says of each part that cannot be had why, and shows the others', () => {
    const away = { ok: false as const, message: 'no answer within 2 s' };
    const text = lines(status({ status: 'degraded', taskQueues: away, workers: away, throughput: away })).join('\n');
    expect(text.match(/unknown: no answer within 2 s/g)).toHaveLength(4);
    expect(text).toContain('12 waiting');
    expect(lines(status({ workers: { ok: true, items: [] } })).join('\n')).toContain('none has been heard of');
  });
});

describe('plots', () => {
  test('show nothing as nothing, the highest as full, and what is more than nothing', () => {
    expect(sparkline([0, 1, 4, 8], 10)).toBe(' ▂▅█');
    expect(sparkline(Array.from({ length: 120 }, () => 1), 60)).toBe('█'.repeat(60));
    expect(sparkline([0, 0], 10)).toBe('  ');
    expect([bar(0, 10, 4), bar(10, 10, 4), bar(5, 10, 4), bar(0.001, 10, 4)]).toEqual(['', '████', '██', '▏']);
  });
});
