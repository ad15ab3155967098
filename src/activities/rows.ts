/** Pages of a sheet job: what the ledger has is taken from it, the rest is handled, committed and written down. */
import { cancelled, Context, heartbeat } from '@temporalio/activity';
import { copyUnchanged, failureOf, openPageFile, readResultFile, readResultText, unchangedLine, writeResultFile, type ResultText } from '../blobs/pages.ts';
import { blobKeys } from '../blobs/keys.ts';
import type { ResultLines } from '../blobs/result-lines.ts';
import type { StoredRows } from '../blobs/stored-rows.ts';
import { SheafError, type ErrorBody } from '../contracts/errors.ts';
import type { Counts, JobRecord, Manifest, PageRecord, SheetJobRecord } from '../contracts/job.ts';
import type { JobRef } from '../contracts/messages.ts';
import type { ProcessPageAnswer, ProcessPageInput } from '../contracts/sheet-messages.ts';
import type { PageRow, RowFailure, Spent } from '../contracts/row.ts';
import { fence } from '../domain/fence.ts';
import { canonicalJson, digest, handlerHash, rowHasher, rowInput } from '../domain/hashing.ts';
import { planFromBase, planFromLedger, planPage, type PagePlan } from '../domain/page-plan.ts';
import { rowCheck } from '../domain/validation.ts';
import type { HandledRow, Handler, PreparedHandler } from '../handlers/handler.ts';
import { workOf } from '../handlers/index.ts';
import type { LaneRef } from '../store/ports/rows.ts';
import { ROW_RETRY_DELAYS_MS } from '../workflows/activity-options.ts';
import type { ActivityDeps } from './deps.ts';
import { inTurn, type HandledPage } from './in-turn.ts';
import { PageCommits } from './page-commits.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import type { Purse, Purses } from './purse.ts';
import { runRows } from './row-runner.ts';
import { openSubmissions } from './submissions.ts';

/** Rows in one commit. Costly rows are also committed 250 ms after their answer at the latest. */
const COMMIT_ROWS = { cheap: 100, costly: 25 } as const;
/** Rows of a page that may wait for their commit. Of costly ones, 50 over the two pages in flight: what a kill may make pay again. */
const MAX_UNCOMMITTED = { cheap: 5_000, costly: 25 } as const;
/** How often a page's counts follow its commits: with each of costly rows; cheap ones finish faster than anybody looks. */
const COUNTS_EVERY_MS = { cheap: 200, costly: 0 } as const;
/** A pause or cancel arrives with a heartbeat's answer. */
export const HEARTBEAT_MS = 500;
/** A task goes on with its next page for so long: the jobs of others, and what was asked of this one, wait for no more than that and a page. */
const TASK_MS = 2_000;

export interface PageTry extends JobRef {
  page: number;
  attempt: number;
  /** Of the lane, at the job's admission. */
  generation: number;
  fence: bigint;
}

export async function loadJob(deps: ActivityDeps, ref: JobRef): Promise<JobRecord> {
  const job = await deps.store.getJob(ref.tenant, ref.jobId);
  if (!job) throw new SheafError('job_not_found', `There is no job ${ref.jobId}; it was deleted.`);
  return job;
}

export async function loadSheetJob(deps: ActivityDeps, ref: JobRef): Promise<SheetJobRecord> {
  const job = await loadJob(deps, ref);
  if (job.kind !== 'sheet') throw new SheafError('wrong_state', `Job ${job.id} reads no sheet.`);
  return job;
}

export const laneOf = (job: JobRecord): LaneRef => ({ tenant: job.tenant, source: job.source, lane: job.lane });

