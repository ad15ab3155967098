/** The worker process: workflows, activities by task queue, and the reconciler. Drains before it ends. */
import os from 'node:os';
import { setFlagsFromString } from 'node:v8';
import packageJson from '../package.json' with { type: 'json' };
import { DefaultLogger, NativeConnection, Runtime, Worker, type WorkerOptions } from '@temporalio/worker';
import { scratchFolder, sweepDocumentFolders } from './activities/document-folder.ts';
import { activityErrors } from './activities/errors.ts';
import { createActivities } from './activities/index.ts';
import { queueLimits, readConfig } from './config.ts';
import { createContainer, documentDeps, documentLimits, languageModelsOf, openServices, openWeb, openWebPages, publicUrl, temporalAddress, type Container } from './container.ts';
import { SheafError } from './contracts/errors.ts';
import { TASK_QUEUES } from './contracts/messages.ts';
import { openReader } from './documents/reader.ts';
import { readMonthlyBudgets } from './limits/monthly-budgets.ts';
import { bundleWorkflows } from './temporal/bundle.ts';
import { claimChecker, SETTLED_MS } from './temporal/claim.ts';
import { createQueue } from './temporal/queue.ts';
import { startReconciler } from './temporal/reconciler.ts';
import { keepSchedules } from './temporal/schedules.ts';
import { startWorkerBeats } from './temporal/worker-beats.ts';
import { readTenantWebhooks } from './webhooks.ts';
import { ITEM_SLOTS, ROW_SLOTS, rowTuner, watchLoad } from './temporal/worker-load.ts';

/** Documents at once: reading them takes a processor each. */
const DOCUMENT_SLOTS = os.availableParallelism();
const RECORD_SLOTS = 40;
const MAINTENANCE_SLOTS = 4;
const WEBHOOK_SLOTS = 20;
/** Cached workflows; each costs some memory. */
const CACHED_WORKFLOWS = 200;
/** A pause or cancel travels with a heartbeat's answer; the SDK would hold heartbeats back for longer. */
const HEARTBEAT_THROTTLE = '500ms';
/** Rows in flight drain for at most their job's `drainSeconds`; whatever is left then is abandoned. */
const FORCE_STOP = '90s';

// V8 must not guess what lives long and put it into old memory at once: arrays of cells, which a parser makes a million times, looked so, and kept all
// cells in them alive until the next collection of everything (docs/adr/0005-small-processes.md). NODE_OPTIONS may not say it.
setFlagsFromString('--no-allocation-site-pretenuring');
// While V8 marks what lives, it may still collect what has just been made: else a tenth of a second's rows, 20 MB and more, go into old memory each time.
setFlagsFromString('--no-separate-gc-phases');
// What was said of the young generation (WORKER_NODE_FLAGS) is for rows. Threads begin small and stay so: each has a young generation of its own, and a large sheet's peak is while one cuts its pages.
setFlagsFromString('--min-semi-space-size=0');
setFlagsFromString('--max-semi-space-size=2');

const container = await createContainer(readConfig(), 'worker');
const { config, log } = container;

Runtime.install({
  // stop() below drains by itself, also on Windows and when the parent process is gone.
  shutdownSignals: [],
  logger: new DefaultLogger('WARN', ({ level, message, meta }) => {
    log[level === 'ERROR' ? 'error' : 'warn'](meta && Object.keys(meta).length > 0 ? { meta } : {}, message);
  }),
});

const connection = await connect(container);
await keepSchedules({ client: container.temporal, log, storage: container.storage }).catch(refusedNamespace);
const { limits, google } = openServices(container);
const web = openWeb(config);
const queue = createQueue({ store: container.store, client: container.temporal, limits: queueLimits(config), log });
await sweepDocumentFolders();
const pages = openWebPages(container, { limits, web, folder: await scratchFolder() });
const reader = openReader({ concurrency: DOCUMENT_SLOTS, limits: documentLimits(config) });
const activities = createActivities({
  store: container.store, blobs: container.blobs, limits, limitRules: container.limitRules, log,
  sheetLimits: container.sheetLimits, inputDirs: config.SHEAF_INPUT_DIRS, google, handlerDirs: config.SHEAF_HANDLER_DIRS, web, pages, webhooks: readTenantWebhooks(config.SHEAF_WEBHOOKS),
  keep: { jobs: config.SHEAF_KEEP_JOBS ?? null, events: config.SHEAF_KEEP_EVENTS ?? null, outputs: config.SHEAF_KEEP_OUTPUTS ?? null, summaries: config.SHEAF_KEEP_SUMMARIES ?? null, answers: config.SHEAF_KEEP_ANSWERS ?? null, web_pages: config.SHEAF_KEEP_WEB_PAGES ?? null },
  publicUrl: publicUrl(config), secrets: container.secrets, documents: documentDeps(config, reader), languageModels: languageModelsOf(config, container.limitRules),
  monthlyBudgets: readMonthlyBudgets(config.SHEAF_MONTHLY_BUDGETS),
}, container.temporal, queue);

