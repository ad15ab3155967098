/** A tenant that knows every id of another one and asks every method of the store for them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import type { Store } from '../../src/store/store.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { aFailedRow, aJob, aLane, anItem, aPage } from './store-samples.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());

describe.skipIf(url === null)('tenants on Elasticsearch', () => {
  const prefix = `tenants-${process.pid}`;
  let proxy: FaultProxy;
  let store: Store;
  const asked: { path: string; body: string }[] = [];
  const key = { key: 'k', requestHash: 'h' };
  const at = { attempt: 1, sequence: 9 };
  const counts = { done: 7, unchanged: 0, failed: 1, skipped: 0 };

  /** All that a tenant can see of job j1 and its source, by every method that reads. */
  const seenBy = async (tenant: string) => ({
    job: await store.getJob(tenant, 'j1'), jobs: (await store.listJobs(tenant, {}, { limit: 9 })).items,
    items: [...(await store.readItems(aLane({ tenant }), ['k1', 'k2']))],
    failed: (await store.listFailedRows(tenant, 'j1', {}, { limit: 9 })).items, codes: await store.countFailedRows(tenant, 'j1'),
    pages: (await store.listPages(tenant, 'j1', { limit: 9 })).items, page: await store.getPage(tenant, 'j1', 1), totals: await store.jobTotals(tenant, 'j1', 1),
    events: (await store.listEvents(tenant, 'j1', { limit: 9 })).items,
    // `updatedAt` is the time of the write, the rest of a hit is the item.
    hits: (await store.search(tenant, { terms: searchTerms('secret'), filter: {} }, { limit: 9 })).items,
  });

  beforeAll(async () => {
    proxy = await startFaultProxy(url!);
    proxy.fault = ({ path, body }) => {
      asked.push({ path, body: body.toString() });
      return null;
    };
    store = await openElasticsearchStore({ nodes: [proxy.url], prefix });
    await store.createJob(aJob('j1', { state: 'completed' }), key);
    await store.acquireLane(aLane(), 'j1', 1);
    await store.commitRows({ lane: aLane(), job: 'j1', tags: [], fence: 1n, items: [anItem('k1', { text: 'secret' })], failed: [aFailedRow(9, 'bad')], cleared: [] });
    await store.writePage('acme', 'j1', aPage(1, { counts }));
    await store.appendEvent('acme', 'j1', { at: 'now', type: 't', message: 'secret', dedupe: 'd' });
  });
  afterAll(async () => {
    await store.close();
    await proxy.stop();
    await removeIndices(url!, prefix);
  });

  it('see nothing of each other', async () => {
    const nothing = await seenBy('nobody');
    expect(await seenBy('globex')).toEqual(nothing);
    expect(JSON.stringify(nothing)).not.toContain('secret');
    expect(nothing).toMatchObject({ job: null, jobs: [], items: [], failed: [], codes: [], pages: [], page: null, events: [], hits: [], totals: { done: 0 } });
    const own = await seenBy('acme');
    expect([own.items.length, own.failed.length, own.pages.length, own.events.length, own.hits.length, own.totals.done]).toEqual([1, 1, 1, 1, 1, 7]);
  });

  it('change nothing of each other, though they name the same job, source, key and rows', async () => {
    const before = await seenBy('acme');
    expect(await store.changeJob('globex', 'j1', 0, { desired: 'deleted' })).toBeNull();
    expect(await store.requeueJob('globex', 'j1', 0, { codes: null })).toBeNull();
    expect(await store.advanceJob('globex', 'j1', at, { state: 'failed' })).toBe(false);
    expect((await store.acquireLane(aLane({ tenant: 'globex' }), 'j1', 1)).generation).toBe(1);
    await store.leaveQueue(aLane({ tenant: 'globex' }), 'j1', 1, 0);
    await store.commitRows({ lane: aLane({ tenant: 'globex' }), job: 'j1', tags: [], fence: 99n, items: [anItem('k1', { text: 'other' })], failed: [aFailedRow(8, 'worse')], cleared: [9] });
    await store.writePage('globex', 'j1', aPage(1, { fence: 99n }));
    await store.appendEvent('globex', 'j1', { at: 'now', type: 't', message: 'other', dedupe: 'd' });
    expect((await store.createJob(aJob('j1', { tenant: 'globex' }), { ...key, requestHash: 'another' })).created).toBe(true);
    while (!(await store.removeJob('globex', 'j1')));
    expect(await seenBy('acme')).toEqual(before);
    expect(await store.createJob(aJob('j2'), key)).toMatchObject({ created: false, job: { id: 'j1' } });
    expect((await store.acquireLane(aLane(), 'j2', 1)).holder).toBe('j1');
  });

  it('are in the filter and the routing of every search', async () => {
    asked.length = 0;
    await seenBy('globex');
    const searches = asked.filter(({ path }) => path.includes('/_search'));
    expect(searches).toHaveLength(4);
    for (const { path, body } of searches) {
      expect(path).toContain('routing=globex');
      expect((JSON.parse(body) as { query: { bool: { filter: object[] } } }).query.bool.filter).toContainEqual({ term: { tenant: 'globex' } });
    }
  });
});
