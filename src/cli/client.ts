/** A thin typed HTTP client of the API: every answer that is not a success becomes a `CommandFailure`. */
import type { Readable } from 'node:stream';
import { API_PREFIX } from '../contracts/api.ts';
import type { Json } from '../contracts/row.ts';
import { CommandFailure, EXIT, type Problem } from './failure.ts';

export type Query = { [name: string]: string | number | boolean | string[] | undefined };

export interface Client {
  /** Where the API is, without a slash at the end. */
  url: string;
  /** JSON in, JSON out. Paths begin after the API's prefix. */
  call<Answer>(method: string, path: string, more?: CallOptions): Promise<Answer>;
  /** The answer with its body unread; the caller reads or cancels it. */
  open(method: string, path: string, more?: CallOptions): Promise<Response>;
}

export interface CallOptions {
  query?: Query;
  body?: Json | object;
  /** Sent as it is, without being held in memory. */
  stream?: Readable;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

export interface ClientOptions {
  url: string;
  tenant?: string | undefined;
  owner?: string | undefined;
}

/** Nothing answered, so that asking again may help. */
export class Unreachable extends CommandFailure {
  constructor(url: string, cause?: unknown) {
    super({
      code: 'api_unreachable',
      message: `No Sheaf API answers at ${url}.`,
      remedy: 'Start it with `npx sheaf start`, or say where it is with --url or SHEAF_API_URL.',
    }, EXIT.failed, cause);
  }
}

export function createClient({ url, tenant, owner }: ClientOptions): Client {
  const base = url.replace(/\/+$/, '');

  async function open(method: string, path: string, { query = {}, body, stream, headers = {}, signal }: CallOptions = {}): Promise<Response> {
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
        ...(stream !== undefined && { body: stream, duplex: 'half' }),
        ...(signal !== undefined && { signal }),
      } as RequestInit);
    } catch (error) {
      if (signal?.aborted === true) throw error;
      throw new Unreachable(base, error);
    }
    if (response.ok) return response;
    throw await failureOf(response, base);
  }

  return {
    url: base,
    open,
    async call<Answer>(method: string, path: string, more?: CallOptions): Promise<Answer> {
      const response = await open(method, path, more);
      const text = await response.text().catch((error: unknown) => {
        throw more?.signal?.aborted === true ? error : new Unreachable(base, error);
      });
      try {
        return (text === '' ? null : JSON.parse(text)) as Answer;
      } catch {
        throw notSheaf(base, response.status);
      }
    },
  };
}

const notSheaf = (url: string, status: number): CommandFailure =>
  new CommandFailure({
    code: 'not_sheaf',
    message: `What answers at ${url} is not a Sheaf API (HTTP ${status}).`,
    remedy: 'Check --url, SHEAF_API_URL and what else listens on that port.',
  });

/** Problems that say that the request was wrong, rather than the sheet or the moment. */
const USAGE_CODES = new Set(['invalid_request', 'invalid_options', 'unknown_handler', 'invalid_cursor', 'invalid_query']);

async function failureOf(response: Response, url: string): Promise<CommandFailure> {
  const answer = (await response.json().catch(() => null)) as Partial<Problem & { detail: string; title: string }> | null;
  if (typeof answer?.code !== 'string') return notSheaf(url, response.status);
  const { code, detail, title, remedy, place, errors, instance } = answer;
  const problem: Problem = {
    code,
    message: detail ?? title ?? `HTTP ${response.status}`,
    status: response.status,
    ...(remedy !== undefined && { remedy }),
    ...(place !== undefined && { place }),
    ...(errors !== undefined && { errors }),
    ...(instance !== undefined && { instance }),
  };
  return new CommandFailure(problem, USAGE_CODES.has(code) ? EXIT.usage : EXIT.failed);
}

/** As most lists of the API have it. */
const MOST_PER_PAGE = 500;

export interface Listed<T> {
  items: T[];
  nextCursor: string | null;
}

/** At most `limit` entries of a list that the API gives in pages. `nextCursor` is null when these are all. */
export async function listUpTo<T>(
  client: Client, path: string, limit: number, { query, signal }: Pick<CallOptions, 'query' | 'signal'>, mostPerPage = MOST_PER_PAGE,
): Promise<Listed<T>> {
  const items: T[] = [];
  let nextCursor: string | null = null;
  do {
    const page: Listed<T> = await client.call('GET', path, {
      query: { ...query, limit: Math.min(mostPerPage, limit - items.length), cursor: nextCursor ?? undefined },
      signal,
    });
    items.push(...page.items);
    nextCursor = page.nextCursor;
  } while (nextCursor !== null && items.length < limit);
  return { items, nextCursor };
}