const shared: Omit<WorkerOptions, 'taskQueue'> = {
  connection, namespace: config.SHEAF_TEMPORAL_NAMESPACE,
  interceptors: { activity: [activityErrors(log)] },
  maxHeartbeatThrottleInterval: HEARTBEAT_THROTTLE, defaultHeartbeatThrottleInterval: HEARTBEAT_THROTTLE,
  shutdownGraceTime: 0, shutdownForceTime: FORCE_STOP,
};
const loadTargets = { cpu: config.SHEAF_WORKER_TARGET_CPU, memory: config.SHEAF_WORKER_TARGET_MEMORY };
const rows = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.rows, activities: { ...activities.rows }, tuner: rowTuner(loadTargets, ROW_SLOTS) });
const items = await Worker.create({ ...shared, taskQueue: TASK_QUEUES.items, activities: { ...activities.items }, tuner: rowTuner(loadTargets, ITEM_SLOTS) });
const [jobs, documents, maintenance, webhooks] = await Promise.all([
  Worker.create({
    ...shared, taskQueue: TASK_QUEUES.jobs, workflowBundle: { codePath: config.SHEAF_WORKFLOW_BUNDLE ?? (await bundleWorkflows()) }, maxCachedWorkflows: CACHED_WORKFLOWS,
    activities: { ...activities.jobs }, maxConcurrentActivityTaskExecutions: RECORD_SLOTS,
  }),
  Worker.create({ ...shared, taskQueue: TASK_QUEUES.documents, activities: { ...activities.documents }, maxConcurrentActivityTaskExecutions: DOCUMENT_SLOTS }),
  Worker.create({ ...shared, taskQueue: TASK_QUEUES.maintenance, activities: { ...activities.maintenance }, maxConcurrentActivityTaskExecutions: MAINTENANCE_SLOTS }),
  Worker.create({ ...shared, taskQueue: TASK_QUEUES.webhooks, activities: { ...activities.webhooks }, maxConcurrentActivityTaskExecutions: WEBHOOK_SLOTS }),
]);
const workers = [jobs, rows, items, documents, maintenance, webhooks];
const reconciler = startReconciler({ store: container.store, client: container.temporal, queue, log });

const load = watchLoad({ targets: loadTargets, pages: () => rows.getStatus().numInFlightActivities, log });
const beats = startWorkerBeats({
  store: container.store, log, throttled: load.throttled,
  versions: { sheaf: packageJson.version, node: process.version, temporal: packageJson.dependencies['@temporalio/worker'] },
  workers: [
    { worker: rows, queue: TASK_QUEUES.rows, slots: ROW_SLOTS.most },
    { worker: items, queue: TASK_QUEUES.items, slots: ITEM_SLOTS.most },
    { worker: jobs, queue: TASK_QUEUES.jobs, slots: RECORD_SLOTS },
    { worker: documents, queue: TASK_QUEUES.documents, slots: DOCUMENT_SLOTS },
    { worker: maintenance, queue: TASK_QUEUES.maintenance, slots: MAINTENANCE_SLOTS },
    { worker: webhooks, queue: TASK_QUEUES.webhooks, slots: WEBHOOK_SLOTS },
  ],
});

const claimed = claimChecker(container.temporal, container.storage);
setTimeout(() => void claimed().catch(refusedNamespace), SETTLED_MS).unref();

let stopping = false;
function stop(why: string): void {
  if (stopping) return;
  stopping = true;
  log.info({ why }, 'worker stops: rows in flight are let finish');
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal));
process.on('disconnect', () => stop('the parent process is gone'));
process.on('message', (message) => {
  if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'stop') stop('asked to');
});
// User code runs in threads of its own; what still surfaces here is ours, and is no reason to drop everybody's rows.
process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'));

const running = Promise.all(workers.map((worker) => worker.run()));
log.info({ temporal: temporalAddress(config) }, 'worker runs');
process.send?.({ type: 'ready' });
try {
  await running;
} finally {
  stop('a worker ended');
  load.stop();
  await reconciler.stop();
  await beats.stop();
  await activities.close();
  await limits.close();
  await pages.close();
  await web.close();
  await reader.close();
  await connection.close();
  await container.close();
}
process.exit(0);

/** Temporal may come up after the worker does. */
async function connect({ config, log }: Container): Promise<NativeConnection> {
  for (let tries = 0; ; tries++) {
    try {
      return await NativeConnection.connect({ address: temporalAddress(config) });
    } catch (error) {
      if (tries % 20 === 0) log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'waiting for Temporal');
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

function refusedNamespace(error: unknown): never {
  log.fatal(error instanceof SheafError ? { remedy: error.remedy } : { err: error }, error instanceof Error ? error.message : String(error));
  process.exit(1);
}