export function rowActivities(deps: ActivityDeps, handlers: PreparedHandlers, paying: Purses) {
  return {
    async processPage(input: ProcessPageInput): Promise<ProcessPageAnswer> {
      const { page: first, lastPage: last = first } = input;
      let begun = first;
      let commits: PageCommits | undefined;
      const began = performance.now();
      const stop = new AbortController();
      cancelled().catch(() => stop.abort());
      // By the clock alone: most tasks are over soon, and Temporal writes each beat down.
      const pulse = setInterval(() => heartbeat({ page: begun, committed: commits?.committed ?? 0 }), HEARTBEAT_MS);
      try {
        const job = await loadSheetJob(deps, input);
        const manifest = manifestOf(job);
        return await handlers.with(job, columnNames(manifest), async (prepared, handler) => {
          const asked = {
            purse: paying.of(job), concurrency: input.concurrency ?? prepared.concurrency, lastTry: input.lastTry, stop,
            begun: (ofPage: PageCommits) => { commits = ofPage; },
          };
          const by = fence({ ...input, activityAttempt: Context.current().info.attempt });
          const runs = await inTurn(first, last, {
            handle: (page) => {
              begun = page;
              return handlePage(deps, job, manifest, { ...input, page, fence: by }, prepared, handler, asked);
            },
            mayGoOn: () => !stop.signal.aborted && performance.now() - began < TASK_MS,
            broken: () => stop.abort(),
          });
          const open = runs.find(({ complete }) => !complete);
          const left = first + (open === undefined ? runs.length : runs.indexOf(open));
          return {
            counts: await countsOf(deps, job), complete: left > last, stopped: runs.find(({ stopped }) => stopped !== null)?.stopped ?? null,
            wait: open?.wait ?? null, ...(open?.parked && { parked: true }), ...(first < left && left <= last && { left }),
          };
        });
      } finally {
        clearInterval(pulse);
      }
    },
  };
}

/** What came of a page. */
type PageRun = Omit<ProcessPageAnswer, 'counts' | 'left'>;

async function handlePage(
  deps: ActivityDeps, job: SheetJobRecord, manifest: Manifest, at: PageTry, prepared: PreparedHandler, handler: Handler,
  { begun, stop, ...asked }: { purse: Purse | null; concurrency: number; lastTry: boolean; stop: AbortController; begun: (commits: PageCommits) => void },
): Promise<HandledPage<PageRun>> {
  const { store, limits } = deps;
  const record = await store.getPage(job.tenant, job.id, at.page);
  if (await settleWhole(deps, job, manifest, at, record, handlerHash(handler, prepared.identity))) {
    return { through: true, over: Promise.resolve({ complete: true, stopped: null, wait: null }) };
  }
  const page = await readPlan(deps, job, manifest, at, record, prepared, handler);
  const input = (row: PageRow) => rowInput(page.columns, row.cells);
  const work = workOf(handler, job.request.options);

  const commits = new PageCommits({
    store, plan: page.plan, breaker: job.request.breaker,
    page: { lane: laneOf(job), jobId: job.id, tags: job.tags, page: at.page, attempt: at.attempt, fence: at.fence, handlerHash: page.handlerHash },
    batchRows: COMMIT_ROWS[work], maxUncommitted: MAX_UNCOMMITTED[work], countsEveryMs: COUNTS_EVERY_MS[work], stop: () => stop.abort(),
  });
  begun(commits);
  try {
    let halted: ErrorBody | null = null;
    const handled = handledRows(job, prepared, page);
    const rowAt = (index: number): HandledRow => handled(page.rows.at(index));
    const sent = prepared.later && (await openSubmissions(deps, job, at.page, prepared, prepared.later, page.plan.open.map(rowAt), page.handlerHash));
    for (const row of sent?.waiting ?? []) commits.submit(row);
    await commits.begin(page.plan, input);
    for (const row of sent?.answered ?? []) {
      asked.purse?.spend(row.outcome.cost ?? 0);
      await commits.add([row]);
    }
    const wait = await runRows(sent ? sent.rest : page.plan.open.values().map(rowAt), {
      handler: sent?.handler ?? prepared, limits, limitKey: `job:${job.tenant}/${job.id}`, user: `${job.tenant}/${job.owner}`, ...asked,
      stop: stop.signal, drainMs: job.request.drainSeconds * 1000, retryDelaysMs: ROW_RETRY_DELAYS_MS,
      finished: (rows) => commits.add(rows), halted: (error) => { halted ??= error; }, submitted: (row) => commits.submit(row),
    });
    const { length } = page.rows; // which are let go of meanwhile
    const over = async (): Promise<PageRun> => {
      await commits.close();
      const complete = await writeResult(deps, job, at, { length }, commits);
      await sent?.settle(commits.lines);
      const parked = !complete && commits.lines.size + commits.submitted.size === length;
      return { complete, stopped: commits.tripped ?? halted, wait: complete ? null : wait, ...(parked && { parked }) };
    };
    return { through: wait === null && halted === null && commits.tripped === null && commits.submitted.size === 0, over: over() };
  } finally {
    page.rows.letGo();
  }
}

