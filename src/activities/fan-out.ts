/** What a job does about rows that are workflows of their own: plans their pages, counts them from the ledger, lets go of them. */
import { Context, heartbeat } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ResultLines } from '../blobs/result-lines.ts';
import { RELEASE_SIGNAL, type FanOutActivities, type PageRef } from '../contracts/items.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import { breakerError, breakerTripped } from '../domain/breaker.ts';
import { fence } from '../domain/fence.ts';
import { handlerHash, rowInput } from '../domain/hashing.ts';
import { countOutcomes } from '../domain/page-plan.ts';
import { toSpans } from '../domain/paging.ts';
import { ifKnown } from '../domain/spent.ts';
import type { Handler, PreparedHandler } from '../handlers/handler.ts';
import { itemWorkflowId } from '../temporal/workflow-ids.ts';
import type { ActivityDeps } from './deps.ts';
import { PageCommits } from './page-commits.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import { columnNames, countsOf, laneOf, loadSheetJob, manifestOf, readPlan, settleWhole, writeResult, type PageTry } from './rows.ts';

const ASKED_AT_ONCE = 20;

const tryOf = (input: PageRef): PageTry => ({ ...input, fence: fence({ ...input, activityAttempt: Context.current().info.attempt }) });

export function fanOutActivities(deps: ActivityDeps, handlers: PreparedHandlers, client: Client): FanOutActivities {
  const withHandler = async <T>(input: PageRef, use: (job: SheetJobRecord, prepared: PreparedHandler, handler: Handler) => Promise<T>): Promise<T> => {
    const job = await loadSheetJob(deps, input);
    return handlers.with(job, columnNames(manifestOf(job)), (prepared, handler) => use(job, prepared, handler));
  };

  return {
    planItems: (input) => withHandler(input, async (job, prepared, handler) => {
      const manifest = manifestOf(job);
      const at = tryOf(input);
      const rest = { stopped: null, wait: null, concurrency: prepared.concurrency };
      const record = await deps.store.getPage(job.tenant, job.id, at.page);
      if (await settleWhole(deps, job, manifest, at, record, handlerHash(handler, prepared.identity))) {
        return { ...rest, counts: await countsOf(deps, job), complete: true, open: [] };
      }
      const { rows, columns, plan, handlerHash: hash } = await readPlan(deps, job, manifest, at, record, prepared, handler);
      const commits = new PageCommits({
        store: deps.store, plan, breaker: null,
        page: { lane: laneOf(job), jobId: job.id, tags: job.tags, page: at.page, attempt: at.attempt, fence: at.fence, handlerHash: hash },
        batchRows: 1, maxUncommitted: 1, countsEveryMs: null, stop: () => {},
      });
      await commits.begin(plan, (row) => rowInput(columns, row.cells));
      heartbeat();
      const complete = plan.settled.size > 0 && (await writeResult(deps, job, at, rows, commits));
      return { ...rest, counts: await countsOf(deps, job), complete, open: toSpans(plan.open.map((index) => rows.at(index).row)) };
    }),

    settleItems: (input) => withHandler(input, async (job, prepared, handler) => {
      const at = tryOf(input);
      const { rows, plan, handlerHash: hash } = await readPlan(deps, job, manifestOf(job), at, await deps.store.getPage(job.tenant, job.id, at.page), prepared, handler, { again: input.again });
      const results = [...plan.settled.values()];
      const counts = countOutcomes(results);
      const tally = { tried: plan.tried, faults: plan.faults, ...ifKnown(plan.spent) };
      if (input.final) {
        await writeResult(deps, job, at, rows, { lines: ResultLines.of(results), counts, handlerHash: hash, tally });
      } else {
        const { page, attempt, fence } = at;
        await deps.store.writePage(job.tenant, job.id, { page, attempt, fence, counts, ...tally, complete: false, result: null });
      }
      const totals = await deps.store.jobTotals(job.tenant, job.id, job.attempt);
      const { breaker } = job.request;
      return {
        counts: await countsOf(deps, job), complete: results.length === rows.length, wait: null,
        stopped: breaker && breakerTripped(breaker, totals) ? breakerError(breaker, totals) : null,
      };
    }),

    releaseItems: ({ jobId, attempt, rows }) => without(rows, async (row) => {
      await client.workflow.getHandle(itemWorkflowId(jobId, attempt, row)).signal(RELEASE_SIGNAL);
      return true;
    }),

    itemsGone: ({ jobId, attempt, rows }) => without(rows, async (row) =>
      (await client.workflow.getHandle(itemWorkflowId(jobId, attempt, row)).describe()).status.name === 'RUNNING'),
  };
}

/** The rows whose workflow is not there. */
async function without(rows: readonly number[], isThere: (row: number) => Promise<boolean>): Promise<number[]> {
  const gone: number[] = [];
  for (let start = 0; start < rows.length; start += ASKED_AT_ONCE) {
    heartbeat();
    await Promise.all(rows.slice(start, start + ASKED_AT_ONCE).map(async (row) => {
      const there = await isThere(row).catch((error: unknown) => {
        if (error instanceof WorkflowNotFoundError) return false;
        throw error;
      });
      if (!there) gone.push(row);
    }));
  }
  return gone;
}
