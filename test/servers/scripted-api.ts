/** An HTTP server that answers as the API does, by script: for what a real one cannot be made to say on demand. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { API_PREFIX, problemAnswer } from '../../src/contracts/api.ts';
import { jobAnswer, type JobAnswer } from '../../src/contracts/job-api.ts';

export interface Asked {
  method: string;
  /** After the API's prefix, without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Answer {
  status?: number;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  text?: string;
  /** The connection breaks after what has been said. */
  breaks?: boolean;
}

export interface ScriptedApi {
  url: string;
  asked: Asked[];
  close(): Promise<void>;
}

export async function scriptedApi(script: (asked: Asked) => Answer | undefined): Promise<ScriptedApi> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const one: Asked = {
        method: request.method ?? '', path: url.pathname.slice(API_PREFIX.length), query: url.searchParams,
        headers: request.headers, body: Buffer.concat(chunks).toString(),
      };
      asked.push(one);
      const answer = script(one) ?? problem(404, 'not_found', `Nothing is scripted for ${one.method} ${one.path}.`);
      response.statusCode = answer.status ?? 200;
      if (answer.json !== undefined) response.setHeader('content-type', 'application/json');
      const content = answer.json === undefined ? answer.text ?? '' : JSON.stringify(answer.json);
      if (answer.breaks === true) response.write(content, () => response.destroy());
      else response.end(content);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}

export const problem = (status: number, code: string, detail: string, more: object = {}): Answer => ({
  status,
  json: problemAnswer.parse({ type: `urn:sheaf:problem:${code}`, title: code, status, detail, code, instance: 'urn:uuid:0', ...more }),
});

export const NO_PROGRESS: JobAnswer['progress'] = {
  stage: 'queued', total: null, done: 0, unchanged: 0, failed: 0, skipped: 0, remaining: null, percent: null, itemsPerSecond: null, etaSeconds: null,
};

/** Of so many rows, these outcomes. */
export function progress(total: number, counts: { done?: number; unchanged?: number; failed?: number; skipped?: number }, more: Partial<JobAnswer['progress']> = {}): JobAnswer['progress'] {
  const { done = 0, unchanged = 0, failed = 0, skipped = 0 } = counts;
  const finished = done + unchanged + failed + skipped;
  return {
    stage: 'rows', total, done, unchanged, failed, skipped, remaining: total - finished,
    percent: total === 0 ? 100 : Math.floor((finished * 1000) / total) / 10, itemsPerSecond: null, etaSeconds: null, ...more,
  };
}

/** A job as the API's schema has it. */
export const job = (more: Partial<JobAnswer> = {}): JobAnswer => jobAnswer.parse({
  id: '01JOB', kind: 'sheet', state: 'queued', tenant: 'default', owner: 'default', source: 'orders', lane: 'store', file: { name: 'orders.csv' },
  handler: 'store', options: {}, keyColumns: [], onDuplicateKey: 'fail', force: false, priority: 'normal', tags: [], concurrency: null,
  breaker: false, drainSeconds: 30, dependsOn: [], onFailure: 'cancel', progress: NO_PROGRESS, attempt: 1, createdAt: '2026-11-23T10:00:00.000Z', startedAt: null,
  completedAt: null, updatedAt: '2026-11-23T10:00:00.000Z', links: { self: '/', items: '/', events: '/', results: '/', dependencies: '/' }, ...more,
});
