/** HTTP with the API: who asks, what its problems mean, and silence. */
import { API_PREFIX, type Problem } from '../contracts/api.ts';
import type { ErrorPlace } from '../contracts/errors.ts';
import type { Json } from '../contracts/row.ts';

/** What the API answered that is no success, or `api_unreachable`, `not_sheaf`. */
export class SheafApiError extends Error {
  override readonly name = 'SheafApiError';
  readonly code: string;
  /** HTTP status; null where nothing answered. */
  readonly status: number | null;
  readonly remedy: string | undefined;
  readonly place: ErrorPlace | undefined;
  /** Of the fields of the request. */
  readonly errors: { path: string; message: string }[] | undefined;
  /** Of an upload that cannot be completed yet. */
  readonly missingParts: number[] | undefined;
  /** The answer's id, which the server's log has too. */
  readonly instance: string | undefined;

  constructor(problem: Partial<Problem> & { code: string; detail: string }, status: number | null, cause?: unknown) {
    super(problem.detail, cause === undefined ? undefined : { cause });
    this.code = problem.code;
    this.status = status;
    this.remedy = problem.remedy;
    this.place = problem.place as ErrorPlace | undefined;
    this.errors = problem.errors;
    this.missingParts = problem.missing_parts;
    this.instance = problem.instance;
  }

  /** Asking again unchanged may help: nothing answered, or the server cannot just now. */
  get passing(): boolean {
    return this.status === null ? this.code === 'api_unreachable' : this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

export type Query = { [name: string]: string | number | boolean | string[] | undefined };

export interface CallOptions {
  query?: Query | undefined;
  /** Sent as JSON. */
  body?: Json | object;
  /** Sent as it is; a stream is not held in memory. */
  raw?: RequestInit['body'] | AsyncIterable<Uint8Array>;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface Http {
  /** Where the API is, without a slash at the end. */
  url: string;
  /** JSON in, JSON out. Paths begin after the API's prefix. */
  call<Answer>(method: string, path: string, more?: CallOptions): Promise<Answer>;
  /** The answer with its body unread; the caller reads or cancels it. */
  open(method: string, path: string, more?: CallOptions): Promise<Response>;
}

export interface HttpOptions {
  url: string;
  tenant?: string | undefined;
  owner?: string | undefined;
}

/** Rejects with `SheafApiError`, or with the signal's reason. */
export function createHttp({ url, tenant, owner }: HttpOptions): Http {
  const base = url.replace(/\/+$/, '');
  const unreachable = (cause: unknown): SheafApiError => new SheafApiError({ code: 'api_unreachable', detail: `No Sheaf API answers at ${base}.` }, null, cause);

  async function open(method: string, path: string, { query = {}, body, raw, headers = {}, signal }: CallOptions = {}): Promise<Response> {
    const address = new URL(`${base}${API_PREFIX}${path}`);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== undefined) address.searchParams.append(name, String(one));
      }
    }
    let response: Response;
    try {
      response = await fetch(address, {
        method,
        headers: {
          accept: 'application/json, application/problem+json, */*;q=0.1',
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(tenant !== undefined && { 'x-sheaf-tenant': tenant }),
          ...(owner !== undefined && { 'x-sheaf-owner': owner }),
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(raw !== undefined && { body: raw, duplex: 'half' }),
        ...(signal !== undefined && { signal }),
      } as RequestInit);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw unreachable(error);
    }
    if (response.ok) return response;
    throw await problemOf(response, base);
  }

  return {
    url: base,
    open,
    async call<Answer>(method: string, path: string, more?: CallOptions): Promise<Answer> {
      const response = await open(method, path, more);
      const text = await response.text().catch((error: unknown) => {
        throw more?.signal?.aborted === true ? error : unreachable(error);
      });
      try {
        return (text === '' ? null : JSON.parse(text)) as Answer;
      } catch {
        throw notSheaf(base, response.status);
      }
    },
  };
}

const notSheaf = (url: string, status: number): SheafApiError =>
  new SheafApiError({ code: 'not_sheaf', detail: `What answers at ${url} is not a Sheaf API (HTTP ${status}).` }, status);

async function problemOf(response: Response, url: string): Promise<SheafApiError> {
  const answer = (await response.json().catch(() => null)) as Partial<Problem> | null;
  if (typeof answer?.code !== 'string') return notSheaf(url, response.status);
  return new SheafApiError({ ...answer, code: answer.code, detail: answer.detail ?? answer.title ?? `HTTP ${response.status}` }, response.status);
}
