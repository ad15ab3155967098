/** Activities by the task queue that serves them. */
import type { Client } from '@temporalio/client';
import type { ForecastActivities } from '../contracts/forecast.ts';
import type { FanOutActivities, ItemActivities } from '../contracts/items.ts';
import type { JobActivities } from '../contracts/messages.ts';
import type { MaintenanceActivities } from '../contracts/maintenance-messages.ts';
import type { DocumentActivities } from '../contracts/document-messages.ts';
import type { RowActivities } from '../contracts/sheet-messages.ts';
import type { PlanActivities } from '../contracts/plans.ts';
import type { SourceActivities, SourceMaintenance } from '../contracts/source.ts';
import { createDocuments } from '../temporal/documents.ts';
import { createJobs } from '../temporal/jobs.ts';
import type { Queue } from '../temporal/queue.ts';
import type { ActivityDeps } from './deps.ts';
import { answerActivities } from './answers.ts';
import { fileMaker } from './batch-files.ts';
import { batchActivities } from './batches.ts';
import { cleanupActivities } from './cleanup.ts';
import { bulkActivities } from './documents-bulk.ts';
import { documentActivities } from './documents.ts';
import { fanOutActivities } from './fan-out.ts';
import { forecastActivities } from './forecast.ts';
import { itemActivities } from './items.ts';
import { jobActivities } from './jobs.ts';
import { maintenanceActivities } from './maintenance.ts';
import { planActivities } from './plans.ts';
import { preparedHandlers } from './prepared-handlers.ts';
import { purses } from './purse.ts';
import { rowActivities } from './rows.ts';
import { snapshotActivities } from './snapshot.ts';
import { sourceMaintenance } from './sources.ts';
import { uploadActivities } from './uploads.ts';
import { storesActivities } from './stores.ts';
import { versionActivities } from './versions.ts';
import type { WebhookActivities } from '../contracts/webhooks.ts';
import { webhookActivities } from './webhooks.ts';
import { writeBackActivities } from './write-back.ts';

export interface Activities {
  jobs: JobActivities & Omit<PlanActivities, 'makeMembers' | 'applyToJobs'>;
  rows: RowActivities & FanOutActivities & SourceActivities & ForecastActivities;
  items: ItemActivities;
  documents: DocumentActivities;
  maintenance: MaintenanceActivities & SourceMaintenance & Pick<PlanActivities, 'makeMembers' | 'applyToJobs'>;
  webhooks: WebhookActivities;
  /** Ends what was kept between activities. */
  close(): Promise<void>;
}

export function createActivities(deps: ActivityDeps, client: Client, queue: Queue): Activities {
  const paying = purses(deps.store, deps.monthlyBudgets);
  const handlers = preparedHandlers(deps, paying);
  const jobs = createJobs(deps.store, client);
  const documents = createDocuments({ ...deps, client, jobs });
  const { makeMembers, applyToJobs, ...bulk } = batchActivities(deps, jobs, fileMaker(deps, documents));
  return {
    jobs: { ...jobActivities(deps, handlers, client, queue), ...planActivities(deps, client, jobs), ...bulk },
    rows: {
      ...snapshotActivities(deps, handlers), ...rowActivities(deps, handlers, paying), ...answerActivities(deps, handlers), ...fanOutActivities(deps, handlers, client), ...writeBackActivities(deps),
      ...storesActivities(deps), ...versionActivities(deps), ...forecastActivities(deps, handlers, paying),
    },
    items: itemActivities(deps, handlers, paying),
    documents: documentActivities(deps),
    maintenance: {
      ...maintenanceActivities(deps, client, queue), ...uploadActivities(deps), ...bulkActivities({ store: deps.store, documents }),
      makeMembers, applyToJobs, ...cleanupActivities(deps, client, queue), ...sourceMaintenance(deps, client, queue),
    },
    webhooks: webhookActivities(deps),
    async close() {
      await handlers.closeAll();
      await paying.close();
    },
  };
}
