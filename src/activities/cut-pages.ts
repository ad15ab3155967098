/** Reads a sheet once, has it cut into pages, writes them to the blob store, and finds duplicate keys. */
import { Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile } from '../blobs/pages.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Manifest, SheetJobRecord } from '../contracts/job.ts';
import type { Cell, SheetWarning } from '../contracts/row.ts';
import { findDuplicates } from '../domain/duplicates.ts';
import { giveBackChunk } from '../domain/give-back.ts';
import { PAGE_SIZES } from '../domain/paging.ts';
import { Lenient, rowCheck } from '../domain/validation.ts';
import type { Work } from '../handlers/handler.ts';
import { findHandler, workOf } from '../handlers/index.ts';
import type { OpenSheet } from '../sources/source.ts';
import { openCutting } from './cutting.ts';
import type { ActivityDeps } from './deps.ts';
import type { Cut, CutColumns } from './page-cutter.ts';
import { HEARTBEAT_MS } from './rows.ts';

const WRITES_AT_ONCE = 2;

/** `bytes`: of the sheet's file; null where it is none. */
export async function cutPages(
  deps: ActivityDeps, job: SheetJobRecord, sheet: OpenSheet, bytes: number | null,
): Promise<Omit<Manifest, 'fingerprint' | 'reading' | 'generation' | 'base'>> {
  const { tenant, id, request } = job;
  const signal = Context.current().cancellationSignal;
  const progress = { pages: 0, rows: 0 };

  // Pages are written while the next are read: packing them and the disk take as long as reading does.
  const writes = new Set<Promise<void>>();
  const cutting = openCutting({ size: PAGE_SIZES[workOfJob(request)], keyed: request.keyColumns.length > 0 }, bytes, async (packed) => {
    const key = blobKeys.page(tenant, id, ++progress.pages);
    const write = packed.then(async (page) => {
      await deps.blobs.put(key, page);
      giveBackChunk(page);
    });
    writes.add(write);
    write.then(() => writes.delete(write), () => {}); // a failed one stays, and rejects what waits for it
    if (writes.size > WRITES_AT_ONCE) await Promise.race(writes);
  });
  const pulse = setInterval(() => heartbeat(progress), HEARTBEAT_MS);
  try {
    // A column that is missing is told before the first row is read.
    const checks = checksFor(job, sheet);
    let columns = columnsOf(job, sheet);
    let told = false;
    for await (const batch of sheet.rows({ signal })) {
      if (sheet.columns.length !== columns.names.length) {
        columns = columnsOf(job, sheet);
        told = false;
      }
      const rows = batch.map(({ row, cells }) => {
        if (cells.every((cell) => cell === null)) return -row;
        checks?.(row, cells);
        return row;
      });
      await cutting.add({ rows, cells: JSON.stringify(batch.map(({ cells }) => cells)), ...(!told && { columns }) });
      told = true;
      progress.rows += rows.length;
    }
    const { suspects, ...cut } = await cutting.end();
    await Promise.all(writes);
    signal.throwIfAborted();
    return {
      ...cut,
      columns: sheet.columns.map(({ name, header, letter }) => ({ name, header, letter })),
      keyColumns: request.keyColumns, duplicates: await writeDuplicates(deps, job, suspects), warnings: [...sheet.warnings, ...(checks?.warnings() ?? [])],
    };
  } finally {
    clearInterval(pulse);
    await cutting.close();
  }
}

export const workOfJob = ({ handler, options }: SheetJobRecord['request']): Work => workOf(findHandler(handler), options);

const columnsOf = ({ request }: SheetJobRecord, sheet: OpenSheet): CutColumns => ({ names: sheet.columns.map(({ name }) => name), keys: keyPositions(sheet, request.keyColumns) });

/** What is done to each row as it is read; undefined: nothing. Rows that fail one by one do so in their page. */
function checksFor({ request: { validation } }: SheetJobRecord, sheet: OpenSheet): { (row: number, cells: Cell[]): void; warnings(): SheetWarning[] } | undefined {
  if (!validation) return undefined;
  const names = sheet.columns.map(({ name }) => name);
  if (validation.level === 'lenient') {
    const lenient = new Lenient(validation, names);
    return Object.assign((row: number, cells: Cell[]) => lenient.mend(row, cells), { warnings: () => lenient.warnings });
  }
  const check = rowCheck(validation, names);
  return Object.assign((row: number, cells: Cell[]) => {
    const failure = validation.level === 'strict' ? check(cells) : null;
    if (failure) {
      throw new SheafError('invalid_row', `Row ${row}: ${failure.message}`, { remedy: 'Correct the row and create the job again, or ask for validation `moderate`.', place: { row, column: failure.column! } });
    }
  }, { warnings: (): SheetWarning[] => [] });
}

export function keyPositions(sheet: OpenSheet, keyColumns: string[]): number[] {
  return keyColumns.map((name) => {
    const index = sheet.columns.findIndex((column) => column.name === name);
    if (index < 0) {
      throw new SheafError('key_column_missing', `There is no column "${name}" in the sheet; its columns are ${sheet.columns.map((column) => column.name).join(', ').slice(0, 500)}.`, {
        remedy: 'Name key columns as the preview shows them.', place: { column: name },
      });
    }
    return index;
  });
}

/** Confirms keys with equal hashes by reading their pages again. Answers how many rows lose. */
async function writeDuplicates(deps: ActivityDeps, job: SheetJobRecord, suspects: Cut['suspects']): Promise<number> {
  const losers = await findDuplicates(suspects, job.request.onDuplicateKey, async (page) => {
    Context.current().cancellationSignal.throwIfAborted();
    return readPageFile(deps.blobs, blobKeys.page(job.tenant, job.id, page));
  });
  let count = 0;
  for (const [page, rows] of losers) {
    await deps.blobs.put(blobKeys.duplicates(job.tenant, job.id, page), Buffer.from(JSON.stringify([...rows])));
    count += rows.size;
  }
  return count;
}
