/**
 * An API with limits, as it counts them itself: a real HTTP server that a handler module calls once for every row, and that
 * remembers when each call arrived, whose it was and how many were open. It never refuses, unless it is told to.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Arrival {
  /** `performance.now()` of this process. */
  at: number;
  user: string;
  key: string;
  /** Process id of the worker that called. */
  caller: number;
}

export interface MeteredApi {
  url: string;
  arrivals: readonly Arrival[];
  /** Most calls that were open at the same time. */
  mostOpen: number;
  /** How long an answer takes. */
  answerMs: number;
  /** Calls for which this holds are answered 429, with so many seconds of Retry-After. */
  refuse: (arrival: Arrival) => number | null;
  clear(): void;
  close(): Promise<void>;
}

/** Most calls in any window of so many milliseconds. */
export function mostInWindow(arrivals: readonly Pick<Arrival, 'at'>[], windowMs: number): number {
  let most = 0;
  let first = 0;
  for (let last = 0; last < arrivals.length; last++) {
    while (arrivals[last]!.at - arrivals[first]!.at >= windowMs) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** Calls in the so many windows from the first call on. */
export const inWindows = (arrivals: readonly Pick<Arrival, 'at'>[], windowMs: number, windows: number): number =>
  arrivals.filter(({ at }) => at - arrivals[0]!.at < windowMs * windows).length;

export async function startMeteredApi(): Promise<MeteredApi> {
  const open = new Set<object>();
  const server = createServer((req, res) => {
    const { searchParams } = new URL(req.url ?? '/', 'http://api');
    const arrival: Arrival = {
      at: performance.now(), user: searchParams.get('user') ?? '', key: searchParams.get('key') ?? '', caller: Number(searchParams.get('caller')),
    };
    (api.arrivals as Arrival[]).push(arrival);
    open.add(req);
    api.mostOpen = Math.max(api.mostOpen, open.size);
    res.once('close', () => open.delete(req));
    const refused = api.refuse(arrival);
    setTimeout(() => {
      open.delete(req);
      if (refused === null) res.end(JSON.stringify({ seen: arrival.key }));
      else res.writeHead(429, { 'retry-after': String(refused) }).end();
    }, api.answerMs);
  });
  // A connection that is closed just when it is used again would fail a row.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api: MeteredApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrivals: [], mostOpen: 0, answerMs: 0, refuse: () => null,
    clear() {
      api.arrivals = [];
      api.mostOpen = 0;
      api.refuse = () => null;
      api.answerMs = 0;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return api;
}

/** Writes a handler module that calls the API (`options.url`, as `options.user`) once for every row, under the named limits. */
export const writeLimitedHandler = (file: string, limits: string[]): Promise<void> => writeFile(file, `
import http from 'node:http';

export const limits = ${JSON.stringify(limits)};
export const concurrency = 8;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });

export default (row, { key, options, signal, RowError }) => new Promise((resolve, reject) => {
  const address = options.url + '/?caller=' + process.pid + '&user=' + options.user + '&key=' + encodeURIComponent(key);
  const request = http.get(address, { agent, signal }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (text) => { body += text; });
    response.on('end', () => {
      if (response.statusCode === 200) resolve(JSON.parse(body));
      else reject(new RowError('busy', 'The API is busy', { retryAfterSeconds: Number(response.headers['retry-after']) }));
    });
  });
  request.on('error', reject);
});
`);
