/** Sources on the real server: what changes is processed, what is gone goes only when it is proven or approved, and schedules run one at a time. */
import { writeFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dataChunks, diffChunks } from '../../src/api/version-rows.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import type { JobRecord, JobRequest } from '../../src/contracts/job.ts';
import type { SourceDefinition, VersionRecord } from '../../src/contracts/source.ts';
import { searchTerms } from '../../src/domain/search-text.ts';
import { createDocuments } from '../../src/temporal/documents.ts';
import { createSources, type Sources, type SyncAsked } from '../../src/temporal/sources.ts';
import { deleteSourceWorkflowId, jobWorkflowId, sourceScheduleId } from '../../src/temporal/workflow-ids.ts';
import { verify } from '../../src/integrity/verify.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, TENANT, type Rig } from './rig.ts';
import { definitionOf } from './source-definition.ts';

const TIMEOUT = { timeout: 120_000 };

let rig: Rig;
let sources: Sources;
const made: string[] = [];
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
  sources = createSources(rig.store, rig.env.client, rig.jobs);
});
afterEach(() => rig.gate.reset());
afterAll(async () => {
  for (const id of made) await replay(await historiesOf(rig.env.client, id));
  await rig.close();
});

type Row = [name: string, n: number | string];
const fileOf = (id: string): string => path.join(rig.folder, 'sheets', `${id}.csv`);
const write = (id: string, rows: Row[], header = 'name,n'): Promise<void> => writeFile(fileOf(id), `${header}\n${rows.map((row) => `${row.join(',')}\n`).join('')}`);
const people = (count: number): Row[] => Array.from({ length: count }, (_, index) => [`אדם${index + 1}`, index + 1]);

async function source(id: string, over: Partial<SourceDefinition> = {}, request: Partial<JobRequest> = {}, scheduled: boolean | null = null): Promise<void> {
  await sources.put(TENANT, 'tester', id, { scheduled, definition: definitionOf(id, { location: { path: fileOf(id) }, keyColumns: ['name'], ...request }, over) });
}
async function start(id: string, asked: Partial<SyncAsked> = {}): Promise<JobRecord> {
  const job = await sources.sync(TENANT, id, { force: false, after: [], rollback: null, ...asked });
  made.push(jobWorkflowId(job.id, 1));
  return job;
}
const sync = async (id: string, asked: Partial<SyncAsked> = {}): Promise<JobRecord> => rig.ended((await start(id, asked)).id);
const versionsOf = async (id: string): Promise<VersionRecord[]> => (await rig.store.listVersions(TENANT, id, { limit: 100 })).items;
const currentOf = async (id: string): Promise<number | null> => (await sources.get(TENANT, id)).current;
async function lines<T>(chunks: AsyncGenerator<string>): Promise<T[]> {
  let text = '';
  for await (const chunk of chunks) text += chunk;
  return text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as T);
}
const names = async (id: string, version?: string): Promise<unknown[]> => {
  const found = await sources.version(TENANT, id, version ?? String(await currentOf(id)));
  return (await lines<{ input: { name: string } }>(dataChunks(rig, found, { format: 'ndjson', limit: Infinity, escape: false }, new AbortController().signal))).map(({ input }) => input.name);
};
const diff = async (id: string, from: string, to: string) =>
  lines<{ change: string; key: string | null; cells?: object }>(diffChunks(rig, await sources.version(TENANT, id, from), await sources.version(TENANT, id, to), new AbortController().signal));
/** Keys of the source's rows that search finds. */
const found = async (source: string, query: string): Promise<string[]> =>
  (await rig.store.search(TENANT, { terms: searchTerms(query), filter: { source } }, { limit: 50 })).items.flatMap((hit) => (hit.kind === 'item' ? [hit.key] : []));
async function allOf<T>(list: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of list) all.push(one);
  return all;
}
const asking = (id: string) => rig.when(id, ({ state, cause }) => state === 'waiting' && cause === 'approval');

