/**
 * A counter of handled rows, outside the worker: an HTTP server that a handler module asks once for every row. It
 * remembers each call, who made it, when it came and when it was answered.
 */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Call {
  key: string;
  /** Process id of the worker that asked. */
  caller: number;
  /** `performance.now()` of this process. */
  asked: number;
  /** Null: not answered, or the caller was gone before it was. */
  answered: number | null;
}

export interface RowCounter {
  calls: readonly Call[];
  /** Every call by its row's key. */
  byKey(): Map<string, Call[]>;
  /** Resolves when so many calls have been answered, with the moment at which the last of them was. */
  answered(count: number): Promise<number>;
  /** Calls are taken and not answered until `release`. */
  hold(): void;
  release(): void;
  /** Rows with these keys are refused, which fails them, until it is called again. */
  refuse(keys: ReadonlySet<string>): void;
  /** Forgets all calls. */
  clear(): void;
  close(): Promise<void>;
}

/** Answers each call after so many milliseconds. */
export async function startRowCounter(answerMs: number): Promise<RowCounter & { url: string }> {
  let calls: Call[] = [];
  let answeredCalls = 0;
  let refused: ReadonlySet<string> = new Set();
  let held: (() => void)[] | null = null;
  let waiting: { count: number; resolve(at: number): void }[] = [];

  const answer = (call: Call, res: ServerResponse): void => {
    if (res.destroyed) return;
    res.statusCode = refused.has(call.key) ? 503 : 200;
    res.end(JSON.stringify({ seen: call.key }), () => {
      const at = performance.now();
      call.answered = at;
      answeredCalls++;
      for (const one of waiting) if (answeredCalls >= one.count) one.resolve(at);
      waiting = waiting.filter(({ count }) => answeredCalls < count);
    });
  };

  const server = createServer((req, res) => {
    const { searchParams } = new URL(req.url ?? '/', 'http://counter');
    const call: Call = { key: searchParams.get('key') ?? '', caller: Number(searchParams.get('caller')), asked: performance.now(), answered: null };
    calls.push(call);
    setTimeout(() => {
      if (held) held.push(() => answer(call, res));
      else answer(call, res);
    }, answerMs);
  });
  // A connection that is closed just when it is used again would fail a row.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get calls() {
      return calls;
    },
    byKey: () => Map.groupBy(calls, ({ key }) => key),
    answered: (count) => new Promise((resolve) => {
      if (answeredCalls >= count) resolve(performance.now());
      else waiting.push({ count, resolve });
    }),
    hold() {
      held ??= [];
    },
    release() {
      const answers = held ?? [];
      held = null;
      for (const one of answers) one();
    },
    refuse(keys) {
      refused = keys;
    },
    clear() {
      calls = [];
      answeredCalls = 0;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Writes a handler module that asks the counter (`options.url`) about every row. */
export const writeCountedHandler = (file: string): Promise<void> => writeFile(file, `
import http from 'node:http';

const agent = new http.Agent({ keepAlive: true, maxSockets: 1000 });

export default (row, { key, options, signal, RowError }) => new Promise((resolve, reject) => {
  const address = options.url + '/?caller=' + process.pid + '&key=' + encodeURIComponent(key);
  const request = http.get(address, { agent, signal }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (text) => { body += text; });
    response.on('end', () => {
      if (response.statusCode === 200) resolve(JSON.parse(body));
      else reject(new RowError('refused', 'The counter refused the row'));
    });
  });
  request.on('error', reject);
});
`);
