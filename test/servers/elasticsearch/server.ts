/**
 * A real Elasticsearch of one's own: by Docker where an engine answers, else from published jars with a JDK ≥ 21 and
 * Maven. It listens on a free port of loopback, keeps its data in a temporary place, and ends with the process that
 * started it.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { freePort } from '../../../src/embedded/free-port.ts';
import { containerWay, dockerAnswers } from '../docker.ts';
import { killThroughTether, type OwnServer, startOwnServer, type Way } from '../own-server.ts';
import { builtNode, VERSION } from './build.ts';
import { findJdk, javaOf } from './jdk.ts';

export interface ElasticsearchServer extends OwnServer {
  url: string;
}

/** Rejects with an error that says what is missing. */
export async function startElasticsearch(): Promise<ElasticsearchServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const way = (await dockerAnswers()) ? inContainer(port) : await fromJars(port);
  const answers = (): Promise<boolean> => fetch(`${url}/_cluster/health?wait_for_status=yellow&timeout=1s`).then(({ ok }) => ok, () => false);
  return { url, ...(await startOwnServer('Elasticsearch', way, answers)) };
}

const inContainer = (port: number): Way => containerWay(`sheaf-test-elasticsearch-${port}`, '/usr/share/elasticsearch/data', [
  '--publish', `127.0.0.1:${port}:9200`, '--env', 'discovery.type=single-node', '--env', 'xpack.security.enabled=false', '--env', 'ES_JAVA_OPTS=-Xms512m -Xmx512m',
  '--env', 'cluster.routing.allocation.disk.threshold_enabled=false', '--env', 'path.repo=/usr/share/elasticsearch/snapshots', `elasticsearch:${VERSION}`,
]);

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
    kill: killThroughTether,
    remove: () => rm(home, { recursive: true, force: true }),
  };
}
