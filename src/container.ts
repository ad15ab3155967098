/** Config → adapters: the one place that knows which adapter is which. Clients of stores that are not used are not loaded. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { DocumentDeps } from './activities/deps.ts';
import type { Blobs } from './blobs/blobs.ts';
import type { S3BlobsOptions } from './blobs/s3.ts';
import type { Config } from './config.ts';
import { SheafError } from './contracts/errors.ts';
import { brokeredLimits } from './limits/brokered.ts';
import type { Limits } from './limits/limits.ts';
import { readLimitRules, type LimitRules } from './limits/rules.ts';
import type { DocumentLimits, DocumentReader } from './documents/document.ts';
import { clamdAddress, scanFile } from './documents/scan.ts';
import { createLog, type Log } from './log.ts';
import { readNamedCredentials } from './sources/google/credentials.ts';
import { createGoogleSheets, type GoogleSheets } from './sources/google-sheets.ts';
import type { SheetLimits } from './sources/source.ts';
import type { LanguageModels } from './models/language-model.ts';
import type { Models } from './models/models.ts';
import { readPrices } from './models/prices.ts';
import { languageModels } from './models/providers.ts';
import { openSecrets, readNamedSecrets, type Secrets } from './secrets.ts';
import type { ElasticsearchOptions } from './store/elasticsearch.ts';
import type { Store } from './store/store.ts';
import { storageIdentity } from './storage-identity.ts';
import { claimChecker } from './temporal/claim.ts';
import { temporalClient } from './temporal/connection.ts';
import { createAnswerCalls, type AnswerCalls } from './temporal/answer-calls.ts';
import { createBatches, type Batches } from './temporal/batches.ts';
import { createBulkActions, type BulkActions } from './temporal/bulk.ts';
import { createJobSchedules, type JobSchedules } from './temporal/job-schedules.ts';
import { createDocuments, type Documents } from './temporal/documents.ts';
import { createForecaster, type Forecaster } from './temporal/forecasts.ts';
import { createItems, type Items } from './temporal/items.ts';
import { createJobs, type Jobs } from './temporal/jobs.ts';
import { createSources, type Sources } from './temporal/sources.ts';
import { lease } from './temporal/limit-brokers.ts';
import { openReader } from './documents/reader.ts';
import { openPages, type PagesOf } from './pages/pages.ts';
import type { Pages } from './pages/page.ts';
import { repeatDelivery } from './temporal/webhooks.ts';
import type { ApiDeps } from './api/context.ts';
import { checkedUrl } from './web/guard.ts';
import { readAllowedHosts } from './web/addresses.ts';
import { createWeb, type Web } from './web/web.ts';

export interface Container {
  config: Config;
  log: Log;
  store: Store;
  blobs: Blobs;
  temporal: Client;
  jobs: Jobs;
  items: Items;
  answerCalls: AnswerCalls;
  secrets: Secrets;
  /** See `storage-identity.ts`. */
  storage(): Promise<string>;
  forecast: Forecaster;
  schedules: JobSchedules;
  batches: Batches;
  bulk: BulkActions;
  sources: Sources;
  documents: Documents;
  sheetLimits: SheetLimits;
  limitRules: LimitRules;
  close(): Promise<void>;
}

export interface Services {
  limits: Limits & { close(): Promise<void> };
  google: GoogleSheets;
}

/** Of what may be read of a page of the web. */
const PAGE_LIMITS: Partial<DocumentLimits> = { timeMs: 20_000, memoryBytes: 768 * 2 ** 20, textChars: 1_000_000, inflatedBytes: 64 * 2 ** 20 };
/** Between two tries to open a store that is away. */
const OPEN_AGAIN_MS = 2_000;

/**
 * `name` is the process's in its log lines. A server that is away is waited for: a process may start before what it
 * stands on does. Rejects with what no waiting mends: `schema_too_new`, and `store_unavailable` or `blobs_unavailable` of a folder.
 */
