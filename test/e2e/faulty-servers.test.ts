/** A job on a real Elasticsearch and a real S3 server behind proxies that refuse, cut, delay and lose answers. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import type { JobEvent } from '../../src/contracts/job.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contracts/search-attributes.ts';
import { jobWorkflowId } from '../../src/temporal/workflow-ids.ts';
import { startRowCounter, writeCountedHandler, type RowCounter } from '../servers/counter.ts';
import { startElasticsearch, type ElasticsearchServer } from '../servers/elasticsearch/server.ts';
import { faults, held, isBulk, refused, startFaultProxy, withheld, type Fault, type FaultProxy } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3, type S3Server } from '../servers/s3.ts';
import { type Fault as S3Fault, type FaultProxy as S3Proxy, startFaultProxy as startS3Proxy } from '../servers/s3/fault-proxy.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { disagreements, ended, MOST_IN_FLIGHT, startCountedJob, until } from './kill-round.ts';

const ROWS = 3_000;
const ANSWER_MS = 20;

type Servers = [ElasticsearchServer, S3Server];
const servers = await orMissing<Servers>('Elasticsearch and S3', Promise.all([startElasticsearch(), startS3()]));

describe.skipIf(servers === null)('a job on servers that are not well', () => {
  const [elasticsearch, s3] = servers ?? ([] as unknown as Servers);
  let elasticsearchProxy: FaultProxy;
  let s3Proxy: S3Proxy;
  let stack: TestStack;
  let counter: RowCounter & { url: string };
  let connection: Connection;

  beforeAll(async () => {
    [elasticsearchProxy, s3Proxy, counter] = await Promise.all([startFaultProxy(elasticsearch.url), startS3Proxy(s3.endpoint), startRowCounter(ANSWER_MS)]);
    stack = await startTestStack({ env: {
      SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: elasticsearchProxy.url, SHEAF_ELASTICSEARCH_PREFIX: 'faulty', ELASTICSEARCH_API_KEY: 'key',
      SHEAF_BLOBS: 's3', S3_ENDPOINT: s3Proxy.endpoint, S3_REGION: s3.region, S3_BUCKET: s3.bucket, ...s3.credentials,
    } });
    await writeCountedHandler(path.join(stack.folder, 'counted.mjs'));
    connection = await Connection.connect({ address: stack.temporal });
  });
  beforeEach(() => {
    counter.clear();
    onTestFailed(async () => console.log(await stack.logs()));
  });
  afterEach(() => {
    elasticsearchProxy.fault = null;
    s3Proxy.plan = () => null;
  });
  afterAll(async () => {
    await connection?.close();
    await Promise.all([stack?.stop(), counter?.close(), elasticsearchProxy?.stop(), s3Proxy?.close()]);
    await Promise.all([elasticsearch.stop(), s3.stop()]);
  });

  test.each([
    ['the key for Elasticsearch expires', refused(401, 'security_exception'), 'does not accept the credentials', 'ELASTICSEARCH_API_KEY'],
    ['Elasticsearch turns red', refused(503, 'no_shard_available_action_exception'), 'answers 503', '_cluster/health'],
  ])('waits, cause capacity, when %s; handles no row meanwhile, and goes on by itself when all is well again', { timeout: 180_000 }, async (_, fault, reason, remedy) => {
    const { id } = await startCountedJob(stack, counter.url, ROWS);
    await counter.answered(500);
    elasticsearchProxy.fault = () => fault;

    const workflow = new Client({ connection }).workflow.getHandle(jobWorkflowId(id, 1));
    const status = await until('the job to wait', async () => {
      const now = await workflow.query<{ state: string; cause: string; reason: string }>('status');
      return now.state === 'waiting' && now;
    });
    expect(status).toMatchObject({ cause: 'capacity', reason: expect.stringContaining(reason) });
    // Its record cannot be read either: the API says what is wrong, and operators find the job in Temporal.
    const answer = await fetch(`${stack.url}/api/v1/jobs/${id}`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect(await answer.json()).toMatchObject({ code: 'store_unavailable', remedy: expect.stringContaining(remedy) });
    expect((await workflow.describe()).typedSearchAttributes.get(SEARCH_ATTRIBUTES.state)).toBe('waiting');

    const handled = counter.calls.length;
    await until('Elasticsearch to be asked again and again', async () => (await workflow.describe()).raw.pendingActivities?.some(({ attempt }) => (attempt ?? 0) >= 3));
    expect(counter.calls.length).toBe(handled);

    elasticsearchProxy.fault = null;
    const job = await ended(stack, id);
    expect(job).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
    expect(await disagreements(stack, job, ROWS)).toEqual([]);
    expect([...counter.byKey().values()].filter(({ length }) => length > 1).length).toBeLessThanOrEqual(MOST_IN_FLIGHT);
    const { items } = await stack.call<{ items: JobEvent[] }>('GET', `/jobs/${id}/events`);
    expect(items).toContainEqual(expect.objectContaining({ type: 'waiting', data: { cause: 'capacity' } }));
  });

  test('loses no row and handles none twice while every fifth request meets a fault', { timeout: 180_000 }, async () => {
    const busy = { status: 429, type: 'es_rejected_execution_exception' };
    const slow: Fault = (request, forward) => held(sleep(300))(request, forward);
    const met = new Map<string, number>();
    const inTurn = <Kind>(kinds: Record<string, Kind>): (() => Kind | null) => {
      const names = Object.keys(kinds);
      let requests = 0;
      return () => {
        if (++requests % 5 !== 0) return null;
        const name = names[(requests / 5) % names.length]!;
        met.set(name, (met.get(name) ?? 0) + 1);
        return kinds[name]!;
      };
    };
    const onRecords = inTurn<Fault>({
      cut: faults.cut, lost: faults.lost, slow, busy: refused(429, busy.type), red: refused(503, 'no_shard_available_action_exception'),
    });
    const onRows = inTurn<Fault>({
      'mixed bulk': withheld(new Map([[0, busy], [2, { status: 503, type: 'unavailable_shards_exception' }]])), 'cut bulk': faults.cut, 'lost bulk': faults.lost,
    });
    elasticsearchProxy.fault = ({ path, body }) => {
      const documents = body.toString().trimEnd().split('\n').length / 2;
      return isBulk({ path }) && documents > 3 ? onRows() : onRecords();
    };
    s3Proxy.plan = inTurn<S3Fault>({ 's3 busy': { answer: 503 }, 's3 cut': 'cut', 's3 lost': 'lose answer', 's3 cut answer': { cutAnswerAfter: 1_000 } });

    const { id } = await startCountedJob(stack, counter.url, ROWS);
    const job = await ended(stack, id);
    elasticsearchProxy.fault = null;
    s3Proxy.plan = () => null;
    expect(job).toMatchObject({ state: 'completed', progress: { done: ROWS, failed: 0 } });
    expect(await disagreements(stack, job, ROWS)).toEqual([]);
    expect([counter.calls.length, counter.byKey().size]).toEqual([ROWS, ROWS]);
    expect([...met.keys()].toSorted()).toEqual(['busy', 'cut', 'cut bulk', 'lost', 'lost bulk', 'mixed bulk', 'red', 's3 busy', 's3 cut', 's3 cut answer', 's3 lost', 'slow']);
  });

  test('has a row that Elasticsearch will never take as a failed one, with its code, and keeps all the others', { timeout: 180_000 }, async () => {
    let met = false;
    elasticsearchProxy.fault = ({ path, body }) => {
      if (met || !isBulk({ path }) || !body.includes('{"index":{"_id"')) return null;
      met = true;
      return withheld(new Map([[0, { status: 400, type: 'document_parsing_exception' }]]));
    };
    const { id } = await startCountedJob(stack, counter.url, 100);
    const job = await ended(stack, id);
    expect(job).toMatchObject({ state: 'completed', progress: { done: 99, failed: 1 }, errors: [{ code: 'row_refused', rows: 1 }] });
    const results = await stack.results(id);
    expect(results.filter(({ state }) => state === 'failed')).toEqual([expect.objectContaining({ error: expect.objectContaining({ code: 'row_refused' }) })]);
    expect(await disagreements(stack, job, 100)).toEqual([]);
  });
});
