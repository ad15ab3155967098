/** Actions on many jobs: the record first, then the workflow that carries it out. */
import type { Client } from '@temporalio/client';
import { ulid } from 'ulid';
import { SheafError } from '../contracts/errors.ts';
import { isEnded, type DesiredState, type JobRecord } from '../contracts/job.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import {
  NO_BULK_COUNTS, PLAN_WORKFLOWS,
  type BulkAction, type BulkOutcome, type BulkRecord, type BulkResult, type PlanRef,
} from '../contracts/plans.ts';
import type { Store } from '../store/store.ts';
import type { Controlled, Jobs } from './jobs.ts';
import { CALL_MS, reached } from './reached.ts';
import { bulkWorkflowId } from './workflow-ids.ts';

export type NewBulk = Pick<BulkRecord, 'tenant' | 'owner' | 'action' | 'filter' | 'priority' | 'retry' | 'dryRun' | 'batch' | 'after'>;

/** Writes the record: what is not started after it, the reconciler starts. Rejects with `idempotency_conflict`. */
export async function createBulk(
  store: Store, bulk: NewBulk, identity: { id: string; requestHash: string } = { id: ulid().toLowerCase(), requestHash: '' },
): Promise<{ bulk: BulkRecord; created: boolean }> {
  const { record, created } = await store.createPlan<'bulk'>({
    ...bulk, ...identity, id: `bulk_${identity.id}`, kind: 'bulk', createdAt: new Date().toISOString(), revision: 0, open: true,
    state: 'running', counts: { ...NO_BULK_COUNTS }, chunks: 0, cursor: null, exhausted: false, completedAt: null,
  });
  return { bulk: record, created };
}

export interface BulkActions {
  /** Writes the record, then starts its workflow. `identity`: of an Idempotency-Key. Rejects with `idempotency_conflict`. */
  create(bulk: NewBulk, identity?: { id: string; requestHash: string }): Promise<{ bulk: BulkRecord; created: boolean }>;
}

export const createBulkActions = (store: Store, client: Client): BulkActions => ({
  async create(asked, identity) {
    const made = await createBulk(store, asked, identity);
    if (made.created) await startBulk(client, made.bulk).catch(() => false); // the reconciler tries again: the record is what counts
    return made;
  },
});

/** False: Temporal cannot be reached, and the reconciler will start it. */
export const startBulk = (client: Client, { tenant, id }: PlanRef): Promise<boolean> =>
  reached(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.start(PLAN_WORKFLOWS.bulkAction, {
    workflowId: bulkWorkflowId(tenant, id), taskQueue: TASK_QUEUES.jobs, args: [{ tenant, id } satisfies PlanRef], workflowIdConflictPolicy: 'USE_EXISTING',
  })));

export async function bulkOf(store: Store, { tenant, id }: PlanRef): Promise<BulkRecord> {
  const bulk = await store.getPlan(tenant, 'bulk', id);
  if (!bulk) throw new SheafError('bulk_not_found', `There is no action ${id}.`, { remedy: 'GET /api/v1/jobs/batch lists those that there are.' });
  return bulk;
}

/**
 * Applies the action to one job, or in a dry run tells what it would come to. A job that already is as it was asked for is
 * `done`: so a repetition after a crash says the same. Rejects with what waiting mends.
 */
export async function applyToJob(store: Store, jobs: Jobs, bulk: BulkRecord, ref: { id: string; attempt: number }): Promise<BulkResult> {
  const job = await store.getJob(bulk.tenant, ref.id);
  if (!job) return bulk.action === 'delete' ? { job: ref.id, outcome: 'done', state: null } : { job: ref.id, outcome: 'skipped', state: null, code: 'job_not_found', message: 'It was deleted.' };
  const result = (outcome: BulkOutcome, now: JobRecord = job): BulkResult => ({ job: job.id, outcome, state: now.state });
  if (isDone(bulk, job, ref.attempt)) return result('done');
  const objection = objectionTo(bulk.action, job);
  if (objection !== null) return { ...result('skipped'), code: 'wrong_state', message: objection };
  if (bulk.dryRun) return result('done');
  try {
    const { job: now, applied } = await carryOut(jobs, bulk, job);
    return result(applied ? 'done' : 'asked', now);
  } catch (error) {
    if (!(error instanceof SheafError) || (error.retryable && error.code !== 'conflict')) throw error;
    const now = await store.getJob(bulk.tenant, ref.id);
    // It came about by itself just then, or by a try of ours whose answer was lost.
    if (now && isDone(bulk, now, ref.attempt)) return result('done', now);
    const skipped = error.code === 'wrong_state' || error.code === 'job_not_found';
    return { ...result(skipped ? 'skipped' : 'failed'), code: error.code, message: error.message };
  }
}

async function carryOut(jobs: Jobs, { action, priority, retry }: BulkRecord, { tenant, id }: JobRecord): Promise<Controlled> {
  switch (action) {
    case 'retry': return { job: await jobs.retry(tenant, id, retry), applied: true };
    case 'delete': return { job: await jobs.remove(tenant, id), applied: true };
    case 'set': return jobs.change(tenant, id, { priority: priority ?? 'normal' });
    default: return jobs.control(tenant, id, action);
  }
}

const ASKED: Partial<Record<BulkAction, DesiredState>> = { pause: 'paused', cancel: 'cancelled', delete: 'deleted' };

function isDone({ action, priority }: BulkRecord, job: JobRecord, attempt: number): boolean {
  if (action === 'retry') return job.attempt > attempt;
  if (action === 'set') return job.priority === priority;
  if (action === 'resume') return false;
  return job.state === ASKED[action];
}

/** Why a job's state does not allow the action, before anybody asks its workflow; null: it does. */
function objectionTo(action: BulkAction, job: JobRecord): string | null {
  if (job.desired === 'deleted') return action === 'delete' ? null : 'It is being deleted.';
  if (action === 'delete') return null;
  if (action === 'retry') return isEnded(job.state) ? null : `It is ${job.state}: it has not ended.`;
  if (isEnded(job.state)) return `It is ${job.state}.`;
  if (job.state === 'cancelling' && action !== 'cancel') return 'It is being cancelled.';
  if (action === 'resume' && job.state !== 'paused' && job.state !== 'pausing' && job.desired !== 'paused') return `It is ${job.state}, not paused.`;
  return null;
}
