/**
 * What a job of a source makes of the sheet that it has read: a version, compared with the current one before any row is handled,
 * and the current one once all are. Until then the current version stays what it was. Every step may be repeated.
 */
import { Context } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import type { EndedState, Manifest, SheetJobRecord } from '../contracts/job.ts';
import type { PageRow } from '../contracts/row.ts';
import type { SourceActivities, SourceRecord, VersionInput, VersionRecord } from '../contracts/source.ts';
import { fence } from '../domain/fence.ts';
import { alignByContent, alignByKey, compare, contentHashOf, RowIndex, whyToAsk, type Comparison } from '../domain/versions.ts';
import type { Store } from '../store/store.ts';
import type { ActivityDeps } from './deps.ts';
import { columnNames, countsOf, laneOf, loadSheetJob } from './rows.ts';
import { goneRows, jobRows, keepPages, keepResults, keptRows, versionRows, writeRowFiles } from './version-files.ts';

/** Versions that are looked at for the one that a job has made. */
const NEWEST = 20;
/** Keys that people are shown of what would go. */
const GONE_KEYS = 20;
/** Compare-and-set is tried again when somebody else wrote in between. */
const CHANGE_TRIES = 20;

export function versionActivities(deps: ActivityDeps): SourceActivities {
  const { store } = deps;
  return {
    async openVersion(input) {
      const job = await loadSheetJob(deps, input);
      const source = await sourceOf(store, job);
      const current = await versionOf(store, source, source.current);
      const rollback = job.request.sync!.rollback;
      if (rollback !== null) {
        const target = await versionOf(store, source, rollback);
        if (!target) throw new SheafError('version_not_found', `Source ${source.id} has no version ${rollback} any more.`);
        await compareWith(deps, job, source, target, current);
        await touch(store, source, target.sequence);
        return { asks: null };
      }
      let version = await ownVersion(store, job);
      if (version && current && current.sequence > version.sequence) {
        throw new SheafError('version_superseded', `Version ${version.sequence} of source ${source.id} cannot be finished: ${current.sequence} is the current one.`, { remedy: '`sheaf sync process` reads the sheet anew.' });
      }
      if (version?.state === 'completed') return { asks: null };
      const manifest = job.manifest!;
      const hash = contentHashOf(manifest.contentHash, columnNames(manifest));
      const same = current?.hash === hash && sameKeys(current, manifest);
      if (!version) {
        await refuseHeld(store, job, hash);
        if (same && source.definition.versioning === 'content_hash') {
          if (source.touched.length > 0) await compareWith(deps, job, source, current, current);
          await noteFetch(store, job, 'unchanged');
          return { asks: null };
        }
        version = await createVersion(store, job, source, hash, same ? current.content : null);
      }
      if (version.content === version.sequence) await keepPages(deps, job, manifest, version.sequence);
      const { gone, comparison, of } = await compareWith(deps, job, source, version, current);
      const { deletes } = source.definition;
      const lostColumns = missingFrom(columnNames(manifest), current?.columns.map(({ name }) => name) ?? []);
      const why = deletes.mode === 'keep' ? null : whyToAsk({ gone: gone.count, of, rows: manifest.rows, lostColumns, maxFraction: deletes.maxFraction });
      const asks = why === null || input.approved ? null : `${why}. \`sheaf job approve ${job.id}\` lets it, \`sheaf job reject ${job.id}\` keeps what there is.`;
      await store.writeVersion({
        ...version, state: asks === null ? 'processing' : 'waiting', base: current?.sequence ?? null, counts: comparison.counts, lostColumns,
        newColumns: current === null ? [] : missingFrom(current.columns.map(({ name }) => name), columnNames(manifest)),
        goneKeys: gone.keys, asks: why === null ? null : { gone: gone.count, of, why },
      });
      if (asks !== null) return { asks };
      await touch(store, source, version.sequence);
      return { asks: null };
    },

    async closeVersion(input) {
      const job = await loadSheetJob(deps, input);
      const source = await sourceOf(store, job);
      const rollback = job.request.sync!.rollback;
      const current = await versionOf(store, source, source.current);
      const own = rollback === null ? await ownVersion(store, job) : await versionOf(store, source, rollback);
      const version = own ?? current;
      if (!version) return;
      await findRows(deps, job, source, version, current, input);
      const { done, failed } = await countsOf(deps, job);
      // Of an unchanged sheet there are new ones where another handler was at work.
      if ((own !== null || done + failed > 0) && version.pages === job.manifest!.pages) await keepResults(deps, job, version);
      const keptFiles = source.definition.deletes.mode === 'keep'
        ? await writeRowFiles(deps, goneRows(deps, job), (file) => blobKeys.versionKept(job.tenant, source.id, version.sequence, file))
        : 0;
      if (own !== null || source.touched.length > 0) await store.writeVersion({ ...version, state: 'completed', asks: null, keptFiles, endedAt: now() });
      if (rollback !== null && current && current.sequence > version.sequence) await store.writeVersion({ ...current, state: 'rolled_back' });
      await changeSource(store, job, (before) => ({ ...before, current: version.sequence, touched: [] }));
      if (own !== null) await noteFetch(store, job, 'new');
    },

    async rejectVersion(input) {
      const job = await loadSheetJob(deps, input);
      const version = await ownVersion(store, job);
      if (version) await store.writeVersion({ ...version, state: 'rejected', endedAt: now() });
      throw new SheafError('removal_rejected', `The removal was rejected: ${version?.asks?.why ?? 'rows would go'}. The version before stays the current one.`, {
        remedy: 'Mend the sheet; the next sync reads it. `sheaf sync process --force` asks again.',
      });
    },
  };
}

