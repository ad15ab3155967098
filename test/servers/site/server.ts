/** A web site, of the kind that sheets point to: real HTTP, with pages that are as they should be and pages that are not. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Certificate } from '../certificate.ts';

export interface SiteRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Page = (request: SiteRequest, response: ServerResponse, raw: IncomingMessage) => void;

export interface Site {
  port: number;
  /** `http://127.0.0.1:port`. */
  url: string;
  /** By path, without its query; what is not there is a 404. */
  pages: Map<string, Page>;
  asked: SiteRequest[];
  /** Connections that were taken. */
  connections(): number;
  /** Requests under way, at most so far. */
  mostAtOnce(): number;
  close(): Promise<void>;
}

/** On all addresses of this machine, so that whatever leads to it gets there. */
export async function startSite(pages: Record<string, Page> = {}, certificate?: Certificate): Promise<Site> {
  const asked: SiteRequest[] = [];
  const all = new Map(Object.entries(pages));
  let [connections, now, most] = [0, 0, 0];
  const answer = (raw: IncomingMessage, response: ServerResponse): void => {
    most = Math.max(most, ++now);
    response.on('close', () => now--);
    const chunks: Buffer[] = [];
    raw.on('error', () => undefined).on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const request = { method: raw.method ?? '', path: raw.url ?? '/', headers: raw.headers, body: Buffer.concat(chunks).toString() };
      asked.push(request);
      const page = all.get(new URL(request.path, 'http://site').pathname);
      if (page) page(request, response, raw);
      else response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>Nothing here</h1>');
    });
  };
  const server: Server = certificate ? createSecureServer({ key: certificate.key, cert: certificate.cert }, answer) : createServer(answer);
  server.on('connection', () => connections++);
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port, url: `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`, pages: all, asked,
    connections: () => connections, mostAtOnce: () => most,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export const page = (body: string | Buffer, headers: Record<string, string> = {}, status = 200): Page => (_, response) => {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(body);
};

export const redirect = (to: string, status = 302): Page => (_, response) => void response.writeHead(status, { location: to }).end();
