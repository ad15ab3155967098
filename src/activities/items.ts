/** Rows with a life of their own: each is looked up, handled and committed by itself. */
import { cancelled, Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile } from '../blobs/pages.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { SheafError } from '../contracts/errors.ts';
import type { ItemActivities, PageRef, ProcessItemAnswer } from '../contracts/items.ts';
import { isEnded, type JobRecord, type SheetJobRecord } from '../contracts/job.ts';
import type { PageRow, RowFailure } from '../contracts/row.ts';
import { fence } from '../domain/fence.ts';
import { handlerHash } from '../domain/hashing.ts';
import { planFromLedger, type PagePlan } from '../domain/page-plan.ts';
import { NOTHING_SPENT } from '../domain/spent.ts';
import type { Handler, PreparedHandler } from '../handlers/handler.ts';
import { ROW_RETRY_DELAYS_MS } from '../workflows/activity-options.ts';
import type { ActivityDeps } from './deps.ts';
import { PageCommits } from './page-commits.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import type { Purses } from './purse.ts';
import { runRows } from './row-runner.ts';
import { columnNames, handledRows, HEARTBEAT_MS, inputHasher, laneOf, loadSheetJob, manifestOf } from './rows.ts';

/** How often somebody looks whether the job still wants the row: it may have been terminated. */
const LOOK_MS = 10_000;
/** Pages kept as read: the rows of one come one after the other. */
const PAGES_KEPT = 4;

const UNWANTED: ProcessItemAnswer = { outcome: null, error: null, wait: null, unwanted: true };

type RowRef = PageRef & { row: number; again: boolean };

const isWanted = (job: JobRecord | null, { attempt }: PageRef): boolean => job !== null && job.attempt === attempt && !isEnded(job.state);

export function itemActivities(deps: ActivityDeps, handlers: PreparedHandlers, paying: Purses): ItemActivities {
  const pages = keptPages(deps.blobs);

  /** Of one row: its outcome where there is one, and else what handles and commits it. That the row needs the handler was decided when its page was planned. */
  const openItem = async (job: SheetJobRecord, ref: RowRef, prepared: PreparedHandler, handler: Handler, stop: () => void) => {
    const columns = columnNames(manifestOf(job));
    const row = (await pages(blobKeys.page(job.tenant, job.id, ref.page))).get(ref.row);
    if (!row || row.key === null) throw new SheafError('conflict', `Page ${ref.page} of job ${job.id} has no row ${ref.row} that could be handled.`);
    const inputHash = inputHasher(prepared, columns);
    const hash = handlerHash(handler, prepared.identity);
    const plan: PagePlan = { settled: new Map(), newFailures: [], open: [0], asked: new Set([row.row]), tried: 0, faults: 0, spent: NOTHING_SPENT };
    const ledger = await deps.store.readItems(laneOf(job), [row.key]);
    const failed = ledger.get(row.key)?.state === 'failed';
    // Of a row that is tried again, the failure is what it is tried again for.
    if (!ref.again || !failed) {
      planFromLedger(plan, [row], ledger, { jobId: job.id, attempt: ref.attempt, force: job.request.force, ending: false, handlerHash: hash, inputHash });
    }
    const known = plan.settled.get(row.row);
    const commits = new PageCommits({
      store: deps.store, plan, breaker: null,
      page: {
        lane: laneOf(job), jobId: job.id, tags: job.tags, page: ref.page, attempt: ref.attempt, again: ref.again, handlerHash: hash,
        fence: fence({ ...ref, activityAttempt: Context.current().info.attempt }),
      },
      batchRows: 1, maxUncommitted: 1, countsEveryMs: null, stop,
    });
    return {
      commits, row: handledRows(job, prepared, { columns, inputHash, handlerHash: hash })(row),
      known: known ? { outcome: known.state, error: known.error?.code ?? null, wait: null, unwanted: false } satisfies ProcessItemAnswer : null,
    };
  };

  const outcomeOf = ({ counts: { done, failed } }: PageCommits) => (done > 0 ? 'done' : failed > 0 ? 'failed' : null);

  return {
    async processItem(input) {
      const job = await loadSheetJob(deps, input);
      if (!isWanted(job, input)) return UNWANTED;
      const stop = new AbortController();
      let wanted = true;
      cancelled().catch(() => stop.abort());
      const pulse = setInterval(() => heartbeat(), HEARTBEAT_MS);
      const look = setInterval(() => void deps.store.getJob(input.tenant, input.jobId).then((now) => {
        wanted = isWanted(now, input);
        if (!wanted) stop.abort();
      }, () => {}), LOOK_MS);
      try {
        return await handlers.with(job, columnNames(manifestOf(job)), async (prepared, handler) => {
          const { commits, row, known } = await openItem(job, input, prepared, handler, () => stop.abort());
          if (known) return known;
          let error: string | null = null;
          let halted = null as RowFailure | null;
          const wait = await runRows([row], {
            handler: prepared, limits: deps.limits, purse: paying.of(job), limitKey: `job:${job.tenant}/${job.id}`, user: `${job.tenant}/${job.owner}`,
            concurrency: input.concurrency ?? prepared.concurrency, lastTry: input.lastTry,
            stop: stop.signal, drainMs: job.request.drainSeconds * 1000, retryDelaysMs: ROW_RETRY_DELAYS_MS,
            finished: (rows) => {
              const outcome = rows[0]!.outcome;
              error = 'error' in outcome ? outcome.error.code : null;
              return commits.add(rows);
            },
            // Its job hears of failed rows only, and of as many as it takes.
            // A job refuses services that answer later together with rows as workflows.
            submitted: () => {},
            halted: ({ code, message }) => { halted = { code, message, retryable: true }; },
          });
          if (halted) await commits.add([{ row, outcome: { error: halted }, tries: 1, latencyMs: 0 }]);
          await commits.close();
          const outcome = outcomeOf(commits);
          return { outcome, error, wait: outcome === null ? wait : null, unwanted: outcome === null && !wanted };
        });
      } finally {
        clearInterval(pulse);
        clearInterval(look);
      }
    },

    async failItem(input) {
      const job = await loadSheetJob(deps, input);
      if (!isWanted(job, input)) return UNWANTED;
      return handlers.with(job, columnNames(manifestOf(job)), async (prepared, handler) => {
        const { commits, row, known } = await openItem(job, input, prepared, handler, () => {});
        if (known) return known;
        const { code, message } = input.error;
        await commits.add([{ row, outcome: { error: { code, message, retryable: true } }, tries: 0, latencyMs: 0 }]);
        await commits.close();
        return { outcome: outcomeOf(commits), error: code, wait: null, unwanted: false };
      });
    },
  };
}

/** Pages never change, so that the rows of one need not read it each for itself. */
function keptPages(blobs: Blobs): (key: string) => Promise<Map<number, PageRow>> {
  const kept = new Map<string, Promise<Map<number, PageRow>>>();
  return (key) => {
    const page = kept.get(key) ?? readPageFile(blobs, key).then((rows) => new Map(rows.map((row) => [row.row, row])));
    kept.delete(key);
    kept.set(key, page);
    page.catch(() => kept.delete(key));
    if (kept.size > PAGES_KEPT) kept.delete(kept.keys().next().value!);
    return page;
  };
}
