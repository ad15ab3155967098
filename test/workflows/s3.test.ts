/** What jobs keep in the blobs, on a real S3 server: versions and what they kept, plans, lists of many jobs, pages of the web. */
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { dataChunks, diffChunks } from '../../src/api/version-rows.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { openS3Blobs } from '../../src/blobs/s3.ts';
import type { JobRecord, SheetJobRecord } from '../../src/contracts/job.ts';
import { DEFAULT_DELETES } from '../../src/contracts/source.ts';
import { verify } from '../../src/integrity/verify.ts';
import { createBatches } from '../../src/temporal/batches.ts';
import { createBulkActions } from '../../src/temporal/bulk.ts';
import { cleanupStarter } from '../../src/temporal/cleanup.ts';
import { createDocuments } from '../../src/temporal/documents.ts';
import { createForecaster } from '../../src/temporal/forecasts.ts';
import { createSources, type Sources } from '../../src/temporal/sources.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3 } from '../servers/s3.ts';
import { page, startSite, type Site } from '../servers/site/server.ts';
import { eventually, openRig, rowsOf, TENANT, type Rig } from './rig.ts';
import { definitionOf } from './source-definition.ts';

const server = await orMissing('jobs that keep their files in S3', startS3());
const signal = new AbortController().signal;

