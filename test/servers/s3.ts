/**
 * A real S3 server with a bucket of one's own: the one that SHEAF_TEST_S3_ENDPOINT names (credentials in AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY), else versitygw: by Docker where an engine answers, else built with Go. A started one listens on a free
 * port of loopback, keeps its data in a temporary place, and ends with the process that started it.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from '../../src/embedded/free-port.ts';
import { containerWay, dockerAnswers } from './docker.ts';
import { killThroughTether, type OwnServer, startOwnServer, type Way } from './own-server.ts';
import { builtGateway, VERSION } from './s3/build.ts';

export interface S3Server extends Omit<OwnServer, 'kill'> {
  endpoint: string;
  region: string;
  /** Empty at first. */
  bucket: string;
  /** What clients in other processes need in their environment; in this one's it is set already. */
  credentials: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string };
  /** Null: the server is not ours to kill. */
  kill: OwnServer['kill'] | null;
}

const HEALTH = '/health';
const OWN_CREDENTIALS = { AWS_ACCESS_KEY_ID: 'sheaf-tests', AWS_SECRET_ACCESS_KEY: 'sheaf-tests-secret' };

/** Rejects with an error that says what is missing. */
export async function startS3(): Promise<S3Server> {
  const given = process.env['SHEAF_TEST_S3_ENDPOINT'];
  return given ? givenServer(given) : ownServer();
}

async function givenServer(endpoint: string): Promise<S3Server> {
  const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION = 'us-east-1' } = process.env;
  if (!AWS_ACCESS_KEY_ID || !AWS_SECRET_ACCESS_KEY) throw new Error('SHEAF_TEST_S3_ENDPOINT needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.');
  return {
    endpoint, region: AWS_REGION, bucket: await makeBucket(endpoint, AWS_REGION), credentials: { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
    kill: null,
    restart: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  };
}

async function ownServer(): Promise<S3Server> {
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const region = 'us-east-1';
  Object.assign(process.env, OWN_CREDENTIALS);
  const way = (await dockerAnswers()) ? inContainer(port) : await fromGo(port);
  const server = await startOwnServer('The S3 server', way, () => fetch(`${endpoint}${HEALTH}`).then(({ ok }) => ok, () => false));
  return { endpoint, region, bucket: await makeBucket(endpoint, region), credentials: OWN_CREDENTIALS, ...server };
}

async function makeBucket(endpoint: string, region: string): Promise<string> {
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  const bucket = `sheaf-test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return bucket;
}

const ROOT = { ROOT_ACCESS_KEY: OWN_CREDENTIALS.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: OWN_CREDENTIALS.AWS_SECRET_ACCESS_KEY };

/** Attributes of objects go to a folder beside the data: not every file system has extended ones. */
const inContainer = (port: number): Way => containerWay(`sheaf-test-s3-${port}`, '/data', [
  '--publish', `127.0.0.1:${port}:7070`, '--env', 'ROOT_ACCESS_KEY', '--env', 'ROOT_SECRET_KEY', '--entrypoint', 'sh', `versity/versitygw:v${VERSION}`,
  '-c', `mkdir -p /data/buckets /data/attributes && exec versitygw --port :7070 --health ${HEALTH} --quiet --keep-alive posix --sidecar /data/attributes /data/buckets`,
], ROOT);

async function fromGo(port: number): Promise<Way> {
  const binary = await builtGateway();
  const home = await mkdtemp(path.join(os.tmpdir(), 'sheaf-s3-'));
  const [buckets, attributes] = [path.join(home, 'buckets'), path.join(home, 'attributes')];
  await Promise.all([mkdir(buckets), mkdir(attributes)]);
  return {
    command: binary,
    args: ['--port', `127.0.0.1:${port}`, '--health', HEALTH, '--quiet', '--keep-alive', 'posix', '--sidecar', attributes, buckets],
    env: ROOT,
    kill: killThroughTether,
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
