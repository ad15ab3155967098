/** Activities by the task queue that serves them. */
import type { Client } from '@temporalio/client';
import type { DocumentActivities, JobActivities, MaintenanceActivities, RowActivities } from '../contracts/messages.ts';
import { createDocuments } from '../temporal/documents.ts';
import { createJobs } from '../temporal/jobs.ts';
import type { Queue } from '../temporal/queue.ts';
import type { ActivityDeps } from './deps.ts';
import { bulkActivities } from './documents-bulk.ts';
import { documentActivities } from './documents.ts';
import { jobActivities } from './jobs.ts';
import { maintenanceActivities } from './maintenance.ts';
import { preparedHandlers } from './prepared-handlers.ts';
import { rowActivities } from './rows.ts';
import { snapshotActivities } from './snapshot.ts';
import { uploadActivities } from './uploads.ts';
import { storesActivities } from './stores.ts';

export interface Activities {
  jobs: JobActivities;
  rows: RowActivities;
  documents: DocumentActivities;
  maintenance: MaintenanceActivities;
  /** Ends what was kept between activities. */
  close(): Promise<void>;
}

export function createActivities(deps: ActivityDeps, client: Client, queue: Queue): Activities {
  const handlers = preparedHandlers(deps);
  const documents = createDocuments({ ...deps, client, jobs: createJobs(deps.store, client) });
  return {
    jobs: jobActivities(deps, handlers, queue),
    rows: { ...snapshotActivities(deps, handlers), ...rowActivities(deps, handlers), ...storesActivities(deps) },
    documents: documentActivities(deps),
    maintenance: { ...maintenanceActivities(deps, client, queue), ...uploadActivities(deps), ...bulkActivities({ store: deps.store, documents }) },
    close: () => handlers.closeAll(),
  };
}