describe('a sync', TIMEOUT, () => {
  test('makes a version of what has changed, and handles nothing else', async () => {
    const gated = await rig.gated(10);
    await source('changes', {}, gated);
    await write('changes', people(10));
    await sync('changes');
    expect(rig.gate.started).toHaveLength(10);
    const job = await sync('changes');
    expect(await rig.totals(job.id)).toMatchObject({ done: 0, unchanged: 10 });
    expect(await versionsOf('changes')).toHaveLength(1);
    expect((await sources.get(TENANT, 'changes')).fetched).toMatchObject({ job: job.id, outcome: 'unchanged' });

    // One changed, one new, one gone, one at another place.
    await write('changes', [['אדם10', 10], ['אדם1', 'אחר'], ...people(9).slice(2), ['חדש', 11]]);
    rig.gate.started.length = 0;
    await sync('changes');
    expect(rig.gate.started).toEqual(['חדש']); // all that the handler reads is the name
    const [version] = await versionsOf('changes');
    expect(version).toMatchObject({ sequence: 2, state: 'completed', base: 1, rows: 10, counts: { added: 1, changed: 1, moved: 1, removed: 1 }, goneKeys: ['אדם2'], newColumns: [], lostColumns: [] });
    expect(await diff('changes', '1', '2')).toEqual(expect.arrayContaining([
      { change: 'changed', key: 'אדם1', before: 2, after: 3, cells: { n: { from: '1', to: 'אחר' } } },
      { change: 'added', key: 'חדש', before: null, after: 11, cells: { name: 'חדש', n: '11' } },
      { change: 'removed', key: 'אדם2', before: 3, after: null, cells: { name: 'אדם2', n: '2' } },
    ]));
    expect(await found('changes', 'אדם2')).toEqual([]);
    expect(await names('changes')).not.toContain('אדם2');
    expect(await names('changes', '1')).toContain('אדם2');
  });

  test('knows reordered columns for the same content, and tells new and lost ones', async () => {
    await source('columns');
    await write('columns', [['א', 1], ['ב', 2]]);
    await sync('columns');
    await write('columns', [[1, 'א'], [2, 'ב']] as unknown as Row[], 'n,name');
    await sync('columns');
    expect(await versionsOf('columns')).toHaveLength(1);
    await write('columns', [['א', 5], ['ב', 6]], 'name,אחר');
    await sync('columns');
    expect((await versionsOf('columns'))[0]).toMatchObject({ newColumns: ['אחר'], lostColumns: ['n'], counts: { added: 0, changed: 2, moved: 0, removed: 0 } });
    await write('columns', [['א', 5]], 'other,n');
    expect(await sync('columns')).toMatchObject({ state: 'failed', error: { code: 'key_column_missing' } });
    expect(await names('columns')).toEqual(['א', 'ב']);
  });

  test('of rows that nothing names leaves those below an inserted one what they were', async () => {
    await source('unnamed', {}, { keyColumns: [] });
    await write('unnamed', people(6));
    await sync('unnamed');
    await write('unnamed', [...people(2), ['חדש', 0], ...people(6).slice(2)]);
    await sync('unnamed');
    expect((await versionsOf('unnamed'))[0]).toMatchObject({ counts: { added: 1, changed: 0, moved: 0, removed: 0 } });
    expect((await diff('unnamed', '1', '2')).map(({ change }) => change)).toEqual(['added']);
  });

  test('makes a version of every fetch where the strategy says so, and keeps its content once', async () => {
    await source('stamped', { versioning: 'timestamp' });
    await write('stamped', people(3));
    await sync('stamped');
    await sync('stamped');
    expect((await versionsOf('stamped')).map(({ sequence, content, state }) => [sequence, content, state])).toEqual([[2, 1, 'completed'], [1, 1, 'completed']]);
    expect(await names('stamped')).toHaveLength(3);
  });

  test('that fails leaves the current version what it was, and what it had begun is put right by the next', async () => {
    const gated = await rig.gated(1);
    await source('broken-off', {}, { ...gated, breaker: { minRows: 1, maxFailedFraction: 0 } });
    await write('broken-off', people(5));
    await sync('broken-off');
    await write('broken-off', [['נוסף', 99], ...people(5)]);
    rig.gate.hold = (key) => key === 'נוסף';
    const job = await start('broken-off');
    await rig.gate.until(() => rig.gate.held === 1);
    rig.gate.release();
    await rig.jobs.control(TENANT, job.id, 'cancel').catch(() => undefined);
    await rig.ended(job.id);
    await write('broken-off', people(5));
    await sync('broken-off');
    expect(await found('broken-off', 'נוסף')).toEqual([]);
    expect((await names('broken-off'))).toHaveLength(5);
    expect((await sources.get(TENANT, 'broken-off')).touched).toEqual([]);
  });
});

