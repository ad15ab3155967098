/** What can be done to jobs: the store's record first, then the workflow. The API calls this. */
import path from 'node:path';
import { WorkflowNotFoundError, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError, type Client } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { ulid } from 'ulid';
import type { DocumentPatch } from '../contracts/document.ts';
import { SheafError } from '../contracts/errors.ts';
import {
  isEnded,
  type DesiredState, type JobRecord, type JobRequest, type Priority, type RetryFilter, type ScheduleRef, type SheetJobRecord,
} from '../contracts/job.ts';
import { SET_CONCURRENCY, SET_PRIORITY, type Control, type ControlAnswer } from '../contracts/messages.ts';
import type { NewJob } from '../contracts/plans.ts';
import type { Verdict } from '../contracts/source.ts';
import { digest } from '../domain/hashing.ts';
import type { JobChange } from '../store/ports/jobs.ts';
import type { Store } from '../store/store.ts';
import { DESIRED, signal, startDeletion, startSoon } from './job-calls.ts';
import { isUnavailable } from './reached.ts';
import { jobWorkflowId } from './workflow-ids.ts';

/** The same key again answers what it made. */
export interface Idempotency {
  key: string;
  requestHash: string;
}

/** What else is known of a new job: its id, where that was settled before, and what made it. */
export interface Origin {
  id?: string;
  idempotency?: Idempotency;
  batch?: string;
  schedule?: ScheduleRef;
}

/** `applied`: a worker answered within two seconds and the record shows the state that resulted; else it was asked for durably. */
export interface Controlled {
  job: JobRecord;
  applied: boolean;
}

export interface Jobs {
  /** Writes the record as `queued`, then starts the workflow. When Temporal is unreachable the record stays and the
   *  reconciler starts it. `created` is false when the idempotency key, or the id, had made the job before. Rejects with `namespace_taken`. */
  create(job: NewJob, origin?: Origin): Promise<{ job: JobRecord; created: boolean }>;
  /** Rejects with `job_not_found`, `wrong_state`. */
  control(tenant: string, id: string, control: Control): Promise<Controlled>;
  /** Rejects with `job_not_found`, `wrong_state` (not ended, or nothing to retry). */
  retry(tenant: string, id: string, filter: RetryFilter): Promise<JobRecord>;
  /** Rejects with `job_not_found`, `wrong_state` (ended). */
  change(tenant: string, id: string, change: { priority?: Priority; concurrency?: number; maxCost?: number }): Promise<Controlled>;
  /** Of a job that waits for approval. Rejects with `job_not_found`, `wrong_state`, `temporal_unavailable`. */
  decide(tenant: string, id: string, verdict: Verdict): Promise<Controlled>;
  /** Cancels, then removes what the job owns, durably; the record answers until it is gone. */
  remove(tenant: string, id: string): Promise<JobRecord>;
}

/** An Update needs a live worker; after this long a Signal carries the wish instead. */
const UPDATE_MS = 2_000;
/** Compare-and-set is tried again when somebody else wrote in between. */
const CHANGE_TRIES = 20;

/** What a document's record says of an attempt that has not begun. */
const REQUEUED: DocumentPatch = { state: 'queued', cause: null, until: null, reason: null, error: null, completedAt: null };

