/**
 * One namespace, one storage. A worker takes any job of its namespace, and one with another store would fail those of the others. So a schedule
 * that every worker keeps says in its memo what the namespace's jobs are kept in (`storage-identity.ts`), and a process that keeps
 * them elsewhere is refused.
 */
import { ScheduleNotFoundError, type Client } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import { temporalHealth } from './health.ts';
import { SWEEP_UPLOADS_ID } from './workflow-ids.ts';

export const memoOf = (storage: string) => ({ sheafStorage: storage });

/** Null: nobody's yet. Rejects when Temporal does not answer. */
async function ownerOf(client: Client): Promise<string | null> {
  try {
    const { memo } = await client.schedule.getHandle(SWEEP_UPLOADS_ID).describe();
    return typeof memo?.['sheafStorage'] === 'string' ? memo['sheafStorage'] : null;
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return null;
    throw error;
  }
}

/** Rejects with `namespace_taken` where the namespace is that of another storage; with the client's error when Temporal does not answer. */
export async function checkClaim(client: Client, storage: string): Promise<void> {
  const owner = await ownerOf(client);
  if (owner !== null && owner !== storage) throw taken(client, 'its jobs are kept elsewhere');
}

/**
 * For a worker, before it asks for work. Where the namespace was another's, of which no worker is left and no job runs, it is made
 * nobody's. Rejects as `checkClaim` does. Whoever has claimed checks again after `SETTLED_MS`.
 */
export async function claimNamespace(client: Client, storage: string): Promise<void> {
  const owner = await ownerOf(client);
  if (owner === null || owner === storage) return;
  const { workers } = await temporalHealth(client, client.options.namespace)();
  if (workers > 0) throw taken(client, 'workers with another store or other blobs asked for its jobs within the last minute');
  const { count } = await client.workflow.count(`TaskQueue = '${TASK_QUEUES.jobs}' AND ExecutionStatus = 'Running'`);
  if (count > 0) throw taken(client, `${count} of its jobs have not ended, and are kept elsewhere`);
  await client.schedule.getHandle(SWEEP_UPLOADS_ID).delete();
}

/** What an API waits for before it has a job started; Temporal may be away. */
const CHECK_MS = 2_000;
const TRUSTED_MS = { well: 60_000, unknown: 5_000 };

/** Longer than a claim takes: of two workers that came at once, the one that was second holds the namespace by then. */
export const SETTLED_MS = 15_000;

/** `checkClaim` for a process that asks often, and goes on where nobody answers: what is away is told by others. Rejects with `namespace_taken` alone. */
export function claimChecker(client: Client, storage: () => Promise<string>): () => Promise<void> {
  let trustedUntil = 0;
  return async () => {
    if (Date.now() < trustedUntil) return;
    try {
      await client.withDeadline(Date.now() + CHECK_MS, async () => checkClaim(client, await storage()));
      trustedUntil = Date.now() + TRUSTED_MS.well;
    } catch (error) {
      if (error instanceof SheafError && error.code === 'namespace_taken') throw error;
      trustedUntil = Date.now() + TRUSTED_MS.unknown;
    }
  };
}

function taken(client: Client, why: string): SheafError {
  return new SheafError('namespace_taken', `The Temporal namespace ${client.options.namespace} belongs to another installation: ${why}.`, {
    remedy: 'Set SHEAF_STORE and SHEAF_BLOBS, and where they are, as the others have them; or give this installation a SHEAF_TEMPORAL_NAMESPACE of its own. To move here, let the jobs end, stop the other workers, and wait a minute.',
  });
}
