/** The rows of a version: what they came to, and how two versions differ. Streamed, some pages in memory at a time. */
import { setImmediate as breathe } from 'node:timers/promises';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile, readResultFile } from '../blobs/pages.ts';
import type { Blobs } from '../blobs/blobs.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Manifest } from '../contracts/job.ts';
import type { Cell, PageRow } from '../contracts/row.ts';
import type { VersionRecord } from '../contracts/source.ts';
import { rowInput } from '../domain/hashing.ts';
import { alignByContent, alignByKey, compare, RowIndex } from '../domain/versions.ts';
import type { Store } from '../store/store.ts';
import { itemOf, type JobRow } from './job-rows.ts';
import { csvLines, OutputFields, resultColumns } from './result-table.ts';

interface Stores {
  store: Store;
  blobs: Blobs;
}

/** Pages of the older version that are held: rows that have changed lie near each other. */
const PAGES_HELD = 32;
const BATCH_ROWS = 500;

/** A page at a time: rows that are skipped (blank, or of a key that another row has) are not among them. */
async function* dataRows({ store, blobs }: Stores, version: VersionRecord, limit: number, signal: AbortSignal): AsyncGenerator<JobRow[]> {
  const { tenant, source, content } = version;
  let left = limit;
  for (let page = 1; page <= version.pages && left > 0; page++) {
    signal.throwIfAborted();
    const result = blobKeys.versionResult(tenant, source, content, page);
    const [rows, results] = await Promise.all([
      readPageFile(blobs, blobKeys.versionPage(tenant, source, content, page)),
      readResultFile(blobs, result).catch((error: unknown) => {
        if (error instanceof SheafError && error.code === 'blob_not_found') return null;
        throw error;
      }),
    ]);
    const outcomes = new Map(results?.rows.map((outcome) => [outcome.row, outcome]));
    const found: JobRow[] = [];
    for (const { row, key, cells } of rows) {
      const outcome = outcomes.get(row);
      if (key === null || outcome?.state === 'skipped') continue;
      const state = outcome?.state === 'unchanged' ? 'done' : (outcome?.state ?? 'remaining');
      found.push({ row, key, state, cells, output: outcome?.output ?? null, ...(outcome?.error && { error: outcome.error }) });
    }
    yield found.slice(0, left);
    left -= found.length;
  }
  for (let file = 1; file <= version.keptFiles && left > 0; file++) {
    const rows = await readPageFile(blobs, blobKeys.versionKept(tenant, source, version.sequence, file));
    const items = await store.readItems({ tenant, source, lane: version.lane }, rows.map(({ key }) => key!));
    yield rows.slice(0, left).map(({ row, key, cells }): JobRow => ({ row, key, state: items.get(key!)?.state ?? 'remaining', cells, output: items.get(key!)?.output ?? null }));
    left -= rows.length;
  }
}

export async function* dataChunks(
  stores: Stores, version: VersionRecord, { format, limit, escape }: { format: 'ndjson' | 'csv'; limit: number; escape: boolean }, signal: AbortSignal,
): AsyncGenerator<string> {
  const batches = async function* (): AsyncGenerator<JobRow[]> {
    for await (const rows of dataRows(stores, version, limit, signal)) {
      for (let start = 0; start < rows.length; start += BATCH_ROWS) {
        yield rows.slice(start, start + BATCH_ROWS);
        await breathe();
      }
    }
  };
  const names = version.columns.map(({ name }) => name);
  if (format === 'ndjson') {
    for await (const rows of batches()) yield rows.map((row) => `${JSON.stringify(itemOf(names, row))}\n`).join('');
    return;
  }
  const manifest: Manifest = JSON.parse((await stores.blobs.get(blobKeys.versionManifest(version.tenant, version.source, version.content))).toString()) as Manifest;
  const fields = new OutputFields(manifest);
  for await (const rows of batches()) fields.add(rows);
  const columns = resultColumns(manifest, fields, false);
  yield (escape ? '\uFEFF' : '') + csvLines([columns.map(({ name }) => name)], escape);
  for await (const rows of batches()) yield csvLines(rows.map((row) => columns.map((column) => column.of(row))), escape);
}

