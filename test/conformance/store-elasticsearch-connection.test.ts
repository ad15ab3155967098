/**
 * How a cluster is reached: TLS with an authority of one's own, keys, passwords, a cloud id. Through the real client, from
 * the environment on, to a real server behind a proxy that ends TLS and asks for credentials: the server that is made
 * from published jars has neither.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { readConfig } from '../../src/config.ts';
import { openStore } from '../../src/container.ts';
import { diagnose } from '../../src/diagnosis.ts';
import { makeCertificate } from '../servers/certificate.ts';
import { removeIndices } from '../servers/elasticsearch/remove-indices.ts';
import { sharedElasticsearch } from '../servers/elasticsearch/shared.ts';
import { type FaultProxy, refused, startFaultProxy } from '../servers/fault-proxy.ts';
import { orMissing } from '../servers/missing.ts';
import { aJob, aLane, anItem } from './store-samples.ts';

const url = await orMissing('for lack of Elasticsearch', sharedElasticsearch());
const certificate = makeCertificate('connections to Elasticsearch over TLS');

describe.skipIf(url === null || certificate === null)('a cluster behind TLS and credentials', () => {
  const prefix = `connection-${process.pid}`;
  const key = Buffer.from('id:secret of the key').toString('base64');
  const basic = `Basic ${Buffer.from('sheaf:pass:wörd').toString('base64')}`;
  let folder: string;
  let caFile: string;
  let proxy: FaultProxy;
  let seen: Set<string>;

  beforeAll(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-connection-'));
    caFile = path.join(folder, 'authority.pem');
    await writeFile(caFile, certificate!.cert);
    proxy = await startFaultProxy(url!, certificate!);
    proxy.fault = ({ headers: { authorization = 'nothing' } }) => {
      seen.add(authorization);
      return [`ApiKey ${key}`, basic].includes(authorization) ? null : refused(401, 'security_exception');
    };
  });
  beforeEach(() => { seen = new Set(); });
  afterAll(async () => {
    await proxy?.stop();
    await rm(folder, { recursive: true, force: true });
    await removeIndices(url!, prefix);
  });

  const configOf = (environment: Record<string, string>) => readConfig({
    SHEAF_STORE: 'elasticsearch', SHEAF_ELASTICSEARCH_PREFIX: prefix, SHEAF_TEMPORAL_ADDRESS: inject('temporalAddress'),
    ...('ELASTICSEARCH_CLOUD_ID' in environment ? {} : { ELASTICSEARCH_URL: proxy.url }), ELASTICSEARCH_CA_FILE: caFile, ...environment,
  });
  /** Opens the store, writes and reads through it. */
  const use = async (environment: Record<string, string>): Promise<void> => {
    const store = await openStore(configOf(environment));
    try {
      const id = `job-${Math.random()}`;
      await store.createJob(aJob(id));
      await store.commitRows({ lane: aLane(), job: id, tags: [], fence: 1n, items: [anItem('k1', {})], failed: [], cleared: [] });
      expect((await store.readItems(aLane(), ['k1'])).size).toBe(1);
      expect((await store.listJobs('acme', {}, { limit: 100 })).items.map((job) => job.id)).toContain(id);
    } finally {
      await store.close();
    }
  };
  const inFile = async (name: string, secret: string): Promise<string> => {
    await writeFile(path.join(folder, name), `${secret}\n`, { mode: 0o600 });
    return path.join(folder, name);
  };

  it('is used with an API key, from the environment or a file', async () => {
    await use({ ELASTICSEARCH_API_KEY: key });
    await use({ ELASTICSEARCH_API_KEY_FILE: await inFile('key', key) });
    expect([...seen]).toEqual([`ApiKey ${key}`]);
  });

  it('is used with a user and a password, from the environment or a file', async () => {
    await use({ ELASTICSEARCH_USERNAME: 'sheaf', ELASTICSEARCH_PASSWORD: 'pass:wörd' });
    await use({ ELASTICSEARCH_USERNAME: 'sheaf', ELASTICSEARCH_PASSWORD_FILE: await inFile('password', 'pass:wörd') });
    expect([...seen]).toEqual([basic]);
  });

  it('is found by a cloud id', async () => {
    // A cloud id names a domain, with a port perhaps, and what stands before it: together the address of the proxy.
    const { port } = new URL(proxy.url);
    const ELASTICSEARCH_CLOUD_ID = `sheaf:${Buffer.from(`1:${port}$127.0.0$kibana`).toString('base64')}`;
    await use({ ELASTICSEARCH_CLOUD_ID, ELASTICSEARCH_API_KEY: key });
    expect([...seen]).toEqual([`ApiKey ${key}`]);
  });

  it('is unavailable without credentials or with wrong ones, and the remedy names the variables', async () => {
    for (const environment of [{}, { ELASTICSEARCH_API_KEY: 'expired' }, { ELASTICSEARCH_USERNAME: 'sheaf', ELASTICSEARCH_PASSWORD: 'wrong' }]) {
      await expect(use(environment)).rejects.toMatchObject({
        code: 'store_unavailable', message: 'Elasticsearch does not accept the credentials.', remedy: expect.stringContaining('ELASTICSEARCH_API_KEY'),
      });
    }
    expect(seen.size).toBe(3);
  });

  it('is not trusted without the certificate of its authority: nothing is sent, and the remedy names the variable', async () => {
    await expect(use({ ELASTICSEARCH_API_KEY: key, ELASTICSEARCH_CA_FILE: '' })).rejects.toMatchObject({
      code: 'store_unavailable', message: expect.stringContaining('certificate'), remedy: expect.stringContaining('ELASTICSEARCH_CA_FILE'),
    });
    await expect(use({ ELASTICSEARCH_API_KEY: key, ELASTICSEARCH_CA_FILE: '/there/is/none.pem' })).rejects.toMatchObject({
      code: 'store_unavailable', remedy: expect.stringContaining('ELASTICSEARCH_CA_FILE'),
    });
    expect(seen.size).toBe(0);
  });

  it('is looked at with the same options by the system check', async () => {
    const found = async (environment: Record<string, string>) =>
      Object.fromEntries((await diagnose(configOf(environment), null)).map((check) => [check.name, check]));
    expect(await found({ ELASTICSEARCH_API_KEY: key })).toMatchObject({ Elasticsearch: { ok: true }, 'Elasticsearch health': { ok: true } });
    const expired = await found({ ELASTICSEARCH_API_KEY: 'expired' });
    expect(expired).toMatchObject({ Elasticsearch: { ok: false, remedy: expect.stringContaining('ELASTICSEARCH_API_KEY') } });
    expect(Object.keys(expired)).not.toContain('Elasticsearch health');
  });
});
