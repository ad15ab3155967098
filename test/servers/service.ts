/** A user's own service: a real HTTP server that remembers every call, and answers each as a test says. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Json } from '../../src/contracts/row.ts';

export interface ServedCall {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** As it came. */
  text: string;
  /** Null where there is none. */
  body: Json;
}

export interface ServiceAnswer {
  status?: number;
  headers?: Record<string, string>;
  json?: unknown;
  text?: string;
}

export interface Service {
  url: string;
  /** With the port. */
  host: string;
  calls: ServedCall[];
  /** May take its time; never: the call is left without an answer. */
  answer: (call: ServedCall) => ServiceAnswer | Promise<ServiceAnswer>;
  close(): Promise<void>;
}

export async function startService(): Promise<Service> {
  const server = createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const call: ServedCall = { method: req.method ?? '', path: req.url ?? '', headers: req.headers, text, body: text === '' ? null : (JSON.parse(text) as Json) };
    service.calls.push(call);
    const { status = 200, headers = {}, json, text: said } = await service.answer(call);
    if (res.destroyed) return;
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(json === undefined ? said ?? '' : JSON.stringify(json));
  });
  // A connection that is closed just when it is used again would fail a row.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const service: Service = {
    url: `http://${host}`, host, calls: [], answer: () => ({ json: {} }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return service;
}
