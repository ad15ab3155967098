/** One namespace, one storage: who keeps jobs elsewhere is refused before it can fail the others'. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { storageIdentity } from '../../src/storage-identity.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { claimChecker } from '../../src/temporal/claim.ts';
import { createJobs } from '../../src/temporal/jobs.ts';
import { keepSchedules } from '../../src/temporal/schedules.ts';
import { openRig, rowsOf, TENANT, type Rig } from './rig.ts';

const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-claim-'));
const other = await openSqliteStore({ folder: path.join(folder, 'store') });
const otherBlobs = await openFilesystemBlobs({ folder: path.join(folder, 'blobs') });
let rig: Rig;
beforeEach(async () => { rig = await openRig(); });
afterEach(() => rig.close());
afterAll(async () => {
  await other.close();
  await rm(folder, { recursive: true, force: true });
});

const ours = (): Promise<string> => storageIdentity(rig.store, rig.blobs);
const theirs = (): Promise<string> => storageIdentity(other, otherBlobs);
const keep = (storage: () => Promise<string>): Promise<void> => keepSchedules({ client: rig.env.client, log: pino({ level: 'silent' }), storage });

test('storage has one name for all who share it, and another where the store or the blobs are others', async () => {
  expect(await Promise.all([ours(), ours(), ours()])).toEqual(Array.from({ length: 3 }, () => expect.any(String)));
  expect(new Set(await Promise.all([ours(), ours(), storageIdentity(rig.store, otherBlobs), storageIdentity(other, rig.blobs), theirs()])).size).toBe(4);
});

test('a worker with other storage is refused while workers are at work, and told what to do', async () => {
  await keep(ours);
  await rig.startWorkers();
  await rig.ended((await rig.create('first', rowsOf(3))).id);
  await keep(ours);
  await expect(keep(theirs)).rejects.toMatchObject({ code: 'namespace_taken', remedy: expect.stringContaining('SHEAF_TEMPORAL_NAMESPACE') });
  await keep(ours);
});

test('a worker with other storage is refused while a job has not ended, and takes the namespace over when nothing is left', async () => {
  await keep(ours);
  const job = await rig.create('waiting', rowsOf(3)); // no worker has asked for it
  await expect(keep(theirs)).rejects.toMatchObject({ code: 'namespace_taken', message: expect.stringContaining('1 of its jobs') });
  await rig.env.client.workflow.getHandle(`${job.id}/1`).terminate();
  await expect.poll(() => keep(theirs).then(() => 'theirs', () => 'ours'), { timeout: 10_000 }).toBe('theirs');
  await expect(claimChecker(rig.env.client, ours)()).rejects.toMatchObject({ code: 'namespace_taken' });
});

test('of two that come at once with different storage, one holds the namespace, and the other finds out', async () => {
  await Promise.allSettled([keep(ours), keep(theirs)]);
  const checked = await Promise.allSettled([ours, theirs].map((storage) => claimChecker(rig.env.client, storage)()));
  expect(checked.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
});

test('an API with other storage makes no job that workers would not find', async () => {
  await keep(ours);
  const { request } = await rig.create('like', rowsOf(3));
  const asked = { tenant: TENANT, owner: 'tester', source: null, lane: null, priority: 'normal' as const, tags: [], runAt: null, dependsOn: [], onFailure: 'cancel' as const, request };
  await expect(createJobs(other, rig.env.client, claimChecker(rig.env.client, theirs)).create(asked)).rejects.toMatchObject({ code: 'namespace_taken' });
  expect((await other.listJobs(TENANT, {}, { limit: 1 })).items).toEqual([]);
  expect(await createJobs(rig.store, rig.env.client, claimChecker(rig.env.client, ours)).create(asked)).toMatchObject({ created: true });
});
