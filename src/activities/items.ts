/** Rows with a life of their own: each is handled and committed by itself, and its page counted from the ledger. */
import { cancelled, Context, heartbeat } from '@temporalio/activity';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { resultLine } from '../blobs/pages.ts';
import type { JobRecord, SheetJobRecord } from '../contracts/job.ts';
import { isEnded } from '../contracts/job.ts';
import type { FailItemInput, ItemActivities, PageRef, ProcessItemAnswer } from '../contracts/items.ts';
import type { ProcessPageAnswer } from '../contracts/messages.ts';
import { breakerError, breakerTripped } from '../domain/breaker.ts';
import { fence } from '../domain/fence.ts';
import { handlerHash, rowInput } from '../domain/hashing.ts';
import { countOutcomes } from '../domain/page-plan.ts';
import { toSpans } from '../domain/paging.ts';
import { ifKnown } from '../domain/spent.ts';
import type { Handler, PreparedHandler } from '../handlers/handler.ts';
import { itemWorkflowId } from '../temporal/workflow-ids.ts';
import { ROW_RETRY_DELAYS_MS } from '../workflows/activity-options.ts';
import type { ActivityDeps } from './deps.ts';
import { PageCommits } from './page-commits.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import { runRows } from './row-runner.ts';
import { columnNames, countsOf, HEARTBEAT_MS, laneOf, loadSheetJob, manifestOf, readPlan, settleUnchanged, writeResult, type PageTry } from './rows.ts';

const UNWANTED: ProcessItemAnswer = { outcome: null, error: null, wait: null, unwanted: true };

const isWanted = (job: JobRecord, { attempt }: PageRef): boolean => job.attempt === attempt && !isEnded(job.state);

const tryOf = (input: PageRef): PageTry => ({ ...input, fence: fence({ ...input, activityAttempt: Context.current().info.attempt }) });

