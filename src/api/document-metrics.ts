/** How documents fare: counted over the records of the newest. */
import type { z } from 'zod';
import type { processingMetricsAnswer } from '../contracts/documents-bulk-api.ts';
import type { DocumentRecord, DocumentStage } from '../contracts/document.ts';
import type { Store } from '../store/store.ts';
import { statusOf } from './document-answer.ts';

type Metrics = z.output<typeof processingMetricsAnswer>;

const PERIOD_MS = 24 * 3_600_000;
const HOUR_MS = 3_600_000;
/** Documents that are looked at. */
const MOST = 5_000;
const AT_ONCE = 200;

class Average {
  #sum = 0;
  count = 0;

  add(value: number): void {
    this.#sum += value;
    this.count += 1;
  }

  get seconds(): number | null {
    return this.count === 0 ? null : Math.round(this.#sum / this.count) / 1_000;
  }
}

/** Of the documents that were accepted in the last day. */
export async function processingMetrics(store: Store, tenant: string, now: number): Promise<Metrics> {
  const since = new Date(now - PERIOD_MS).toISOString();
  const counts = { queued: 0, processing: 0, ready: 0, failed: 0 };
  const errors = new Map<string, number>();
  const stages = new Map<DocumentStage, Average>();
  const types = new Map<string, { documents: number; time: Average }>();
  const total = new Average();
  let [seen, endedLately] = [0, 0];

  const count = (document: DocumentRecord): void => {
    const { status } = statusOf(document.state);
    counts[document.state === 'queued' ? 'queued' : status] += 1;
    if (document.error !== null) errors.set(document.error.code, (errors.get(document.error.code) ?? 0) + 1);
    for (const [stage, { milliseconds }] of Object.entries(document.stages)) entryOf(stages, stage as DocumentStage, () => new Average()).add(milliseconds);
    const type = entryOf(types, document.type ?? 'unknown', () => ({ documents: 0, time: new Average() }));
    type.documents += 1;
    if (document.completedAt === null || status === 'processing') return;
    if (now - Date.parse(document.completedAt) < HOUR_MS) endedLately += 1;
    if (document.startedAt === null) return;
    const took = Date.parse(document.completedAt) - Date.parse(document.startedAt);
    total.add(took);
    type.time.add(took);
  };

  let cursor: string | null | undefined;
  for (; cursor !== null && seen < MOST;) {
    const page: Awaited<ReturnType<Store['listDocuments']>> = await store.listDocuments(tenant, { since }, { limit: AT_ONCE, ...(cursor !== undefined && { cursor }) });
    page.items.forEach(count);
    seen += page.items.length;
    cursor = page.nextCursor;
  }
  const ended = counts.ready + counts.failed;
  return {
    since,
    documents: { total: seen, ...counts },
    completion_rate: ended === 0 ? null : counts.ready / ended,
    error_rate: ended === 0 ? null : counts.failed / ended,
    errors: [...errors].map(([code, documents]) => ({ code, documents })).sort((left, right) => right.documents - left.documents),
    queue_length: counts.queued,
    average_processing_seconds: total.seconds,
    throughput_per_minute: Math.round((endedLately / 60) * 1_000) / 1_000,
    stages: Object.fromEntries([...stages].map(([stage, { count: documents, seconds }]) => [stage, { documents, average_seconds: seconds ?? 0 }])),
    types: Object.fromEntries([...types].map(([type, { documents, time }]) => [type, { documents, average_seconds: time.seconds }])),
    sampled: cursor !== null,
  };
}

function entryOf<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}