/** A page's rows as its handler takes them. */
export function handledRows(
  job: SheetJobRecord, prepared: PreparedHandler, { columns, inputHash, handlerHash }: { columns: string[]; inputHash: InputHash; handlerHash: string },
): (row: PageRow) => HandledRow {
  const { tenant, source, lane, id, request: { force } } = job;
  return (stored) => {
    const { row, cells } = stored;
    const key = stored.key!;
    const hash = inputHash(stored);
    const handled = { row, key, input: rowInput(columns, cells), inputHash: hash };
    // The same row with the same handler is the same call, whatever job it is in, unless somebody wants it anew.
    return prepared.namesCalls ? { ...handled, callKey: digest(canonicalJson([tenant, source, lane, key, hash, handlerHash, force ? id : null])) } : handled;
  };
}

/** Of what a handler reads of a row. */
export type InputHash = (row: PageRow) => string;

export function inputHasher(prepared: PreparedHandler, columns: string[]): InputHash {
  if (prepared.reads === null) return ({ rowHash }) => rowHash;
  const hash = rowHasher(columns, prepared.reads);
  return ({ cells }) => hash(cells);
}

export async function countsOf({ store }: ActivityDeps, job: JobRecord): Promise<Counts> {
  const { done, unchanged, failed, skipped } = await store.jobTotals(job.tenant, job.id, job.attempt);
  return { done, unchanged, failed, skipped };
}

/** Of two jobs on the lane without another in between, the later knows from the earlier's results what the ledger would say. */
const mayAskBase = (job: SheetJobRecord, manifest: Manifest, at: PageTry): boolean =>
  manifest.base !== null && !job.request.force && at.generation === manifest.generation;

/**
 * A page that is through (its task comes again), or of which the job before left nothing failed, is settled without reading a row.
 * `record`: the page's, as it is now. False: it is to be looked at row by row.
 */
export async function settleWhole(deps: ActivityDeps, job: SheetJobRecord, manifest: Manifest, at: PageTry, record: PageRecord | null, handlerHash: string): Promise<boolean> {
  if (record) return record.complete && record.attempt === at.attempt;
  if (!mayAskBase(job, manifest, at)) return false;
  const before = await deps.store.getPage(job.tenant, manifest.base!, at.page);
  if (!before?.complete || !before.result || before.counts.failed > 0) return false;
  const key = blobKeys.result(job.tenant, job.id, at.page, at.fence);
  const tally = { tried: 0, faults: 0 };
  if (!(await copyUnchanged(deps.blobs, before.result, key, { attempt: at.attempt, ...tally, handlerHash }).catch(nullIfGone))) return false;
  const { done, unchanged, skipped } = before.counts;
  return deps.store.writePage(job.tenant, job.id, {
    page: at.page, attempt: at.attempt, fence: at.fence, counts: { done: 0, unchanged: done + unchanged, failed: 0, skipped },
    ...tally, complete: true, result: key,
  });
}

/** The job before was deleted just now: the ledger knows. */
function nullIfGone(error: unknown): null {
  if (error instanceof SheafError && error.code === 'blob_not_found') return null;
  throw error;
}

