/**
 * Requests to addresses that users name: to the public internet and nowhere else, within limits of time and size,
 * redirects looked at one by one. Whatever calls such an address calls it by this.
 */
import { Agent, request as send, type Dispatcher } from 'undici';
import { SheafError } from '../contracts/errors.ts';
import type { AllowedHosts } from './addresses.ts';
import { ACCEPTED_ENCODINGS, leave, readBody, type BodyLimits } from './body.ts';
import { failed } from './failures.ts';
import { checkedUrl, guardedConnector } from './guard.ts';

export interface WebLimits extends BodyLimits {
  /** Until the first byte of an answer, for each redirect anew. */
  answerMs: number;
  /** For all of it, redirects included. */
  totalMs: number;
}

const LIMITS: WebLimits = { bytes: 10 * 2 ** 20, inflatedBytes: 30 * 2 ** 20, answerMs: 20_000, totalMs: 60_000 };
const CONNECT_MS = 10_000;

export interface WebRequest {
  url: string;
  /** Default: GET. */
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  headers?: Record<string, string>;
  body?: string | Buffer;
  limits?: Partial<WebLimits>;
  /** How many are followed; default 0: a redirect is the answer. */
  redirects?: number;
  /** Called before each redirect is followed; a rejection ends the request. */
  beforeRedirect?(to: URL): Promise<void>;
  /** Media types of a good answer (status 2xx, with a body), such as `text/html`; default: any. An answer that names none passes. */
  types?: readonly string[];
  /** Aborted: the request ends, and rejects with the signal's reason. */
  signal?: AbortSignal;
}

export interface WebAnswer {
  /** Where it came from, after redirects. */
  url: string;
  status: number;
  /** Names in lower case; what came several times is joined with commas. */
  headers: Record<string, string>;
  /** Unpacked. */
  body: Buffer;
}

export interface Web {
  /**
   * Answers whatever the server says, errors too. Rejects with `url_invalid`, `url_not_allowed`, `dns_failed`, `dns_unavailable`,
   * `connection_failed` (nothing was sent), `connection_lost`, `tls_failed`, `answer_timeout`, `redirect_loop`, `redirect_invalid`,
   * `answer_too_large`, `answer_inflates`, `answer_damaged` or `content_type_refused`.
   */
  request(request: WebRequest): Promise<WebAnswer>;
  /** The address as it will be called. What can be told without calling is: throws `url_invalid` or `url_not_allowed`. */
  check(url: string): URL;
  close(): Promise<void>;
}

export interface WebOptions {
  allowed: AllowedHosts;
  /** `address:port`; default: the system's. For tests. */
  dnsServers?: string[];
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** What another server may be told; the rest, keys above all, was meant for the first. */
const FOR_ANYBODY = new Set(['accept', 'accept-language', 'user-agent']);

export function createWeb({ allowed, dnsServers }: WebOptions): Web {
  const agent = new Agent({ connect: guardedConnector({ allowed, connectMs: CONNECT_MS, ...(dnsServers && { dnsServers }) }) });

  return {
    check: (url) => checkedUrl(url, allowed),

    async request({ url: given, method = 'GET', headers = {}, body, redirects = 0, beforeRedirect, types, signal, limits: wanted }) {
      signal?.throwIfAborted();
      const limits = { ...LIMITS, ...wanted };
      const ends = new AbortController();
      const late = setTimeout(() => ends.abort(new SheafError('answer_timeout', `The server took longer than ${Math.round(limits.totalMs / 1000)} s`, { remedy: 'Try again later' })), limits.totalMs);
      const abort = (): void => ends.abort(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      const asked: { method: Dispatcher.HttpMethod; headers: Record<string, string>; body: string | Buffer | null } = {
        method, body: body ?? null, headers: { 'accept-encoding': ACCEPTED_ENCODINGS, ...lowerCased(headers) },
      };
      try {
        let url = checkedUrl(given, allowed);
        const seen = new Set<string>();
        for (;;) {
          seen.add(`${asked.method} ${url.href}`);
          const answer = await send(url, { dispatcher: agent, ...asked, signal: ends.signal, headersTimeout: limits.answerMs, bodyTimeout: limits.totalMs });
          const told = joined(answer.headers);
          const target = REDIRECTS.has(answer.statusCode) && redirects > 0 ? told['location'] : undefined;
          if (target === undefined) return { url: url.href, status: answer.statusCode, headers: told, body: await bodyOf(answer, told, limits, types) };
          leave(answer.body);
          const next = redirected(url, target, allowed);
          if (answer.statusCode === 303 || (answer.statusCode < 303 && asked.method === 'POST')) Object.assign(asked, { method: 'GET', body: null, headers: without(asked.headers, (name) => name.startsWith('content-')) });
          if (next.origin !== url.origin) asked.headers = without(asked.headers, (name) => name !== 'accept-encoding' && !FOR_ANYBODY.has(name));
          if (seen.has(`${asked.method} ${next.href}`) || seen.size > redirects) {
            throw new SheafError('redirect_loop', 'The server sends from one address to the next without end', { remedy: 'Open the address in a browser, and give the one that it ends at' });
          }
          await beforeRedirect?.(next);
          url = next;
        }
      } catch (error) {
        throw ends.signal.aborted ? ends.signal.reason : failed(error);
      } finally {
        clearTimeout(late);
        signal?.removeEventListener('abort', abort);
      }
    },

    close: () => agent.destroy(),
  };
}

async function bodyOf({ statusCode, body }: Dispatcher.ResponseData, headers: Record<string, string>, limits: WebLimits, types: readonly string[] | undefined): Promise<Buffer> {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (types !== undefined && type !== '' && statusCode >= 200 && statusCode < 300 && statusCode !== 204 && !types.includes(type)) {
    leave(body);
    throw new SheafError('content_type_refused', `The server sends ${/^[\w.+-]+\/[\w.+-]+$/.test(type) ? type.slice(0, 100) : 'something else'}, which is not read here`, { remedy: `Give an address of ${types.slice(0, 4).join(', ')}` });
  }
  return readBody(body, { encoding: headers['content-encoding'], length: headers['content-length'] }, limits);
}

function redirected(from: URL, target: string, allowed: AllowedHosts): URL {
  const to = URL.parse(target, from.href);
  try {
    if (to) return checkedUrl(to.href, allowed);
  } catch (error) {
    if (!(error instanceof SheafError) || error.code !== 'url_invalid') throw error;
  }
  throw new SheafError('redirect_invalid', 'The server sends on to something that is no web address', { remedy: 'Open the address in a browser, and give the one that it ends at' });
}

const lowerCased = (headers: Record<string, string>): Record<string, string> => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

const without = (headers: Record<string, string>, goes: (name: string) => boolean): Record<string, string> => Object.fromEntries(Object.entries(headers).filter(([name]) => !goes(name)));

const joined = (headers: Dispatcher.ResponseData['headers']): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name.toLowerCase(), Array.isArray(value) ? value.join(', ') : value]])));