/** The version of a job that ended before it could become the current one. */
export async function settleVersion({ store }: ActivityDeps, job: SheetJobRecord, state: EndedState): Promise<void> {
  if (!job.request.sync || state === 'completed') return;
  const version = await ownVersion(store, job);
  if (version && (version.state === 'processing' || version.state === 'waiting')) await store.writeVersion({ ...version, state, endedAt: now() });
}

const now = (): string => new Date().toISOString();

async function sourceOf(store: Store, { tenant, source }: SheetJobRecord): Promise<SourceRecord> {
  const found = await store.getSource(tenant, source);
  if (!found || found.deleting) throw new SheafError('sync_source_not_found', `Source ${source} was deleted.`);
  return found;
}

const versionOf = (store: Store, { tenant, id }: SourceRecord, sequence: number | null): Promise<VersionRecord | null> =>
  sequence === null ? Promise.resolve(null) : store.getVersion(tenant, id, sequence);

async function ownVersion(store: Store, job: SheetJobRecord): Promise<VersionRecord | null> {
  const { items } = await store.listVersions(job.tenant, job.source, { limit: NEWEST });
  return items.find((version) => version.job === job.id) ?? null;
}

async function changeSource(store: Store, job: Pick<SheetJobRecord, 'tenant' | 'source'>, change: (source: SourceRecord) => SourceRecord): Promise<SourceRecord> {
  for (let tries = 0; tries < CHANGE_TRIES; tries++) {
    const found = await store.getSource(job.tenant, job.source);
    if (!found) throw new SheafError('sync_source_not_found', `Source ${job.source} was deleted.`);
    const changed = await store.changeSource({ ...change(found), updatedAt: now() });
    if (changed) return changed;
  }
  throw new SheafError('conflict', `Source ${job.source} is being changed by others.`, { remedy: 'It is tried again.' });
}

const noteFetch = (store: Store, job: SheetJobRecord, outcome: 'new' | 'unchanged') =>
  changeSource(store, job, (source) => ({ ...source, fetched: { at: now(), job: job.id, outcome } }));

/** From here on rows of the version may be in the ledger. */
const touch = (store: Store, { tenant, id }: SourceRecord, sequence: number) =>
  changeSource(store, { tenant, source: id }, (source) => ({ ...source, touched: [...new Set([...source.touched, sequence])] }));

const sameKeys = (version: Pick<VersionRecord, 'keyColumns'>, { keyColumns }: Pick<Manifest, 'keyColumns'>): boolean =>
  JSON.stringify(version.keyColumns) === JSON.stringify(keyColumns);

const missingFrom = (names: readonly string[], wanted: readonly string[]): string[] => wanted.filter((name) => !names.includes(name));

/** What somebody rejected or rolled back does not come again by itself, as long as the sheet stays as it was. */
async function refuseHeld(store: Store, job: SheetJobRecord, hash: string): Promise<void> {
  if (job.request.force) return;
  const { items } = await store.listVersions(job.tenant, job.source, { limit: NEWEST });
  const newest = items.find(({ state }) => state !== 'failed' && state !== 'cancelled');
  if (newest?.hash !== hash || (newest.state !== 'rejected' && newest.state !== 'rolled_back')) return;
  throw new SheafError('version_held', `The sheet still is as version ${newest.sequence}, which was ${newest.state === 'rejected' ? 'rejected' : 'rolled back'}.`, {
    remedy: 'It is taken again as soon as it changes; `sheaf sync process --force` takes it as it is.',
  });
}