/** `mayStart` rejects where workers would not find the job: with `namespace_taken`. */
export function createJobs(store: Store, client: Client, mayStart: () => Promise<void> = () => Promise.resolve()): Jobs {
  const get = async (tenant: string, id: string): Promise<JobRecord> => {
    const job = await store.getJob(tenant, id);
    if (!job) throw new SheafError('job_not_found', `There is no job ${id}.`, { remedy: '`sheaf job list` shows those that there are.' });
    return job;
  };

  /** Reads, decides, writes; again when the record moved in between. */
  const change = async (tenant: string, id: string, decide: (job: JobRecord) => JobChange): Promise<JobRecord> => {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      const job = await get(tenant, id);
      const changed = await store.changeJob(tenant, id, job.revision, decide(job));
      if (changed) return changed;
    }
    throw new SheafError('conflict', `Job ${id} is being changed by others.`, { remedy: 'Try again.' });
  };

  /** The wish has reached the workflow, unless a newer one has taken its place. */
  const handedOver = async (tenant: string, id: string, wish: DesiredState): Promise<JobRecord> => {
    for (let tries = 0; tries < CHANGE_TRIES; tries++) {
      const job = await get(tenant, id);
      if (job.desired !== wish) return job;
      const changed = await store.changeJob(tenant, id, job.revision, { desired: null });
      if (changed) return changed;
    }
    return get(tenant, id);
  };

  /** Update, and when no worker answers in time, Signal. False: Temporal could not be reached. */
  const tell = async (job: JobRecord, name: string, args: [] | [Priority | number]): Promise<'applied' | 'signalled' | 'unreachable'> => {
    const handle = client.workflow.getHandle(jobWorkflowId(job.id, job.attempt));
    try {
      await client.withDeadline(Date.now() + UPDATE_MS, () => args.length === 0
        ? handle.executeUpdate<ControlAnswer, []>(name)
        : handle.executeUpdate<ControlAnswer, [Priority | number]>(name, { args }));
      return 'applied';
    } catch (error) {
      if (error instanceof WorkflowUpdateFailedError) throw refused(job, error);
      if (error instanceof WorkflowNotFoundError) return 'unreachable'; // not started yet, or just ended
      if (!(error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) && !isUnavailable(error)) throw error;
    }
    return (await signal(client, handle, name, args)) ? 'signalled' : 'unreachable';
  };

  return {
    async create(request, origin = {}) {
      await mayStart();
      const now = new Date().toISOString();
      const id = origin.id ?? `job_${ulid().toLowerCase()}`;
      const record: SheetJobRecord = {
        tenant: request.tenant, id, owner: request.owner, kind: 'sheet', request: request.request,
        source: request.source ?? implicitSource(id, request.request), lane: request.lane ?? defaultLane(request.request),
        priority: request.priority, tags: request.tags, state: 'queued', desired: null, cause: null, until: null,
        reason: null, error: null, attempt: 1, sequence: 0, revision: 0, retry: null, manifest: null,
        createdAt: now, startedAt: null, completedAt: null, updatedAt: now, runningSince: null, finishedBefore: 0,
        runAt: request.runAt, dependsOn: request.dependsOn, onFailure: request.onFailure, batch: origin.batch ?? null, schedule: origin.schedule ?? null,
      };
      const { job, created } = await store.createJob(record, origin.idempotency);
      if (created) {
        await store.appendEvent(job.tenant, job.id, { at: now, type: 'created', dedupe: 'created', message: `Created by ${record.owner} from ${record.request.fileName}, handler ${record.request.handler}.` });
        await startSoon(client, job);
      }
      return { job, created };
    },

    async control(tenant, id, control) {
      const wished = await change(tenant, id, (current) => {
        if (isEnded(current.state) || current.desired === 'deleted' || (current.state === 'cancelling' && control !== 'cancel')) throw wrongState(current, control);
        return { desired: DESIRED[control] };
      });
      const told = await tell(wished, control, []).catch(async (error: unknown) => {
        await handedOver(tenant, id, DESIRED[control]); // heard and refused
        throw error;
      });
      if (told === 'unreachable') {
        const now = await get(tenant, id);
        if (isEnded(now.state)) throw wrongState(now, control);
        return { job: now, applied: false };
      }
      return { job: await handedOver(tenant, id, DESIRED[control]), applied: told === 'applied' };
    },

    async retry(tenant, id, filter) {
      await mayStart();
      for (let tries = 0; tries < CHANGE_TRIES; tries++) {
        const job = await get(tenant, id);
        if (!isEnded(job.state) || job.desired === 'deleted') throw wrongState(job, 'retry');
        await somethingToRetry(store, job, filter);
        const queued = await store.requeueJob(tenant, id, job.revision, filter);
        if (!queued) continue;
        if (queued.kind === 'document') await store.advanceDocument(tenant, queued.request.document, { attempt: queued.attempt, sequence: 0 }, REQUEUED);
        await store.appendEvent(tenant, id, {
          at: new Date().toISOString(), type: 'retried', dedupe: `retried/${queued.attempt}`, message: `Attempt ${queued.attempt}: ${whatIsRetried(queued, filter)}.`,
        });
        await startSoon(client, queued);
        return queued;
      }
      throw new SheafError('conflict', `Job ${id} is being changed by others.`, { remedy: 'Try again.' });
    },

    async change(tenant, id, wanted) {
      const before = await get(tenant, id);
      if (isEnded(before.state) || before.desired === 'deleted') throw wrongState(before, 'change');
      let applied = true;
      for (const [name, value] of [[SET_PRIORITY, wanted.priority], [SET_CONCURRENCY, wanted.concurrency]] as const) {
        if (value === undefined) continue;
        const told = await tell(before, name, [value]);
        // A workflow that has not started yet takes both from the record.
        if (told === 'unreachable' && !(before.state === 'queued' && before.sequence === 0)) {
          throw new SheafError('temporal_unavailable', 'Temporal cannot be reached, so the job was not changed.', { remedy: 'Try again when it is back; `sheaf system check` tells.' });
        }
        applied &&= told === 'applied';
      }
      return { job: await change(tenant, id, () => wanted), applied };
    },

    async decide(tenant, id, verdict) {
      const job = await get(tenant, id);
      if (job.state !== 'waiting' || job.cause !== 'approval') throw new SheafError('wrong_state', `Job ${id} is ${job.state} and does not wait for approval.`);
      const told = await tell(job, verdict, []);
      if (told === 'unreachable') throw new SheafError('temporal_unavailable', 'Temporal cannot be reached, so nothing was decided.', { remedy: 'Try again when it is back; `sheaf system check` tells.' });
      return { job: await get(tenant, id), applied: told === 'applied' };
    },

    async remove(tenant, id) {
      const job = await change(tenant, id, () => ({ desired: 'deleted' }));
      await startDeletion(client, { tenant, jobId: id });
      return job;
    },
  };
}

