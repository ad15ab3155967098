/** An HTTP proxy in front of a real server that does to requests what networks and clusters do to them. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from './certificate.ts';

export interface ProxiedRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** Whether it is a bulk request to Elasticsearch, to an index or to any. */
export const isBulk = ({ path }: Pick<ProxiedRequest, 'path'>): boolean => /^\/(?:[^/?]+\/)?_bulk(?:\?|$)/.test(path);

export interface ProxiedAnswer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

/** Sends the request on, changed or as it is, and resolves with the server's answer. */
export type Forward = (body?: Buffer) => Promise<ProxiedAnswer>;

/** What becomes of one request: an answer of any making, or null to cut the connection. */
export type Fault = (request: ProxiedRequest, forward: Forward) => Promise<ProxiedAnswer | null>;

export interface FaultProxy {
  url: string;
  /** Decides for each request as it comes; null lets it pass. */
  fault: ((request: ProxiedRequest) => Fault | null) | null;
  stop(): Promise<void>;
}

/** Over TLS where there is a certificate. */
export async function startFaultProxy(target: string, tls?: Certificate): Promise<FaultProxy> {
  const take: RequestListener = (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const request = { method: incoming.method ?? 'GET', path: incoming.url ?? '/', headers: incoming.headers, body: Buffer.concat(chunks) };
      void answer(request, outgoing);
    });
  };
  const answer = async (request: ProxiedRequest, outgoing: ServerResponse): Promise<void> => {
    const forward: Forward = (body = request.body) => send(target, { ...request, body });
    try {
      const given = await (proxy.fault?.(request) ?? faults.pass)(request, forward);
      if (given === null) outgoing.destroy();
      else outgoing.writeHead(given.status, given.headers).end(given.body);
    } catch {
      // The server is away: so is this one.
      outgoing.destroy();
    }
  };
  const server = tls ? createSecureServer(tls, take) : createServer(take);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    url: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fault: null,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

/** Headers that belong to one connection, or that `fetch` sets itself. */
const HOP = new Set(['connection', 'host', 'content-length', 'transfer-encoding', 'keep-alive', 'accept-encoding', 'expect']);

async function send(target: string, { method, path, headers, body }: ProxiedRequest): Promise<ProxiedAnswer> {
  const passed = Object.entries(headers).filter(([name, value]) => !HOP.has(name) && typeof value === 'string') as [string, string][];
  const answer = await fetch(target + path, { method, headers: passed, ...(body.length > 0 && { body: new Uint8Array(body) }) });
  const kept = [...answer.headers].filter(([name]) => !HOP.has(name) && name !== 'content-encoding');
  return { status: answer.status, headers: Object.fromEntries(kept), body: Buffer.from(await answer.arrayBuffer()) };
}

export const faults = {
  pass: (_request, forward) => forward(),
  /** The request never arrives. */
  cut: async () => null,
  /** The server does what it was asked, and its answer is lost. */
  lost: async (_request, forward) => {
    await forward();
    return null;
  },
} satisfies Record<string, Fault>;

/** The server refuses: an error as Elasticsearch words them. */
export const refused = (status: number, type: string): Fault => async () => ({
  status, headers: { 'content-type': 'application/json', 'x-elastic-product': 'Elasticsearch' },
  body: Buffer.from(JSON.stringify({ error: { type, reason: `${type} by the proxy` }, status })),
});

/** The request waits until the promise resolves. */
export const held = (until: Promise<unknown>): Fault => async (_request, forward) => {
  await until;
  return forward();
};

/** Keeps these documents of a bulk request, by their place in it, from the server, and answers for them. */
export const withheld = (documents: ReadonlyMap<number, { status: number; type: string }>): Fault => async ({ body }, forward) => {
  const lines = body.toString().trimEnd().split('\n');
  const pairs = Array.from({ length: lines.length / 2 }, (_, index) => lines.slice(2 * index, 2 * index + 2));
  const passed = pairs.filter((_, index) => !documents.has(index));
  const answer = await forward(Buffer.from(passed.flat().map((line) => `${line}\n`).join('')));
  const { items = [] } = JSON.parse(answer.body.toString()) as { items?: object[] };
  const real = items.length > 0 ? [...items] : passed.map(() => ({ index: { status: 201 } }));
  const mixed = pairs.map((_, index) => {
    const refusal = documents.get(index);
    return refusal ? { index: { status: refusal.status, error: { type: refusal.type } } } : real.shift();
  });
  return { ...answer, body: Buffer.from(JSON.stringify({ errors: true, items: mixed })) };
};
