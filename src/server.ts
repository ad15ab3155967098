/** The API process. Ready when it listens (told over IPC where there is a parent); stops without cutting off a request. */
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from './api/app.ts';
import { readConfig } from './config.ts';
import { createContainer, openServices, webhooksOf } from './container.ts';
import { diagnose } from './diagnosis.ts';
import { cleanupStarter } from './temporal/cleanup.ts';
import { temporalHealth } from './temporal/health.ts';
import { knownLimits } from './temporal/limit-brokers.ts';
import { taskQueueStats } from './temporal/task-queues.ts';

/** How long requests in flight, uploads and downloads among them, may take once the process was told to stop. */
const DRAIN_MS = 30_000;
/** A connection on which nothing moves for so long is dropped. There is no limit on a whole upload or download. */
const IDLE_MS = 120_000;

const config = readConfig();
const container = await createContainer(config, 'api');
const { log } = container;

const services = openServices(container);

const app = createApp({
  ...container, google: services.google, webhooks: webhooksOf(container),
  temporalHealth: temporalHealth(container.temporal, config.SHEAF_TEMPORAL_NAMESPACE),
  taskQueues: taskQueueStats(container.temporal, config.SHEAF_TEMPORAL_NAMESPACE),
  startCleanup: cleanupStarter(container.store, container.temporal),
  diagnose: () => diagnose(config, container),
  limits: () => knownLimits(container.temporal, container.limitRules),
});
const server = createServer({ requestTimeout: 0, headersTimeout: 30_000 }, app);
server.timeout = IDLE_MS;

let stopping = false;
server.on('request', (_req, res) => {
  res.once('close', () => { if (stopping) server.closeIdleConnections(); });
});

async function stop(why: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ why }, 'API stops: requests in flight are let finish');
  const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await new Promise((resolve) => server.close(resolve));
  clearTimeout(cut);
  await services.limits.close();
  await container.close();
  process.exit(0);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
process.on('disconnect', () => void stop('the parent process is gone'));
process.on('message', (message) => {
  if (typeof message === 'object' && message !== null && 'type' in message && message.type === 'stop') void stop('asked to');
});

server.once('error', (error: NodeJS.ErrnoException) => {
  const inUse = error.code === 'EADDRINUSE';
  log.fatal(inUse ? {} : { err: error }, inUse
    ? `Port ${config.SHEAF_API_PORT} is in use: stop what listens there, or set SHEAF_API_PORT to another.`
    : 'The API cannot listen');
  process.exit(1);
});

server.listen(config.SHEAF_API_PORT, config.SHEAF_API_HOST, () => {
  const url = addressOf(server);
  log.info({ url }, 'API listens');
  process.send?.({ type: 'ready', url });
});

function addressOf(listening: Server): string {
  const { address, family, port } = listening.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
