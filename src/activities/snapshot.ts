/** What a job's sheet was when the job began: read once into pages of the blob store, or copied from the job before. */
import { Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Manifest, SheetJobRecord } from '../contracts/job.ts';
import type { OpenSheetAnswer, OpenSheetInput } from '../contracts/sheet-messages.ts';
import { digest } from '../domain/hashing.ts';
import { COPIED_PAGE_WINDOW, PAGE_SIZES, PAGE_WINDOW, PAGES_IN_TASK, toSpans } from '../domain/paging.ts';
import { openSheet } from '../sources/index.ts';
import { withoutColumns } from '../sources/without-columns.ts';
import { cutPages, workOfJob } from './cut-pages.ts';
import type { ActivityDeps } from './deps.ts';
import { askingGoogle, findSheet } from './job-sheet.ts';
import type { PreparedHandlers } from './prepared-handlers.ts';
import { columnNames, loadSheetJob } from './rows.ts';
import { allOf } from '../store/all-of.ts';
import { restoreVersion } from './version-files.ts';

export function snapshotActivities(deps: ActivityDeps, handlers: PreparedHandlers) {
  return {
    /** Makes the manifest unless an earlier try or attempt did, and answers which pages have something to do. */
    async openSheet(input: OpenSheetInput): Promise<OpenSheetAnswer> {
      let job = await loadSheetJob(deps, input);
      const remote = 'spreadsheet' in job.request.location;
      if (!job.manifest) {
        const taking = (): Promise<Manifest> => takeSnapshot(deps, handlers, job, input.generation);
        const manifest = await (remote ? askingGoogle(taking) : taking());
        if ('wait' in manifest) return manifest;
        await deps.store.advanceJob(job.tenant, job.id, input, { manifest });
        job = await loadSheetJob(deps, input);
        if (!job.manifest) throw new SheafError('conflict', `The manifest of job ${job.id} was refused: a newer run has taken it over.`);
        await deps.store.appendEvent(job.tenant, job.id, {
          at: new Date().toISOString(), type: 'snapshot', dedupe: 'snapshot',
          message: `${manifest.base === null ? 'Read' : 'The file has not changed since the job before:'} ${manifest.rows} rows in ${manifest.columns.length} columns, ${manifest.pages} pages. Rows are named by ${manifest.keyColumns.length > 0 ? manifest.keyColumns.join(', ') : 'their number'}.`,
          data: { rows: manifest.rows, pages: manifest.pages, duplicates: manifest.duplicates },
        });
      }
      if (remote) await deps.blobs.deleteUnder(blobKeys.fetchedFolder(job.tenant, job.id));
      const { done, unchanged, failed, skipped } = await deps.store.jobTotals(job.tenant, job.id, input.attempt);
      return {
        total: job.manifest!.rows,
        window: job.manifest!.base === null ? PAGE_WINDOW[workOfJob(job.request)] : COPIED_PAGE_WINDOW,
        pagesInTask: PAGES_IN_TASK[workOfJob(job.request)],
        pending: input.attempt === 1
          ? job.manifest!.pages === 0 ? [] : [[1, job.manifest!.pages]]
          : toSpans(await pagesToRetry(deps, job)),
        counts: { done, unchanged, failed, skipped },
        ...(job.request.sync && { versioned: true }),
        ...(job.request.writeBack && { writeBack: true }),
      };
    },
  };
}

/** Pages with a failed row, or a row that was never reached. */
async function pagesToRetry(deps: ActivityDeps, job: SheetJobRecord): Promise<number[]> {
  const open = new Set(Array.from({ length: job.manifest!.pages }, (_, index) => index + 1));
  for await (const { page, complete, counts } of allOf((asked) => deps.store.listPages(job.tenant, job.id, asked))) if (complete && counts.failed === 0) open.delete(page);
  return [...open];
}

