/** What Prometheus may scrape: requests, jobs, queue, workers, and the process itself. */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { isEnded, JOB_STATES } from '../contracts/job.ts';
import type { Store } from '../store/store.ts';
import { inTime, queueSection, workersSection } from './system-status.ts';

export interface Metrics {
  observe(method: string, route: string, status: number, seconds: number): void;
  /** In Prometheus' text format. */
  text(): Promise<string>;
  contentType: string;
}

export function createMetrics(store: Store): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'sheaf_http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10, 60],
    registers: [registry],
  });
  const gauge = (name: string, help: string, labelNames: string[] = []) => new Gauge({ name, help, labelNames, registers: [registry] });
  const openJobs = gauge('sheaf_open_jobs', 'Jobs that have not ended, of all tenants, by state', ['state']);
  const endedJobs = gauge('sheaf_ended_jobs', 'Jobs that have ended and are kept, of all tenants, by state', ['state']);
  const queueLength = gauge('sheaf_queue_length', 'Jobs that wait to be admitted');
  const queueWait = gauge('sheaf_queue_oldest_wait_seconds', 'How long the first of them has waited');
  const workers = gauge('sheaf_workers', 'Worker processes, by whether they are heard of', ['state']);
  const slots = gauge('sheaf_worker_slots', 'Activities that run, and that may, in workers that are heard of', ['queue', 'slots']);
  const collected = gauge('sheaf_store_up', 'Whether the store answered for the figures above');

  const collect = async (): Promise<void> => {
    const found = await inTime(async () => ({ ok: true as const, figures: await Promise.all([store.countJobs(), queueSection(store), workersSection(store)]) }));
    // From here on at one go: two may ask at once.
    for (const one of [openJobs, endedJobs, queueLength, queueWait, workers, slots]) one.reset();
    collected.set(found.ok ? 1 : 0);
    if (!found.ok) return;
    const [counts, queue, { items }] = found.figures;
    for (const state of JOB_STATES) (isEnded(state) ? endedJobs : openJobs).set({ state }, 0);
    for (const { state, jobs } of counts) (isEnded(state) ? endedJobs : openJobs).inc({ state }, jobs);
    queueLength.set(queue.length);
    queueWait.set(queue.oldestSeconds ?? 0);
    for (const state of ['running', 'lost'] as const) workers.set({ state }, items.filter((worker) => worker.state === state).length);
    for (const worker of items.filter(({ state }) => state === 'running')) {
      for (const { queue: name, used, total } of worker.slots) {
        slots.inc({ queue: name, slots: 'used' }, used);
        slots.inc({ queue: name, slots: 'total' }, total);
      }
    }
  };

  return {
    observe: (method, route, status, seconds) => requests.observe({ method, route, status }, seconds),
    async text() {
      await collect();
      return registry.metrics();
    },
    contentType: registry.contentType,
  };
}
