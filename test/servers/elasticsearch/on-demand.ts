/** In the test run's main process: an address that starts Elasticsearch when it is first asked for, and answers its URL. */
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ElasticsearchServer, startElasticsearch } from './server.ts';

export async function elasticsearchOnDemand(): Promise<{ address: string; stop(): Promise<void> }> {
  const given = process.env['SHEAF_TEST_ELASTICSEARCH_URL'];
  let started: Promise<ElasticsearchServer> | undefined;
  const door = createServer((_, answer) => {
    const url = given ? Promise.resolve(given) : (started ??= startElasticsearch()).then((server) => server.url);
    url.then((text) => answer.end(text), (error: Error) => answer.writeHead(503).end(error.message));
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');
  return {
    address: `http://127.0.0.1:${(door.address() as AddressInfo).port}`,
    async stop() {
      door.close();
      door.closeAllConnections();
      await started?.then((server) => server.stop(), () => {});
    },
  };
}
