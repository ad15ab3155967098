/**
 * A whole Sheaf in one process, as `worker.ts` puts it together: real Temporal, SQLite and files, jobs made as the API
 * makes them. The store can be told to refuse; workers and the reconciler can be taken away and come back.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker, type WorkerOptions } from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { activityErrors } from '../../src/activities/errors.ts';
import { createActivities } from '../../src/activities/index.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import type { Blobs } from '../../src/blobs/blobs.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { readResultFile } from '../../src/blobs/pages.ts';
import type { DocumentDeps } from '../../src/activities/deps.ts';
import { DEFAULT_DOCUMENT_OPTIONS, type DocumentRecord } from '../../src/contracts/document.ts';
import { SheafError } from '../../src/contracts/errors.ts';
import { isEnded, type JobRecord, type JobRequest, type JobTotals, type SheetJobRecord } from '../../src/contracts/job.ts';
import { TASK_QUEUES } from '../../src/contracts/messages.ts';
import type { QueueLimits } from '../../src/contracts/queue.ts';
import type { Retention } from '../../src/contracts/system.ts';
import type { RowResult } from '../../src/contracts/row.ts';
import { brokeredLimits } from '../../src/limits/brokered.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import type { NamedCredentials } from '../../src/sources/google/credentials.ts';
import { createGoogleSheets } from '../../src/sources/google-sheets.ts';
import { openSecrets, readNamedSecrets } from '../../src/secrets.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import type { NewJob } from '../../src/contracts/plans.ts';
import { createJobs, type Jobs } from '../../src/temporal/jobs.ts';
import { lease } from '../../src/temporal/limit-brokers.ts';
import type { DocumentReader } from '../../src/documents/document.ts';
import type { LanguageModels } from '../../src/models/language-model.ts';
import { languageModels } from '../../src/models/providers.ts';
import { searchTerms } from '../../src/domain/search-text.ts';
import { createDocuments, newDocumentIds, type Documents, type NewDocument } from '../../src/temporal/documents.ts';
import { createQueue } from '../../src/temporal/queue.ts';
import { startReconciler } from '../../src/temporal/reconciler.ts';
import { closeWorkflowId, deleteWorkflowId, webhookWorkflowId, jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { openPages } from '../../src/pages/pages.ts';
import { endpointsOf } from '../../src/webhooks.ts';
import { localWeb } from '../servers/local-web.ts';
import { NO_MODELS } from '../servers/model/models.ts';
import { realEnv } from '../servers/temporal.ts';
import { plainReader, type PlainReader } from './plain-reader.ts';
import { gateModule, openGate, type Gate } from './gate.ts';
import { historiesOf, replay } from './replay.ts';

export const TENANT = 'default';

type Asked = Partial<Omit<NewJob, 'request'>> & { request?: Partial<JobRequest> };

export interface Rig {
  env: TestWorkflowEnvironment;
  store: Store;
  blobs: Blobs;
  jobs: Jobs;
  documents: Documents;
  /** What reads documents, and what scans them: both a test's to change. */
  reader: PlainReader;
  scanner: { scan: DocumentDeps['scan']; mayGoUnscanned: boolean };
  /** What analysis asks, and how long a document may take. */
  asking: Pick<DocumentDeps, 'models' | 'limitMs'>;
  /** What rows are asked about; a test's to change. */
  speaking: { models: LanguageModels; monthly: { [tenant: string]: number } };
  gate: Gate;
  /** Where sheets and handler modules lie. */
  folder: string;
  /** Activities' calls of these methods of the store are refused with `store_unavailable`. */
  refuse: Set<keyof Store>;
  /** How long things are kept; a test may change it. */
  keep: Retention;
  /** The same of the blobs, with `blobs_unavailable`. */
  refuseBlobs: Set<keyof Blobs>;
  startWorkers(): Promise<void>;
  /** Drains them, as a worker that is stopped does. */
  stopWorkers(): Promise<void>;
  withReconciler<T>(work: () => Promise<T>): Promise<T>;
  /** A job on a CSV with the given text; handler `store` unless `request` says otherwise. The sheet's name makes the source. */
  create(sheet: string, csv: string, asked?: Asked): Promise<SheetJobRecord>;
  /** A job on a sheet wherever it is. */
  onSheet(request: Partial<JobRequest> & Pick<JobRequest, 'location' | 'fileName'>, asked?: Omit<Asked, 'request'>): Promise<SheetJobRecord>;
  /** What makes the rows of a job pass through the gate, one after the other unless more are asked for. */
  gated(concurrency?: number): Promise<Partial<JobRequest>>;
  /** A document of the given content. */
  upload(fileName: string, content: string | Buffer, asked?: Partial<NewDocument>): Promise<DocumentRecord>;
  document(id: string): Promise<DocumentRecord>;
  /** Resolves with the document's record when the condition holds for it. */
  whenDocument(id: string, condition: (document: DocumentRecord) => boolean): Promise<DocumentRecord>;
  /** Texts of the passages that search finds. */
  found(query: string): Promise<string[]>;
  job(id: string): Promise<JobRecord>;
  /** Resolves with the record when the condition holds for it. */
  when(id: string, condition: (job: JobRecord) => boolean): Promise<JobRecord>;
  ended(id: string): Promise<JobRecord>;
  totals(id: string): Promise<JobTotals>;
  /** Outcomes by row, from the page results; a row without one is not there. */
  outcomes(id: string): Promise<RowResult[]>;
  /** Types of the job's events, in order. */
  events(id: string): Promise<string[]>;
  /** Replays every workflow that the rig's jobs have started since the last time. */
  replayAll(): Promise<void>;
  close(): Promise<void>;
}