/** A source for a sheet that was given by its place alone; an upload's ends with its job. */
export function implicitSource(id: string, { location, sheet, range }: JobRequest): string {
  if ('path' in location) return `path:${digest(JSON.stringify([location.path, sheet ?? null, range ?? null]))}`;
  if ('spreadsheet' in location) return `google:${digest(JSON.stringify([location.spreadsheet, location.gid ?? null, sheet ?? null, range ?? null]))}`;
  return `job:${id}`;
}

/** The handler's name; a module's own file's, so that two modules on one sheet never overwrite each other. */
export function defaultLane({ handler, options }: JobRequest): string {
  return handler === 'module' && typeof options['file'] === 'string' ? `module:${path.basename(options['file'])}` : handler;
}

async function somethingToRetry(store: Store, job: JobRecord, filter: RetryFilter): Promise<void> {
  if (job.kind === 'document') {
    if (job.error?.code === 'malware_found') throw new SheafError('wrong_state', `The document of job ${job.id} holds malware and is not processed again.`, { remedy: 'Delete it.' });
    if (job.state !== 'completed' || filter.reprocess) return;
    throw new SheafError('wrong_state', `Job ${job.id} has made its document: nothing failed.`, { remedy: `POST /api/v1/documents/${job.request.document}/reprocess does it again.` });
  }
  if (!job.manifest) return; // it ended before the sheet was read: all rows remain
  const totals = await store.jobTotals(job.tenant, job.id, job.attempt);
  const remaining = job.manifest.rows - totals.done - totals.unchanged - totals.failed - totals.skipped;
  if (remaining > 0 || somethingToWrite(job)) return;
  const failed = await store.countFailedRows(job.tenant, job.id);
  const groups = filter.fingerprints && (await store.groupFailedRows(job.tenant, job.id, MOST_GROUPS));
  if (groups ? groups.some(({ fingerprint }) => filter.fingerprints!.includes(fingerprint)) : failed.some(({ code }) => filter.codes === null || filter.codes.includes(code))) return;
  throw new SheafError('wrong_state', `Job ${job.id} has no ${filter.fingerprints ? `failed rows of group ${filter.fingerprints.join(', ')}` : filter.codes ? `rows that failed with ${filter.codes.join(', ')}` : 'failed or remaining rows'}.`, {
    remedy: failed.length > 0 ? `Its failed rows have ${failed.map(({ code, rows }) => `${code} (${rows})`).join(', ')}.` : 'There is nothing to retry; create a new job to run the sheet again.',
  });
}

/** Of failures, in one job. */
const MOST_GROUPS = 1_000;

/** Results that are to stand in the sheet, and do not all. */
const somethingToWrite = ({ request, writeBack }: SheetJobRecord): boolean => request.writeBack !== undefined && (!writeBack?.completedAt || writeBack.missing > 0);

function whatIsRetried({ kind }: JobRecord, { codes, fingerprints, rows, reprocess }: RetryFilter): string {
  if (fingerprints) return `failed rows of group ${fingerprints.join(', ')}, and rows that were not reached`;
  if (rows) return `row ${rows.join(', ')}`;
  if (kind === 'document') return reprocess?.from ? `from ${reprocess.from} on` : 'from the stage on that it stopped at';
  return `${codes ? `failed rows with ${codes.join(', ')}` : 'all failed rows'}, and rows that were not reached`;
}

function wrongState(job: JobRecord, wish: string): SheafError {
  const state = job.desired === 'deleted' ? 'being deleted' : job.state;
  return new SheafError('wrong_state', `Job ${job.id} is ${state}; it cannot ${wish}.`, {
    remedy: wish === 'retry' ? 'Cancel it first, or wait until it ends.' : isEnded(job.state) ? '`sheaf job retry` runs its failed and remaining rows again.' : 'Wait until it ends.',
  });
}

function refused(job: JobRecord, error: WorkflowUpdateFailedError): SheafError {
  const cause = error.cause;
  if (cause instanceof ApplicationFailure && cause.type === 'invalid_request') return new SheafError('invalid_request', cause.message);
  return new SheafError('wrong_state', cause instanceof Error ? cause.message : `Job ${job.id} does not allow this now.`);
}
