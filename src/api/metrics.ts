/** What Prometheus may scrape: requests, open jobs, and the process itself. */
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { ENDED_STATES, JOB_STATES } from '../contracts/job.ts';
import type { Store } from '../store/store.ts';

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
  new Gauge({
    name: 'sheaf_open_jobs',
    help: 'Jobs that have not ended, of all tenants, by state',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      for (const [state, jobs] of await countOpenJobs(store)) this.set({ state }, jobs);
    },
  });
  return {
    observe: (method, route, status, seconds) => requests.observe({ method, route, status }, seconds),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

async function countOpenJobs(store: Store): Promise<Map<string, number>> {
  const ended: readonly string[] = ENDED_STATES;
  const counts = new Map<string, number>(JOB_STATES.filter((state) => !ended.includes(state)).map((state) => [state, 0]));
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<Store['openJobs']>> = await store.openJobs({ limit: 500, ...(cursor !== null && { cursor }) });
    for (const { state } of page.items) {
      const jobs = counts.get(state);
      if (jobs !== undefined) counts.set(state, jobs + 1); // an ended job that is being deleted is not open
    }
    cursor = page.nextCursor;
  } while (cursor !== null);
  return counts;
}