export function itemActivities(deps: ActivityDeps, handlers: PreparedHandlers, client: Client): ItemActivities {
  const withHandler = async <T>(input: PageRef, use: (job: SheetJobRecord, prepared: PreparedHandler, handler: Handler) => Promise<T>): Promise<T> => {
    const job = await loadSheetJob(deps, input);
    return handlers.with(job, columnNames(manifestOf(job)), (prepared, handler) => use(job, prepared, handler));
  };

  /** Of one row: its outcome where there is one, and else what commits it. */
  const openItem = async (job: SheetJobRecord, input: PageRef & { row: number }, prepared: PreparedHandler, handler: Handler, stop: () => void) => {
    const at = tryOf(input);
    const { columns, plan, inputHashes, handlerHash: hash } = await readPlan(deps, job, manifestOf(job), at, prepared, handler, { only: input.row });
    const commits = new PageCommits({
      store: deps.store, plan, inputHashes, breaker: null,
      page: { lane: laneOf(job), jobId: job.id, tags: job.tags, page: at.page, attempt: at.attempt, fence: at.fence, handlerHash: hash },
      batchRows: 1, maxUncommitted: 1, countsEveryMs: null, heartbeat: () => heartbeat(), stop,
    });
    const open = plan.open[0];
    const row = open && { row: open.row, key: open.key!, input: rowInput(columns, open.cells) };
    return { commits, row, settled: plan.settled.get(input.row) };
  };

  const answerOf = (commits: PageCommits): ProcessItemAnswer => {
    const { done, failed } = commits.counts;
    return { outcome: done > 0 ? 'done' : failed > 0 ? 'failed' : null, error: null, wait: null, unwanted: false };
  };

  return {
    planItems: (input) => withHandler(input, async (job, prepared, handler) => {
      const manifest = manifestOf(job);
      const at = tryOf(input);
      const rest = { stopped: null, wait: null, concurrency: prepared.concurrency };
      if (await settleUnchanged(deps, job, manifest, at, handlerHash(handler, prepared.identity))) {
        return { ...rest, counts: await countsOf(deps, job), complete: true, open: [] };
      }
      const page = await readPlan(deps, job, manifest, at, prepared, handler);
      const commits = new PageCommits({
        store: deps.store, plan: page.plan, inputHashes: page.inputHashes, breaker: null,
        page: { lane: laneOf(job), jobId: job.id, tags: job.tags, page: at.page, attempt: at.attempt, fence: at.fence, handlerHash: page.handlerHash },
        batchRows: 1, maxUncommitted: 1, countsEveryMs: 0, heartbeat: () => heartbeat(), stop: () => {},
      });
      await commits.begin(page.plan, (row) => rowInput(page.columns, row.cells));
      const complete = page.plan.open.length === 0 && (await writeResult(deps, job, at, page.rows, commits));
      return { ...rest, counts: await countsOf(deps, job), complete, open: toSpans(page.plan.open.map(({ row }) => row)) };
    }),

    async processItem(input) {
      const job = await loadSheetJob(deps, input);
      if (!isWanted(job, input)) return UNWANTED;
      const stop = new AbortController();
      cancelled().catch(() => stop.abort());
      const pulse = setInterval(() => heartbeat(), HEARTBEAT_MS);
      try {
        return await handlers.with(job, columnNames(manifestOf(job)), async (prepared, handler) => {
          const { commits, row, settled } = await openItem(job, input, prepared, handler, () => stop.abort());
          if (!row) return { outcome: settled?.state ?? null, error: settled?.error?.code ?? null, wait: null, unwanted: settled === undefined };
          let error: string | null = null;
          const wait = await runRows([row], {
            handler: prepared, limits: deps.limits, limitKey: `job:${job.tenant}/${job.id}`, user: `${job.tenant}/${job.owner}`,
            concurrency: input.concurrency ?? prepared.concurrency, lastTry: input.lastTry,
            stop: stop.signal, drainMs: job.request.drainSeconds * 1000, retryDelaysMs: ROW_RETRY_DELAYS_MS,
            finished: (rows) => {
              const outcome = rows[0]!.outcome;
              error = 'error' in outcome ? outcome.error.code : null;
              return commits.add(rows);
            },
          });
          await commits.close();
          const answer = answerOf(commits);
          return { ...answer, error, wait: answer.outcome === null ? wait : null };
        });
      } finally {
        clearInterval(pulse);
      }
    },

    async failItem(input: FailItemInput) {
      const job = await loadSheetJob(deps, input);
      if (!isWanted(job, input)) return UNWANTED;
      return handlers.with(job, columnNames(manifestOf(job)), async (prepared, handler) => {
        const { commits, row, settled } = await openItem(job, input, prepared, handler, () => {});
        if (!row) return { outcome: settled?.state ?? null, error: settled?.error?.code ?? null, wait: null, unwanted: settled === undefined };
        const { code, message } = input.error;
        await commits.add([{ row, outcome: { error: { code, message, retryable: true } }, tries: 0, latencyMs: 0 }]);
        await commits.close();
        return { ...answerOf(commits), error: code };
      });
    },

    settleItems: (input) => withHandler(input, async (job, prepared, handler): Promise<ProcessPageAnswer> => {
      const at = tryOf(input);
      const { rows, plan, handlerHash: hash } = await readPlan(deps, job, manifestOf(job), at, prepared, handler);
      const results = [...plan.settled.values()];
      const counts = countOutcomes(results);
      const tally = { tried: plan.tried, faults: plan.faults, ...ifKnown(plan.spent) };
      const complete = results.length === rows.length;
      if (complete) {
        const lines = new Map(results.map((result) => [result.row, resultLine(result)]));
        await writeResult(deps, job, at, rows, { lines, counts, handlerHash: hash, tally });
      } else {
        const { page, attempt, fence } = at;
        const before = await deps.store.getPage(job.tenant, job.id, page);
        await deps.store.writePage(job.tenant, job.id, { page, attempt, fence, counts, ...tally, complete, result: before?.result ?? null });
      }
      const totals = await deps.store.jobTotals(job.tenant, job.id, job.attempt);
      const { breaker } = job.request;
      return {
        counts: await countsOf(deps, job), complete, wait: null,
        stopped: breaker && breakerTripped(breaker, totals) ? breakerError(breaker, totals) : null,
      };
    }),

    async itemsGone({ jobId, attempt, rows }) {
      const gone: number[] = [];
      for (const row of rows) {
        if (!(await isRunning(client, itemWorkflowId(jobId, attempt, row)))) gone.push(row);
      }
      return gone;
    },
  };
}

async function isRunning(client: Client, workflowId: string): Promise<boolean> {
  try {
    return (await client.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
