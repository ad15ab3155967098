/**
 * A real S3 server with a bucket of one's own: the one that SHEAF_TEST_S3_ENDPOINT names (credentials in AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY), else versitygw: by Docker where an engine answers, else built with Go. A started one listens on a free
 * port of loopback, keeps its data in a temporary place, and ends with the process that started it.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dockerAnswers } from './docker.ts';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { freePort } from '../../src/embedded/free-port.ts';
import { builtGateway, VERSION } from './s3/build.ts';

export interface S3Server {
  endpoint: string;
  region: string;
  /** Empty at first. */
  bucket: string;
  /** What clients in other processes need in their environment; in this one's it is set already. */
  credentials: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string };
  /** `kill -9`; resolves when it is gone. Its data stays. Null: the server is not ours to kill. */
  kill: (() => Promise<void>) | null;
  /** After `kill`, with the same data on the same port; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** How one server is run, in the foreground; `kill` ends it hard, `remove` its data. */
interface Way {
  command: string;
  args: string[];
  kill(child: ChildProcess): Promise<void>;
  remove(): Promise<void>;
}

const run = promisify(execFile);
const START_LIMIT_MS = 60_000;
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
  const way = (await dockerAnswers()) ? docker(port) : await fromGo(port);
  let child = await launch(way, endpoint);
  const ended = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return {
    endpoint, region, bucket: await makeBucket(endpoint, region), credentials: OWN_CREDENTIALS,
    async kill() {
      await way.kill(child);
      await ended();
    },
    async restart() {
      child = await launch(way, endpoint);
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended();
      await way.remove();
    },
  };
}

async function makeBucket(endpoint: string, region: string): Promise<string> {
  const client = new S3Client({ endpoint, region, forcePathStyle: true });
  const bucket = `sheaf-test-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return bucket;
}

async function launch(way: Way, endpoint: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('tethered.mjs', import.meta.url)), way.command, ...way.args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'], env: { ...process.env, ROOT_ACCESS_KEY: OWN_CREDENTIALS.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: OWN_CREDENTIALS.AWS_SECRET_ACCESS_KEY },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-4_000); });
  const limit = performance.now() + START_LIMIT_MS;
  while (!(await fetch(`${endpoint}${HEALTH}`).then(({ ok }) => ok, () => false))) {
    if (child.exitCode !== null) throw new Error(`The S3 server ended before it answered:\n${said}`);
    if (performance.now() > limit) {
      child.disconnect();
      throw new Error(`The S3 server did not answer within ${START_LIMIT_MS / 1_000} s:\n${said}`);
    }
    await sleep(50);
  }
  return child;
}

/** Attributes of objects go to a folder beside the data: not every file system has extended ones. */
function docker(port: number): Way {
  const name = `sheaf-test-s3-${port}`;
  return {
    command: 'docker',
    args: [
      'run', '--rm', '--name', name, '--publish', `127.0.0.1:${port}:7070`, '--volume', `${name}:/data`,
      '--env', 'ROOT_ACCESS_KEY', '--env', 'ROOT_SECRET_KEY', '--entrypoint', 'sh', `versity/versitygw:v${VERSION}`,
      '-c', `mkdir -p /data/buckets /data/attributes && exec versitygw --port :7070 --health ${HEALTH} --quiet posix --sidecar /data/attributes /data/buckets`,
    ],
    kill: async () => void await run('docker', ['kill', name]),
    remove: async () => void await run('docker', ['volume', 'rm', '--force', name]),
  };
}

async function fromGo(port: number): Promise<Way> {
  const binary = await builtGateway();
  const home = await mkdtemp(path.join(os.tmpdir(), 'sheaf-s3-'));
  const [buckets, attributes] = [path.join(home, 'buckets'), path.join(home, 'attributes')];
  await Promise.all([mkdir(buckets), mkdir(attributes)]);
  return {
    command: binary,
    args: ['--port', `127.0.0.1:${port}`, '--health', HEALTH, '--quiet', 'posix', '--sidecar', attributes, buckets],
    kill: async (child) => void child.send('SIGKILL'),
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
