/** Writes a job's results into the Google Sheet that its rows came from: a page after the other, and all of it may be repeated. */
import { heartbeat } from '@temporalio/activity';
import { readPageFile, readResultFile } from '../blobs/pages.ts';
import { blobKeys } from '../blobs/keys.ts';
import { NOTHING_WRITTEN, type Manifest, type SheetJobRecord, type SpreadsheetLocation, type WriteBack, type WriteBackReport } from '../contracts/job.ts';
import type { WriteBackAnswer, WriteBackCursor, WriteBackInput } from '../contracts/sheet-messages.ts';
import type { Cell, Json, PageRow, RowResult } from '../contracts/row.ts';
import { canonicalJson, itemKey, rowHasher } from '../domain/hashing.ts';
import { columnIndex } from '../domain/range.ts';
import { openColumns, type ColumnsWriter, type Tally } from '../sources/google/write-columns.ts';
import { openTab, type TabWriter } from '../sources/google/write-tab.ts';
import type { ActivityDeps } from './deps.ts';
import { askingGoogle, callerOf } from './job-sheet.ts';
import { columnNames, loadSheetJob, manifestOf } from './rows.ts';

/** After so long the job's record says how far it is. */
const WORK_MS = 15_000;

export function writeBackActivities(deps: ActivityDeps) {
  return {
    /** Works for some seconds from the cursor on, and answers where the next call goes on; null: all is written. */
    async writeBack(input: WriteBackInput): Promise<WriteBackAnswer> {
      const job = await loadSheetJob(deps, input);
      const cursor: WriteBackCursor = input.cursor ?? { page: 1, line: 1, report: { ...NOTHING_WRITTEN } };
      const report = input.cursor === null ? await unchangedSince(deps, job, input.attempt) : null;
      const worked = report ? { cursor: null, report } : await askingGoogle(() => writePages(deps, job, cursor));
      if ('wait' in worked) return { cursor, wait: worked.wait };
      await deps.store.advanceJob(job.tenant, job.id, input, { writeBack: worked.report });
      if (worked.cursor === null) await tell(deps, job, worked.report, input.attempt);
      return { cursor: worked.cursor, wait: null };
    },
  };
}

async function writePages(deps: ActivityDeps, job: SheetJobRecord, begun: WriteBackCursor): Promise<{ cursor: WriteBackCursor | null; report: WriteBackReport }> {
  const manifest = manifestOf(job);
  const writeBack = job.request.writeBack!;
  const client = await deps.google.client(job.request.location as SpreadsheetLocation, callerOf(job), 'write');
  const write = writeBack.tab === undefined
    ? intoColumns(await openColumns(client, targetOf(job, manifest)), manifest, writeBack)
    : intoTab(await openTab(client, writeBack.tab, [...(manifest.keyColumns.length > 0 ? manifest.keyColumns : ['row']), ...Object.values(writeBack.columns)], manifest.rows), manifest, writeBack);
  let cursor = begun;
  for (const deadline = Date.now() + WORK_MS; cursor.page <= manifest.pages;) {
    if (Date.now() > deadline) return { cursor, report: cursor.report };
    heartbeat({ page: cursor.page });
    const [rows, results] = await Promise.all([readPageFile(deps.blobs, blobKeys.page(job.tenant, job.id, cursor.page)), resultsOf(deps, job, cursor.page)]);
    const { tally, lines } = await write.page(rows, results, cursor.line);
    cursor = { page: cursor.page + 1, line: cursor.line + lines, report: added(cursor.report, tally) };
  }
  await write.end(cursor.line);
  return { cursor: null, report: { ...cursor.report, completedAt: new Date().toISOString() } };
}

async function resultsOf({ store, blobs }: ActivityDeps, job: SheetJobRecord, page: number): Promise<Map<number, RowResult>> {
  const record = await store.getPage(job.tenant, job.id, page);
  const results = record?.result ? (await readResultFile(blobs, record.result)).rows : [];
  return new Map(results.map((result) => [result.row, result]));
}

interface Writing {
  /** `line`: of the tab, the page's first. Answers how many it took. */
  page(rows: PageRow[], results: ReadonlyMap<number, RowResult>, line: number): Promise<{ tally: Tally; lines: number }>;
  /** `line`: the first that is free. */
  end(line: number): Promise<void>;
}

/** Rows without an output of their own leave their cells as they are. */
const intoColumns = (writer: ColumnsWriter, { keyColumns }: Manifest, { columns }: WriteBack): Writing => ({
  async page(rows, results) {
    const fields = Object.keys(columns);
    const written = rows.flatMap((row) => {
      const result = results.get(row.row);
      if (!hasOutput(result)) return [];
      return [{ row: row.row, identity: keyColumns.length > 0 ? row.key! : row.rowHash, values: fields.map((field) => fieldOf(result.output, field)) }];
    });
    return { tally: await writer.write(written), lines: 0 };
  },
  end: () => Promise.resolve(),
});

