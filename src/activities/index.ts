/** Activities by the task queue that serves them. */
import type { Client } from '@temporalio/client';
import type { DocumentActivities, JobActivities, MaintenanceActivities, RowActivities } from '../contracts/messages.ts';
import type { PlanActivities } from '../contracts/plans.ts';
import { createDocuments } from '../temporal/documents.ts';
import { createJobs } from '../temporal/jobs.ts';
import type { Queue } from '../temporal/queue.ts';
import type { ActivityDeps } from './deps.ts';
import { fileMaker } from './batch-files.ts';
import { batchActivities } from './batches.ts';
import { cleanupActivities } from './cleanup.ts';
import { bulkActivities } from './documents-bulk.ts';
import { documentActivities } from './documents.ts';
import { jobActivities } from './jobs.ts';
import { maintenanceActivities } from './maintenance.ts';
import { planActivities } from './plans.ts';
import { preparedHandlers } from './prepared-handlers.ts';
import { rowActivities } from './rows.ts';
import { snapshotActivities } from './snapshot.ts';
import { uploadActivities } from './uploads.ts';
import { storesActivities } from './stores.ts';

export interface Activities {
  jobs: JobActivities & Omit<PlanActivities, 'makeMembers' | 'applyToJobs'>;
  rows: RowActivities;
  documents: DocumentActivities;
  maintenance: MaintenanceActivities & Pick<PlanActivities, 'makeMembers' | 'applyToJobs'>;
  /** Ends what was kept between activities. */
  close(): Promise<void>;
}

export function createActivities(deps: ActivityDeps, client: Client, queue: Queue): Activities {
  const handlers = preparedHandlers(deps);
  const jobs = createJobs(deps.store, client);
  const documents = createDocuments({ ...deps, client, jobs });
  const { makeMembers, applyToJobs, ...bulk } = batchActivities(deps, jobs, fileMaker(deps, documents));
  return {
    jobs: { ...jobActivities(deps, handlers, client, queue), ...planActivities(deps, client, jobs), ...bulk },
    rows: { ...snapshotActivities(deps, handlers), ...rowActivities(deps, handlers), ...storesActivities(deps) },
    documents: documentActivities(deps),
    maintenance: {
      ...maintenanceActivities(deps, client, queue), ...uploadActivities(deps), ...bulkActivities({ store: deps.store, documents }),
      makeMembers, applyToJobs, ...cleanupActivities(deps, client, queue),
    },
    close: () => handlers.closeAll(),
  };
}