describe('rows that are gone', TIMEOUT, () => {
  test('above what is allowed wait for approval without a place among the jobs, and go when somebody approves', async () => {
    await source('approved');
    await write('approved', people(10));
    await sync('approved');
    await write('approved', people(4));
    const job = await start('approved');
    expect((await asking(job.id)).reason).toContain('6 of 10 rows would go (60 %); 20 % are allowed');
    expect((await rig.store.queueEntry(TENANT, job.id))?.state).toBe('paused');
    expect((await versionsOf('approved'))[0]).toMatchObject({ state: 'waiting', asks: { gone: 6, of: 10 }, goneKeys: ['אדם5', 'אדם6', 'אדם7', 'אדם8', 'אדם9', 'אדם10'] });
    expect(await names('approved')).toHaveLength(10);
    expect(await found('approved', 'אדם9')).toEqual(['אדם9']);
    // A worker that is gone meanwhile changes nothing.
    await rig.stopWorkers();
    await rig.startWorkers();
    await rig.jobs.decide(TENANT, job.id, 'approve');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'completed' });
    expect(await names('approved')).toEqual(people(4).map(([name]) => name));
    expect(await found('approved', 'אדם9')).toEqual([]);
    await expect(rig.jobs.decide(TENANT, job.id, 'approve')).rejects.toMatchObject({ code: 'wrong_state' });
  });

  test('stay where somebody rejects it, and the same sheet does not ask again', async () => {
    await source('rejected');
    await write('rejected', people(10));
    await sync('rejected');
    await write('rejected', people(1));
    const job = await start('rejected');
    await asking(job.id);
    await rig.env.client.workflow.getHandle(jobWorkflowId(job.id, 1)).signal('reject');
    expect(await rig.ended(job.id)).toMatchObject({ state: 'failed', error: { code: 'removal_rejected' } });
    expect(await names('rejected')).toHaveLength(10);
    expect(await sync('rejected')).toMatchObject({ state: 'failed', error: { code: 'version_held' } });
    const forced = await start('rejected', { force: true });
    await asking(forced.id);
    await rig.jobs.control(TENANT, forced.id, 'cancel');
    await rig.ended(forced.id);
    expect((await versionsOf('rejected')).map(({ state }) => state)).toEqual(['cancelled', 'rejected', 'completed']);
    await write('rejected', people(11));
    expect(await sync('rejected')).toMatchObject({ state: 'completed' });
    expect(await currentOf('rejected')).toBe(4);
  });

  test.each(['mark', 'remove', 'keep'] as const)('of an outage that reads as an empty sheet are all still there (%s)', async (mode) => {
    const id = `emptied-${mode}`;
    await source(id, { deletes: { mode, maxFraction: 1 } });
    await write(id, people(5));
    await sync(id);
    await rm(fileOf(id));
    expect(await sync(id)).toMatchObject({ state: 'failed', error: { code: 'source_not_found' } });
    await writeFile(fileOf(id), '');
    expect(await sync(id)).toMatchObject({ state: 'failed', error: { code: 'key_column_missing' } });
    await write(id, []);
    const job = await start(id);
    if (mode === 'keep') await rig.ended(job.id);
    else await asking(job.id);
    expect(await found(id, 'אדם3')).toEqual(['אדם3']);
    expect(await names(id)).toHaveLength(5);
    await rig.jobs.control(TENANT, job.id, 'cancel').catch(() => undefined);
    await rig.ended(job.id);
  });

  test('come back without being handled again where they were only marked, and as new ones where their content went', async () => {
    const gated = await rig.gated(10);
    for (const mode of ['mark', 'remove'] as const) {
      const id = `back-${mode}`;
      await source(id, { deletes: { mode, maxFraction: 0.5 } }, gated);
      await write(id, people(5));
      await sync(id);
      await write(id, people(4));
      await sync(id);
      expect(await found(id, 'אדם5')).toEqual([]);
      await write(id, people(5));
      rig.gate.started.length = 0;
      await sync(id);
      expect(rig.gate.started).toEqual(mode === 'mark' ? [] : ['אדם5']);
      expect(await names(id)).toHaveLength(5);
    }
  });
});