export async function createContainer(config: Config, name: string): Promise<Container> {
  const log = createLog(config, name);
  const store = await patiently(config.SHEAF_STORE === 'elasticsearch', log, () => openStore(config));
  const blobs = await openBlobs(config);
  const temporal = temporalClient(temporalAddress(config), config.SHEAF_TEMPORAL_NAMESPACE);
  const storage = (): Promise<string> => storageIdentity(store, blobs);
  const jobs = createJobs(store, temporal.client, claimChecker(temporal.client, storage));
  return {
    config, log, store, blobs, temporal: temporal.client, storage, jobs, items: createItems(temporal.client, jobs), answerCalls: createAnswerCalls(store, temporal.client),
    secrets: openSecrets(readNamedSecrets(config.SHEAF_SECRETS)), forecast: createForecaster(blobs, temporal.client),
    documents: createDocuments({ store, blobs, client: temporal.client, jobs }), schedules: createJobSchedules(store, temporal.client),
    batches: createBatches(store, temporal.client), bulk: createBulkActions(store, temporal.client), sources: createSources(store, temporal.client, jobs),
    sheetLimits: {
      maxRecordChars: config.SHEAF_MAX_RECORD_CHARS, maxColumns: config.SHEAF_MAX_COLUMNS, maxInflatedBytes: config.SHEAF_MAX_INFLATED_BYTES,
    },
    limitRules: readLimitRules(config.SHEAF_LIMITS),
    async close() {
      await temporal.close();
      await store.close();
    },
  };
}

/** The limits of named services, shared by all processes, and Google Sheets under them. Closed by whoever opens them. */
export function openServices({ config, temporal, limitRules }: Pick<Container, 'config' | 'temporal' | 'limitRules'>): Services {
  const limits = brokeredLimits({ rules: limitRules, brokers: { lease: (key, request) => lease(temporal, key, request) } });
  const google = createGoogleSheets({ credentials: readNamedCredentials(config.SHEAF_CREDENTIALS), url: config.SHEAF_GOOGLE_URL ?? null, limits });
  return { limits, google };
}

export const temporalAddress = (config: Config): string => config.SHEAF_TEMPORAL_ADDRESS ?? `127.0.0.1:${config.SHEAF_TEMPORAL_PORT}`;

export const publicUrl = (config: Config): string => (config.SHEAF_PUBLIC_URL ?? `http://127.0.0.1:${config.SHEAF_API_PORT}`).replace(/\/+$/, '');

/** What the API does about webhooks. */
export function webhooksOf({ config, temporal, secrets }: Pick<Container, 'config' | 'temporal' | 'secrets'>): ApiDeps['webhooks'] {
  const allowed = readAllowedHosts(config.SHEAF_ALLOWED_HOSTS);
  const at = (field: string, look: () => unknown): void => {
    try {
      look();
    } catch (error) {
      if (!(error instanceof SheafError)) throw error;
      throw new SheafError(error.code, error.message, { ...(error.remedy !== undefined && { remedy: error.remedy }), place: { field } });
    }
  };
  return {
    check(tenant, { url, secret }, field) {
      at(`${field}.url`, () => checkedUrl(url, allowed));
      at(`${field}.secret`, () => secrets(secret, { tenant, host: null }));
    },
    redeliver: ({ tenant, job, endpoint, number }) => repeatDelivery(temporal, { tenant, jobId: job, endpoint }, number),
  };
}

/** Closed by whoever opens it. */
export const openWeb = (config: Config): Web => createWeb({ allowed: readAllowedHosts(config.SHEAF_ALLOWED_HOSTS) });

/** Web pages, read in processes of their own, so that books keep nobody waiting. Closed by whoever opens it; `folder`: on this machine's disk. */
export function openWebPages({ config, blobs, limitRules }: Pick<Container, 'config' | 'blobs' | 'limitRules'>, { limits, web, folder }: { limits: Limits; web: Web; folder: string }): { of(whose: PagesOf): Pages; close(): Promise<void> } {
  const reader = openReader({ limits: { ...documentLimits(config), ...PAGE_LIMITS }, textFollows: false });
  return { ...openPages({ web, blobs, limits, reader, folder, limitedHosts: limitRules.names }), close: () => reader.close() };
}

/** What a worker's activities read documents with. */
export function documentDeps(config: Config, reader: DocumentReader): DocumentDeps {
  const clamd = config.SHEAF_CLAMAV === undefined ? null : clamdAddress(config.SHEAF_CLAMAV);
  return {
    reader, scan: clamd && ((content, signal) => scanFile(clamd, content, signal)),
    models: modelsOf(config), mayGoUnscanned: config.SHEAF_UNSCANNED === 'allow', limitMs: config.SHEAF_DOCUMENT_MINUTES * 60_000,
  };
}

