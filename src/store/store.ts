/**
 * The port to the store, as the sum of one port a subject (`ports/`). Every method takes the tenant and sees nothing of
 * any other, unless it says so. Every write is idempotent by its key and may be repeated after a crash. Methods reject with
 * `store_unavailable` when the store cannot be reached.
 */
import type { AnswerStore } from './ports/answers.ts';
import type { BudgetStore } from './ports/budgets.ts';
import type { CleanupStore } from './ports/cleanup.ts';
import type { DeliveryStore } from './ports/deliveries.ts';
import type { DocumentStore } from './ports/documents.ts';
import type { FigureStore } from './ports/figures.ts';
import type { IntentStore } from './ports/intents.ts';
import type { JobStore } from './ports/jobs.ts';
import type { PageStore } from './ports/pages.ts';
import type { PlanStore } from './ports/plans.ts';
import type { QueueStore } from './ports/queue.ts';
import type { RowStore } from './ports/rows.ts';
import type { SearchStore } from './ports/search.ts';
import type { SourceStore } from './ports/sources.ts';
import type { UploadStore } from './ports/uploads.ts';
import type { WorkerStore } from './ports/workers.ts';

export interface Store extends
  JobStore, QueueStore, RowStore, SearchStore, PageStore, PlanStore, FigureStore, DocumentStore,
  UploadStore, SourceStore, IntentStore, AnswerStore, BudgetStore, DeliveryStore, WorkerStore, CleanupStore {
  /** All that have a job, a document or a source, in the order of their names. */
  tenants(): Promise<string[]>;
  /** Resolves when the store can be read and written. */
  check(): Promise<void>;
  close(): Promise<void>;
}
