/** A job's record as its workflow moves: admission, states, the end. */
import { Context, heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { SheafError } from '../contracts/errors.ts';
import { isEnded, PRIORITY_KEYS, type Counts, type JobEvent, type JobPatch, type JobRecord, type SheetJobRecord } from '../contracts/job.ts';
import type {
  AdmitAnswer, AdmitInput, FinishJobAnswer, FinishJobInput, RecordStateInput,
} from '../contracts/messages.ts';
import { ResultLines } from '../blobs/result-lines.ts';
import { fence } from '../domain/fence.ts';
import { countOutcomes } from '../domain/page-plan.ts';
import { ifKnown } from '../domain/spent.ts';
import { endpointsOf } from '../webhooks.ts';
import { tellWebhook } from '../temporal/webhooks.ts';
import { tellDependents } from '../temporal/dependents.ts';
import type { Queue } from '../temporal/queue.ts';
import { endOf, finishDocument, recordDocumentState } from './document-records.ts';
import { allOf } from '../store/all-of.ts';
import type { ActivityDeps } from './deps.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import { summaryOf, type JobEnd } from './summary.ts';
import { settleVersion } from './versions.ts';
import { columnNames, countsOf, laneOf, loadJob, readPlan, writeResult } from './rows.ts';

const now = (): string => new Date().toISOString();

export function jobActivities(deps: ActivityDeps, handlers: PreparedHandlers, client: Client, queue: Queue) {
  const { store } = deps;
  const tellWebhooks = async (job: JobRecord): Promise<void> => {
    await Promise.all([...endpointsOf(job, deps.webhooks).keys()].map((endpoint) => tellWebhook(client, { tenant: job.tenant, jobId: job.id, endpoint })));
  };

  return {
    async admit(input: AdmitInput): Promise<AdmitAnswer> {
      const job = await loadJob(deps, input);
      const since = input.since ?? Date.parse(job.createdAt);
      const { tenant, jobId, attempt, sequence } = input;
      const entry = await queue.enter({ tenant, jobId, attempt, sequence, source: job.source, lane: job.lane, priority: PRIORITY_KEYS[input.priority], since });
      // A workflow that was reset after its job had ended, for one: it must not wait for a turn that never comes.
      if (!entry) throw new SheafError('wrong_state', `Attempt ${attempt} of job ${jobId} has ended.`, { remedy: '`sheaf job retry` runs an ended job again.' });
      const agesAt = since + queue.limits.ageAfterMs;
      if (entry.state === 'running') return { granted: true, generation: entry.generation, agesAt, state: 'queued', cause: null, reason: null };
      if (entry.state !== 'blocked') return { granted: false, generation: 0, agesAt, state: 'queued', cause: null, reason: 'It waits for its turn.' };
      const holder = (await store.queueStanding(tenant, jobId, queue.limits, Date.now()))?.laneHolder;
      return {
        granted: false, generation: 0, agesAt, state: 'waiting', cause: 'dependency',
        reason: `${holder ? `Job ${holder}` : 'Another job'} is working on the same source and lane.`,
      };
    },

    async recordState(input: RecordStateInput): Promise<void> {
      const job = await loadJob(deps, input);
      const patch: JobPatch = {
        state: input.state, cause: input.cause, until: input.until, reason: input.reason,
        runningSince: null,
      };
      if (input.state === 'running') {
        const totals = await store.jobTotals(job.tenant, job.id, job.attempt);
        patch.runningSince = now();
        patch.finishedBefore = totals.done + totals.unchanged + totals.failed + totals.skipped;
        if (job.startedAt === null) patch.startedAt = now();
      }
      const written = await store.advanceJob(job.tenant, job.id, input, patch);
      if (job.kind === 'document') await recordDocumentState(deps, job, input);
      if (written) {
        await store.appendEvent(job.tenant, job.id, {
          at: now(), type: input.state, dedupe: `${input.attempt}/${input.sequence}`,
          message: describe(input, job),
          ...(input.cause && { data: { cause: input.cause } }),
        });
      }
      // The end is told in any case.
      await tellWebhooks(job).catch((error: unknown) => deps.log.warn({ tenant: job.tenant, job: job.id, err: error }, 'webhooks could not be told of a state'));
      // Also by a try after one that got no further.
      if (input.state === 'paused' || input.freesPlace) await queue.pause(input);
    },

    /** Settles pages that were left in the middle, writes the end, gives lane and place back, tells who waits for it. May be repeated. */
    async finishJob(input: FinishJobInput): Promise<FinishJobAnswer> {
      const job = await loadJob(deps, input);
      // The workflow wrote its own end in the moment before somebody found it gone.
      if (input.sequence === null && isEnded(job.state)) {
        await queue.leave(job, input.attempt);
        await tellDependents(store, client, job, heartbeat);
        await tellWebhooks(job);
        return { counts: await countsOf(deps, job) };
      }
      if (job.kind === 'sheet' && job.manifest) await settlePages(deps, handlers, job, input.attempt);
      if (job.kind === 'sheet') await settleVersion(deps, job, input.state);
      const counts = await countsOf(deps, job);
      const failed = counts.failed === 0 ? [] : await store.countFailedRows(job.tenant, job.id);
      const sequence = input.sequence ?? job.sequence + 1;
      const completedAt = now();
      // Before the record: an end that is repeated after a crash finds the record written, and would leave it out.
      await store.writeSummary(await summaryOf(store, job, { attempt: input.attempt, sequence, state: input.state, endedAt: completedAt, counts, failed }));
      const document = job.kind === 'document' ? await finishDocument(deps, job, input, sequence) : null;
      const written = await store.advanceJob(job.tenant, job.id, { attempt: input.attempt, sequence }, {
        state: input.state, cause: null, until: null, reason: input.reason, error: input.error,
        completedAt, runningSince: null,
      });
      if (written) {
        await store.appendEvent(job.tenant, job.id, {
          at: now(), type: input.state, dedupe: `${input.attempt}/${sequence}`, ...(document ? { message: endOf(document) } : endOfSheet(job, input, counts, failed)),
        });
      }
      await queue.leave(job, input.attempt);
      await tellDependents(store, client, job, heartbeat);
      await tellWebhooks(job);
      return { counts };
    },
  };
}

function endOfSheet(job: JobRecord, { error }: FinishJobInput, counts: Counts, byCode: JobEnd['failed']): Pick<JobEvent, 'message' | 'data'> {
  const { done, unchanged, failed, skipped } = counts;
  const remaining = Math.max(0, (job.manifest?.rows ?? 0) - done - unchanged - failed - skipped);
  return {
    message: `${error ? `${error.message} ` : ''}${done} done, ${unchanged} unchanged, ${failed} failed, ${skipped} skipped, ${remaining} remaining.`,
    data: { ...counts, remaining, ...(byCode.length > 0 && { failedByCode: Object.fromEntries(byCode.map(({ code, rows }) => [code, rows])) }) },
  };
}

function describe(input: RecordStateInput, job: JobRecord): string {
  if (input.reason) return input.reason;
  if (input.state === 'running') return job.startedAt === null ? `Started${input.attempt > 1 ? `, attempt ${input.attempt}` : ''}.` : 'Running.';
  const texts: Partial<Record<typeof input.state, string>> = {
    queued: 'Queued.', pausing: 'Pausing: what is in flight may finish.', paused: 'Paused.', cancelling: 'Cancelling: what is in flight may finish.',
  };
  return texts[input.state] ?? `${input.state}.`;
}

/** A page whose last try could not write its result gets one from the ledger; rows without an outcome stay `remaining`. */
async function settlePages(deps: ActivityDeps, handlers: PreparedHandlers, job: SheetJobRecord, attempt: number): Promise<void> {
  const manifest = job.manifest!;
  const lane = await deps.store.acquireLane(laneOf(job), job.id, attempt);
  if (!lane.granted) return; // ended before, and another job has the lane since
  for await (const page of allOf((asked) => deps.store.listPages(job.tenant, job.id, asked))) {
    if (page.complete) continue;
    heartbeat();
    const settled = handlers.with(job, columnNames(manifest), async (prepared, handler) => {
      const at = {
        tenant: job.tenant, jobId: job.id, page: page.page, attempt, generation: lane.generation,
        fence: fence({ generation: lane.generation, attempt, dispatch: Number.MAX_SAFE_INTEGER, activityAttempt: Context.current().info.attempt }),
      };
      const { rows, plan, handlerHash } = await readPlan(deps, job, manifest, at, await deps.store.getPage(job.tenant, job.id, page.page), prepared, handler, { ending: true });
      const results = [...plan.settled.values()];
      await writeResult(deps, job, at, rows, {
        lines: ResultLines.of(results), counts: countOutcomes(results),
        handlerHash, tally: { tried: plan.tried, faults: plan.faults, ...ifKnown(plan.spent) },
      });
    });
    await settled.catch((error: unknown) => {
      // A handler that cannot be prepared any more (its module is gone) must not keep the job from ending.
      if (!(error instanceof SheafError) || error.retryable) throw error;
      deps.log.warn({ tenant: job.tenant, job: job.id, page: page.page, code: error.code }, 'page left as its last try counted it');
    });
  }
}