/** What rows are asked about: each provider's adapter is loaded by the first job that names one of its models. */
export function languageModelsOf(config: Config, limitRules: LimitRules): LanguageModels {
  return languageModels({
    prices: readPrices(config.SHEAF_MODEL_PRICES), limitNames: limitRules.names,
    openai: { apiKey: config.OPENAI_API_KEY, baseURL: config.OPENAI_BASE_URL },
    anthropic: { apiKey: config.ANTHROPIC_API_KEY, baseURL: config.ANTHROPIC_BASE_URL },
    google: { apiKey: config.GOOGLE_GENERATIVE_AI_API_KEY, baseURL: config.GOOGLE_GENERATIVE_AI_BASE_URL },
    'openai-compatible': { apiKey: config.SHEAF_MODEL_API_KEY, baseURL: config.SHEAF_MODEL_URL },
  });
}

/** The SDK is loaded by the first document that is analysed. */
function modelsOf({ SHEAF_MODEL_URL: url, SHEAF_MODEL_API_KEY: apiKey, SHEAF_MODEL: textModel, SHEAF_EMBEDDING_MODEL: embeddingModel }: Config): DocumentDeps['models'] {
  if (url === undefined || (textModel === undefined && embeddingModel === undefined)) return null;
  let models: Promise<Models> | null = null;
  return () => (models ??= import('./models/openai-compatible.ts').then(({ endpointModels }) => endpointModels({ url, apiKey, textModel, embeddingModel })));
}

/** What no document may pass; the rest is as the reader has it. */
export const documentLimits = (config: Config): Partial<DocumentLimits> => ({
  timeMs: config.SHEAF_DOCUMENT_STEP_MINUTES * 60_000, memoryBytes: config.SHEAF_DOCUMENT_MEMORY_BYTES,
  inflatedBytes: config.SHEAF_MAX_INFLATED_BYTES, pages: config.SHEAF_MAX_DOCUMENT_PAGES,
});

/** Rejects with `store_unavailable`, `schema_too_new`. */
export async function openStore(config: Config): Promise<Store> {
  if (config.SHEAF_STORE === 'sqlite') {
    const { openSqliteStore } = await import('./store/sqlite.ts');
    return openSqliteStore({ folder: path.join(config.SHEAF_HOME, 'store') });
  }
  const { openElasticsearchStore } = await import('./store/elasticsearch.ts');
  return openElasticsearchStore(elasticsearchOptions(config));
}

/** Rejects with `blobs_unavailable`. */
export async function openBlobs(config: Config): Promise<Blobs> {
  if (config.SHEAF_BLOBS === 'filesystem') {
    const { openFilesystemBlobs } = await import('./blobs/filesystem.ts');
    return openFilesystemBlobs({ folder: path.join(config.SHEAF_HOME, 'blobs') });
  }
  const { openS3Blobs } = await import('./blobs/s3.ts');
  return openS3Blobs(s3Options(config));
}

export const elasticsearchOptions = (config: Config): ElasticsearchOptions => ({
  prefix: config.SHEAF_ELASTICSEARCH_PREFIX,
  ...present({
    nodes: config.ELASTICSEARCH_URL, cloudId: config.ELASTICSEARCH_CLOUD_ID, apiKey: config.ELASTICSEARCH_API_KEY,
    username: config.ELASTICSEARCH_USERNAME, password: config.ELASTICSEARCH_PASSWORD, caFile: config.ELASTICSEARCH_CA_FILE,
  }),
});

export const s3Options = (config: Config): S3BlobsOptions => ({
  bucket: config.S3_BUCKET ?? '',
  ...present({
    endpoint: config.S3_ENDPOINT, region: config.S3_REGION, forcePathStyle: config.S3_FORCE_PATH_STYLE, prefix: config.S3_PREFIX,
    caFile: config.S3_CA_FILE, sse: config.S3_SSE, sseKmsKeyId: config.S3_SSE_KMS_KEY_ID,
  }),
});

const present = <T extends object>(settings: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } =>
  Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as { [Name in keyof T]?: Exclude<T[Name], undefined> };

async function patiently<T>(waits: boolean, log: Log, open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!waits || !(error instanceof SheafError) || !error.retryable) throw error;
      log.warn({ reason: error.message, remedy: error.remedy }, 'waiting for the store');
      await sleep(OPEN_AGAIN_MS);
    }
  }
}
