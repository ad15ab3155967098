/** In front of an S3 server: passes requests on, or does to them what networks and servers do on bad days. */
import { once } from 'node:events';
import http, { type IncomingMessage, type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { Transform, type TransformCallback } from 'node:stream';
import type { Certificate } from '../certificate.ts';

export type Fault =
  /** The server is asked nothing, and this status is answered. */
  | { answer: number }
  /** The connection breaks after so many bytes of the answer's body. */
  | { cutAnswerAfter: number }
  /** The connection breaks before the server is asked. */
  | 'cut'
  /** The server does what was asked, and the connection breaks instead of its answer. */
  | 'lose answer'
  /** A bit of the body, which is longer than 1,000 bytes, is turned over on its way. */
  | 'damage request'
  | 'damage answer';

/** What happens to a request; null: it is passed on. */
export type Plan = (request: { method: string; url: URL; headers: IncomingMessage['headers'] }) => Fault | null;

export interface FaultProxy {
  endpoint: string;
  plan: Plan;
  close(): Promise<void>;
}

/** Over TLS where there is a certificate. */
export async function startFaultProxy(target: string, tls?: Certificate): Promise<FaultProxy> {
  const pass: RequestListener = (request, answer) => {
    const fault = proxy.plan({ method: request.method ?? '', url: new URL(request.url ?? '/', target), headers: request.headers });
    if (fault === 'cut') return void request.socket.destroy();
    if (typeof fault === 'object' && fault !== null && 'answer' in fault) {
      request.resume();
      return void request.once('end', () => answer.writeHead(fault.answer).end());
    }
    const onward = http.request(target, { method: request.method, path: request.url, headers: request.headers, agent: false }, (reply) => {
      if (fault === 'lose answer') return void reply.resume().once('end', () => request.socket.destroy());
      answer.writeHead(reply.statusCode ?? 500, reply.headers);
      if (fault === 'damage answer') reply.pipe(new Damage()).pipe(answer);
      else if (typeof fault === 'object' && fault !== null) reply.pipe(new Cut(fault.cutAnswerAfter, () => request.socket.destroy())).pipe(answer);
      else reply.pipe(answer);
      reply.on('error', () => request.socket.destroy());
    });
    onward.on('error', () => request.socket.destroy());
    request.on('error', () => onward.destroy());
    request.on('aborted', () => onward.destroy());
    (fault === 'damage request' ? request.pipe(new Damage()) : request).pipe(onward);
  };
  const server = tls ? https.createServer(tls, pass) : http.createServer(pass);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: FaultProxy = {
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    plan: () => null,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

class Damage extends Transform {
  #done = false;

  override _transform(chunk: Buffer, _encoding: BufferEncoding, next: TransformCallback): void {
    // Not what a chunk is announced with, which is short.
    if (!this.#done && chunk.length > 1_000) {
      chunk[chunk.length >> 1]! ^= 1;
      this.#done = true;
    }
    next(null, chunk);
  }
}

class Cut extends Transform {
  #left: number;
  readonly #cut: () => void;

  constructor(after: number, cut: () => void) {
    super();
    this.#left = after;
    this.#cut = cut;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, next: TransformCallback): void {
    const passing = chunk.subarray(0, this.#left);
    this.#left -= passing.length;
    next(null, passing);
    // What passed reaches the client before the end does.
    if (this.#left === 0) setTimeout(this.#cut, 20);
  }
}
