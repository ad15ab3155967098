/** Starting a cleanup by hand; the schedule starts it by itself. */
import type { Client } from '@temporalio/client';
import { ulid } from 'ulid';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES, WORKFLOWS } from '../contracts/messages.ts';
import type { CleanUpInput } from '../contracts/maintenance-messages.ts';
import type { CleanupReport } from '../contracts/system.ts';
import type { Store } from '../store/store.ts';
import { isUnavailable } from './reached.ts';
import { cleanUpWorkflowId } from './workflow-ids.ts';

const PATIENCE_MS = 5_000;

/** Answers the report as it is at the start. Rejects with `temporal_unavailable`. */
export function cleanupStarter(store: Store, client: Client): (dryRun: boolean) => Promise<CleanupReport> {
  return async (dryRun) => {
    const id = `cleanup_${ulid().toLowerCase()}`;
    const input: CleanUpInput = { id, dryRun };
    try {
      await client.withDeadline(Date.now() + PATIENCE_MS, () => client.workflow.start(WORKFLOWS.cleanUp, {
        workflowId: cleanUpWorkflowId(id), taskQueue: TASK_QUEUES.jobs, args: [input], staticSummary: dryRun ? 'dry run' : 'cleanup',
      }));
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      throw new SheafError('temporal_unavailable', 'Temporal cannot be reached, so no cleanup was started.', { remedy: 'Try again when it is back; `sheaf system check` tells.', cause: error });
    }
    const now = new Date().toISOString();
    const queued: CleanupReport = {
      id, dryRun, state: 'queued', startedAt: now, updatedAt: now, endedAt: null, before: { outputs: null, events: null, jobs: null, batches: null, summaries: null, answers: null, web_pages: null },
      step: 0, position: null, gone: [],
    };
    await store.writeCleanup(queued); // stays as it is where a worker was faster
    return (await store.getCleanup(id)) ?? queued;
  };
}