/** Reads the page, its earlier result and the ledger, and decides what is to be handled. `record`: the page's, as it is now; `ending`: the job ends; `again`: rows that a failure in the earlier result says nothing of. */
export async function readPlan(
  deps: ActivityDeps, job: SheetJobRecord, manifest: Manifest, at: PageTry, record: PageRecord | null, prepared: PreparedHandler, handler: Handler,
  { ending = false, again = [] }: { ending?: boolean; again?: readonly number[] } = {},
): Promise<{ rows: StoredRows; columns: string[]; plan: PagePlan; inputHash: InputHash; handlerHash: string }> {
  const { store, blobs } = deps;
  const columns = columnNames(manifest);
  const [rows, duplicates] = await Promise.all([
    openPageFile(blobs, blobKeys.page(job.tenant, job.id, at.page)),
    manifest.duplicates > 0 ? readDuplicates(deps, job, at.page) : new Map<number, number>(),
  ]);
  const earlier = record?.result ? await readResultFile(blobs, record.result) : null;
  const plan = planPage(rows, {
    jobId: job.id, attempt: at.attempt, retry: job.retry, duplicates, onDuplicateKey: job.request.onDuplicateKey, check: checkOf(job, columns),
    earlier: earlier && { ...earlier, rows: earlier.rows.filter(({ row }) => !again.includes(row)) },
  });
  const hashOfHandler = handlerHash(handler, prepared.identity);
  const base = record === null ? await baseOf(deps, job, manifest, at, hashOfHandler) : null;
  if (base) planFromBase(plan, rows, base.rows, failureOf, unchangedLine);
  const inputHash = inputHasher(prepared, columns);
  // Before a lane's first job has begun a page, the ledger cannot know its rows.
  const unknown = at.generation === 1 && record === null;
  const ledger = unknown || plan.open.length === 0 ? new Map() : await store.readItems(laneOf(job), plan.open.map((index) => rows.at(index).key!));
  planFromLedger(plan, rows, ledger, {
    jobId: job.id, attempt: at.attempt, force: job.request.force, ending, handlerHash: hashOfHandler, inputHash,
  });
  return { rows, columns, plan, inputHash, handlerHash: hashOfHandler };
}

/** Of a job whose rows fail one by one; in other jobs they were looked at as the sheet was read. */
function checkOf({ request: { validation } }: SheetJobRecord, columns: string[]): ((row: PageRow) => RowFailure | null) | undefined {
  if (validation?.level !== 'moderate') return undefined;
  const check = rowCheck(validation, columns);
  return (row) => check(row.cells);
}

/** The page's result in the job before, where it answers for the ledger: the same rows and handler, and no job on the lane in between. */
async function baseOf(deps: ActivityDeps, job: SheetJobRecord, manifest: Manifest, at: PageTry, handlerHash: string): Promise<ResultText | null> {
  if (!mayAskBase(job, manifest, at)) return null;
  const record = await deps.store.getPage(job.tenant, manifest.base!, at.page);
  if (!record?.complete || !record.result) return null;
  const base = await readResultText(deps.blobs, record.result).catch(nullIfGone);
  return base?.head.handlerHash === handlerHash ? base : null;
}

/** What is known of a page: its result's lines, and their counts. */
export interface PageOutcome {
  lines: ResultLines;
  counts: Counts;
  handlerHash: string;
  tally: { tried: number; faults: number; spent?: Spent };
  /** Rows that wait for a service. */
  submitted?: ReadonlySet<number>;
}

/** Writes the page's result and points the page's record at it. Answers whether every row has an outcome. */
export async function writeResult(
  deps: ActivityDeps, job: SheetJobRecord, at: PageTry, rows: { readonly length: number }, { lines, counts, handlerHash, tally, submitted }: PageOutcome,
): Promise<boolean> {
  const complete = lines.size === rows.length;
  const key = blobKeys.result(job.tenant, job.id, at.page, at.fence);
  await writeResultFile(deps.blobs, key, { attempt: at.attempt, ...tally, handlerHash }, lines.inOrder());
  lines.letGo();
  await deps.store.writePage(job.tenant, job.id, {
    page: at.page, attempt: at.attempt, fence: at.fence, counts, ...tally, complete, result: key, ...(submitted && submitted.size > 0 && { submitted: submitted.size }),
  });
  return complete;
}

async function readDuplicates(deps: ActivityDeps, job: SheetJobRecord, page: number): Promise<Map<number, number>> {
  const key = blobKeys.duplicates(job.tenant, job.id, page);
  if (!(await deps.blobs.head(key))) return new Map();
  return new Map(JSON.parse((await deps.blobs.get(key)).toString()) as [number, number][]);
}

export function manifestOf(job: SheetJobRecord): Manifest {
  if (!job.manifest) throw new SheafError('not_ready', `The sheet of job ${job.id} has not been read yet.`);
  return job.manifest;
}

export const columnNames = (manifest: Manifest): string[] => manifest.columns.map(({ name }) => name);
