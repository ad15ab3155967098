/** Batches and actions on many jobs: made durably, steered as one, with a result for every job. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { batchFiles } from '../../src/api/batch-files.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { DEFAULT_DOCUMENT_OPTIONS } from '../../src/contracts/document.ts';
import { isEnded, type JobRecord, type JobRequest } from '../../src/contracts/job.ts';
import type { BatchFile, BatchRecord, BulkRecord, BulkResult, NewJob } from '../../src/contracts/plans.ts';
import { batchProgress, batchState } from '../../src/domain/batch-progress.ts';
import { createBatches, type Batches } from '../../src/temporal/batches.ts';
import { createBulkActions, type BulkActions, type NewBulk } from '../../src/temporal/bulk.ts';
import { batchWorkflowId, bulkWorkflowId, memberId } from '../../src/temporal/workflow-ids.ts';
import { partUploads } from '../../src/uploads/parts.ts';
import { historiesOf, replay } from './replay.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';

/** Many jobs, on a machine that may be busy. */
const TIMEOUT = { timeout: 180_000 };

let rig: Rig;
let batches: Batches;
let bulk: BulkActions;
const workflows: string[] = [];
beforeAll(async () => {
  rig = await openRig();
  await rig.startWorkers();
  batches = createBatches(rig.store, rig.env.client);
  bulk = createBulkActions(rig.store, rig.env.client);
});
afterEach(async () => {
  rig.gate.reset();
  rig.reader.reset();
  await rig.startWorkers();
  for (const id of workflows.splice(0)) await replay(await historiesOf(rig.env.client, id));
  await rig.replayAll();
});
afterAll(() => rig.close());

async function member(sheet: string, more: Partial<NewJob> = {}, request: Partial<JobRequest> = {}): Promise<NewJob> {
  const file = path.join(rig.folder, 'sheets', `${sheet}.csv`);
  await writeFile(file, rowsOf(3));
  return {
    tenant: TENANT, owner: 'tester', source: null, lane: null, priority: 'normal', tags: [], runAt: null, dependsOn: [], onFailure: 'cancel', ...more,
    request: {
      location: { path: file }, fileName: `${sheet}.csv`, handler: 'store', options: {}, keyColumns: [], onDuplicateKey: 'fail',
      force: false, concurrency: null, breaker: null, drainSeconds: 30, ...request,
    },
  };
}

async function make(id: string, jobs: NewJob[]): Promise<BatchRecord> {
  await rig.blobs.put(blobKeys.batchJobs(TENANT, id, 'h'), Buffer.from(jobs.map((job) => JSON.stringify(job)).join('\n')));
  workflows.push(batchWorkflowId(TENANT, id));
  return (await batches.create({
    kind: 'batch', tenant: TENANT, id, owner: 'tester', name: null, size: jobs.length, made: 0, held: false, desired: 'running', action: null,
    createdAt: new Date().toISOString(), revision: 0, open: true, requestHash: 'h',
  })).batch;
}
const batch = async (id: string): Promise<BatchRecord> => (await rig.store.getPlan(TENANT, 'batch', id))!;
const made = (id: string) => eventually(async () => { const now = await batch(id); return !now.open && now; });
const members = async (id: string): Promise<JobRecord[]> => (await rig.store.listJobs(TENANT, { batch: id }, { limit: 500 })).items;
const allEnded = (id: string) => eventually(async () => { const jobs = await members(id); return jobs.every(({ state }) => isEnded(state)) && jobs; });
const bulkEnded = (id: string): Promise<BulkRecord> => eventually(async () => { const now = await rig.store.getPlan(TENANT, 'bulk', id); return now && now.state !== 'running' && now; });