/** Every row has its line, so that a row stands in the same one however often it is written. */
const intoTab = (writer: TabWriter, manifest: Manifest, { columns }: WriteBack): Writing => ({
  async page(rows, results, line) {
    const fields = Object.keys(columns);
    const keys = manifest.keyColumns.map((name) => columnNames(manifest).indexOf(name));
    const lines = rows.filter(({ key }) => key !== null).map((row): Cell[] => {
      const result = results.get(row.row);
      const { cells } = row;
      const named: Cell[] = keys.length > 0 ? keys.map((index) => cells[index] ?? null) : [row.row];
      return [...named, ...fields.map((field) => (hasOutput(result) ? fieldOf(result.output, field) ?? null : null))];
    });
    return { tally: lines.length === 0 ? { current: 0, written: 0, moved: 0, missing: 0, cut: 0 } : await writer.write(line, lines), lines: lines.length };
  },
  end: (line) => writer.end(line - 1),
});

const hasOutput = (result: RowResult | undefined): result is RowResult => result?.state === 'done' || result?.state === 'unchanged';

/** `address.city`; of an output that is no object, `output`. Undefined: it has no such field. */
function fieldOf(output: Json, field: string): Cell | undefined {
  let value: Json | undefined = output;
  if (isObject(output) && Object.hasOwn(output, field)) value = output[field];
  else if (typeof output !== 'object' || output === null) value = field === 'output' ? output : undefined;
  else for (const name of field.split('.')) value = typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as { [name: string]: Json })[name] : undefined;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : value;
}

const isObject = (value: Json): value is { [key: string]: Json } => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Rows are known again by their key columns, else by all that they hold. */
function targetOf({ request }: SheetJobRecord, manifest: Manifest) {
  const { range, headerRow, writeBack } = request;
  const location = request.location as SpreadsheetLocation;
  const sheet = request.sheet ?? (location.gid === undefined && !range?.includes('!') ? manifest.sheet : undefined);
  const keyed = manifest.keyColumns.length > 0;
  const columns = keyed ? manifest.keyColumns.map((key) => manifest.columns.find(({ name }) => name === key)!) : manifest.columns;
  return {
    location, columns: Object.values(writeBack!.columns),
    ...(sheet !== undefined && { sheet }), ...(range !== undefined && { range }), ...(headerRow !== undefined && { headerRow }),
    identity: { columns, of: keyed ? itemKey : rowHasher(columns.map(({ name }) => name)) },
    width: Math.max(0, ...manifest.columns.map(({ letter }) => columnIndex(letter) + 1)),
  };
}

const added = (report: WriteBackReport, tally: Tally): WriteBackReport => ({
  current: report.current + tally.current, written: report.written + tally.written, moved: report.moved + tally.moved,
  missing: report.missing + tally.missing, cut: report.cut + tally.cut, completedAt: null,
});

/** What the job before wrote, where it read the same state of the sheet: then that had all of it, and nothing is new. */
async function unchangedSince({ store }: ActivityDeps, job: SheetJobRecord, attempt: number): Promise<WriteBackReport | null> {
  const base = job.manifest?.base ?? null;
  if (base === null || job.request.force) return null;
  const [before, totals] = await Promise.all([store.getJob(job.tenant, base), store.jobTotals(job.tenant, job.id, attempt)]);
  const same = before?.kind === 'sheet' && canonicalJson({ ...before.request.writeBack }) === canonicalJson({ ...job.request.writeBack });
  if (!same || totals.done > 0 || !before.writeBack?.completedAt) return null;
  return { ...before.writeBack, written: 0, completedAt: new Date().toISOString() };
}

async function tell({ store }: ActivityDeps, job: SheetJobRecord, report: WriteBackReport, attempt: number): Promise<void> {
  const { current, written, moved, missing, cut } = report;
  const more = [
    `Results of ${current} rows stand in the sheet, ${written} of them newly written`,
    moved > 0 && `${moved} rows had moved and were found`,
    missing > 0 && `${missing} rows are not there any more, or not for certain, and nothing was written for them`,
    cut > 0 && `${cut} values were too long for a cell and were cut`,
  ];
  await store.appendEvent(job.tenant, job.id, {
    at: new Date().toISOString(), type: 'write_back', dedupe: `write_back/${attempt}`, message: `${more.filter(Boolean).join('; ')}.`, data: { current, written, moved, missing, cut },
  });
}
