/** What a job would do: the sheet is read, the ledger and the kept answers are asked, and nothing is paid for but the sample. */
import { cancelled, Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { errorOf, SheafError, type ErrorBody } from '../contracts/errors.ts';
import type { Forecast, ForecastActivities, ForecastRequest } from '../contracts/forecast.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { Foreseen, PageRow, Spent } from '../contracts/row.ts';
import { hash53 } from '../domain/duplicates.ts';
import { handlerHash, itemKey, rowHasher } from '../domain/hashing.ts';
import { planFromLedger, type PagePlan } from '../domain/page-plan.ts';
import { Pace } from '../domain/pace.ts';
import { NOTHING_SPENT, plus } from '../domain/spent.ts';
import type { HandledRow, Handler, PreparedHandler } from '../handlers/handler.ts';
import { openSheet } from '../sources/index.ts';
import type { OpenSheet } from '../sources/source.ts';
import { withoutColumns } from '../sources/without-columns.ts';
import { ROW_RETRY_DELAYS_MS } from '../workflows/activity-options.ts';
import { keyPositions } from './cut-pages.ts';
import type { ActivityDeps } from './deps.ts';
import { askingGoogle, findSheet } from './job-sheet.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import type { Purses } from './purse.ts';
import { runRows } from './row-runner.ts';
import { handledRows, HEARTBEAT_MS, type InputHash, inputHasher, laneOf } from './rows.ts';
import { writtenColumns } from './snapshot.ts';

export function forecastActivities(deps: ActivityDeps, handlers: PreparedHandlers, paying: Purses): ForecastActivities {
  return {
    async forecastRows({ tenant, id }) {
      const asked = JSON.parse((await deps.blobs.get(blobKeys.forecast(tenant, id))).toString()) as ForecastRequest;
      const job = asIfMade(asked);
      const pulse = setInterval(() => heartbeat(), HEARTBEAT_MS);
      try {
        const found = await askingGoogle(async () => withoutColumns(await openSheet(await findSheet(deps, job), job.request, deps.sheetLimits), writtenColumns(job.request)));
        if ('wait' in found) throw new SheafError('rate_limited', found.wait.reason, { remedy: `Try again in ${Math.ceil(found.wait.ms / 1_000)} s` });
        try {
          return await handlers.with(job, found.columns.map(({ name }) => name), (prepared, handler) => new Forecasting(deps, paying, job, prepared, handler, asked.sample).of(found));
        } finally {
          await found.close();
        }
      } finally {
        clearInterval(pulse);
      }
    },
  };
}

class Forecasting {
  readonly #deps: ActivityDeps;
  readonly #paying: Purses;
  readonly #job: SheetJobRecord;
  readonly #prepared: PreparedHandler;
  readonly #handlerHash: string;
  readonly #keys = new Set<number>();
  readonly #stop = new AbortController();
  /** Rows that the sample still may have. */
  #room: number;
  #sample: NonNullable<Forecast['sample']> = { rows: 0, failed: 0, ...NOTHING_SPENT };
  #counts = { rows: 0, toDo: 0, unchanged: 0, failed: 0, skipped: 0, refused: 0, cached: 0 };
  /** Of rows to do that are not in the sample. */
  #spent: Spent = NOTHING_SPENT;
  #untold = 0;
  readonly #pace = new Pace();

  constructor(deps: ActivityDeps, paying: Purses, job: SheetJobRecord, prepared: PreparedHandler, handler: Handler, sample: number) {
    this.#deps = deps;
    this.#paying = paying;
    this.#job = job;
    this.#prepared = prepared;
    this.#handlerHash = handlerHash(handler, prepared.identity);
    this.#room = sample;
    cancelled().catch(() => this.#stop.abort());
  }

  async of(sheet: OpenSheet): Promise<Forecast> {
    for await (const batch of sheet.rows({ signal: Context.current().cancellationSignal })) {
      const columns = sheet.columns.map(({ name }) => name);
      const inputHash = inputHasher(this.#prepared, columns);
      const open = await this.#open(batch, columns, keyPositions(sheet, this.#job.request.keyColumns), inputHash);
      const rows = open.map(handledRows(this.#job, this.#prepared, { columns, inputHash, handlerHash: this.#handlerHash }));
      this.#counts.toDo += rows.length;
      const sampled = await this.#handle(rows.slice(0, this.#room));
      await this.#foresee(rows.slice(sampled));
    }
    return this.#told();
  }

  /** Rows of the batch that the handler would be asked for. */
  async #open(batch: { row: number; cells: PageRow['cells'] }[], columns: string[], keyAt: number[], inputHash: InputHash): Promise<PageRow[]> {
    const counts = this.#counts;
    const hashRow = rowHasher(columns);
    const rows: PageRow[] = [];
    for (const { row, cells } of batch) {
      counts.rows++;
      if (cells.every((cell) => cell === null)) {
        counts.skipped++;
        continue;
      }
      const key = keyAt.length > 0 ? itemKey(keyAt.map((index) => cells[index])) : String(row);
      const hash = key === null ? 0 : hash53(key);
      if (key === null || this.#keys.has(hash)) counts.refused++;
      else rows.push({ row, key, rowHash: hashRow(cells), cells });
      if (keyAt.length > 0) this.#keys.add(hash);
    }
    if (rows.length === 0) return [];
    const plan: PagePlan = { settled: new Map(), newFailures: [], open: [...rows.keys()], asked: new Set(), tried: 0, faults: 0, spent: NOTHING_SPENT };
    planFromLedger(plan, rows, await this.#deps.store.readItems(laneOf(this.#job), rows.map(({ key }) => key!)), {
      jobId: this.#job.id, attempt: 1, force: this.#job.request.force, ending: false, handlerHash: this.#handlerHash, inputHash,
    });
    for (const { state } of plan.settled.values()) counts[state === 'failed' ? 'failed' : 'unchanged']++;
    return plan.open.map((index) => rows[index]!);
  }

  /** The sample. Answers how many rows were handled, which are the first. */
  async #handle(rows: HandledRow[]): Promise<number> {
    if (rows.length === 0) return 0;
    if (this.#prepared.later) {
      throw new SheafError('invalid_request', 'A service that answers later gives no sample: what it makes would belong to no row', { remedy: 'Plan without a sample, or run a job over a few rows', place: { field: 'sample' } });
    }
    const { tenant, id, owner } = this.#job;
    let halted: ErrorBody | null = null as ErrorBody | null;
    const finished = new Set<number>();
    await runRows(rows, {
      handler: this.#prepared, limits: this.#deps.limits, limitKey: `job:${tenant}/${id}`, user: `${tenant}/${owner}`, concurrency: this.#prepared.concurrency,
      purse: this.#paying.of(this.#job), stop: this.#stop.signal, drainMs: 0, retryDelaysMs: ROW_RETRY_DELAYS_MS, lastTry: true,
      finished: async (some) => {
        for (const { row, outcome } of some) {
          finished.add(row.row);
          this.#sample = { ...plus(this.#sample, { tokens: outcome.tokens ?? null, cost: outcome.cost ?? null }), rows: this.#sample.rows + 1, failed: this.#sample.failed + ('error' in outcome ? 1 : 0) };
          if (outcome.cached) this.#counts.cached++;
        }
      },
      halted: (error) => { halted ??= error; },
      submitted: () => {}, // refused above
    });
    if (halted) throw errorOf(halted);
    // Where a limit or a budget ended it, that was the sample.
    this.#room = finished.size === rows.length ? this.#room - rows.length : 0;
    await this.#foresee(rows.filter(({ row }) => !finished.has(row)));
    return rows.length;
  }

  async #foresee(rows: HandledRow[]): Promise<void> {
    if (rows.length === 0) return;
    const foreseen = (await this.#prepared.foresee?.(rows)) ?? rows.map((): Foreseen => ({ known: false, ...NOTHING_SPENT }));
    this.#pace.call(this.#prepared.limits ?? [], rows.length / this.#prepared.batchSize);
    for (const one of foreseen) {
      const { known, tokens, cost } = one;
      this.#pace.add(one);
      if (known) this.#counts.cached++;
      else if (tokens === null) this.#untold++;
      else this.#spent = plus(this.#spent, { tokens, cost });
    }
  }

  /** Handlers that cannot tell beforehand take as much for every row as for those of the sample. */
  #told(): Forecast {
    const sample = this.#sample.rows > 0 ? this.#sample : null;
    const each = (amount: number | null): number | null => (amount === null || sample === null ? null : (amount / sample.rows) * this.#untold);
    const { tokens, cost } = [this.#sample, ...(this.#untold > 0 ? [{ tokens: each(this.#sample.tokens), cost: each(this.#sample.cost) }] : [])].reduce(plus, this.#spent);
    const { limits: of = [] } = this.#prepared;
    const nothingToPay = this.#counts.toDo === this.#counts.cached;
    // Nobody needs to be told what nothing was told from.
    const told = (tokens ?? 0) > 0 || (cost ?? 0) > 0;
    return {
      ...this.#counts, sample,
      tokens: nothingToPay ? 0 : tokens === null ? null : Math.round(tokens), cost: nothingToPay ? 0 : cost,
      basis: nothingToPay || !told ? null : sample !== null ? 'sample' : 'length',
      requests: this.#pace.requests, least: this.#pace.least((name) => this.#deps.limitRules.of(name), { of, taken: (tokens ?? 0) - (this.#sample.tokens ?? 0) }),
    };
  }
}

/** The record that the job would have. The sample is paid from what its tenant may spend, not from its own budget. */
function asIfMade({ tenant, id, owner, source, lane, request: { maxCost: _maxCost, ...request } }: ForecastRequest): SheetJobRecord {
  const now = new Date().toISOString();
  return {
    tenant, id, owner, kind: 'sheet', request, source, lane, priority: 'normal', tags: [], state: 'running', desired: null, cause: null, until: null, reason: null, error: null,
    attempt: 1, sequence: 0, revision: 0, retry: null, manifest: null, createdAt: now, startedAt: now, completedAt: null, updatedAt: now, runningSince: null, finishedBefore: 0,
    runAt: null, dependsOn: [], onFailure: 'cancel', batch: null, schedule: null,
  };
}