async function act(asked: Partial<NewBulk> & Pick<NewBulk, 'action' | 'filter'>): Promise<{ record: BulkRecord; results: BulkResult[] }> {
  const { bulk: begun } = await bulk.create({ tenant: TENANT, owner: 'tester', priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null, ...asked });
  const record = await bulkEnded(begun.id);
  workflows.push(bulkWorkflowId(TENANT, record.id));
  return { record, results: await resultsOf(record) };
}
async function resultsOf({ id, chunks }: BulkRecord): Promise<BulkResult[]> {
  const texts = await Promise.all(Array.from({ length: chunks }, async (_, chunk) => (await rig.blobs.get(blobKeys.bulkResults(TENANT, id, chunk))).toString()));
  return texts.flatMap((text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line) as BulkResult));
}

describe('a batch', () => {
  test('makes every member once, what others depend on first, and leaves no list behind', TIMEOUT, async () => {
    const jobs = await Promise.all(Array.from({ length: 23 }, async (_, place) =>
      member(`one-${place}`, { lane: `l${place}`, dependsOn: place % 5 === 4 ? [memberId(TENANT, 'b-one', place - 1)] : [] })));
    await make('b-one', jobs);
    expect(await made('b-one')).toMatchObject({ size: 23, made: 23, held: false });
    const ended = await allEnded('b-one');
    expect(new Set(ended.map(({ id }) => id))).toEqual(new Set(jobs.map((_, place) => memberId(TENANT, 'b-one', place))));
    expect(ended.map(({ state }) => state)).toEqual(Array(23).fill('completed'));
    expect(await rig.store.batchTotals(TENANT, 'b-one')).toMatchObject({ jobs: { completed: 23 }, rows: 69, done: 69, unread: 0 });
    const left: string[] = [];
    for await (const { key } of rig.blobs.list(blobKeys.batchFolder(TENANT, 'b-one'))) left.push(key);
    expect(left).toEqual([]);
  });

  test('goes on where its worker left off', TIMEOUT, async () => {
    await rig.stopWorkers();
    await make('b-two', await Promise.all(Array.from({ length: 40 }, (_, place) => member(`two-${place}`, { lane: `l${place}` }))));
    // A try that made some members and died before it said so.
    await rig.startWorkers();
    await eventually(async () => (await batch('b-two')).made >= 10);
    await rig.stopWorkers();
    await rig.startWorkers();
    await made('b-two');
    expect(await members('b-two')).toHaveLength(40);
    await allEnded('b-two');
  });

  test('is paused, resumed and cancelled as one, and the last wish counts', TIMEOUT, async () => {
    rig.gate.hold = () => true;
    const gated = await rig.gated();
    await make('b-three', await Promise.all(Array.from({ length: 6 }, (_, place) => member(`three-${place}`, {}, gated))));
    await made('b-three');
    await rig.gate.until(() => rig.gate.held > 0);
    const { batch: paused } = await batches.control(TENANT, 'b-three', 'tester', 'pause');
    await bulkEnded(paused.action!);
    rig.gate.release();
    await eventually(async () => (await members('b-three')).every(({ state }) => state === 'paused' || isEnded(state)));
    rig.gate.hold = () => true;
    expect((await members('b-three')).map(({ state }) => state)).toEqual(Array(6).fill('paused'));
    // At once: the second has to win, whichever order they reach the jobs in.
    await Promise.all([batches.control(TENANT, 'b-three', 'tester', 'resume'), batches.control(TENANT, 'b-three', 'tester', 'resume')]);
    const { batch: last } = await batches.control(TENANT, 'b-three', 'tester', 'cancel');
    rig.gate.release();
    await bulkEnded(last.action!);
    const ended = await allEnded('b-three');
    expect(ended.filter(({ state }) => state === 'cancelled').length).toBeGreaterThan(0);
    await expect(batches.control(TENANT, 'b-three', 'tester', 'pause')).rejects.toMatchObject({ code: 'wrong_state' });
    const retried = await batches.control(TENANT, 'b-three', 'tester', 'retry');
    await bulkEnded(retried.batch.action!);
    expect((await allEnded('b-three')).map(({ state }) => state)).toEqual(Array(6).fill('completed'));
  });

  test('that is cancelled while it is made makes no more, and none of its jobs is left running', TIMEOUT, async () => {
    await make('b-four', await Promise.all(Array.from({ length: 200 }, (_, place) => member(`four`, { lane: `l${place}`, runAt: new Date(Date.now() + 86_400_000).toISOString() }))));
    await eventually(async () => (await batch('b-four')).made > 0);
    const { batch: asked } = await batches.control(TENANT, 'b-four', 'tester', 'cancel');
    await bulkEnded(asked.action!);
    const { made: count } = await made('b-four');
    expect(count).toBeLessThan(200);
    const jobs = await allEnded('b-four');
    expect(jobs.map(({ state }) => state)).toEqual(Array(count).fill('cancelled'));
  });

  test('that is paused while it is made makes the rest when it is resumed', TIMEOUT, async () => {
    const runAt = new Date(Date.now() + 86_400_000).toISOString();
    await make('b-five', await Promise.all(Array.from({ length: 100 }, (_, place) => member(`five`, { lane: `l${place}`, runAt }))));
    await eventually(async () => (await batch('b-five')).made > 0);
    const { batch: asked } = await batches.control(TENANT, 'b-five', 'tester', 'pause');
    await bulkEnded(asked.action!);
    const { made: count, held } = await batch('b-five');
    expect(held || count === 100).toBe(true);
    await eventually(async () => (await members('b-five')).every(({ state }) => state === 'paused'));
    expect(await members('b-five')).toHaveLength(count);
    await batches.control(TENANT, 'b-five', 'tester', 'resume');
    await made('b-five');
    expect(await members('b-five')).toHaveLength(100);
    const { batch: last } = await batches.control(TENANT, 'b-five', 'tester', 'cancel');
    await bulkEnded(last.action!);
    await allEnded('b-five');
  });

  test('that was accepted while Temporal was away is made by the reconciler', async () => {
    await rig.blobs.put(blobKeys.batchJobs(TENANT, 'b-six', 'h'), Buffer.from(JSON.stringify(await member('six'))));
    await rig.store.createPlan<'batch'>({
      kind: 'batch', tenant: TENANT, id: 'b-six', owner: 'tester', name: null, size: 1, made: 0, held: false, desired: 'running', action: null,
      createdAt: '2026-01-01T00:00:00.000Z', revision: 0, open: true, requestHash: 'h',
    });
    await rig.withReconciler(() => made('b-six'));
    workflows.push(batchWorkflowId(TENANT, 'b-six'));
    expect(await allEnded('b-six')).toMatchObject([{ id: memberId(TENANT, 'b-six', 0), state: 'completed' }]);
  });
});

