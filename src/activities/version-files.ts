/** The files of a version: its pages and results, copied from the job that made it and back, and rows that are gone. */
import { Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { readPageFile, writePageFile } from '../blobs/pages.ts';
import { pageLine } from '../blobs/stored-rows.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Manifest, SheetJobRecord } from '../contracts/job.ts';
import type { PageRow } from '../contracts/row.ts';
import type { VersionRecord } from '../contracts/source.ts';
import type { ActivityDeps } from './deps.ts';

const COPIES_AT_ONCE = 4;
/** Rows in one file of those that are gone. */
const ROWS_A_FILE = 5_000;

async function eachPage(pages: number, work: (page: number) => Promise<void>): Promise<void> {
  for (let page = 1; page <= pages; page += COPIES_AT_ONCE) {
    Context.current().cancellationSignal.throwIfAborted();
    heartbeat({ page });
    await Promise.all(Array.from({ length: Math.min(COPIES_AT_ONCE, pages - page + 1) }, (_, index) => work(page + index)));
  }
}

const copy = async ({ blobs }: ActivityDeps, from: string, to: string): Promise<void> => void (await blobs.put(to, await blobs.get(from)));

/** From the job's folder into the version's. */
export async function keepPages(deps: ActivityDeps, { tenant, id, source }: SheetJobRecord, manifest: Manifest, version: number): Promise<void> {
  await eachPage(manifest.pages, async (page) => {
    await copy(deps, blobKeys.page(tenant, id, page), blobKeys.versionPage(tenant, source, version, page));
    if (manifest.duplicates === 0 || (await deps.blobs.head(blobKeys.duplicates(tenant, id, page))) === null) return;
    await copy(deps, blobKeys.duplicates(tenant, id, page), blobKeys.versionDuplicates(tenant, source, version, page));
  });
  await deps.blobs.put(blobKeys.versionManifest(tenant, source, version), Buffer.from(JSON.stringify(manifest)));
}

/** What became of the rows; a page that has no result yet is left out. */
export async function keepResults(deps: ActivityDeps, { tenant, id, source }: SheetJobRecord, version: Pick<VersionRecord, 'content' | 'pages'>): Promise<void> {
  await eachPage(version.pages, async (page) => {
    const record = await deps.store.getPage(tenant, id, page);
    if (record?.result) await copy(deps, record.result, blobKeys.versionResult(tenant, source, version.content, page));
  });
}

/** The pages of a version, as those of a job that is to bring it back. Rejects with `version_not_found`. */
export async function restoreVersion(deps: ActivityDeps, { tenant, id, source }: SheetJobRecord, sequence: number, generation: number): Promise<Manifest> {
  const version = await deps.store.getVersion(tenant, source, sequence);
  if (!version) throw new SheafError('version_not_found', `Source ${source} has no version ${sequence} any more.`, { remedy: '`sheaf sync versions` lists those that are kept.' });
  const { content } = version;
  const manifest = JSON.parse((await deps.blobs.get(blobKeys.versionManifest(tenant, source, content))).toString()) as Manifest;
  await eachPage(manifest.pages, async (page) => {
    await copy(deps, blobKeys.versionPage(tenant, source, content, page), blobKeys.page(tenant, id, page));
    const duplicates = blobKeys.versionDuplicates(tenant, source, content, page);
    if (manifest.duplicates > 0 && (await deps.blobs.head(duplicates)) !== null) await copy(deps, duplicates, blobKeys.duplicates(tenant, id, page));
  });
  // No later job may take these pages for what the file holds.
  return { ...manifest, fingerprint: `version:${sequence}`, generation, base: null };
}

export async function* jobRows({ blobs }: ActivityDeps, { tenant, id }: SheetJobRecord, pages: number): AsyncGenerator<PageRow[]> {
  for (let page = 1; page <= pages; page++) {
    heartbeat({ page });
    yield (await readPageFile(blobs, blobKeys.page(tenant, id, page))).filter(({ key }) => key !== null);
  }
}

export async function* versionRows({ blobs }: Pick<ActivityDeps, 'blobs'>, { tenant, source, content, pages }: VersionRecord): AsyncGenerator<PageRow[]> {
  for (let page = 1; page <= pages; page++) {
    heartbeat({ page });
    yield (await readPageFile(blobs, blobKeys.versionPage(tenant, source, content, page))).filter(({ key }) => key !== null);
  }
}

export async function* keptRows({ blobs }: ActivityDeps, { tenant, source, sequence, keptFiles }: VersionRecord): AsyncGenerator<PageRow[]> {
  for (let file = 1; file <= keptFiles; file++) {
    heartbeat({ file });
    yield readPageFile(blobs, blobKeys.versionKept(tenant, source, sequence, file));
  }
}

/** Writes rows in files of some thousand; answers how many files. */
export async function writeRowFiles(deps: ActivityDeps, rows: AsyncIterable<PageRow[]>, key: (file: number) => string): Promise<number> {
  let waiting: string[] = [];
  let files = 0;
  const write = async (): Promise<void> => {
    heartbeat({ files });
    await writePageFile(deps.blobs, key(++files), waiting.join(''));
    waiting = [];
  };
  for await (const some of rows) {
    for (const row of some) {
      waiting.push(pageLine(row));
      if (waiting.length === ROWS_A_FILE) await write();
    }
  }
  if (waiting.length > 0) await write();
  return files;
}

export async function* goneRows({ blobs }: ActivityDeps, { tenant, id }: SheetJobRecord): AsyncGenerator<PageRow[]> {
  for (let file = 1; (await blobs.head(blobKeys.gone(tenant, id, file))) !== null; file++) {
    heartbeat({ file });
    yield readPageFile(blobs, blobKeys.gone(tenant, id, file));
  }
}