describe('versions', TIMEOUT, () => {
  test('earlier ones are made current again, with their rows, and the sheet does not undo it until it changes', async () => {
    await source('rolled', { deletes: { mode: 'mark', maxFraction: 1 } });
    await write('rolled', people(3));
    await sync('rolled');
    await write('rolled', [['אדם1', 'אחר'], ['חדש', 7]]);
    await sync('rolled');
    const hash = (await versionsOf('rolled'))[1]!.hash;
    await sync('rolled', { rollback: (await sources.version(TENANT, 'rolled', hash.slice(0, 8))).sequence });
    expect(await names('rolled')).toEqual(people(3).map(([name]) => name));
    expect([await found('rolled', 'חדש'), await found('rolled', 'אדם2')]).toEqual([[], ['אדם2']]);
    expect((await versionsOf('rolled')).map(({ state }) => state)).toEqual(['rolled_back', 'completed']);
    expect(await sync('rolled')).toMatchObject({ error: { code: 'version_held' } });
    await write('rolled', people(4));
    await sync('rolled');
    expect(await currentOf('rolled')).toBe(3);
    await expect(sources.version(TENANT, 'rolled', 'nonesuch')).rejects.toMatchObject({ code: 'version_not_found' });
  });

  test('outlive their jobs, beyond what is kept go, and what is stored agrees', async () => {
    await source('kept', { keepVersions: 2 });
    for (const count of [5, 6, 7, 8]) {
      await write('kept', people(count));
      await sync('kept');
    }
    const cleaned = await sources.cleanUp({ tenant: TENANT, maxAgeHours: 0, environment: null, dryRun: true });
    expect(cleaned.versions).toBe(2);
    expect(await versionsOf('kept')).toHaveLength(4);
    await sources.cleanUp({ tenant: TENANT, maxAgeHours: 0, environment: null, dryRun: false });
    expect((await versionsOf('kept')).map(({ sequence }) => sequence)).toEqual([4, 3]);
    expect((await rig.store.listJobs(TENANT, { source: 'kept' }, { limit: 10 })).items).toHaveLength(1);
    expect([(await names('kept', '3')).length, (await names('kept')).length]).toEqual([7, 8]);
    const parts = { store: rig.store, blobs: rig.blobs, documents: createDocuments({ ...rig, client: rig.env.client }) };
    expect(await allOf(verify(parts, { repair: false, tenant: TENANT }))).toEqual([]);
    await rig.blobs.delete(blobKeys.versionPage(TENANT, 'kept', 3, 1));
    await rig.blobs.put(blobKeys.versionPage(TENANT, 'kept', 99, 1), Buffer.from('stray'));
    expect((await allOf(verify(parts, { repair: true, tenant: TENANT }))).map(({ kind, of, outcome }) => [kind, of, outcome])).toEqual([
      ['missing_blob', 'kept', 'unrepairable'], ['orphaned_blob', 'kept', 'repaired'],
    ]);
  });

  test('go with their source', async () => {
    await source('deleted', { schedule: { every: 3600 } }, {}, true);
    await write('deleted', people(3));
    await sync('deleted');
    await sources.remove(TENANT, 'deleted');
    made.push(deleteSourceWorkflowId(TENANT, 'deleted'));
    await eventually(async () => (await rig.store.getSource(TENANT, 'deleted')) === null);
    expect(await found('deleted', 'אדם1')).toEqual([]);
    expect(await allOf(rig.blobs.list(blobKeys.sourceFolder(TENANT, 'deleted')))).toEqual([]);
    await expect(rig.env.client.schedule.getHandle(sourceScheduleId(TENANT, 'deleted')).describe()).rejects.toThrow();
  });
});