describe('a batch of files', () => {
  const uploads = () => partUploads({ store: rig.store, blobs: rig.blobs, documents: rig.documents, limits: { maxBytes: 1e6, chunkBytes: 1e6, quotaBytes: null } });
  /** All of it has arrived; what it is said to be may be wrong. */
  async function arrived(fileName: string, content: string, sha256: string | null = null): Promise<BatchFile> {
    const bytes = Buffer.from(content);
    const { upload } = await uploads().begin(TENANT, 'tester', {
      fileName, size: bytes.length, sha256, contentType: null, declaredType: null, documentKey: null, options: { ...DEFAULT_DOCUMENT_OPTIONS }, priority: 'normal', tags: [], force: false,
    }, null);
    await uploads().putPart(TENANT, upload.id, { number: 1, md5: createHash('md5').update(bytes).digest('hex') }, Readable.from([bytes]), AbortSignal.timeout(60_000));
    return { upload: upload.id, file: fileName };
  }
  const makeFiles = async (id: string, files: BatchFile[]): Promise<void> => {
    await rig.blobs.put(blobKeys.batchJobs(TENANT, id, 'h'), Buffer.from(files.map((file) => JSON.stringify(file)).join('\n')));
    workflows.push(batchWorkflowId(TENANT, id));
    await batches.create({
      kind: 'batch', tenant: TENANT, id, owner: 'tester', name: null, size: files.length, made: 0, held: false, desired: 'running', action: null,
      createdAt: new Date().toISOString(), revision: 0, open: true, requestHash: 'h', files: { duplicate: 0, refused: 0 },
    });
  };
  const outcomes = async (id: string) => (await batchFiles(rig, await batch(id), [], { limit: 100 })).items;
  const shown = async (id: string) => {
    const [record, totals] = [await batch(id), await rig.store.batchTotals(TENANT, id)];
    return { state: batchState(record, totals), ...batchProgress(record, totals) };
  };

  test('makes a document of each, says what came of each and why, and tries again what failed', TIMEOUT, async () => {
    const before = await rig.upload('before.txt', 'was there before');
    await rig.ended(before.job);
    const files = [
      ...(await Promise.all(Array.from({ length: 21 }, (_, index) => arrived(`f${index}.txt`, `file ${index} of a batch`)))),
      await arrived('again.txt', 'was there before'), await arrived('locked.txt', 'locked'), await arrived('wrong.txt', 'not what was said', 'a'.repeat(64)),
    ];
    await makeFiles('b-files', files);
    await made('b-files');
    await allEnded('b-files');
    const found = await outcomes('b-files');
    expect(found.map(({ number, file, outcome }) => [number, file, outcome])).toEqual(files.map(({ file }, index) =>
      [index + 1, file, ({ 'again.txt': 'duplicate', 'locked.txt': 'failed', 'wrong.txt': 'refused' } as Record<string, string>)[file] ?? 'ready']));
    expect(found[21]).toMatchObject({ document: before.id });
    expect(found[22]).toMatchObject({ error: { code: 'password_required' } });
    expect(found[23]).toMatchObject({ error: { code: 'checksum_mismatch' } });
    expect(await shown('b-files')).toMatchObject({ state: 'failed', total: 24, done: 21, unchanged: 1, failed: 2, remaining: 0, percent: 100, ended: 24 });
    // What failed has been mended meanwhile: only that is done again.
    rig.reader.reset();
    const { batch: asked } = await batches.control(TENANT, 'b-files', 'tester', 'retry', true);
    expect(await bulkEnded(asked.action!)).toMatchObject({ filter: { state: ['failed'] }, counts: { done: 1, skipped: 0 } });
    await rig.ended((await rig.store.getDocument(TENANT, found[22]!.document!))!.job);
    expect(rig.reader.calls.filter((call) => call === 'extract')).toHaveLength(1);
  });

  test('goes on where its worker left off, and makes none twice', TIMEOUT, async () => {
    const files = await Promise.all(Array.from({ length: 15 }, (_, index) => arrived(`g${index}.txt`, `file ${index} of another batch`)));
    await rig.stopWorkers();
    await makeFiles('b-left', files);
    // A try that completed some and died before it said so.
    for (const { upload } of files.slice(0, 4)) await uploads().complete(TENANT, upload, 'b-left');
    await rig.startWorkers();
    await made('b-left');
    expect(await allEnded('b-left')).toHaveLength(15);
    expect((await outcomes('b-left')).map(({ outcome }) => outcome)).toEqual(Array(15).fill('ready'));
    expect(await shown('b-left')).toMatchObject({ state: 'completed', done: 15, unchanged: 0, failed: 0 });
  });
});

