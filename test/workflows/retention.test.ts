/** Cleanup over weeks, in skipped time: what a configuration keeps is kept so long. And a cleanup of many steps. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cleanupActivities } from '../../src/activities/cleanup.ts';
import type { ActivityDeps } from '../../src/activities/deps.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { TASK_QUEUES, WORKFLOWS } from '../../src/contracts/messages.ts';
import type { CleanUpInput, MaintenanceActivities } from '../../src/contracts/maintenance-messages.ts';
import type { CleanupReport } from '../../src/contracts/system.ts';
import { openReader } from '../../src/documents/reader.ts';
import { localLimits } from '../../src/limits/local.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import { createGoogleSheets } from '../../src/sources/google-sheets.ts';
import { openSecrets } from '../../src/secrets.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { bundleWorkflows } from '../../src/temporal/bundle.ts';
import { createQueue } from '../../src/temporal/queue.ts';
import { aSummary } from '../conformance/store-figures.ts';
import { aJob } from '../conformance/store-samples.ts';
import { localWeb } from '../servers/local-web.ts';
import { timeSkippingEnv } from '../servers/temporal.ts';
import { historiesOf, replay } from './replay.ts';
import { languageModels } from '../../src/models/providers.ts';
import { NO_MODELS } from '../servers/model/models.ts';
import { eventually } from './rig.ts';

const DAY_MS = 86_400_000;
const STEPS = 600;

let env: TestWorkflowEnvironment;
let folder: string;
let store: Store;
let worker: Worker;
let maintenance: Worker;
let running: Promise<unknown>;
/** Steps that a cleanup of this id made, in the order in which they came; nothing is swept. */
const counted: number[] = [];
const COUNTING = 'cleanup_of_many_steps';

beforeAll(async () => {
  env = await timeSkippingEnv();
  folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-retention-'));
  store = await openSqliteStore({ folder: path.join(folder, 'store') });
  const log = pino({ level: 'silent' });
  const deps: ActivityDeps = {
    store, blobs: await openFilesystemBlobs({ folder: path.join(folder, 'blobs') }), limits: localLimits(), limitRules: readLimitRules(undefined), log, inputDirs: [], handlerDirs: [], web: localWeb(), webhooks: new Map(), pages: { of: () => ({ read: () => Promise.reject(new Error('Nothing is read here.')), foresee: () => Promise.reject(new Error('Nothing is read here.')) }) }, secrets: openSecrets(new Map()), publicUrl: 'http://sheaf.test',
    google: createGoogleSheets({ credentials: new Map(), url: null, limits: localLimits() }),
    sheetLimits: { maxRecordChars: 1, maxColumns: 1, maxInflatedBytes: 1 },
    documents: { reader: openReader({ concurrency: 1 }), scan: null, models: null, mayGoUnscanned: false, limitMs: DAY_MS },
    languageModels: languageModels(NO_MODELS), monthlyBudgets: { of: () => null },
    keep: { outputs: null, events: 10 * DAY_MS, jobs: 30 * DAY_MS, summaries: 60 * DAY_MS, answers: null, web_pages: null },
  };
  const real = cleanupActivities(deps, env.client, createQueue({ store, client: env.client, limits: { perTenant: 1, all: 1, ageAfterMs: DAY_MS }, log }));
  const activities: Pick<MaintenanceActivities, 'beginCleanup' | 'cleanUpStep'> = {
    beginCleanup: async (input) => (input.id === COUNTING ? true : real.beginCleanup(input)),
    async cleanUpStep(input) {
      if (input.id !== COUNTING) return real.cleanUpStep(input);
      counted.push(input.step);
      return counted.length < STEPS;
    },
  };
  const shared = { connection: env.nativeConnection, namespace: env.namespace ?? 'default' };
  worker = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: await bundleWorkflows() } });
  maintenance = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.maintenance, activities });
  running = Promise.all([worker.run(), maintenance.run()]);
});

afterAll(async () => {
  worker.shutdown();
  maintenance.shutdown();
  await running;
  await env.teardown();
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

async function cleanUp(id: string): Promise<CleanupReport | null> {
  const input: CleanUpInput = { id, dryRun: false };
  const handle = await env.client.workflow.start(WORKFLOWS.cleanUp, { workflowId: `test/${randomUUID()}`, taskQueue: TASK_QUEUES.jobs, args: [input] });
  // Asked, not waited for: the server skips to the end of time where a client waits for a result.
  const latest = env.client.workflow.getHandle(handle.workflowId);
  await eventually(async () => (await latest.describe()).status.name === 'COMPLETED');
  const histories = await historiesOf(env.client, handle.workflowId, handle.firstExecutionRunId);
  await replay(histories);
  for (const { history } of histories) expect(history.events?.length).toBeLessThan(2_000);
  return store.getCleanup(id);
}

test('each kind is kept as long as it is said, and a job that is paused for ever, for ever', async () => {
  const endedAt = new Date(await env.currentTimeMs()).toISOString();
  await store.createJob(aJob('ended', { state: 'completed', completedAt: endedAt }));
  await store.createJob(aJob('paused', { state: 'paused', createdAt: endedAt }));
  await store.createJob(aJob('needed', { state: 'completed', completedAt: endedAt }));
  await store.createJob(aJob('waits', { dependsOn: ['needed'] }));
  for (const job of ['ended', 'paused']) await store.appendEvent('acme', job, { at: endedAt, type: 'running', message: 'Started.', dedupe: '1' });
  await store.writeSummary(aSummary('ended', { endedAt }));

  const left = async (): Promise<unknown> => ({
    jobs: (await store.listJobs('acme', {}, { limit: 10 })).items.map(({ id }) => id).sort(),
    events: (await store.listEvents('acme', 'ended', { limit: 10 })).items.length,
    pausedEvents: (await store.listEvents('acme', 'paused', { limit: 10 })).items.length,
    summaries: (await store.analyse(null, { since: '2000-01-01T00:00:00.000Z', until: '2100-01-01T00:00:00.000Z' })).all.jobs,
  });
  const all = { jobs: ['ended', 'needed', 'paused', 'waits'], events: 1, pausedEvents: 1, summaries: 1 };
  await cleanUp('day0');
  expect(await left()).toEqual(all);
  await env.sleep('9 days');
  await cleanUp('day9');
  expect(await left()).toEqual(all);
  await env.sleep('2 days');
  await cleanUp('day11');
  expect(await left()).toEqual({ ...all, events: 0 });
  await env.sleep('20 days');
  const month = await cleanUp('day31');
  expect(month?.gone.map(({ kind, tenant, count }) => [kind, tenant, count])).toEqual([['jobs', 'acme', 1]]);
  expect(await left()).toEqual({ ...all, jobs: ['needed', 'paused', 'waits'], events: 0 });
  await env.sleep('30 days');
  await cleanUp('day61');
  expect(await left()).toEqual({ ...all, jobs: ['needed', 'paused', 'waits'], events: 0, summaries: 0 });
});

test('many steps go on in further runs, each made once', async () => {
  await cleanUp(COUNTING);
  expect(counted).toEqual(Array.from({ length: STEPS }, (_, index) => index + 2));
});
