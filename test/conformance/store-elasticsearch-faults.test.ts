/** Elasticsearch behind a proxy that cuts, refuses, delays and loses answers: the store's promises hold all the same. */
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { errors } from '@elastic/elasticsearch';
import type { JobRecord } from '../../src/contracts/job.ts';
import { Cluster } from '../../src/store/elasticsearch/connection.ts';
import { openElasticsearchStore } from '../../src/store/elasticsearch.ts';
import type { Store } from '../../src/store/store.ts';
import type { LaneRef } from '../../src/store/ports/rows.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { faults, held, isBulk, refused, startFaultProxy, withheld, type Fault, type FaultProxy, type ProxiedRequest } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { aFailedRow, aJob as sampleJob, aLane as sampleLane, anItem, aPage } from './store-samples.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());

describe.skipIf(url === null)('the Elasticsearch store in front of faults', () => {
  const prefix = `faults-${process.pid}`;
  let proxy: FaultProxy;
  let store: Store;
  /** Straight to the server: what is really there. */
  let truth: Store;
  /** Every test has one of its own, so that they share the indices. */
  let tenant: string;
  let run = 0;

  beforeAll(async () => {
    proxy = await startFaultProxy(url!);
    truth = await openElasticsearchStore({ nodes: [url!], prefix });
    store = await openElasticsearchStore({ nodes: [proxy.url], prefix, apiKey: 'very-secret' });
  });
  beforeEach(() => {
    proxy.fault = null;
    tenant = `tenant${++run}`;
  });
  afterAll(async () => {
    await Promise.all([store.close(), truth.close()]);
    await proxy.stop();
    await removeIndices(url!, prefix);
  });

  const aJob = (id: string): JobRecord => sampleJob(id, { tenant });
  const aLane = (): LaneRef => sampleLane({ tenant });
  const isWrite = ({ method, path }: ProxiedRequest): boolean => isBulk({ path }) || method === 'DELETE' || /\/_(doc|create)\//.test(path);
  /** The first requests of a kind get these, one each; all others pass. */
  const first = (kind: (request: ProxiedRequest) => boolean, ...given: Fault[]): void => {
    proxy.fault = (request) => (kind(request) ? given.shift() ?? null : null);
  };
  const always = (fault: Fault): void => {
    proxy.fault = () => fault;
  };
  const commit = (over: Partial<Parameters<Store['commitRows']>[0]> = {}) =>
    store.commitRows({ lane: aLane(), job: 'job', tags: [], fence: 1n, items: [anItem('k1', {}), anItem('k2', {}, { row: 3 })], failed: [], cleared: [], ...over });

  const moments: [string, Fault][] = [
    ['a cut connection', faults.cut], ['an answer lost after the write', faults.lost], ['429', refused(429, 'es_rejected_execution_exception')],
    ['503', refused(503, 'unavailable_shards_exception')],
    ['a gateway\'s 502 after the write', async (_, forward) => {
      await forward();
      return { status: 502, headers: {}, body: Buffer.from('<html>bad gateway</html>') };
    }],
  ];

  describe.each(moments)('%s', (_, fault) => {
    it('costs no row and makes none twice', async () => {
      first(isBulk, fault, fault);
      await commit({ failed: [aFailedRow(9, 'bad')] });
      expect((await truth.readItems(aLane(), ['k1', 'k2'])).size).toBe(2);
      expect(await truth.countFailedRows(tenant, 'job')).toEqual([{ code: 'bad', rows: 1 }]);
    });

    it('lets a job be created once, and says so to the one that created it', async () => {
      first(isWrite, fault);
      expect((await store.createJob(aJob('j1'))).created).toBe(true);
      first(isWrite, fault, faults.pass, fault);
      const key = { key: 'k', requestHash: 'h' };
      expect(await store.createJob(aJob('j2'), key)).toMatchObject({ created: true, job: { id: 'j2' } });
      expect(await truth.createJob(aJob('j3'), key)).toMatchObject({ created: false, job: { id: 'j2' } });
      expect((await truth.listJobs(tenant, {}, { limit: 9 })).items.map(({ id }) => id).sort()).toEqual(['j1', 'j2']);
    });

    it('changes a job, a lane, a page and the events once', async () => {
      await truth.createJob(aJob('j1'));
      first(isWrite, fault);
      expect(await store.changeJob(tenant, 'j1', 0, { desired: 'paused' })).toMatchObject({ revision: 1, desired: 'paused' });
      first(isWrite, fault);
      expect(await store.advanceJob(tenant, 'j1', { attempt: 1, sequence: 1 }, { state: 'running' })).toBe(true);
      expect(await truth.getJob(tenant, 'j1')).toMatchObject({ revision: 2, state: 'running' });
      first(isWrite, fault);
      expect(await store.acquireLane(aLane(), 'j1', 1)).toEqual({ granted: true, generation: 1, holder: 'j1' });
      first(isWrite, fault);
      expect(await store.writePage(tenant, 'j1', aPage(1, { counts: { done: 5, unchanged: 0, failed: 0, skipped: 0 } }))).toBe(true);
      expect((await truth.jobTotals(tenant, 'j1', 1)).done).toBe(5);
      first(isWrite, fault);
      await store.appendEvent(tenant, 'j1', { at: 'now', type: 't', message: 'm', dedupe: 'd' });
      expect((await truth.listEvents(tenant, 'j1', { limit: 9 })).items).toHaveLength(1);
      first(isWrite, fault);
      while (!(await store.removeJob(tenant, 'j1')));
      expect(await truth.getJob(tenant, 'j1')).toBeNull();
    });
  });

  it('finishes a creation whose claimer died between the key and the job', async () => {
    let keys = 0;
    // The key is claimed; nothing else of this process arrives.
    proxy.fault = ({ method, path }) => (method === 'PUT' && path.includes('idempotency-keys') && keys++ === 0 ? null : faults.cut);
    const key = { key: 'k', requestHash: 'h' };
    await expect(store.createJob(aJob('j1'), key)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(await truth.getJob(tenant, 'j1')).toBeNull();
    expect(await truth.createJob(aJob('j2'), key)).toMatchObject({ job: { id: 'j1', state: 'queued' } });
    expect(await truth.getJob(tenant, 'j1')).not.toBeNull();
    expect(await truth.getJob(tenant, 'j2')).toBeNull();
  });

  describe('an answer of mixed results', () => {
    const items = Array.from({ length: 6 }, (_, n) => anItem(`k${n}`, { n }, { row: n }));
    const keys = items.map(({ key }) => key);

    it('has what was refused for now sent again, and nothing else', async () => {
      const sent: number[] = [];
      const counted = (fault: Fault): Fault => (request, forward) => {
        sent.push(request.body.toString().trimEnd().split('\n').length / 2);
        return fault(request, forward);
      };
      const busy = { status: 429, type: 'es_rejected_execution_exception' };
      first(isBulk, counted(withheld(new Map([[1, busy], [4, busy]]))), counted(withheld(new Map([[0, { status: 503, type: 'unavailable_shards_exception' }]]))), counted(faults.pass));
      expect((await commit({ items })).size).toBe(0);
      expect(sent).toEqual([6, 2, 1]);
      expect([...(await truth.readItems(aLane(), keys)).keys()]).toEqual(keys);
    });

    it('gives what will never be taken back as the failure of that row', async () => {
      first(isBulk, withheld(new Map([[2, { status: 413, type: 'too_large' }], [5, { status: 400, type: 'document_parsing_exception' }]])));
      // All of them had failed before and were handled again.
      const refusals = await commit({ items, cleared: items.map(({ row }) => row) });
      expect([...refusals].map(([row, { code }]) => [row, code])).toEqual([[2, 'row_too_large'], [5, 'row_refused']]);
      const found = await truth.readItems(aLane(), keys);
      expect(keys.map((key) => found.get(key)?.state)).toEqual(['done', 'done', 'failed', 'done', 'done', 'failed']);
      expect(await truth.countFailedRows(tenant, 'job')).toEqual([{ code: 'row_refused', rows: 1 }, { code: 'row_too_large', rows: 1 }]);
    });

    it('is not what a document makes that a newer writer has overtaken', async () => {
      await truth.commitRows({ lane: aLane(), job: 'job', tags: [], fence: 9n, items: [anItem('k3', {}, { output: 'newer' })], failed: [], cleared: [] });
      expect((await commit({ items })).size).toBe(0);
      const found = await truth.readItems(aLane(), keys);
      expect([found.get('k2')?.output, found.get('k3')?.output]).toEqual([{ seen: 'k2' }, 'newer']);
    });
  });

  it('writes in requests of at most three thousand documents and five megabytes, unless one document alone is larger', async () => {
    const sent: { documents: number; bytes: number }[] = [];
    proxy.fault = ({ path, body }) => {
      if (isBulk({ path })) sent.push({ documents: body.toString().trimEnd().split('\n').length / 2, bytes: body.length });
      return null;
    };
    const items = [
      ...Array.from({ length: 5_500 }, (_, n) => anItem(`small${n}`, {}, { row: n })),
      ...Array.from({ length: 8 }, (_, n) => anItem(`wide${n}`, { cell: 'x'.repeat(900_000) }, { row: 6_000 + n })),
      anItem('huge', { cell: 'x'.repeat(6_000_000) }, { row: 7_000 }),
    ];
    expect((await commit({ items })).size).toBe(0);
    expect((await truth.readItems(aLane(), items.map(({ key }) => key))).size).toBe(items.length);
    expect(Math.max(...sent.map(({ documents }) => documents))).toBe(3_000);
    expect(sent.filter(({ bytes }) => bytes > 5 * 2 ** 20)).toEqual([{ documents: 1, bytes: expect.any(Number) }]);
    expect(sent.reduce((sum, { documents }) => sum + documents, 0)).toBe(items.length);
  });

  it('sends the few rows that come while a request is under way together, and without waiting for its end', async () => {
    const over = Promise.withResolvers<void>();
    let bulks = 0;
    proxy.fault = (request) => (isBulk(request) && ++bulks === 1 ? held(over.promise) : null);
    const slow = commit();
    const keys = Array.from({ length: 10 }, (_, n) => `few${n}`);
    await Promise.all(keys.map((key, n) => commit({ items: [anItem(key, {}, { row: n + 10 })] })));
    expect((await truth.readItems(aLane(), keys)).size).toBe(10);
    expect((await truth.readItems(aLane(), ['k1'])).size).toBe(0);
    expect(bulks).toBe(2);
    over.resolve();
    await slow;
    expect((await truth.readItems(aLane(), ['k1'])).size).toBe(1);
  });

  it('gives a row that the mapping refuses that failure, and keeps its neighbours', async () => {
    const refusals = await commit({ items: [anItem('k1', {}), anItem('k2', {}, { row: 3, tokens: 1e300 })] });
    expect([...refusals.keys()]).toEqual([3]);
    const found = await truth.readItems(aLane(), ['k1', 'k2']);
    expect([found.get('k1')?.state, found.get('k2')?.state, found.get('k2')?.error?.code]).toEqual(['done', 'failed', 'row_refused']);
    await expect(commit({ items: [anItem('k3', {}, { row: 1e300 })] })).rejects.toMatchObject({ code: 'store_refused', place: { row: 1e300 } });
  });

  describe.each([
    ['away', faults.cut, 'cannot be reached'],
    ['busy', refused(429, 'circuit_breaking_exception'), '429'],
    ['red', refused(503, 'no_shard_available_action_exception'), '503'],
    ['read-only, its disk full to the flood stage', refused(429, 'cluster_block_exception'), 'read-only'],
    ['closed to an expired key', refused(401, 'security_exception'), 'credentials'],
    ['closed to a key without rights', refused(403, 'security_exception'), 'does not allow'],
  ])('a cluster that is %s', (_, fault, message) => {
    it('is said to be unavailable by reads, writes and lists, with a remedy, and works again afterwards', async () => {
      always(fault);
      for (const call of [
        () => store.getJob(tenant, 'j1'), () => store.createJob(aJob('j1')), () => store.listJobs(tenant, {}, { limit: 1 }), () => commit(), () => store.check(),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'store_unavailable', retryable: true, message: expect.stringContaining(message), remedy: expect.any(String) });
      }
      proxy.fault = null;
      await store.check();
      await commit();
      expect((await truth.readItems(aLane(), ['k1', 'k2'])).size).toBe(2);
    });

    it('is said so at the start', async () => {
      always(fault);
      await expect(openElasticsearchStore({ nodes: [proxy.url], prefix })).rejects.toMatchObject({ code: 'store_unavailable' });
    });
  });

  it('puts no secret and no content into an error', async () => {
    always(refused(400, 'document_parsing_exception'));
    const error = await store.createJob({ ...aJob('j1'), owner: 'private person' }).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'store_refused' });
    expect(inspect(error, { depth: 20 })).not.toMatch(/very-secret|private person/);
  });

  it('copies no request for the error that it ends in, and takes the secrets out of it', async () => {
    const cluster = new Cluster({ nodes: [proxy.url], prefix, apiKey: 'very-secret' });
    const bulkBody = Buffer.from('{"delete":{"_index":"nothing","_id":"1"}}\n');
    for (const fault of [refused(429, 'circuit_breaking_exception'), faults.cut]) {
      always(fault);
      const error: unknown = await cluster.client.transport.request({ method: 'POST', path: '/_bulk', bulkBody }).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(errors.ElasticsearchClientError);
      const body = (error as errors.ResponseError).meta?.meta.request.params.body;
      expect(body === undefined || body === bulkBody).toBe(true);
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain('very-secret');
    }
    await cluster.client.close();
  });

  it('takes its time where the cluster does', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let waiting = 0;
    proxy.fault = () => {
      waiting++;
      return held(promise);
    };
    const [created, committed] = [store.createJob(aJob('j1')), commit()];
    while (waiting < 2) await new Promise(setImmediate);
    expect(await truth.getJob(tenant, 'j1')).toBeNull();
    resolve();
    expect((await created).created).toBe(true);
    expect((await committed).size).toBe(0);
  });

  describe('a record that is changed again and again', () => {
    const counted = (): { reads: number; writes: number } => {
      const seen = { reads: 0, writes: 0 };
      proxy.fault = (request) => {
        if (request.path.includes('_mget')) seen.reads++;
        else if (isWrite(request)) seen.writes++;
        return null;
      };
      return seen;
    };
    const done = { done: 1, unchanged: 0, failed: 0, skipped: 0 };

    it('is written once for all that waits, and read only to begin with', async () => {
      const seen = counted();
      const written = await Promise.all(Array.from({ length: 40 }, (_, page) => store.writePage(tenant, 'j1', aPage(page + 1, { counts: done }))));
      expect(written.every((mine) => mine)).toBe(true);
      expect(seen).toEqual({ reads: 1, writes: 2 }); // the first does not wait for company
      await store.writePage(tenant, 'j1', aPage(41, { counts: done }));
      expect(seen).toEqual({ reads: 1, writes: 3 });
      expect(await truth.jobTotals(tenant, 'j1', 1)).toMatchObject({ done: 41 });
    });

    it('is read again where another process was faster, whatever is remembered of it', async () => {
      await truth.createJob(aJob('j1'));
      await store.writePage(tenant, 'j1', aPage(1, { counts: done }));
      await truth.writePage(tenant, 'j1', aPage(2, { counts: done, fence: 9n }));
      expect(await store.writePage(tenant, 'j1', aPage(3, { counts: done }))).toBe(true);
      expect(await truth.jobTotals(tenant, 'j1', 1)).toMatchObject({ done: 3 });
      await store.writePage(tenant, 'j1', aPage(4, { fence: 8n }));
      await truth.writePage(tenant, 'j1', aPage(4, { fence: 2n, counts: done })); // is refused
      while (!(await truth.removeJob(tenant, 'j1'))) { /* it goes in steps */ }
      // Remembered: a higher fence than this one's. What counts is that the record is gone.
      expect(await store.writePage(tenant, 'j1', aPage(4, { counts: done }))).toBe(true);
      expect(await truth.jobTotals(tenant, 'j1', 1)).toMatchObject({ done: 1 });
    });

    it('is found again by those who remove, where somebody still writes it after it was removed', async () => {
      await truth.createJob(aJob('j1'));
      await store.writePage(tenant, 'j1', aPage(70, { counts: done }));
      while (!(await truth.removeJob(tenant, 'j1'))) { /* it goes in steps */ }
      await store.writePage(tenant, 'j1', aPage(70, { counts: done }));
      expect((await truth.listPages(tenant, 'j1', { limit: 10 })).items).toMatchObject([{ page: 70 }]);
    });
  });

  it('goes on with another node when one is away', async () => {
    const several = await openElasticsearchStore({ nodes: [proxy.url, url!], prefix });
    always(faults.cut);
    for (let n = 0; n < 6; n++) expect((await several.createJob(aJob(`j${n}`))).created).toBe(true);
    await several.close();
  });

  it('sends its key with every request and the tenant as routing with every one for documents', async () => {
    const seen: ProxiedRequest[] = [];
    proxy.fault = (request) => {
      seen.push(request);
      return null;
    };
    await commit({ failed: [aFailedRow(9, 'bad')], cleared: [4] });
    await store.createJob(aJob('j1'));
    await store.listJobs(tenant, {}, { limit: 1 });
    expect(seen.every(({ headers }) => headers.authorization === 'ApiKey very-secret')).toBe(true);
    for (const { path, body } of seen.filter(({ path }) => !path.includes('_refresh'))) expect(path + body.toString()).toMatch(new RegExp(`routing=${tenant}|"routing":"${tenant}"`));
  });
});
