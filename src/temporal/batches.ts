/** Batches: many jobs made of a list, and steered as one. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { ENDED_STATES, isEnded, JOB_STATES, type EndedState } from '../contracts/job.ts';
import { TASK_QUEUES } from '../contracts/messages.ts';
import {
  BATCH_CHANGED, PLAN_WORKFLOWS, type BatchControl, type BatchRecord, type BatchTotals, type PlanRecord, type PlanRef,
} from '../contracts/plans.ts';
import type { Store } from '../store/store.ts';
import { createBulk, startBulk } from './bulk.ts';
import { CALL_MS, reached } from './reached.ts';
import { batchWorkflowId } from './workflow-ids.ts';

export interface Batches {
  /** Writes the record and starts the making of its members, of which all that is needed is in the blobs already. What does not start now, the
   *  reconciler starts later: the record is what counts. */
  create(batch: BatchRecord): Promise<{ batch: BatchRecord; created: boolean }>;
  /** `applied`: every member was asked, and a worker has answered for it. `failedOnly`: a retry leaves out what was cancelled. Rejects with `batch_not_found`, `wrong_state`. */
  control(tenant: string, id: string, owner: string, control: BatchControl, failedOnly?: boolean): Promise<{ batch: BatchRecord; applied: boolean }>;
  /** Resolves when the members are made, or after two seconds. */
  made(batch: BatchRecord): Promise<BatchRecord>;
}

/** How long an answer waits for what goes on behind it. */
const PATIENCE_MS = 2_000;
const LOOK_MS = 50;
const CHANGE_TRIES = 50;
/** Whoever wrote a record is about to start what belongs to it. */
const SETTLED_MS = 3_000;

export function createBatches(store: Store, client: Client): Batches {
  return {
    async create(batch) {
      const { record, created } = await store.createPlan<'batch'>(batch);
      if (created) await startBatch(client, record).catch(() => false);
      return { batch: record, created };
    },

    async control(tenant, id, owner, control, failedOnly = false) {
      for (let tries = 0; tries < CHANGE_TRIES; tries++) {
        const before = await batchOf(store, { tenant, id });
        mayControl(before, await store.batchTotals(tenant, id), control);
        // Written before the batch names it: should it never be named, it finds itself superseded.
        const { bulk } = await createBulk(store, {
          tenant, owner, action: control, priority: null, retry: { codes: null }, dryRun: false, batch: id, after: before.action,
          filter: { batch: id, state: control === 'retry' ? retried(before, failedOnly) : JOB_STATES.filter((state) => !isEnded(state)) },
        });
        const desired = control === 'pause' ? 'paused' : control === 'cancel' ? 'cancelled' : 'running';
        const batch = await store.changePlan<'batch'>({ ...before, desired, action: bulk.id });
        if (!batch) continue;
        await startBulk(client, bulk).catch(() => false);
        await signalBatch(client, batch).catch(() => {});
        const done = await soon(async () => (await store.getPlan(tenant, 'bulk', bulk.id))?.state !== 'running');
        const now = done ? await store.getPlan(tenant, 'bulk', bulk.id) : null;
        return { batch: await batchOf(store, batch), applied: now?.state === 'completed' && now.counts.asked === 0 };
      }
      throw new SheafError('conflict', `Batch ${id} is being changed by others.`, { remedy: 'Try again.' });
    },

    async made(batch) {
      await soon(async () => !(await batchOf(store, batch)).open);
      return batchOf(store, batch);
    },
  };
}

/** Rows of a completed job may have failed; of a completed document nothing has. */
const retried = ({ files }: BatchRecord, failedOnly: boolean): EndedState[] =>
  ENDED_STATES.filter((state) => !(files && state === 'completed') && !(failedOnly && state === 'cancelled'));

/** False: not within the time that an answer may take. */
async function soon(look: () => Promise<boolean>): Promise<boolean> {
  for (const until = Date.now() + PATIENCE_MS; Date.now() < until; await sleep(LOOK_MS)) {
    if (await look()) return true;
  }
  return false;
}

export async function batchOf(store: Store, { tenant, id }: PlanRef): Promise<BatchRecord> {
  const batch = await store.getPlan(tenant, 'batch', id);
  if (!batch) throw new SheafError('batch_not_found', `There is no batch ${id}.`, { remedy: '`sheaf batch list` shows those that there are.' });
  return batch;
}

/** Reads, decides, writes; again when the record moved in between. */
export async function changeBatch(store: Store, ref: PlanRef, decide: (batch: BatchRecord) => BatchRecord): Promise<BatchRecord> {
  for (let tries = 0; tries < CHANGE_TRIES; tries++) {
    const changed = await store.changePlan<'batch'>(decide(await batchOf(store, ref)));
    if (changed) return changed;
  }
  throw new SheafError('conflict', `Batch ${ref.id} is being changed by others.`, { remedy: 'Try again.' });
}

function mayControl(batch: BatchRecord, { jobs }: BatchTotals, control: BatchControl): void {
  const ended = ENDED_STATES.reduce((sum, state) => sum + (jobs[state] ?? 0), 0);
  const all = Object.values(jobs).reduce((sum, count) => sum + count, 0);
  const over = !batch.open && ended === all;
  if (control === 'retry' ? ended > 0 : !over) return;
  throw new SheafError('wrong_state', control === 'retry' ? `No job of batch ${batch.id} has ended.` : `Every job of batch ${batch.id} has ended; it cannot ${control}.`, {
    remedy: control === 'retry' ? 'Wait until one has.' : '`sheaf batch retry` runs what failed or remained again.',
  });
}

const startBatch = (client: Client, { tenant, id }: PlanRef): Promise<boolean> =>
  reached(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.start(PLAN_WORKFLOWS.makeBatch, {
    workflowId: batchWorkflowId(tenant, id), taskQueue: TASK_QUEUES.jobs, args: [{ tenant, id } satisfies PlanRef], workflowIdConflictPolicy: 'USE_EXISTING',
  })));

/** Also starts the workflow where it is not there; does nothing where all members are made. */
async function signalBatch(client: Client, { tenant, id, open }: BatchRecord): Promise<void> {
  if (!open) return;
  await reached(() => client.withDeadline(Date.now() + CALL_MS, () => client.workflow.signalWithStart(PLAN_WORKFLOWS.makeBatch, {
    workflowId: batchWorkflowId(tenant, id), taskQueue: TASK_QUEUES.jobs, args: [{ tenant, id } satisfies PlanRef], signal: BATCH_CHANGED,
  })));
}

/** Starts what was accepted and has not been started, or was terminated: what is left to do stands in the records. */
export async function reconcilePlans(store: Store, client: Client, each: (plans: PlanRecord[], work: (plan: PlanRecord) => Promise<void>) => Promise<void>): Promise<void> {
  for (let cursor: string | undefined; ;) {
    const plans = await store.openPlans({ limit: 200, ...(cursor !== undefined && { cursor }) });
    const settled = plans.items.filter(({ createdAt }) => Date.now() - Date.parse(createdAt) > SETTLED_MS);
    await each(settled, async (plan) => {
      if (plan.kind === 'batch') await startBatch(client, plan);
      if (plan.kind === 'bulk') await startBulk(client, plan);
    });
    if (plans.nextCursor === null) return;
    cursor = plans.nextCursor;
  }
}
