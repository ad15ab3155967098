/** The client library as commands use it: every answer that is not a success becomes a `CommandFailure`. */
import { createHttp, SheafApiError, type CallOptions as HttpCall, type HttpOptions } from '../client/http.ts';
import { CommandFailure, EXIT, type Problem } from './failure.ts';

export type { Query } from '../client/http.ts';

export interface Client {
  /** Where the API is, without a slash at the end. */
  url: string;
  /** JSON in, JSON out. Paths begin after the API's prefix. */
  call<Answer>(method: string, path: string, more?: CallOptions): Promise<Answer>;
  /** The answer with its body unread; the caller reads or cancels it. */
  open(method: string, path: string, more?: CallOptions): Promise<Response>;
}

export type CallOptions = Omit<HttpCall, 'raw'>;

/** Nothing answered, so that asking again may help. */
export class Unreachable extends CommandFailure {}

export function createClient(options: HttpOptions): Client {
  const http = createHttp(options);
  return {
    url: http.url,
    open: (method, path, more) => http.open(method, path, more).catch(refuse),
    call: <Answer>(method: string, path: string, more?: CallOptions) => http.call<Answer>(method, path, more).catch(refuse),
  };
}

/** Problems that say that the request was wrong, rather than the sheet or the moment. */
const USAGE_CODES = new Set(['invalid_request', 'invalid_options', 'unknown_handler', 'invalid_cursor', 'invalid_query']);

/** What to do where no answer of the API says it. */
const REMEDIES: Record<string, string> = {
  api_unreachable: 'Start it with `npx sheaf start`, or say where it is with --url or SHEAF_API_URL.',
  not_sheaf: 'Check --url, SHEAF_API_URL and what else listens on that port.',
};

/** Throws the library's error as the command line has it, and any other as it is. */
export function refuse(error: unknown): never {
  if (!(error instanceof SheafApiError)) throw error;
  const { code, message, status, remedy = REMEDIES[code], place, errors, instance } = error;
  const problem: Problem = {
    code,
    message,
    ...(status !== null && code !== 'not_sheaf' && { status }),
    ...(remedy !== undefined && { remedy }),
    ...(place !== undefined && { place }),
    ...(errors !== undefined && { errors }),
    ...(instance !== undefined && { instance }),
  };
  if (code === 'api_unreachable') throw new Unreachable(problem, EXIT.failed, error);
  throw new CommandFailure(problem, USAGE_CODES.has(code) ? EXIT.usage : EXIT.failed);
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