/** One line of a diff. `before` and `after` are row numbers; `cells` of a changed row: those that differ, else all. */
interface DiffLine {
  change: 'added' | 'removed' | 'changed' | 'moved';
  key: string | null;
  before: number | null;
  after: number | null;
  cells?: { [column: string]: Cell | { from: Cell; to: Cell } };
}

/** In the order of the newer version, then what is gone in the order of the older. Rows keep their key columns' names, or are told apart by what stands in them. */
export async function* diffChunks({ blobs }: Stores, from: VersionRecord | null, to: VersionRecord, signal: AbortSignal): AsyncGenerator<string> {
  const older = from === null ? null : await openVersion(blobs, from, signal);
  const newer = await openVersion(blobs, to, signal);
  const before = older?.index ?? new RowIndex();
  const keyed = to.keyColumns.length > 0 && JSON.stringify(from?.keyColumns ?? to.keyColumns) === JSON.stringify(to.keyColumns);
  const aligned = keyed ? alignByKey(before, newer.index) : alignByContent(before, newer.index);
  const comparison = compare(before, newer.index, aligned);
  let at = 0;
  for (let page = 1; page <= to.pages; page++) {
    signal.throwIfAborted();
    const lines: DiffLine[] = [];
    for (const row of await newer.page(page)) {
      const change = comparison.changeOf(at);
      const was = change === 'added' ? null : aligned[at]!;
      at++;
      if (change === 'same') continue;
      const key = keyed ? row.key : null;
      const old = was === null ? null : await older!.row(was);
      lines.push({
        change, key, before: old?.row ?? null, after: row.row,
        ...(change === 'added' && { cells: rowInput(newer.names, row.cells) }),
        ...(change === 'changed' && { cells: differences(older!.names, old!, newer.names, row) }),
      });
    }
    yield textOf(lines);
    await breathe();
  }
  let was = 0;
  for (let page = 1; older !== null && page <= from!.pages; page++) {
    signal.throwIfAborted();
    const lines: DiffLine[] = [];
    for (const row of await older.page(page)) {
      if (comparison.isGone(was++)) lines.push({ change: 'removed', key: keyed ? row.key : null, before: row.row, after: null, cells: rowInput(older.names, row.cells) });
    }
    yield textOf(lines);
    await breathe();
  }
}

const textOf = (lines: DiffLine[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

function differences(names: string[], old: PageRow, newNames: string[], row: PageRow): NonNullable<DiffLine['cells']> {
  const was = rowInput(names, old.cells);
  const is = rowInput(newNames, row.cells);
  const cells: { [column: string]: { from: Cell; to: Cell } } = {};
  for (const name of new Set([...newNames, ...names])) {
    const [from, to] = [was[name] ?? null, is[name] ?? null];
    if (from !== to) cells[name] = { from, to };
  }
  return cells;
}

interface OpenVersion {
  names: string[];
  index: RowIndex;
  /** Rows that are not blank. */
  page(page: number): Promise<PageRow[]>;
  /** By its place among all that are not blank. */
  row(at: number): Promise<PageRow>;
}

async function openVersion(blobs: Blobs, { tenant, source, content, pages, columns }: VersionRecord, signal: AbortSignal): Promise<OpenVersion> {
  const held = new Map<number, PageRow[]>();
  const page = async (number: number): Promise<PageRow[]> => {
    const found = held.get(number) ?? (await readPageFile(blobs, blobKeys.versionPage(tenant, source, content, number))).filter(({ key }) => key !== null);
    held.delete(number);
    held.set(number, found);
    if (held.size > PAGES_HELD) held.delete(held.keys().next().value!);
    return found;
  };
  const index = new RowIndex();
  const ends: number[] = [];
  for (let number = 1; number <= pages; number++) {
    signal.throwIfAborted();
    for (const row of await page(number)) index.add(row);
    ends.push(index.length);
    await breathe();
  }
  return {
    names: columns.map(({ name }) => name), index, page,
    async row(at) {
      let [low, high] = [0, ends.length - 1];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (ends[middle]! > at) high = middle;
        else low = middle + 1;
      }
      return (await page(low + 1))[at - (low === 0 ? 0 : ends[low - 1]!)]!;
    },
  };
}
