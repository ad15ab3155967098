/** What the API needs of the rest of Sheaf, and what its endpoints work with. */
import type { Blobs } from '../blobs/blobs.ts';
import type { Config } from '../config.ts';
import type { SystemCheck } from '../contracts/system-api.ts';
import type { CleanupReport, TaskQueueStats } from '../contracts/system.ts';
import type { DeliveryRecord, WebhookEndpoint } from '../contracts/webhooks.ts';
import type { Log } from '../log.ts';
import type { Secrets } from '../secrets.ts';
import type { GoogleSheets } from '../sources/google-sheets.ts';
import type { SheetLimits } from '../sources/source.ts';
import type { Store } from '../store/store.ts';
import type { AnswerCalls } from '../temporal/answer-calls.ts';
import type { Batches } from '../temporal/batches.ts';
import type { BulkActions } from '../temporal/bulk.ts';
import type { Documents } from '../temporal/documents.ts';
import type { Forecaster } from '../temporal/forecasts.ts';
import type { Items } from '../temporal/items.ts';
import type { JobSchedules } from '../temporal/job-schedules.ts';
import type { Jobs } from '../temporal/jobs.ts';
import type { KnownLimit } from '../temporal/limit-brokers.ts';
import type { Sources } from '../temporal/sources.ts';
import type { Uploads } from '../uploads/uploads.ts';
import type { Metrics } from './metrics.ts';

export interface ApiDeps {
  config: Config;
  store: Store;
  blobs: Blobs;
  jobs: Jobs;
  items: Items;
  /** See `temporal/answer-calls.ts`. */
  answerCalls: AnswerCalls;
  secrets: Secrets;
  forecast: Forecaster;
  schedules: JobSchedules;
  batches: Batches;
  bulk: BulkActions;
  sources: Sources;
  documents: Documents;
  webhooks: {
    /** Throws `url_invalid`, `url_not_allowed`, `secret_unknown`; `field` is the endpoint's in the request. */
    check(tenant: string, endpoint: WebhookEndpoint, field: string): void;
    /** Rejects with `temporal_unavailable`. */
    redeliver(record: DeliveryRecord): Promise<void>;
  };
  /** Resolves when Temporal answers, with the number of workers that ask for jobs. */
  temporalHealth(): Promise<{ workers: number }>;
  /** Rejects when Temporal does not answer. */
  taskQueues(): Promise<TaskQueueStats[]>;
  /** Rejects with `temporal_unavailable`. */
  startCleanup(dryRun: boolean): Promise<CleanupReport>;
  /** Never rejects. Everything that the configuration stands on. */
  diagnose(): Promise<SystemCheck[]>;
  /** What the brokers of named limits say; those that nobody has used are among them where they are configured. Rejects with `temporal_unavailable`. */
  limits(): Promise<KnownLimit[]>;
  sheetLimits: SheetLimits;
  google: GoogleSheets;
  log: Log;
}

/** What endpoints work with. */
export interface ApiContext extends ApiDeps {
  metrics: Metrics;
  uploads: Uploads;
  startedAt: Date;
}
