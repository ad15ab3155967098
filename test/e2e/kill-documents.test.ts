import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { startElasticsearch, type ElasticsearchServer } from '../servers/elasticsearch/server.ts';
import { orMissing } from '../servers/missing.ts';
import { startS3, type S3Server } from '../servers/s3.ts';
import { startTestStack, type TestStack } from '../servers/stack.ts';
import { killDocuments } from './kill-documents.ts';

const DOCUMENTS = 200;
/** Every document is some fifty requests to servers that share this machine. */
const DOCUMENTS_ON_SERVERS = 60;
const seed = Number(process.env['KILL_SEED'] ?? Math.floor(Math.random() * 1e9));
console.log(`Moments of the kills come from KILL_SEED=${seed}`);
const moment = (index: number, documents: number): number => Math.floor(documents * (0.05 + 0.7 * ((Math.imul(seed + index, 0x9e3779b1) >>> 0) / 2 ** 32)));

describe('of 200 small documents', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await startTestStack();
  });
  afterAll(() => stack?.stop());

  for (const [index, victim] of ['worker', 'api', 'temporal'].entries()) {
    test(`all end, none twice, and all of it agrees, after kill -9 of the ${victim}`, { timeout: 600_000 }, async () => {
      onTestFailed(async () => console.log(await stack.logs()));
      const round = await killDocuments(stack, `embedded${victim}`, DOCUMENTS, { victim, afterReady: moment(index, DOCUMENTS), outageMs: 0 });
      console.log(JSON.stringify(round));
      expect(round.violations).toEqual([]);
    });
  }
});

type Servers = [ElasticsearchServer, S3Server];
const servers = await orMissing<Servers>('Elasticsearch and S3', Promise.all([startElasticsearch(), startS3()]));

describe.skipIf(servers === null)('of 60 small documents on Elasticsearch and S3', () => {
  const [elasticsearch, s3] = servers ?? ([] as unknown as Servers); // without them nothing below runs
  let stack: TestStack;
  beforeAll(async () => {
    const env = {
      SHEAF_STORE: 'elasticsearch', ELASTICSEARCH_URL: elasticsearch.url, SHEAF_ELASTICSEARCH_PREFIX: 'documents',
      SHEAF_BLOBS: 's3', S3_ENDPOINT: s3.endpoint, S3_REGION: s3.region, S3_BUCKET: s3.bucket, ...s3.credentials,
    };
    const ground = { elasticsearch, s3: { kill: s3.kill ?? (() => Promise.reject(new Error('The S3 server is not ours to kill'))), restart: s3.restart } };
    stack = await startTestStack({ env, ground });
  });
  afterAll(async () => {
    await stack?.stop();
    await Promise.all([elasticsearch.stop(), s3.stop()]);
  });

  for (const [index, victim] of ['worker', 'elasticsearch', 's3'].entries()) {
    test(`all end, none twice, and all of it agrees, after kill -9 of ${victim}`, { timeout: 600_000 }, async () => {
      onTestFailed(async () => console.log(await stack.logs()));
      const round = await killDocuments(stack, `production${victim}`, DOCUMENTS_ON_SERVERS, { victim, afterReady: moment(3 + index, DOCUMENTS_ON_SERVERS), outageMs: 0 });
      console.log(JSON.stringify(round));
      expect(round.violations).toEqual([]);
    });
  }
});
