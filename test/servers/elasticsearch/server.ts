/**
 * A real Elasticsearch of one's own: by Docker where an engine answers, else from published jars with a JDK ≥ 21 and
 * Maven. It listens on a free port of loopback, keeps its data in a temporary place, and ends with the process that
 * started it.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dockerAnswers } from '../docker.ts';
import { freePort } from '../../../src/embedded/free-port.ts';
import { builtNode, VERSION } from './build.ts';
import { findJdk, javaOf } from './jdk.ts';

export interface ElasticsearchServer {
  url: string;
  /** `kill -9`; resolves when it is gone. Its data stays. */
  kill(): Promise<void>;
  /** After `kill`, with the same data on the same port; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it and removes its data. */
  stop(): Promise<void>;
}

/** How one node is run, in the foreground; `kill` ends it hard, `remove` its data. */
interface Way {
  command: string;
  args: string[];
  kill(child: ChildProcess): Promise<void>;
  remove(): Promise<void>;
}

const run = promisify(execFile);
const START_LIMIT_MS = 120_000;

/** Rejects with an error that says what is missing. */
export async function startElasticsearch(): Promise<ElasticsearchServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const way = (await dockerAnswers()) ? docker(port) : await fromJars(port);
  let child = await launch(way, url);
  const ended = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return {
    url,
    async kill() {
      await way.kill(child);
      await ended();
    },
    async restart() {
      child = await launch(way, url);
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended();
      await way.remove();
    },
  };
}

async function launch(way: Way, url: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('../tethered.mjs', import.meta.url)), way.command, ...way.args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-4_000); });
  const limit = performance.now() + START_LIMIT_MS;
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`Elasticsearch ended before it answered:\n${said}`);
    if (performance.now() > limit) {
      child.disconnect();
      throw new Error(`Elasticsearch did not answer within ${START_LIMIT_MS / 1_000} s:\n${said}`);
    }
    await sleep(100);
  }
  return child;
}

const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/_cluster/health?wait_for_status=yellow&timeout=1s`).then(({ ok }) => ok, () => false);

function docker(port: number): Way {
  const name = `sheaf-test-elasticsearch-${port}`;
  return {
    command: 'docker',
    args: [
      'run', '--rm', '--name', name, '--publish', `127.0.0.1:${port}:9200`, '--volume', `${name}:/usr/share/elasticsearch/data`,
      '--env', 'discovery.type=single-node', '--env', 'xpack.security.enabled=false', '--env', 'ES_JAVA_OPTS=-Xms512m -Xmx512m',
      '--env', 'cluster.routing.allocation.disk.threshold_enabled=false', '--env', 'path.repo=/usr/share/elasticsearch/snapshots', `elasticsearch:${VERSION}`,
    ],
    kill: async () => void await run('docker', ['kill', name]),
    remove: async () => void await run('docker', ['volume', 'rm', '--force', name]),
  };
}

async function fromJars(port: number): Promise<Way> {
  const jdk = await findJdk();
  if (jdk === null) throw new Error('No Docker engine answers, and there is no JDK of version 21 or later. Start Docker, or install a JDK and set JAVA_HOME.');
  const classPath = await builtNode(jdk);
  const home = await mkdtemp(path.join(os.tmpdir(), 'sheaf-elasticsearch-'));
  await mkdir(path.join(home, 'tmp'));
  return {
    command: javaOf(jdk),
    args: [
      '-Xms512m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:-UsePerfData', `-Djava.io.tmpdir=${path.join(home, 'tmp')}`,
      '--enable-native-access=ALL-UNNAMED', '--add-modules=jdk.incubator.vector', '-Des.distribution.type=tar',
      '-cp', classPath, 'org.elasticsearch.node.TestNode', home, String(port),
    ],
    kill: async (child) => void child.send('SIGKILL'),
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