describe.skipIf(server === null)('on S3', { timeout: 120_000 }, () => {
  let rig: Rig;
  let site: Site;
  let sources: Sources;
  beforeAll(async () => {
    const { endpoint, region, bucket } = server!;
    rig = await openRig({ blobs: await openS3Blobs({ endpoint, region, bucket, prefix: randomUUID() }) });
    await rig.startWorkers();
    site = await startSite();
    sources = createSources(rig.store, rig.env.client, rig.jobs);
  });
  afterEach(() => rig.replayAll());
  afterAll(async () => {
    await site?.close();
    await rig?.close();
    await server?.stop();
  });

  const allOf = async <T>(list: AsyncIterable<T>): Promise<T[]> => {
    const all: T[] = [];
    for await (const one of list) all.push(one);
    return all;
  };
  const keys = async (folder: string): Promise<string[]> => (await allOf(rig.blobs.list(folder))).map(({ key }) => key.slice(folder.length));
  const lines = async (chunks: AsyncGenerator<string>): Promise<unknown[]> => (await allOf(chunks)).join('').split('\n').filter(Boolean).map((line) => JSON.parse(line) as unknown);
  const sheet = (name: string): string => path.join(rig.folder, 'sheets', `${name}.csv`);

  test('versions of a source are compared, read, cleaned up and deleted, and what is stored agrees', async () => {
    await sources.put(TENANT, 'tester', 's', { scheduled: null, definition: definitionOf('s', { location: { path: sheet('s') }, keyColumns: ['name'], onDuplicateKey: 'first' }, { deletes: { ...DEFAULT_DELETES, mode: 'keep' }, keepVersions: 2 }) });
    const sync = async (rows: string[]): Promise<JobRecord> => {
      await writeFile(sheet('s'), `name,n\n${rows.join('\n')}\n`);
      return rig.ended((await sources.sync(TENANT, 's', { force: false, after: [], rollback: null })).id);
    };
    const rows = ['דנה,1', 'b,2', 'c,3', 'd,4', 'e,5', 'f,6', 'f,7'];
    expect(await sync(rows)).toMatchObject({ state: 'completed' });
    expect(await sync(['דנה,9', ...rows.slice(2), 'new,8'])).toMatchObject({ state: 'completed' });
    const [one, two] = [await sources.version(TENANT, 's', '1'), await sources.version(TENANT, 's', '2')];
    expect(await lines(diffChunks(rig, one, two, signal))).toMatchObject([{ change: 'changed', key: 'דנה' }, { change: 'added', key: 'new' }, { change: 'removed', key: 'b' }]);
    expect(await lines(dataChunks(rig, two, { format: 'ndjson', limit: Infinity, escape: false }, signal))).toHaveLength(7); // b stays
    expect(await keys(blobKeys.sourceFolder(TENANT, 's'))).toEqual(expect.arrayContaining([
      ...['00000001', '00000002'].flatMap((version) => [`${version}/manifest.json`, `${version}/pages/00000001.ndjson.zst`, `${version}/results/00000001.ndjson.zst`, `${version}/duplicates/00000001.json`]),
      '00000002/kept/00000001.ndjson.zst',
    ]));

    await sync(rows.slice(0, 5));
    await sources.cleanUp({ tenant: TENANT, maxAgeHours: 0, environment: null, dryRun: false });
    expect(await keys(blobKeys.versionFolder(TENANT, 's', 1))).toEqual([]);
    expect(await allOf(verify({ store: rig.store, blobs: rig.blobs, documents: createDocuments({ ...rig, client: rig.env.client }) }, { repair: false, tenant: TENANT }))).toEqual([]);

    await sources.remove(TENANT, 's');
    await eventually(async () => (await rig.store.getSource(TENANT, 's')) === null);
    expect(await keys(blobKeys.sourceFolder(TENANT, 's'))).toEqual([]);
  });

  test('a look at what a job would do leaves nothing; a batch, and an action on its jobs, leave what they say', async () => {
    const like = await rig.ended((await rig.create('like', rowsOf(3))).id) as SheetJobRecord;
    const { tenant, owner, priority, onFailure, request } = like;
    const asked = { tenant, owner, priority, tags: [], onFailure, source: null, lane: null, runAt: null, dependsOn: [], request };
    expect(await createForecaster(rig.blobs, rig.env.client)('plan_s3', { ...asked, source: like.source }, 0)).toMatchObject({ rows: 3, unchanged: 3 });
    expect(await keys(blobKeys.jobFolder(TENANT, 'plan_s3'))).toEqual([]);

    await rig.blobs.put(blobKeys.batchJobs(TENANT, 'b', 'h'), Buffer.from([1, 2, 3].map(() => JSON.stringify(asked)).join('\n')));
    await createBatches(rig.store, rig.env.client).create({
      kind: 'batch', tenant: TENANT, id: 'b', owner, name: null, size: 3, made: 0, held: false, desired: 'running', action: null, createdAt: new Date().toISOString(), revision: 0, open: true, requestHash: 'h',
    });
    await eventually(async () => (await rig.store.batchTotals(TENANT, 'b')).jobs.completed === 3);
    await eventually(async () => (await keys(blobKeys.batchFolder(TENANT, 'b'))).length === 0);
    const actions = createBulkActions(rig.store, rig.env.client);
    const { bulk } = await actions.create({ tenant, owner, action: 'delete', filter: { batch: 'b' }, priority: null, retry: { codes: null }, dryRun: true, batch: null, after: null });
    await eventually(async () => (await rig.store.getPlan(TENANT, 'bulk', bulk.id))?.state === 'completed');
    expect(String(await rig.blobs.get(blobKeys.bulkResults(TENANT, bulk.id, 0))).trim().split('\n')).toHaveLength(3);
  });

  test('a page of the web is read once, and goes when it has been kept long enough', async () => {
    site.pages.set('/a', page(`<title>A page</title><article>${'<p>The quick brown fox jumps over the lazy dog in the sun.</p>'.repeat(10)}</article>`));
    const scrape = async (name: string): Promise<void> => {
      const { id } = await rig.create(name, `link\n${site.url}/a\n`, { request: { handler: 'scrape', options: { url: 'link', hostPerSecond: 100 } } });
      expect(await rig.ended(id)).toMatchObject({ state: 'completed' });
      expect(await rig.outcomes(id)).toMatchObject([{ state: 'done', output: { url: `${site.url}/a`, text: expect.stringContaining('brown fox') as string } }]);
    };
    await scrape('first');
    await scrape('second');
    expect(site.asked.filter((request) => request.path === '/a')).toHaveLength(1);
    expect(await keys(blobKeys.webPages(TENANT))).toHaveLength(1);
    rig.keep.web_pages = 0;
    const { id } = await cleanupStarter(rig.store, rig.env.client)(false);
    await eventually(async () => (await rig.store.getCleanup(id))?.state === 'completed');
    expect(await keys(blobKeys.webPages(TENANT))).toEqual([]);
  });
});