/** `name,n` and so many rows: a1, a2, … */
export const rowsOf = (count: number, prefix = 'a'): string =>
  `name,n\n${Array.from({ length: count }, (_, index) => `${prefix}${index + 1},${index + 1}`).join('\n')}\n`;

/** Looks again and again until there is an answer; the test's own time limit ends it. */
export async function eventually<T>(look: () => Promise<T | null | undefined | false>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Jobs are admitted at once unless a test says otherwise. */
export const NO_QUEUE: QueueLimits = { perTenant: 1_000, all: 1_000, ageAfterMs: 900_000 };

export interface RigOptions {
  limits?: QueueLimits;
  env?: TestWorkflowEnvironment;
  now?: () => number;
  /** As SHEAF_LIMITS. */
  namedLimits?: string;
  /** Pages at once. */
  rowSlots?: number;
  realReader?: DocumentReader;
  /** As SHEAF_SECRETS; the variable RIG_SECRET is there. */
  secrets?: string;
  /** Default: files. */
  blobs?: Blobs;
  /** Where Google is, and who asks there. */
  google?: { url: string; credentials: NamedCredentials };
}

export async function openRig({ limits = NO_QUEUE, env: given, now, namedLimits, rowSlots = 100, realReader, google, secrets, blobs: givenBlobs }: RigOptions = {}): Promise<Rig> {
  const env = given ?? (await realEnv());
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-workflows-'));
  await mkdir(path.join(folder, 'sheets'));
  const gate = await openGate();
  const module = await gateModule(folder);
  const store = await openSqliteStore({ folder: path.join(folder, 'store') });
  const blobs = givenBlobs ?? (await openFilesystemBlobs({ folder: path.join(folder, 'blobs') }));
  const log = pino({ level: 'silent' });
  const refuse = new Set<keyof Store>();
  const refuseBlobs = new Set<keyof Blobs>();
  const keep: Retention = { outputs: null, events: null, jobs: null, summaries: null, answers: null, web_pages: null };
  const jobs = createJobs(store, env.client);
  const named = brokeredLimits({ rules: readLimitRules(namedLimits), brokers: { lease: (key, request) => lease(env.client, key, request) } });
  const activitiesStore = refusing(store, refuse, () => new SheafError('store_unavailable', 'The store does not answer.'));
  const queueOf = (store: Store) => createQueue({ store, client: env.client, limits, log, ...(now && { now }) });
  const reader = plainReader();
  const web = localWeb();
  const scanner: Rig['scanner'] = { scan: null, mayGoUnscanned: false };
  const asking: Rig['asking'] = { models: null, limitMs: 3_600_000 };
  const speaking: Rig['speaking'] = { models: languageModels(NO_MODELS), monthly: {} };
  const activities = createActivities({
    store: activitiesStore,
    blobs: refusing(blobs, refuseBlobs, () => new SheafError('blobs_unavailable', 'The blobs do not answer.')), limits: named, limitRules: readLimitRules(namedLimits), log, google: createGoogleSheets({ credentials: new Map(), url: null, ...google, limits: named }), inputDirs: [folder], handlerDirs: [folder], web, webhooks: new Map(), keep, publicUrl: 'http://sheaf.test', secrets: openSecrets(readNamedSecrets(secrets), { RIG_SECRET: 'rig-secret' }),
    pages: openPages({ web, blobs, limits: named, reader: realReader ?? reader, folder, limitedHosts: [] }),
    sheetLimits: { maxRecordChars: 1_000_000, maxColumns: 1_000, maxInflatedBytes: 100_000_000 },
    get languageModels() { return speaking.models; }, monthlyBudgets: { of: (tenant) => speaking.monthly[tenant] ?? null },
    documents: { reader: realReader ?? reader, get models() { return asking.models; }, get limitMs() { return asking.limitMs; }, get scan() { return scanner.scan; }, get mayGoUnscanned() { return scanner.mayGoUnscanned; } },
  }, env.client, queueOf(activitiesStore));
  const documents = createDocuments({ store, blobs, client: env.client, jobs });
  let stopWorkers: (() => Promise<void>) | null = null;
  let made: { id: string }[] = [];

  const job = async (id: string): Promise<JobRecord> => {
    const found = await store.getJob(TENANT, id);
    if (!found) throw new Error(`There is no job ${id}.`);
    return found;
  };

  const rig: Rig = {
    env, store, blobs, jobs, documents, reader, scanner, asking, speaking, gate, folder, keep, refuse, refuseBlobs, job,

    async startWorkers() {
      if (stopWorkers) return;
      const shared: Omit<WorkerOptions, 'taskQueue'> = {
        connection: env.nativeConnection, namespace: env.namespace ?? 'default', interceptors: { activity: [activityErrors(log)] },
        maxHeartbeatThrottleInterval: '500ms', defaultHeartbeatThrottleInterval: '500ms', shutdownGraceTime: 0, shutdownForceTime: '30s',
      };
      const workers = await Promise.all([
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: await bundleWorkflows() }, activities: { ...activities.jobs } }),
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.rows, activities: { ...activities.rows }, maxConcurrentActivityTaskExecutions: rowSlots }),
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.items, activities: { ...activities.items } }),
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.documents, activities: { ...activities.documents } }),
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.webhooks, activities: { ...activities.webhooks } }),
        Worker.create({ ...shared, taskQueue: TASK_QUEUES.maintenance, activities: { ...activities.maintenance } }),
      ]);
      const running = Promise.all(workers.map((worker) => worker.run()));
      stopWorkers = async () => {
        for (const worker of workers) worker.shutdown();
        await running;
      };
    },

    async stopWorkers() {
      await stopWorkers?.();
      stopWorkers = null;
    },

    async withReconciler(work) {
      const reconciler = startReconciler({ store, client: env.client, queue: queueOf(store), log });
      try {
        return await work();
      } finally {
        await reconciler.stop();
      }
    },

    async create(sheet, csv, asked = {}) {
      const file = path.join(folder, 'sheets', `${sheet}.csv`);
      await writeFile(file, csv);
      return rig.onSheet({ location: { path: file }, fileName: `${sheet}.csv`, ...asked.request }, asked);
    },

    async onSheet(request, asked = {}) {
      const { job: created } = await jobs.create({
        tenant: TENANT, owner: 'tester', source: null, lane: null, priority: 'normal', tags: [], runAt: null, dependsOn: [], onFailure: 'cancel', ...asked,
        request: {
          handler: 'store', options: {}, keyColumns: [], onDuplicateKey: 'fail', force: false, concurrency: null, breaker: null, drainSeconds: 30, ...request,
        },
      });
      if (created.kind !== 'sheet') throw new Error('A sheet makes no document.');
      made.push(created);
      return created;
    },

    async upload(fileName, content, asked = {}) {
      const ids = newDocumentIds();
      const original = blobKeys.original(TENANT, ids.document, 'file');
      const file = Buffer.from(content);
      await blobs.put(original, file);
      const { document } = await documents.create({
        tenant: TENANT, owner: 'tester', ids, documentKey: null, fileName, contentType: null, declaredType: null, size: file.length,
        sha256: createHash('sha256').update(file).digest('hex'), original, options: { ...DEFAULT_DOCUMENT_OPTIONS }, password: null, priority: 'normal', tags: [], batch: null, ...asked,
      });
      made.push({ id: document.job });
      return document;
    },

    async document(id) {
      const found = await store.getDocument(TENANT, id);
      if (!found) throw new Error(`There is no document ${id}.`);
      return found;
    },

    whenDocument: (id, condition) => eventually(async () => {
      const found = await rig.document(id);
      return condition(found) && found;
    }),

    async found(query) {
      const { items } = await store.search(TENANT, { terms: searchTerms(query), filter: {} }, { limit: 100 });
      return items.flatMap((hit) => (hit.kind === 'passage' ? [hit.passage.text] : []));
    },

    gated: async (concurrency = 1) => ({ handler: 'module', options: { file: module, options: { url: gate.url } }, concurrency, keyColumns: ['name'] }),

    when: (id, condition) => eventually(async () => {
      const found = await job(id);
      return condition(found) && found;
    }),

    ended: (id) => rig.when(id, ({ state }) => isEnded(state)),

    totals: async (id) => store.jobTotals(TENANT, id, (await job(id)).attempt),

    async outcomes(id) {
      const { items } = await store.listPages(TENANT, id, { limit: 500 });
      const pages = await Promise.all(items.map(({ result }) => result === null ? null : readResultFile(blobs, result)));
      return pages.flatMap((page) => page?.rows ?? []);
    },

    events: async (id) => (await store.listEvents(TENANT, id, { limit: 500 })).items.map(({ type }) => type),

    async replayAll() {
      const jobsToReplay = made;
      made = [];
      for (const { id } of jobsToReplay) {
        const found = await store.getJob(TENANT, id);
        const attempts = found?.attempt ?? 1;
        const ids = [deleteWorkflowId(id), ...(found ? [...endpointsOf(found, new Map()).keys()].map((endpoint) => webhookWorkflowId(id, endpoint)) : [])];
        for (let attempt = 1; attempt <= attempts; attempt++) ids.push(jobWorkflowId(id, attempt), closeWorkflowId(id, attempt));
        const histories = await Promise.all(ids.map((workflowId) => historiesOf(env.client, workflowId)));
        await replay(histories.flat());
      }
    },

    async close() {
      gate.release();
      await rig.stopWorkers();
      await activities.close();
      await named.close();
      await web.close();
      await gate.close();
      await env.teardown();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return rig;
}

/** Every key of the blobs that a job owns. */
export async function blobsOf(rig: Rig, id: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of rig.blobs.list(blobKeys.jobFolder(TENANT, id))) keys.push(key);
  return keys;
}

function refusing<Port extends Store | Blobs>(port: Port, refused: ReadonlySet<keyof Port>, error: () => SheafError): Port {
  return new Proxy(port, {
    get: (target, name) => refused.has(name as keyof Port) ? () => Promise.reject(error()) : target[name as keyof Port],
  });
}

/** The rig of a file that needs no other: opened with its workers before the tests, replayed after each, closed at the end. */
export function usualRig(opened: (rig: Rig) => void): void {
  let rig: Rig;
  beforeAll(async () => {
    rig = await openRig();
    opened(rig);
    await rig.startWorkers();
  });
  afterEach(async () => {
    rig.gate.reset();
    await rig.replayAll();
  });
  afterAll(() => rig.close());
}
