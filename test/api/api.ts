/** The API over real HTTP, with the real store, blobs and Temporal, but no worker: what workers do, tests write themselves. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Client } from '@temporalio/client';
import { pino } from 'pino';
import { inject } from 'vitest';
import type { z } from 'zod';
import { createApp } from '../../src/api/app.ts';
import type { ApiDeps } from '../../src/api/context.ts';
import { endpoints } from '../../src/api/endpoints.ts';
import { openFilesystemBlobs } from '../../src/blobs/filesystem.ts';
import { blobKeys } from '../../src/blobs/keys.ts';
import { resultLine, writePageFile, writeResultFile } from '../../src/blobs/pages.ts';
import { pageLine } from '../../src/blobs/stored-rows.ts';
import { readConfig } from '../../src/config.ts';
import { webhooksOf } from '../../src/container.ts';
import { type Problem, problemAnswer } from '../../src/contracts/api.ts';
import type { JobAnswer } from '../../src/contracts/job-api.ts';
import type { Counts } from '../../src/contracts/job.ts';
import type { Cell, RowResult } from '../../src/contracts/row.ts';
import { fence } from '../../src/domain/fence.ts';
import { createGoogleSheets } from '../../src/sources/google-sheets.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { temporalClient } from '../../src/temporal/connection.ts';
import { localLimits } from '../../src/limits/local.ts';
import { readLimitRules } from '../../src/limits/rules.ts';
import { openSecrets, readNamedSecrets } from '../../src/secrets.ts';
import { createAnswerCalls } from '../../src/temporal/answer-calls.ts';
import { createItems } from '../../src/temporal/items.ts';
import { cleanupStarter } from '../../src/temporal/cleanup.ts';
import { createSources } from '../../src/temporal/sources.ts';
import { temporalHealth } from '../../src/temporal/health.ts';
import { knownLimits } from '../../src/temporal/limit-brokers.ts';
import { createForecaster } from '../../src/temporal/forecasts.ts';
import { createBatches } from '../../src/temporal/batches.ts';
import { createBulkActions } from '../../src/temporal/bulk.ts';
import { createJobSchedules } from '../../src/temporal/job-schedules.ts';
import { taskQueueStats } from '../../src/temporal/task-queues.ts';
import { createDocuments } from '../../src/temporal/documents.ts';
import { createJobs } from '../../src/temporal/jobs.ts';
import { freshNamespace } from '../servers/temporal.ts';

export interface Answered<Body> {
  status: number;
  headers: Headers;
  body: Body;
}

export interface Asked {
  body?: unknown;
  /** Sent as it is. */
  raw?: RequestInit['body'];
  headers?: Record<string, string>;
}

export interface Api extends ApiDeps {
  url: string;
  temporal: Client;
  /** A folder that jobs may read from. */
  folder: string;
  /** What was logged, a line of JSON each. */
  logged: string[];
  /** Paths without a leading `/api/v1` get it. Every JSON answer is checked against what its endpoint promises. */
  call<Body = JobAnswer>(method: string, path: string, asked?: Asked): Promise<Answered<Body>>;
  /** A problem, after checking that it is one. */
  refused(method: string, path: string, asked?: Asked): Promise<Problem & { headers: Headers }>;
  close(): Promise<void>;
}

