/** A tenant that knows every id of another one and asks every method of the store for them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { searchTerms } from '../../src/domain/search-text.ts';
import { intentId } from '../../src/store/intents.ts';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import type { Store } from '../../src/store/store.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { type FaultProxy, startFaultProxy } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { aDocument, aPassage, aSet } from './store-documents.ts';
import { aDelivery } from './store-deliveries.ts';
import { aSummary } from './store-figures.ts';
import { anIntent } from './store-intents.ts';
import { aBatch } from './store-plans.ts';
import { aFailedRow, aJob, aLane, anItem, aPage } from './store-samples.ts';
import { aSource, aVersion } from './store-sources.ts';
import { anUpload, part } from './store-uploads.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());

describe.skipIf(url === null)('tenants on Elasticsearch', () => {
  const prefix = `tenants-${process.pid}`;
  let proxy: FaultProxy;
  let opened: Store;
  let store: Store;
  const asked: { path: string; body: string }[] = [];
  const askedByOther = new Set<string>();
  const key = { key: 'k', requestHash: 'h' };
  const at = { attempt: 1, sequence: 9 };
  const counts = { done: 7, unchanged: 0, failed: 1, skipped: 0 };
  const limits = { perTenant: 3, all: 20, ageAfterMs: 900_000 };
  const turn = { jobId: 'j1', attempt: 1, sequence: 1, source: 'places', lane: 'categorize', priority: 3, since: 1 };
  const budget = { worker: 'w', now: 0, max: 10, before: 7, settled: { held: 0, cost: 0 }, asks: [] };
  const lines = [aPassage(1, 'secret passage')];

  /** All that a tenant can see of job j1 and its source, by every method that reads. */
  const seenBy = async (tenant: string) => ({
    job: await store.getJob(tenant, 'j1'), jobs: (await store.listJobs(tenant, {}, { limit: 9 })).items,
    items: [...(await store.readItems(aLane({ tenant }), ['k1', 'k2']))],
    failed: (await store.listFailedRows(tenant, 'j1', {}, { limit: 9 })).items, codes: await store.countFailedRows(tenant, 'j1'), groups: await store.groupFailedRows(tenant, 'j1', 9),
    pages: (await store.listPages(tenant, 'j1', { limit: 9 })).items, page: await store.getPage(tenant, 'j1', 1), totals: await store.jobTotals(tenant, 'j1', 1),
    events: (await store.listEvents(tenant, 'j1', { limit: 9 })).items,
    // `updatedAt` is the time of the write, the rest of a hit is the item.
    hits: (await store.search(tenant, { terms: searchTerms('secret'), filter: {} }, { limit: 9 })).items,
    document: await store.getDocument(tenant, 'd1'), documents: (await store.listDocuments(tenant, {}, { limit: 9 })).items,
    similar: await store.findSimilar(tenant, ['band'], 9), documentUsage: await store.documentUsage(tenant),
    passages: (await store.listPassages(tenant, 'd1', { limit: 9 })).items, passageSets: await store.listPassageSets(tenant),
    upload: await store.getUpload(tenant, 'u1'), uploads: (await store.listUploads(tenant, {}, { limit: 9 })).items, uploadUsage: await store.uploadUsage(tenant),
    part: await store.getUploadPart(tenant, 'u1', 1), parts: await store.uploadParts(tenant, 'u1'),
    plan: await store.getPlan(tenant, 'batch', 'b1'), plans: (await store.listPlans(tenant, 'batch', { limit: 9 })).items,
    dependents: (await store.listDependents(tenant, 'j1', { limit: 9 })).items, batchTotals: await store.batchTotals(tenant, 'b1'),
    spent: await store.jobSpent(tenant, 'j1'), analysed: await store.analyse(tenant, { since: '2026-01-01T00:00:00.000Z', until: '2027-01-01T00:00:00.000Z' }),
    source: await store.getSource(tenant, 'customers'), sources: (await store.listSources(tenant, { limit: 9 })).items,
    version: await store.getVersion(tenant, 'customers', 1), versions: (await store.listVersions(tenant, 'customers', { limit: 9 })).items,
    intents: [...(await store.readIntents(aLane({ tenant }), ['k1']))], intent: await store.getIntent(tenant, intentId(aLane(), 'k1')), listedIntents: (await store.listIntents(tenant, 'j1', { state: 'submitted' }, { limit: 9 })).items,
    delivery: await store.getDelivery(tenant, 'j1', 'job-1', 1), lastDelivery: await store.lastDelivery(tenant, 'j1', 'job-1'), deliveries: (await store.listDeliveries(tenant, 'j1', { limit: 9 })).items,
    openIntents: await store.openIntents(tenant, 'j1'),
    answers: [...(await store.readAnswers(tenant, ['a1'])).values()],
    turn: await store.queueEntry(tenant, 'j1'), standing: await store.queueStanding(tenant, 'j1', limits, 1_000),
  });

  beforeAll(async () => {
    proxy = await startFaultProxy(url!);
    proxy.fault = ({ path, body }) => {
      asked.push({ path, body: body.toString() });
      return null;
    };
    opened = await openElasticsearchStore({ nodes: [proxy.url], prefix });
    store = new Proxy(opened, {
      get: (target, name: keyof Store) => (...given: unknown[]) => {
        if (tenantOf(given[0]) === 'globex') askedByOther.add(name);
        return (target[name] as (...given: unknown[]) => unknown)(...given);
      },
    });
    await store.createJob(aJob('j1', { state: 'completed' }), key);
    await store.acquireLane(aLane(), 'j1', 1);
    await store.commitRows({ lane: aLane(), job: 'j1', tags: [], fence: 1n, items: [anItem('k1', { text: 'secret' })], failed: [aFailedRow(9, 'bad')], cleared: [] });
    await store.writePage('acme', 'j1', aPage(1, { counts }));
    await store.appendEvent('acme', 'j1', { at: 'now', type: 't', message: 'secret', dedupe: 'd' });
    const { document } = await store.createDocument(aDocument('d1', { similarity: { minhash: '', bands: ['band'] }, fileName: 'secret.txt' }));
    await store.writePassages({ set: aSet(document), job: 'j1', tags: [], fileName: 'secret.txt', title: null, passages: lines });
    await store.publishPassages(aSet(document));
    await store.createUpload(anUpload('u1'));
    await store.addUploadPart('acme', 'u1', part(1));
    await store.createPlan(aBatch('b1', { name: 'secret' }));
    await store.createSource(aSource('customers', { owner: 'secret' }));
    await store.writeVersion(aVersion(1, { hash: 'secret' }));
    await store.writeSummary(aSummary('j1'));
    await store.changeIntent(anIntent('k1', { token: 'secret' }));
    await store.writeAnswer('acme', { key: 'a1', output: 'secret', tokens: 1, cost: null });
    await store.changeBudget('acme', 'job:j1', budget);
    await store.writeDelivery(aDelivery('job-1', 1, { job: 'j1', body: '"secret"' }));
    await store.enqueue({ tenant: 'acme', ...turn }, 1_000);
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
    expect([own.items.length, own.failed.length, own.pages.length, own.events.length, own.hits.length, own.totals.done]).toEqual([1, 1, 1, 1, 2, 7]);
    expect([own.documents, own.passages, own.passageSets, own.uploads, own.parts, own.plans].map(({ length }) => length)).toEqual([1, 1, 1, 1, 1, 1]);
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
  });

  it('change nothing of what else there is under the same names', async () => {
    const before = await seenBy('acme');
    const theirs = aDocument('d1', { tenant: 'globex' });
    expect(await store.advanceDocument('globex', 'd1', { attempt: 9, sequence: 9 }, { state: 'failed' })).toBe(false);
    const { document } = await store.createDocument(theirs);
    await store.writePassages({ set: aSet(document, 9), job: 'j1', tags: [], fileName: 'f', title: null, passages: [aPassage(1, 'other')] });
    await store.publishPassages(aSet(document, 9));
    while (!(await store.removeStalePassages('globex', 'd1', null)));
    while (!(await store.removeDocument('globex', 'd1')));
    expect(await store.changeUpload('globex', 'u1', ['open'], { state: 'failed' })).toBeNull();
    expect(await store.addUploadPart('globex', 'u1', part(2))).toBeNull();
    await store.createUpload(anUpload('u1', { tenant: 'globex' }));
    await store.dropUploadParts('globex', 'u1', [part(1)]);
    await store.removeUpload('globex', 'u1');
    expect(await store.changePlan(aBatch('b1', { tenant: 'globex', name: 'other' }))).toBeNull();
    expect((await store.createPlan(aBatch('b1', { tenant: 'globex', requestHash: 'other' }))).created).toBe(true);
    await store.removePlan('globex', 'batch', 'b1');
    expect(await store.changeSource(aSource('customers', { tenant: 'globex' }))).toBeNull();
    expect((await store.createSource(aSource('customers', { tenant: 'globex' }))).created).toBe(true);
    await store.writeVersion(aVersion(1, { tenant: 'globex', hash: 'other' }));
    await store.removeVersion('globex', 'customers', 1);
    await store.hideItems(aLane({ tenant: 'globex' }), 99n, ['k1'], true);
    await store.showItems(aLane({ tenant: 'globex' }), 99n, ['k1']);
    expect(await store.changeIntent(anIntent('k1', { tenant: 'globex', revision: 1 }))).toBeNull();
    expect(await store.changeIntent(anIntent('k1', { tenant: 'globex' }))).not.toBeNull();
    await store.writeDelivery(aDelivery('job-1', 1, { job: 'j1', tenant: 'globex' }));
    while (!(await store.removeSource('globex', 'customers')));
    await store.writeAnswer('globex', { key: 'a1', output: 'other', tokens: null, cost: null });
    expect(await store.changeBudget('globex', 'job:j1', { ...budget, before: 0 })).toMatchObject({ spent: 0 });
    expect(await store.changeBudget('acme', 'job:j1', budget)).toMatchObject({ spent: 7 });
    await store.writeSummary(aSummary('j1', { tenant: 'globex', sequence: 99, counts: { done: 0, unchanged: 0, failed: 0, skipped: 0 } }));
    await store.pauseTurn({ tenant: 'globex', jobId: 'j1', attempt: 9, sequence: 9 }, 1_000);
    await store.enqueue({ tenant: 'globex', ...turn, attempt: 9 }, 1_000);
    await store.admitNext(limits, 1_000, { tenant: 'globex', jobId: 'j1' });
    await store.leaveQueue(aLane({ tenant: 'globex' }), 'j1', 9, 1_000);
    // Admission is of all tenants: what it gave, it gave by the queue's order.
    expect({ ...(await seenBy('acme')), turn: before.turn, standing: before.standing }).toEqual(before);
  });

  it('claim no key, and no lane, of each other', async () => {
    expect(await store.createJob(aJob('j2'), key)).toMatchObject({ created: false, job: { id: 'j1' } });
    expect((await store.acquireLane(aLane(), 'j2', 1)).holder).toBe('j1');
  });

  it('are in the filter and the routing of every search', async () => {
    asked.length = 0;
    await seenBy('globex');
    const searches = asked.filter(({ path }) => path.includes('/_search'));
    expect(searches.length).toBeGreaterThan(8);
    for (const { path, body } of searches) {
      expect(path).toContain('routing=globex');
      expect((JSON.parse(body) as { query: { bool: { filter: object[] } } }).query.bool.filter).toContainEqual({ term: { tenant: 'globex' } });
    }
  });

  it('have been tried with every method of the port that takes one', () => {
    const ofNoTenant = [
      'openJobs', 'openPlans', 'closedPlans', 'placesTaken', 'countJobs', 'jobsIn', 'endedJobs', 'sweepEvents', 'sweepOutputs', 'sweepSummaries', 'writeCleanup', 'getCleanup', 'listCleanups',
      'writeWorker', 'listWorkers', 'removeWorker', 'expiredUploads', 'sweepAnswers', 'tenants', 'check', 'close', 'admitNext',
    ];
    expect([...askedByOther].toSorted()).toEqual(Object.entries(opened).filter(([name, method]) => typeof method === 'function' && !ofNoTenant.includes(name)).map(([name]) => name).toSorted());
  });

  it('are asked about without scripts, by-query requests and offsets', () => {
    for (const { path, body } of asked) expect(path + body).not.toMatch(/_by_query|[?&]from=|"(script|from)"/);
  });
});

/** Methods take it alone, or in what they are given: a job, a lane, a commit. */
function tenantOf(given: unknown): unknown {
  if (typeof given !== 'object' || given === null) return given;
  if ('tenant' in given) return given.tenant;
  if ('set' in given) return tenantOf(given.set);
  return 'lane' in given ? tenantOf(given.lane) : undefined;
}
