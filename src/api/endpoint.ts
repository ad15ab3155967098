/** An endpoint is the schemas of a request, those of its answers, and a handler. Server and OpenAPI document are both made of them. */
import express from 'express';
import type { Express, Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { API_PREFIX, NAME_PATTERN } from '../contracts/api.ts';
import { SheafError } from '../contracts/errors.ts';
import type { ErrorCode } from '../contracts/errors.ts';
import type { ApiContext } from './context.ts';
import { invalid, InvalidRequest } from './problem.ts';

const none = z.strictObject({});
type None = typeof none;

export interface Answer {
  description: string;
  /** Of a JSON body; none: no body, or one of the media types in `content`. */
  schema?: z.ZodType;
  content?: string[];
  /** Header name → what it says. */
  headers?: Record<string, string>;
}

interface Spec<Params extends z.ZodObject, Query extends z.ZodObject, Headers extends z.ZodObject, Body extends z.ZodType, Answers> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** As in OpenAPI: `/api/v1/jobs/{id}`. */
  path: string;
  /** Name of the operation for generated clients. */
  id: string;
  tag: string;
  summary: string;
  description?: string;
  params?: Params;
  query?: Query;
  /** Lower-case names; other headers are let through. */
  headers?: Headers;
  /** Of a JSON body. */
  body?: Body;
  /** Its most bytes, as `32mb`. Default: 1 MB. */
  bodyLimit?: string;
  /** Media types of a body that the handler reads from the request itself. */
  rawBody?: string[];
  /** For the document: the fields of a multipart form that the handler reads itself. */
  form?: z.ZodType;
  /** False: neither tenant nor owner matters. */
  tenanted?: false;
  /** By HTTP status. */
  answers: Answers;
  /** Errors of its own, for the document. */
  fails?: ErrorCode[];
}

export interface Call<Params, Query, Headers, Body> {
  tenant: string;
  owner: string;
  params: Params;
  query: Query;
  headers: Headers;
  body: Body;
  req: Request;
  res: Response;
  /** Aborted when the client goes away before the answer is complete. */
  signal: AbortSignal;
}

/** One of the declared answers. Made by `reply`, which keeps the status a literal. */
type Reply<Answers> = {
  [Status in keyof Answers & number]: {
    status: Status;
    headers: Record<string, string>;
    body: Answers[Status] extends { schema: infer Schema extends z.ZodType } ? z.input<Schema> : undefined;
  };
}[keyof Answers & number];

export const reply = <const Status extends number, Body = undefined>(status: Status, body?: Body, headers: Record<string, string> = {}) =>
  ({ status, headers, body: body as Body });

/** What a handler gives: an answer, or `sent` where it has written the response itself. */
type Handler<Params extends z.ZodObject, Query extends z.ZodObject, Headers extends z.ZodObject, Body extends z.ZodType, Answers> = (
  call: Call<z.output<Params>, z.output<Query>, z.output<Headers>, z.output<Body>>,
  deps: ApiContext,
) => Promise<Reply<Answers> | 'sent'>;

/** Any endpoint, its types forgotten. */
export interface Endpoint extends Spec<z.ZodObject, z.ZodObject, z.ZodObject, z.ZodType, Record<number, Answer>> {
  serve(req: Request, res: Response, deps: ApiContext): Promise<void>;
}

export function endpoint<
  const Answers extends Record<number, Answer>,
  Params extends z.ZodObject = None,
  Query extends z.ZodObject = None,
  Headers extends z.ZodObject = None,
  Body extends z.ZodType = z.ZodUndefined,
>(spec: Spec<Params, Query, Headers, Body, Answers>, handler: Handler<Params, Query, Headers, Body, Answers>): Endpoint {
  const take = <Schema extends z.ZodType>(where: string, schema: Schema, value: unknown): z.output<Schema> => {
    const parsed = schema.safeParse(value);
    if (!parsed.success) throw invalid(where, schema, parsed.error);
    return parsed.data;
  };
  // A left-out schema is the empty one; the casts say that its type is then the default above.
  const params = (spec.params ?? none) as Params;
  const query = (spec.query ?? none) as Query;
  const headers = (spec.headers ?? z.looseObject({})) as Headers;
  const body = (spec.body ?? z.undefined()) as Body;

  const parseJson = express.json({ limit: spec.bodyLimit ?? '1mb', type: 'application/json' });

  async function serve(req: Request, res: Response, deps: ApiContext): Promise<void> {
    const caller = spec.tenanted === false ? { tenant: '', owner: '' } : callerOf(req);
    res.locals.tenant = caller.tenant;
    res.locals.job = spec.path.startsWith(`${API_PREFIX}/jobs/`) ? req.params.id : undefined;
    const gone = new AbortController();
    res.once('close', () => { if (!res.writableFinished) gone.abort(); });
    const input = {
      params: take('Address', params, req.params),
      query: take('Query', query, listsOf(query, req.query)),
      headers: take('Headers', headers, req.headers),
    };
    if (spec.body) await readJson(req, res, parseJson);
    const answer = await handler({ ...caller, ...input, body: take('Body', body, spec.body ? req.body : undefined), req, res, signal: gone.signal }, deps);
    if (answer === 'sent') return;
    res.status(answer.status).set(answer.headers);
    if (answer.body === undefined) res.end();
    else res.json(answer.body);
  }
  return { ...(spec as unknown as Endpoint), serve };
}

/** Who asks. While access control is off, whoever they say they are. */
function callerOf(req: Request): { tenant: string; owner: string } {
  const named = (header: string): string => {
    const name = req.get(header) ?? 'default';
    if (!NAME_PATTERN.test(name)) {
      throw new InvalidRequest('Headers', [{ path: header, message: 'expected at most 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit' }]);
    }
    return name;
  };
  return { tenant: named('x-sheaf-tenant'), owner: named('x-sheaf-owner') };
}

/** A query parameter that is a list may be repeated, or be one value with commas. */
function listsOf(schema: z.ZodObject, query: Request['query']): Record<string, unknown> {
  return Object.fromEntries(Object.entries(query).map(([name, value]) => {
    const field = schema.shape[name];
    const isList = field instanceof z.ZodExactOptional && field.unwrap() instanceof z.ZodArray;
    return [name, isList ? [value].flat().flatMap((one) => String(one).split(',')) : value];
  }));
}

/** Leaves `req.body` undefined when there is none. */
async function readJson(req: Request, res: Response, parseJson: RequestHandler): Promise<void> {
  const hasBody = req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
  if (hasBody && !req.is('application/json')) {
    throw new SheafError('unsupported_media_type', 'The body is not JSON.', { remedy: 'Send JSON with the header Content-Type: application/json.' });
  }
  await new Promise<void>((resolve, reject) => {
    parseJson(req, res, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  });
}

/** Express's form of an endpoint's path. */
export const routeOf = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

/** Serves them, and answers 405 where the address is right and the method is not. */
export function mount(app: Express, endpoints: readonly Endpoint[], deps: ApiContext): void {
  for (const one of endpoints) {
    app[one.method](routeOf(one.path), async (req, res) => {
      res.locals.route = one.path;
      await one.serve(req, res, deps);
    });
  }
  for (const [path, methods] of Map.groupBy(endpoints, (one) => one.path)) {
    const allowed = methods.map((one) => one.method.toUpperCase()).join(', ');
    app.all(routeOf(path), (req, res) => {
      res.locals.route = path;
      res.set('Allow', allowed);
      throw new SheafError('method_not_allowed', `${req.method} is not possible here.`, { remedy: `Use ${allowed}.` });
    });
  }
}
