/** How the system is: for people, for supervisors, for Prometheus. */
import { z } from 'zod';
import packageJson from '../../../package.json' with { type: 'json' };
import { API_PREFIX, healthAnswer } from '../../contracts/api.ts';
import { systemAnswer, type SystemAnswer, systemChecksAnswer } from '../../contracts/system-api.ts';
import { endpoint, reply } from '../endpoint.ts';
import { inTime, sectionsOf } from '../system-status.ts';

const tag = 'System';

type Part = SystemAnswer['parts']['store'];

const answers = (check: () => Promise<void>) => async (): Promise<Part> => {
  const started = performance.now();
  await check();
  return { ok: true, latencyMs: Math.round((performance.now() - started) * 10) / 10 };
};

const status = endpoint({
  method: 'get', path: `${API_PREFIX}/system/status`, id: 'getSystemStatus', tag, tenanted: false,
  summary: 'Show how the system and its parts are',
  answers: { 200: { description: 'Also when parts are down', schema: systemAnswer } },
}, async (_call, deps) => {
  const { store, blobs, temporalHealth, startedAt } = deps;
  const health = temporalHealth();
  const [storePart, blobsPart, temporal, workers, sections] = await Promise.all([
    inTime<Part>(answers(() => store.check())),
    inTime<Part>(answers(() => blobs.check())),
    inTime<Part>(answers(async () => void (await health))),
    inTime<Part>(async () => ((await health).workers > 0 ? { ok: true } : { ok: false, message: 'no worker asks for jobs' })),
    sectionsOf(deps),
  ]);
  const down = !storePart.ok || !blobsPart.ok;
  return reply(200, {
    status: down ? 'down' as const : temporal.ok && workers.ok ? 'ok' as const : 'degraded' as const,
    version: packageJson.version,
    node: process.version,
    startedAt: startedAt.toISOString(),
    uptimeSeconds: Math.floor((Date.now() - startedAt.getTime()) / 1000),
    parts: { store: storePart, blobs: blobsPart, temporal, workers },
    ...sections,
  });
});

const check = endpoint({
  method: 'get', path: `${API_PREFIX}/system/check`, id: 'checkSystem', tag, tenanted: false,
  summary: 'Look at everything that this server stands on',
  description: 'Takes some seconds: what is written, read and deleted is the real thing.',
  answers: { 200: { description: 'Also when something is wrong', schema: systemChecksAnswer } },
}, async (_call, { diagnose }) => reply(200, { checks: await diagnose() }));

const healthz = endpoint({
  method: 'get', path: '/healthz', id: 'getHealth', tag, tenanted: false,
  summary: 'The process answers',
  answers: { 200: { description: 'It does', schema: healthAnswer } },
}, async () => reply(200, { status: 'ok' as const }));

const readyz = endpoint({
  method: 'get', path: '/readyz', id: 'getReadiness', tag, tenanted: false,
  summary: 'Requests can be answered',
  description: 'Store and blobs can be read and written. Temporal is not asked: without it jobs are accepted and wait.',
  answers: { 200: { description: 'Ready', schema: healthAnswer }, 503: { description: 'Not ready', schema: healthAnswer } },
}, async (_call, { store, blobs }) => {
  const parts = await Promise.all([inTime<Part>(answers(() => store.check())), inTime<Part>(answers(() => blobs.check()))]);
  return parts.every(({ ok }) => ok) ? reply(200, { status: 'ok' as const }) : reply(503, { status: 'down' as const });
});

const metrics = endpoint({
  method: 'get', path: '/metrics', id: 'getMetrics', tag, tenanted: false,
  summary: 'Metrics for Prometheus',
  query: z.looseObject({}),
  answers: { 200: { description: "Prometheus' text format", content: ['text/plain'] } },
}, async ({ res }, { metrics: measured }) => {
  res.set('Content-Type', measured.contentType).send(await measured.text());
  return 'sent';
});

export const systemEndpoints = [status, check, healthz, readyz, metrics];
