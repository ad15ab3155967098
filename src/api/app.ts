/** The API as an Express application: who may ask, what is written down about it, the endpoints, and errors. */
import { randomUUID } from 'node:crypto';
import express from 'express';
import type { Express, NextFunction, Request, Response } from 'express';
import helmet from 'helmet';
import type { Config } from '../config.ts';
import { SheafError } from '../contracts/errors.ts';
import type { Log } from '../log.ts';
import { CALLBACKS } from '../temporal/callback-address.ts';
import { partUploads } from '../uploads/parts.ts';
import { wholeUploads } from '../uploads/whole.ts';
import type { ApiContext, ApiDeps } from './context.ts';
import { serveDocs } from './docs.ts';
import { mount } from './endpoint.ts';
import { endpoints } from './endpoints.ts';
import { createMetrics } from './metrics.ts';
import { asSheafError, problemOf } from './problem.ts';
import { sayingThatJobsWait } from './refused-writes.ts';

export function createApp(deps: ApiDeps): Express {
  const { config } = deps;
  const arriving = { ...deps, limits: { maxBytes: config.SHEAF_MAX_UPLOAD_BYTES, chunkBytes: config.SHEAF_UPLOAD_CHUNK_BYTES, quotaBytes: config.SHEAF_TENANT_QUOTA_BYTES ?? null } };
  const context: ApiContext = {
    ...deps, store: sayingThatJobsWait(deps.store), metrics: createMetrics(deps.store), uploads: { parts: partUploads(arriving), whole: wholeUploads(arriving) }, startedAt: new Date(),
  };
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag'); // answers change with every row that finishes
  app.use(observed(context));
  app.use(guarded(config));
  app.use(helmet({
    // Plain HTTP on the user's own machine is the rule, so nothing may insist on HTTPS.
    strictTransportSecurity: false,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'self'"], styleSrc: ["'self'", "'unsafe-inline'"], imgSrc: ["'self'", 'data:'], objectSrc: ["'none'"], frameAncestors: ["'none'"], baseUri: ["'none'"] },
    },
  }));
  mount(app, endpoints, context);
  serveDocs(app);
  app.use(() => { throw new SheafError('not_found', 'There is nothing at this address.', { remedy: '/docs lists all addresses.' }); });
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => refuse(error, res, deps.log));
  return app;
}

/** One log line and one measurement a request: never a body, never a query (a tag or a file's name may be private). */
function observed({ log, metrics }: ApiContext) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const started = performance.now();
    res.locals.requestId = randomUUID();
    res.set('X-Request-Id', res.locals.requestId);
    res.once('close', () => {
      const ms = performance.now() - started;
      const { requestId: request, route = 'other', tenant, job } = res.locals;
      metrics.observe(req.method, route, res.statusCode, ms / 1000);
      log.info({ request, method: req.method, route, status: res.statusCode, ms: Math.round(ms), tenant, job, ...(!res.writableFinished && { brokenOff: true }) }, 'request');
    });
    next();
  };
}

const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1', '[::1]']);

/**
 * Keeps web pages of others away from a server on loopback: a name that was rebound to this address (Host), and
 * requests that a browser sends for a page from elsewhere (Origin). There is no CORS.
 */
function guarded({ SHEAF_API_HOST: configured, SHEAF_PUBLIC_URL: publicUrl }: Config) {
  const names = new Set([...LOOPBACK, configured]);
  const outside = publicUrl === undefined ? null : new URL(publicUrl).hostname;
  return (req: Request, _res: Response, next: NextFunction): void => {
    const host = req.headers.host ?? '';
    const named = URL.parse(`http://${host}`)?.hostname ?? '';
    // A tunnel that lets services call back lets in nothing else.
    const callsBack = named === outside && req.path.startsWith(`${CALLBACKS}/`);
    if (LOOPBACK.has(configured) && !names.has(named) && !callsBack) {
      throw new SheafError('host_not_allowed', 'The Host header names another host.', { remedy: `Use localhost or ${configured}, or set SHEAF_API_HOST.` });
    }
    const { origin } = req.headers;
    if (origin !== undefined && URL.parse(origin)?.host !== host) {
      throw new SheafError('origin_not_allowed', "Another site's page may not use this API.", { remedy: 'Call it from a program, or from a page of this server.' });
    }
    next();
  };
}

/** How long a client may go on sending what was refused. */
const LINGER_MS = 10_000;

function refuse(cause: unknown, res: Response, log: Log): void {
  const error = asSheafError(cause);
  const request: string = res.locals.requestId;
  if (res.destroyed) return; // the client is gone, and its going is what failed
  if (error.code === 'internal') log.error({ request, err: cause }, 'request failed');
  // What was begun cannot be taken back: a broken connection is how the client learns of it.
  if (res.headersSent) return void res.destroy();
  if (error.status === 503) res.set('Retry-After', '5');
  // What is left of the body is read and dropped, so that the client gets to read this; but not for ever.
  const { req } = res;
  if (!req.complete) {
    const linger = setTimeout(() => req.destroy(), LINGER_MS);
    req.once('close', () => clearTimeout(linger));
  }
  res.status(error.status).type('application/problem+json').send(JSON.stringify(problemOf(error, request)));
}