async function takeSnapshot(deps: ActivityDeps, handlers: PreparedHandlers, job: SheetJobRecord, generation: number): Promise<Manifest> {
  if (job.request.sync && job.request.sync.rollback !== null) return restoreVersion(deps, job, job.request.sync.rollback, generation);
  const file = await findSheet(deps, job);
  const reading = readingOf(job);
  // A sheet elsewhere may hold formulas that come to something else without a change.
  const mayCopy = file.fingerprint !== null && !('open' in file && job.request.force);
  const copied = mayCopy ? await copySnapshot(deps, job, file.fingerprint!, reading, generation) : null;
  if (copied) {
    await handlers.with(job, columnNames(copied), () => Promise.resolve());
    return copied;
  }
  const sheet = withoutColumns(await openSheet(file, job.request, deps.sheetLimits), writtenColumns(job.request));
  try {
    const manifest = { ...(await cutPages(deps, job, sheet, 'size' in file ? file.size : null)), fingerprint: file.fingerprint ?? '', ...('open' in file && sheet.sheet !== null && { sheet: sheet.sheet }), reading, generation, base: null };
    if (file.fingerprint !== null && (await findSheet(deps, job)).fingerprint !== file.fingerprint) {
      throw new SheafError('source_changed', `${file.name} changed while it was read.`, { remedy: 'It is read again; keep it still for a moment.' });
    }
    // Before any row is touched: the handler takes these options and these columns.
    await handlers.with(job, columnNames(manifest), () => Promise.resolve());
    return manifest;
  } finally {
    await sheet.close();
  }
}

/** Raised when the same file would give other rows, keys, hashes or pages than before. */
const SNAPSHOT_FORMAT = 1;

/** All that decides which rows and pages a file gives. */
function readingOf({ request }: SheetJobRecord): string {
  const { sheet, range, headerRow, startRow, numRows, delimiter, encoding, keyColumns, onDuplicateKey } = request;
  return digest(JSON.stringify([
    SNAPSHOT_FORMAT, sheet, range, headerRow, startRow, numRows, delimiter, encoding, keyColumns, onDuplicateKey, PAGE_SIZES[workOfJob(request)],
    ...writtenColumns(request).toSorted(), ...(request.validation ? [JSON.stringify(request.validation)] : []),
  ]));
}

/** Columns of the sheet that the job writes its results into. */
export const writtenColumns = ({ writeBack }: SheetJobRecord['request']): string[] => (writeBack && writeBack.tab === undefined ? Object.values(writeBack.columns) : []);

const COPIES_AT_ONCE = 4;

/**
 * The pages of the job that worked on the lane just before, when the file is still the one that it read: nothing is
 * parsed, and its results can answer for the ledger. Null where there is no such job, or it is being deleted.
 */
async function copySnapshot(deps: ActivityDeps, job: SheetJobRecord, fingerprint: string, reading: string, generation: number): Promise<Manifest | null> {
  const { store, blobs } = deps;
  if (generation === 1) return null; // nobody was on the lane before
  const ended = await store.listJobs(job.tenant, { source: job.source, state: ['completed'] }, { limit: 5 });
  const before = ended.items.find(({ kind, lane, desired, manifest }) =>
    kind === 'sheet' && lane === job.lane && desired === null && manifest !== null && manifest.generation === generation - 1 &&
    manifest.fingerprint === fingerprint && manifest.reading === reading);
  if (!before) return null;
  const { pages, duplicates } = before.manifest!;
  const copy = async (key: (tenant: string, job: string, page: number) => string, page: number): Promise<void> => {
    await blobs.put(key(job.tenant, job.id, page), await blobs.get(key(job.tenant, before.id, page)));
  };
  try {
    for (let page = 1; page <= pages; page += COPIES_AT_ONCE) {
      Context.current().cancellationSignal.throwIfAborted();
      heartbeat({ page });
      await Promise.all(Array.from({ length: Math.min(COPIES_AT_ONCE, pages - page + 1) }, async (_, index) => {
        await copy(blobKeys.page, page + index);
        if (duplicates > 0 && (await blobs.head(blobKeys.duplicates(job.tenant, before.id, page + index)))) await copy(blobKeys.duplicates, page + index);
      }));
    }
  } catch (error) {
    if (error instanceof SheafError && error.code === 'blob_not_found') return null;
    throw error;
  }
  return { ...before.manifest!, generation, base: before.id };
}