/** `temporal`: its address, where it is to be another than that of the tests' server. */
export async function startApi(change: (deps: ApiDeps) => Partial<ApiDeps> = () => ({}), { temporal: address = inject('temporalAddress') } = {}): Promise<Api> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sheaf-api-'));
  const config = readConfig({ SHEAF_HOME: path.join(folder, 'home'), SHEAF_INPUT_DIRS: folder });
  const store = await openSqliteStore({ folder: path.join(folder, 'store') });
  const blobs = await openFilesystemBlobs({ folder: path.join(folder, 'blobs') });
  const namespace = await freshNamespace();
  const temporal = temporalClient(address, namespace);
  const logged: string[] = [];
  const toJobs = (parts: Pick<ApiDeps, 'store' | 'blobs'>): Pick<ApiDeps, 'jobs' | 'documents' | 'sources'> => {
    const jobs = createJobs(parts.store, temporal.client);
    return { jobs, documents: createDocuments({ ...parts, client: temporal.client, jobs }), sources: createSources(parts.store, temporal.client, jobs) };
  };
  const secrets = openSecrets(readNamedSecrets('{video: {env: VIDEO_KEY}, hook: {env: HOOK_KEY}}'), { VIDEO_KEY: 'video-secret', HOOK_KEY: 'hook-secret' });
  const given: ApiDeps = {
    config, store, blobs, ...toJobs({ store, blobs }), items: createItems(temporal.client, createJobs(store, temporal.client)), schedules: createJobSchedules(store, temporal.client), forecast: createForecaster(blobs, temporal.client),
    answerCalls: createAnswerCalls(store, temporal.client), secrets,
    batches: createBatches(store, temporal.client), bulk: createBulkActions(store, temporal.client), temporalHealth: temporalHealth(temporal.client, namespace),
    taskQueues: taskQueueStats(temporal.client, namespace), startCleanup: cleanupStarter(store, temporal.client), diagnose: async () => [],
    limits: () => knownLimits(temporal.client, readLimitRules(undefined)),
    sheetLimits: { maxRecordChars: 100_000, maxColumns: 1000, maxInflatedBytes: 10_000_000 },
    webhooks: webhooksOf({ config, temporal: temporal.client, secrets }),
    google: createGoogleSheets({ credentials: new Map(), url: null, limits: localLimits() }),
    log: pino({ level: 'debug' }, { write: (line) => void logged.push(line) }),
  };
  const changes = change(given);
  const deps = { ...given, ...toJobs({ ...given, ...changes }), ...changes };
  const server = createServer(createApp(deps));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const send = (method: string, address: string, { body, raw, headers }: Asked): Promise<Response> =>
    fetch(url + (/^\/(api|healthz|readyz|metrics|docs|openapi)/.test(address) ? address : `/api/v1${address}`), {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(raw !== undefined && { body: raw, duplex: 'half' }),
    } as RequestInit);

  return {
    ...deps, url, temporal: temporal.client, folder, logged,
    async call<Body>(method: string, address: string, asked: Asked = {}) {
      const response = await send(method, address, asked);
      const text = await response.text();
      if (response.status >= 400) throw new Error(`${method} ${address} answered ${response.status}: ${text}`);
      const isJson = response.headers.get('content-type')?.startsWith('application/json');
      const body = isJson ? JSON.parse(text) as unknown : text;
      if (isJson) promised(method, new URL(response.url).pathname, response.status)?.parse(body);
      return { status: response.status, headers: response.headers, body: body as Body };
    },
    async refused(method, address, asked = {}) {
      const response = await send(method, address, asked);
      const text = await response.text();
      if (response.headers.get('content-type') !== 'application/problem+json; charset=utf-8') {
        throw new Error(`${method} ${address} answered ${response.status}, not with a problem: ${text.slice(0, 500)}`);
      }
      return { ...problemAnswer.parse({ ...JSON.parse(text) as object, status: response.status }), headers: response.headers };
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await temporal.close();
      await store.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The schema that the endpoint of an address has for a status. */
function promised(method: string, address: string, status: number): z.ZodType | undefined {
  const one = endpoints.find((candidate) => candidate.method === method.toLowerCase()
    && new RegExp(`^${candidate.path.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(address));
  return one?.answers[status]?.schema;
}

export async function upload(api: Api, content: string | Uint8Array, name = 'sheet.csv', headers: Record<string, string> = {}): Promise<string> {
  const { body } = await api.call<{ id: string }>('POST', `/uploads?name=${encodeURIComponent(name)}`, { raw: content as string, headers });
  return body.id;
}

export async function newJob(api: Api, more: object = {}, headers: Record<string, string> = {}): Promise<JobAnswer> {
  const tenant = headers['x-sheaf-tenant'] ? { 'x-sheaf-tenant': headers['x-sheaf-tenant'] } : {};
  const source = { upload: await upload(api, 'name\nAda\n', 'people.csv', tenant) };
  return (await api.call('POST', '/jobs', { body: { source, ...more }, headers })).body;
}

export interface WrittenPage {
  rows: { row: number; key?: string | null; cells: Cell[] }[];
  /** Null: the page has not ended. */
  outcomes: RowResult[] | null;
}

/** What a worker leaves of a job: its snapshot, and the results of the pages that ended. */
export async function writePages(api: Api, job: JobAnswer, columns: string[], pages: WrittenPage[]): Promise<void> {
  const { tenant, id } = job;
  for (const [index, { rows, outcomes }] of pages.entries()) {
    const page = index + 1;
    const lines = rows.map(({ row, key = String(row), cells }) => pageLine({ row, key, rowHash: 'hash', cells })).join('');
    await writePageFile(api.blobs, blobKeys.page(tenant, id, page), lines);
    if (!outcomes) continue;
    const at = fence({ generation: 1, attempt: 1, dispatch: page, activityAttempt: 1 });
    const result = blobKeys.result(tenant, id, page, at);
    await writeResultFile(api.blobs, result, { attempt: 1, tried: outcomes.length, faults: 0, handlerHash: 'h' }, Buffer.from(outcomes.map(resultLine).join('')));
    const counts: Counts = { done: 0, unchanged: 0, failed: 0, skipped: 0 };
    for (const { state } of outcomes) counts[state] += 1;
    await api.store.writePage(tenant, id, { page, attempt: 1, fence: at, counts, tried: outcomes.length, faults: 0, complete: outcomes.length === rows.length, result });
  }
  const now = new Date().toISOString();
  await api.store.advanceJob(tenant, id, { attempt: 1, sequence: 1 }, {
    state: 'running', startedAt: now, runningSince: now,
    manifest: {
      rows: pages.reduce((sum, { rows }) => sum + rows.length, 0), pages: pages.length, bytes: 100,
      columns: columns.map((name, index) => ({ name, header: name, letter: String.fromCharCode(65 + index) })),
      fingerprint: 'f', reading: 'r', generation: 1, base: null, contentHash: 'c', keyColumns: [], warnings: [], duplicates: 0,
    },
  });
}