describe('an action on many jobs', () => {
  const waiting = (sheet: string, tag: string) => rig.create(sheet, rowsOf(3), { lane: sheet, tags: [tag], runAt: new Date(Date.now() + 86_400_000).toISOString() });

  test('does it to each that matches, and to no other; a dry run tells it before and changes nothing', TIMEOUT, async () => {
    const jobs = await Promise.all(Array.from({ length: 4 }, (_, index) => waiting(`bulk-${index}`, 'bulk')));
    const done = await rig.ended((await rig.create('bulk-done', rowsOf(3), { tags: ['bulk'] })).id);
    const other = await waiting('bulk-other', 'another');
    await Promise.all(jobs.map(({ id }) => rig.when(id, ({ until }) => until !== null)));
    const told = await act({ action: 'pause', filter: { tag: 'bulk' }, dryRun: true });
    expect(told.record).toMatchObject({ state: 'completed', counts: { done: 4, skipped: 1, asked: 0, failed: 0 } });
    expect((await recordsOf(jobs)).map(({ state }) => state)).toEqual(Array(4).fill('queued'));
    const { record, results } = await act({ action: 'pause', filter: { tag: 'bulk' } });
    expect(changed(record)).toEqual({ changed: 4, skipped: 1, failed: 0 });
    expect(new Set(results.map(({ job }) => job))).toEqual(new Set([...jobs, done].map(({ id }) => id)));
    expect(results.find(({ job }) => job === done.id)).toEqual({ job: done.id, outcome: 'skipped', state: 'completed', code: 'wrong_state', message: 'It is completed.' });
    await Promise.all(jobs.map(({ id }) => rig.when(id, ({ state }) => state === 'paused')));
    expect(await rig.job(other.id)).toMatchObject({ state: 'queued' });
    expect(changed((await act({ action: 'set', filter: { tag: 'bulk', state: ['paused'] }, priority: 'urgent' })).record)).toMatchObject({ changed: 4 });
    expect((await recordsOf(jobs)).map(({ priority }) => priority)).toEqual(Array(4).fill('urgent'));
    expect(changed((await act({ action: 'cancel', filter: { state: ['paused'], tag: 'bulk' } })).record)).toMatchObject({ changed: 4 });
    await Promise.all(jobs.map(({ id }) => rig.ended(id)));
    expect(changed((await act({ action: 'delete', filter: { state: ['cancelled'], tag: 'bulk' } })).record)).toMatchObject({ changed: 4 });
    await eventually(async () => (await Promise.all(jobs.map(({ id }) => rig.store.getJob(TENANT, id)))).every((job) => job === null));
    await act({ action: 'cancel', filter: { tag: 'another' } });
    await rig.ended(other.id);
  });
  /** `asked` is a worker that was slow. */
  const changed = ({ counts: { done, asked, ...rest } }: BulkRecord) => ({ changed: done + asked, ...rest });
  const recordsOf = (jobs: JobRecord[]): Promise<JobRecord[]> => Promise.all(jobs.map(({ id }) => rig.job(id)));

  test('of several chunks has a result for every job, also when its worker is replaced in between', TIMEOUT, async () => {
    const count = 60;
    await make('b-bulk', await Promise.all(Array.from({ length: count }, (_, place) => member('bulk-many', { lane: `l${place}`, runAt: new Date(Date.now() + 86_400_000).toISOString() }))));
    await made('b-bulk');
    const { bulk: begun } = await bulk.create({ tenant: TENANT, owner: 'tester', action: 'cancel', filter: { batch: 'b-bulk', state: ['queued'] }, priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null });
    await eventually(async () => (await rig.store.getPlan(TENANT, 'bulk', begun.id))!.chunks > 0 || (await rig.store.getPlan(TENANT, 'bulk', begun.id))!.state !== 'running');
    await rig.stopWorkers();
    await rig.startWorkers();
    const record = await bulkEnded(begun.id);
    const jobs = await allEnded('b-bulk');
    expect(record.state).toBe('completed');
    expect(changed(record)).toEqual({ changed: count, skipped: 0, failed: 0 });
    expect(new Set((await resultsOf(record)).map(({ job }) => job)).size).toBe(count);
    expect(jobs.every(({ state }) => state === 'cancelled')).toBe(true);
  });

  test('is one action under one key', async () => {
    const asked: NewBulk = { tenant: TENANT, owner: 'tester', action: 'resume', filter: { tag: 'nobody' }, priority: null, retry: { codes: null }, dryRun: false, batch: null, after: null };
    const first = await bulk.create(asked, { id: 'key', requestHash: 'a' });
    expect(await bulk.create(asked, { id: 'key', requestHash: 'a' })).toMatchObject({ created: false, bulk: { id: first.bulk.id } });
    await expect(bulk.create(asked, { id: 'key', requestHash: 'b' })).rejects.toMatchObject({ code: 'idempotency_conflict' });
    expect(await bulkEnded(first.bulk.id)).toMatchObject({ state: 'completed', counts: { done: 0 } });
  });
});