async function createVersion(store: Store, job: SheetJobRecord, { id }: SourceRecord, hash: string, content: number | null): Promise<VersionRecord> {
  const { versions: sequence } = await changeSource(store, job, (source) => ({ ...source, versions: source.versions + 1 }));
  const { rows, pages, columns, keyColumns } = job.manifest!;
  const version: VersionRecord = {
    tenant: job.tenant, source: id, sequence, hash, content: content ?? sequence, state: 'processing', job: job.id, lane: job.lane, fetchedAt: now(), endedAt: null,
    rows, pages, columns, keyColumns, base: null, counts: { added: 0, changed: 0, moved: 0, removed: 0 }, newColumns: [], lostColumns: [], goneKeys: [], keptFiles: 0, asks: null,
  };
  await store.writeVersion(version);
  return version;
}

async function indexOf(batches: AsyncIterable<PageRow[]>): Promise<RowIndex> {
  const index = new RowIndex();
  for await (const rows of batches) for (const row of rows) index.add(row);
  return index;
}

/**
 * Compares the job's rows with the current version's, and writes down those of it, and of versions that were begun since, that the
 * job's sheet lacks. `of`: rows of the current version.
 */
async function compareWith(deps: ActivityDeps, job: SheetJobRecord, source: SourceRecord, version: VersionRecord, current: VersionRecord | null): Promise<{
  comparison: Comparison; of: number; gone: { count: number; keys: string[] };
}> {
  const after = await indexOf(jobRows(deps, job, job.manifest!.pages));
  const before = current === null ? new RowIndex() : await indexOf(versionRows(deps, current));
  const keyed = version.keyColumns.length > 0 && (current === null || sameKeys(current, version));
  const comparison = compare(before, after, keyed ? alignByKey(before, after) : alignByContent(before, after));
  const keys: string[] = [];
  let ofCurrent = 0;
  const there = after.keySet();
  const lists = async function* (): AsyncGenerator<PageRow[]> {
    const missing = (rows: PageRow[]): PageRow[] => rows.filter(({ key }) => there.add(key!));
    if (current) {
      for await (const rows of versionRows(deps, current)) {
        const gone = missing(rows);
        ofCurrent += gone.length;
        for (const { key } of gone.slice(0, GONE_KEYS - keys.length)) keys.push(key!);
        yield gone;
      }
      for await (const rows of keptRows(deps, current)) yield missing(rows);
    }
    for (const sequence of source.touched) {
      const touched = sequence === version.sequence ? null : await versionOf(deps.store, source, sequence);
      if (touched) for await (const rows of versionRows(deps, touched)) yield missing(rows);
    }
  };
  await deps.blobs.deleteUnder(blobKeys.goneFolder(job.tenant, job.id));
  await writeRowFiles(deps, lists(), (file) => blobKeys.gone(job.tenant, job.id, file));
  return { comparison, of: before.length, gone: { count: Math.max(ofCurrent, comparison.counts.removed), keys } };
}

/** Rows that are gone are found no more, rows that are back are found again. */
async function findRows(deps: ActivityDeps, job: SheetJobRecord, source: SourceRecord, version: VersionRecord, current: VersionRecord | null, input: VersionInput): Promise<void> {
  const { store } = deps;
  const at = fence({ generation: input.generation, attempt: input.attempt, dispatch: Number.MAX_SAFE_INTEGER, activityAttempt: Context.current().info.attempt });
  const lane = laneOf(job);
  const { mode } = source.definition.deletes;
  if (mode !== 'keep') {
    for await (const rows of goneRows(deps, job)) await store.hideItems(lane, at, rows.map(({ key }) => key!), mode === 'remove');
  }
  if (!current || (current.sequence === version.sequence && source.touched.length === 0)) return;
  const before = (await indexOf(versionRows(deps, current))).keySet();
  for await (const rows of jobRows(deps, job, job.manifest!.pages)) {
    const back = rows.filter(({ key }) => before.add(key!));
    if (back.length > 0) await store.showItems(lane, at, back.map(({ key }) => key!));
  }
}
