/** Schema versions of the Elasticsearch store: refusals, and the move from one to the next. */
import { Client } from '@elastic/elasticsearch';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import { openMigration } from '../../src/store/elasticsearch/migration.ts';
import { ALL_KINDS, mappingsOf, Names, SCHEMA_VERSION } from '../../src/store/elasticsearch/schema.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { faults, isBulk, startFaultProxy } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { aFailedRow, aJob, aLane, anItem, aPage } from './store-samples.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());

describe.skipIf(url === null)('the schema of the Elasticsearch store', () => {
  let client: Client;
  let names: Names;
  let run = 0;
  const open = () => openElasticsearchStore({ nodes: [url!], prefix: names.prefix });
  const lane = aLane();
  const ROWS = 1_200;
  const fence = 2n ** 62n + 1n;

  beforeEach(() => {
    client = new Client({ node: url! });
    names = new Names(`schema-${process.pid}-${++run}`);
  });
  afterEach(async () => {
    await client.close();
    await removeIndices(url!, names.prefix);
  });

  /** Indices of an older version, of which a store that knew no better wrote the documents. */
  const anOldStore = async () => {
    for (const kind of ALL_KINDS) {
      await client.indices.create({
        index: names.index(kind, 0), aliases: { [names.read(kind)]: {}, [names.write(kind)]: { is_write_index: true } }, mappings: mappingsOf(kind, SCHEMA_VERSION),
      });
    }
    const store = await open();
    await store.createJob(aJob('j1', { state: 'completed' }), { key: 'k', requestHash: 'h' });
    await store.acquireLane(lane, 'j1', 1);
    await store.commitRows({
      lane, job: 'j1', tags: ['t'], fence, cleared: [], failed: [aFailedRow(9, 'bad')],
      items: Array.from({ length: ROWS }, (_, n) => anItem(`k${n}`, { n, word: 'moved' }, { row: n })),
    });
    await store.writePage('acme', 'j1', aPage(1, { counts: { done: ROWS, unchanged: 0, failed: 1, skipped: 0 } }));
    await store.appendEvent('acme', 'j1', { at: 'now', type: 't', message: 'm', dedupe: 'd' });
    await store.close();
    for (const kind of ALL_KINDS) await client.indices.putMapping({ index: names.index(kind, 0), _meta: { application: 'sheaf', schema: 0 } });
  };

  const expectMoved = async () => {
    const store = await open();
    const items = await store.readItems(lane, Array.from({ length: ROWS }, (_, n) => `k${n}`));
    expect(items.size).toBe(ROWS);
    expect(items.get('k7')?.output).toEqual({ seen: 'k7' });
    expect(await store.getJob('acme', 'j1')).toEqual(aJob('j1', { state: 'completed' }));
    expect((await store.createJob(aJob('j2'), { key: 'k', requestHash: 'h' })).job.id).toBe('j1');
    expect(await store.acquireLane(lane, 'j1', 1)).toMatchObject({ generation: 1 });
    expect((await store.jobTotals('acme', 'j1', 1)).done).toBe(ROWS);
    expect(await store.countFailedRows('acme', 'j1')).toEqual([{ code: 'bad', rows: 1 }]);
    expect((await store.search('acme', { terms: searchTerms('moved'), filter: { tags: ['t'] } }, { limit: 5 })).items).toHaveLength(5);
    // Guards moved too: a late writer is still late, and records still change.
    await store.commitRows({ lane, job: 'j1', tags: [], fence: fence - 1n, items: [anItem('k7', {}, { output: 'late' })], failed: [], cleared: [] });
    expect((await store.readItems(lane, ['k7'])).get('k7')?.output).toEqual({ seen: 'k7' });
    expect(await store.changeJob('acme', 'j1', 0, { priority: 'low' })).toMatchObject({ revision: 1 });
    await store.close();
  };

  it('is refused where it is newer, before anything is written', async () => {
    await (await open()).close();
    await client.indices.putMapping({ index: names.read('items'), _meta: { application: 'sheaf', schema: 9000 } });
    await expect(open()).rejects.toMatchObject({ code: 'schema_too_new', message: expect.stringContaining('9000') });
    const migration = openMigration({ nodes: [url!], prefix: names.prefix });
    await expect(migration.plan()).rejects.toMatchObject({ code: 'schema_too_new' });
    await migration.close();
  });

  it('is opened by many at once where there is nothing', async () => {
    const stores = await Promise.all(Array.from({ length: 5 }, open));
    await stores[0]!.createJob(aJob('j1'));
    expect(await stores[4]!.getJob('acme', 'j1')).not.toBeNull();
    await Promise.all(stores.map((store) => store.close()));
  });

  it('is refused where it is older, planned, moved and switched, guards and all', async () => {
    await anOldStore();
    await expect(open()).rejects.toMatchObject({ code: 'schema_outdated', remedy: expect.stringContaining('sheaf store migrate') });
    const migration = openMigration({ nodes: [url!], prefix: names.prefix });
    const steps = await migration.plan();
    expect(steps.map(({ kind }) => kind)).toEqual(ALL_KINDS);
    expect(steps.find(({ kind }) => kind === 'items')).toMatchObject({ documents: ROWS, from: names.index('items', 0), to: names.index('items', SCHEMA_VERSION) });
    await expect(open()).rejects.toMatchObject({ code: 'schema_outdated' });
    await migration.apply(steps, () => {});
    expect(await migration.plan()).toEqual([]);
    await migration.close();
    await expectMoved();
  });

  it('goes on where a move was broken off, and copies nothing twice', async () => {
    await anOldStore();
    const proxy = await startFaultProxy(url!);
    const sent: number[] = [];
    let bulks = 0;
    proxy.fault = ({ path, body }) => {
      if (!isBulk({ path }) || !body.includes(`"${names.index('items', SCHEMA_VERSION)}"`)) return null;
      if (++bulks > 2 && bulks < 9) return faults.cut;
      sent.push(body.toString().trimEnd().split('\n').length / 2);
      return null;
    };
    const broken = openMigration({ nodes: [proxy.url], prefix: names.prefix });
    await expect(broken.apply(await broken.plan(), () => {})).rejects.toMatchObject({ code: 'store_unavailable' });
    // Nothing was switched, and nothing can be written to what is being copied.
    await expect(open()).rejects.toMatchObject({ code: 'schema_outdated' });
    bulks = 9;
    await broken.apply(await broken.plan(), () => {});
    await broken.close();
    await proxy.stop();
    expect(sent.reduce((sum, documents) => sum + documents, 0)).toBe(ROWS);
    await expectMoved();
  });

  it('has strict mappings, in which a thousand headers and a very long cell change nothing', async () => {
    const store = await open();
    const before = await client.indices.getMapping({ index: names.read('items') });
    const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`header ${n}.with "dots" ${n}`, n]));
    const long = { cell: 'x'.repeat(3_000_000) };
    expect((await store.commitRows({ lane, job: 'j1', tags: [], fence, items: [anItem('wide', wide, { output: wide }), anItem('long', long, { row: 3, output: long })], failed: [], cleared: [] })).size).toBe(0);
    const found = await store.readItems(lane, ['wide', 'long']);
    expect([found.get('wide')?.output, found.get('long')?.output]).toEqual([wide, long]);
    expect(await client.indices.getMapping({ index: names.read('items') })).toEqual(before);
    expect(Object.values(before)[0]?.mappings).toMatchObject({ dynamic: 'strict', _meta: { schema: SCHEMA_VERSION } });
    await expect(client.index({ index: names.write('items'), routing: 'acme', document: { unheard: 'of' } })).rejects.toMatchObject({ statusCode: 400 });
    await store.close();
  });
});
