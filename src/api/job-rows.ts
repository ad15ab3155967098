/** The rows of a job: its snapshot's pages, each row beside what became of it. A page at a time, so that memory is bounded. */
import { z } from 'zod';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile, readResultFile } from '../blobs/pages.ts';
import type { Blobs } from '../blobs/blobs.ts';
import type { ItemAnswer } from '../contracts/items-api.ts';
import { SheafError } from '../contracts/errors.ts';
import type { SheetJobRecord, Manifest, PageRecord } from '../contracts/job.ts';
import type { Cell, Json, OutcomeOrRemaining, RowFailure } from '../contracts/row.ts';
import { rowInput } from '../domain/hashing.ts';
import { listed, readCursor } from '../store/cursor.ts';
import type { Store } from '../store/store.ts';
import type { FailedRowFilter } from '../store/ports/rows.ts';
import type { Listed } from '../store/ports/lists.ts';

export interface JobRow {
  row: number;
  key: string | null;
  state: OutcomeOrRemaining;
  cells: Cell[];
  output: Json;
  error?: RowFailure;
  cached?: true;
}

interface Stores {
  store: Store;
  blobs: Blobs;
}

/** Of a job whose snapshot is complete; before that, `not_ready`. */
export function manifestOf(job: SheetJobRecord): Manifest {
  if (job.manifest) return job.manifest;
  throw new SheafError('not_ready', job.completedAt === null
    ? 'The sheet has not been read yet.'
    : 'The job ended before it had read the sheet.', { remedy: `Look at the job: GET /api/v1/jobs/${job.id}.` });
}

type States = readonly OutcomeOrRemaining[] | undefined;

/** False where the page's counts already say that no row of it is in one of the states. */
function mayHold(page: PageRecord | null, states: States): boolean {
  if (states === undefined) return true;
  return states.some((state) => (state === 'remaining' ? !page?.complete : (page?.counts[state] ?? 0) > 0));
}

async function rowsOfPage({ store, blobs }: Stores, job: SheetJobRecord, page: number, states: States): Promise<JobRow[]> {
  const record = await store.getPage(job.tenant, job.id, page);
  if (!mayHold(record, states)) return [];
  const [rows, result] = await Promise.all([
    readPageFile(blobs, blobKeys.page(job.tenant, job.id, page)),
    record?.result ? readResultFile(blobs, record.result) : null,
  ]);
  const outcomes = new Map(result?.rows.map((outcome) => [outcome.row, outcome]));
  const found: JobRow[] = [];
  for (const { row, key, cells } of rows) {
    const outcome = outcomes.get(row);
    const state = outcome?.state ?? 'remaining';
    if (states !== undefined && !states.includes(state)) continue;
    found.push({ row, key, state, cells, output: outcome?.output ?? null, ...(outcome?.error && { error: outcome.error }), ...(outcome?.cached && { cached: true }) });
  }
  return found;
}

/** All rows, or those in one of the states, in the sheet's order; a page at a time, pages without one left out. */
export async function* readJobRows(stores: Stores, job: SheetJobRecord, states: States, signal: AbortSignal): AsyncGenerator<JobRow[]> {
  const { pages } = manifestOf(job);
  for (let page = 1; page <= pages; page++) {
    signal.throwIfAborted();
    const rows = await rowsOfPage(stores, job, page, states);
    if (rows.length > 0) yield rows;
  }
}

export interface FoundRow {
  page: number;
  row: JobRow;
}

/** The row with this number; null where the sheet has none. Pages are looked through by halves. */
export async function findRow(stores: Stores, job: SheetJobRecord, row: number): Promise<FoundRow | null> {
  for (let first = 1, last = manifestOf(job).pages; first <= last; ) {
    const page = Math.floor((first + last) / 2);
    const rows = await readPageFile(stores.blobs, blobKeys.page(job.tenant, job.id, page));
    if (row < rows[0]!.row) last = page - 1;
    else if (row > rows.at(-1)!.row) first = page + 1;
    else {
      const found = (await rowsOfPage(stores, job, page, undefined)).find((one) => one.row === row);
      return found ? { page, row: found } : null;
    }
  }
  return null;
}

export function itemOf(columns: readonly string[], { cells, ...row }: JobRow): ItemAnswer {
  const { row: number, key, state, output, error, cached } = row;
  return { row: number, key, state, input: rowInput(columns, cells), output, ...(error && { error }), ...(cached && { cached }) };
}

const positionCursor = z.tuple([z.int().min(0), z.int().min(0)]);

/**
 * A page of the list of rows. Failed rows come from the store, which knows them as they happen; others from page
 * results, which are written when a page ends. Rejects with `invalid_cursor`.
 */
export async function listItems(
  stores: Stores, job: SheetJobRecord, filter: { states: States } & FailedRowFilter, cursor: string | undefined, limit: number,
): Promise<Listed<ItemAnswer>> {
  if ('code' in filter || 'fingerprint' in filter || (filter.states?.length === 1 && filter.states[0] === 'failed')) {
    const failed = await stores.store.listFailedRows(job.tenant, job.id, filter, { limit, ...(cursor !== undefined && { cursor }) });
    return { ...failed, items: failed.items.map(({ row, key, error, input }) => ({ row, key, state: 'failed', input, output: null, error })) };
  }
  const after = readCursor(cursor, positionCursor);
  if (!job.manifest) return { items: [], nextCursor: null };
  const found: { page: number; row: JobRow }[] = [];
  const from = after?.[0] ?? 1;
  for (let page = from; page <= job.manifest.pages && found.length <= limit; page++) {
    const rows = await rowsOfPage(stores, job, page, filter.states);
    const rest = after && page === from ? rows.filter(({ row }) => row > after[1]) : rows;
    for (const row of rest.slice(0, limit + 1 - found.length)) found.push({ page, row });
  }
  const columns = job.manifest.columns.map(({ name }) => name);
  const { items, nextCursor } = listed(found, limit, ({ page, row }) => [page, row.row]);
  return { items: items.map(({ row }) => itemOf(columns, row)), nextCursor };
}