describe('schedules', TIMEOUT, () => {
  const handle = (id: string) => rig.env.client.schedule.getHandle(sourceScheduleId(TENANT, id));

  test('are made to match, once or again, paused where the source is not enabled, and gone where it has none', async () => {
    await source('clocked', { schedule: { every: 3600 } }, {}, true);
    await source('clocked', { schedule: { every: 3600 } }, {}, true);
    expect((await handle('clocked').describe()).spec.intervals).toMatchObject([{ every: 3_600_000 }]);
    await source('clocked', { schedule: { cron: '0 6 * * *', timeZone: 'Asia/Jerusalem' }, enabled: false }, {}, true);
    const now = await handle('clocked').describe();
    expect([now.spec.timezone, now.state.paused, now.policies.overlap]).toEqual(['Asia/Jerusalem', true, 'SKIP']);
    expect(await sources.clock(await sources.get(TENANT, 'clocked'))).toEqual({ state: 'paused', next: null });
    await source('clocked', { schedule: null }, {}, true);
    await expect(handle('clocked').describe()).rejects.toThrow();
    await expect(source('clocked', { schedule: { cron: 'never at all', timeZone: 'UTC' } }, {}, true)).rejects.toMatchObject({ code: 'invalid_schedule' });
  });

  test('are backfilled with a run for each time that was due, one after the other; again with none', async () => {
    await source('backfilled', { schedule: { cron: '0 6 * * *', timeZone: 'Asia/Jerusalem' } }, {}, true);
    await write('backfilled', people(2));
    const fill = () => handle('backfilled').backfill({ start: new Date('2026-03-01T00:00:00Z'), end: new Date('2026-03-04T00:00:00Z'), overlap: 'BUFFER_ALL' });
    const jobs = async () => (await rig.store.listJobs(TENANT, { source: 'backfilled' }, { limit: 10 })).items.toSorted((one, other) => (one.schedule!.at < other.schedule!.at ? -1 : 1));
    await fill();
    await eventually(async () => (await jobs()).length === 3);
    const ended = await Promise.all((await jobs()).map(({ id }) => rig.ended(id)));
    expect(ended.map(({ state, schedule }) => [state, schedule!.at])).toEqual(['01', '02', '03'].map((day) => ['completed', `2026-03-${day}T04:00:00.000Z`]));
    for (const [index, job] of ended.entries()) if (index > 0) expect(job.createdAt >= ended[index - 1]!.completedAt!).toBe(true);
    expect(await versionsOf('backfilled')).toMatchObject([{ sequence: 1, job: ended[0]!.id }]);
    await fill();
    await eventually(async () => (await handle('backfilled').describe()).info.numActionsTaken === 6);
    expect(await jobs()).toHaveLength(3);
  });

  test('fire while the last run still goes: it is let end, and no second one begins', async () => {
    rig.gate.hold = () => true;
    await source('overlap', { schedule: { every: 3600 } }, await rig.gated(1), true);
    await write('overlap', people(2));
    await handle('overlap').trigger('SKIP'); // without it a trigger runs always, and is no overlap for others
    await rig.gate.until(() => rig.gate.held === 1);
    const [first] = (await rig.store.listJobs(TENANT, { source: 'overlap' }, { limit: 10 })).items;
    // Its workflow's name has the second in it.
    await eventually(async () => Date.now() - Date.parse(first!.schedule!.at) > 1_100);
    await handle('overlap').trigger('SKIP');
    await eventually(async () => (await handle('overlap').describe()).info.numActionsSkippedOverlap === 1);
    rig.gate.release();
    const jobs = async () => (await rig.store.listJobs(TENANT, { source: 'overlap' }, { limit: 10 })).items;
    await eventually(async () => (await currentOf('overlap')) === 1);
    expect(await jobs()).toHaveLength(1);
    rig.gate.reset();
    await eventually(async () => (await handle('overlap').describe()).info.runningActions.length === 0);
    await handle('overlap').trigger('SKIP');
    await eventually(async () => (await jobs()).length === 2);
    await rig.ended((await jobs())[0]!.id);
  });
});
