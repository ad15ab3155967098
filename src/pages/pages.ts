/** Reads web pages as a polite robot does: what the site asks of robots, not too much of a host at once, and nothing that is known already. */
import type { Blobs } from '../blobs/blobs.ts';
import { SheafError } from '../contracts/errors.ts';
import type { DocumentReader } from '../documents/document.ts';
import { LimitReached, type Lease, type Limits } from '../limits/limits.ts';
import type { Web, WebAnswer } from '../web/web.ts';
import { pageCache, type CachedPage } from './cache.ts';
import type { PageAsked, Pages, WebPage } from './page.ts';
import { doorOf, READ_TYPES, readPage } from './reading.ts';
import { robotsOf, USER_AGENT } from './robots.ts';

export interface PagesDeps {
  web: Web;
  blobs: Blobs;
  limits: Limits;
  reader: DocumentReader;
  /** On this machine's disk, for files that are being read. */
  folder: string;
  /** Hosts (with a port where they have one) that have a named limit, which all workers share. */
  limitedHosts: readonly string[];
}

/** Whose pages: what one tenant has read is no other's to know. */
export interface PagesOf {
  tenant: string;
  owner: string;
  /** Servers are asked, whatever was read before. */
  force: boolean;
}

const LIMITS = { bytes: 10 * 2 ** 20, inflatedBytes: 20 * 2 ** 20, answerMs: 20_000, totalMs: 60_000 };
const MOST_REDIRECTS = 10;
const MAX_URL_CHARS = 8_000;
/** A host that wants to be left alone for longer is: its row fails, for now. */
const LONGEST_WAIT_MS = 60_000;
const LOGIN_PATH = /(^|[/._-])(log[-_]?in|log[-_]?on|sign[-_]?in|auth|sso|anmelden|connexion)([/._?-]|$)/i;

export function openPages({ web, blobs, limits, reader, folder, limitedHosts }: PagesDeps): { of(whose: PagesOf): Pages } {
  const robots = robotsOf(web);
  const limited = new Set(limitedHosts);

  const limitsOf = (url: URL): string[] => [url.host, url.hostname].filter((name) => limited.has(name)).slice(0, 1);

  /** Where it may be read. Throws what is wrong with it. */
  const checked = (given: string): URL => {
    if (given.length > MAX_URL_CHARS) throw new SheafError('url_invalid', `The address has more than ${MAX_URL_CHARS} characters`, { remedy: 'Give a shorter one' });
    const url = web.check(given);
    url.hash = '';
    return url;
  };

  /** Waits for the host's turn. A named limit that has nothing for now is asked again for a while. */
  const placeAt = async (url: URL, { host, signal }: PageAsked, whose: PagesOf, delayMs: number): Promise<Lease> => {
    const key = `host:${url.host}`;
    for (let waited = 0; ;) {
      try {
        const lease = await limits.take(key, host.concurrency, signal, { keys: limitsOf(url), user: `${whose.tenant}/${whose.owner}`, room: 1 });
        limits.penalise(key, Math.max(delayMs, 1_000 / host.perSecond));
        return lease;
      } catch (error) {
        if (!(error instanceof LimitReached)) throw error;
        waited += error.waitMs;
        if (waited > LONGEST_WAIT_MS) throw new SheafError('rate_limited', `Limit ${error.limit} has nothing left for now`, { remedy: 'Try again later' });
        limits.penalise(key, error.waitMs);
      }
    }
  };

  const fetchPage = async (url: URL, known: CachedPage | null, asked: PageAsked, whose: PagesOf): Promise<WebAnswer> => {
    const place = await placeAt(url, asked, whose, await robots.assertAllowed(url));
    try {
      const answer = await web.request({
        url: url.href, redirects: MOST_REDIRECTS, beforeRedirect: async (to) => void await robots.assertAllowed(to), types: READ_TYPES, limits: LIMITS, signal: asked.signal,
        headers: {
          'user-agent': USER_AGENT, accept: 'text/html, application/xhtml+xml, application/pdf, text/plain;q=0.9, */*;q=0.1',
          ...(known?.etag != null && { 'if-none-match': known.etag }), ...(known?.lastModified != null && { 'if-modified-since': known.lastModified }),
        },
      });
      const wait = waitOf(answer);
      if (wait !== null) limits.penalise(`host:${url.host}`, Math.min(wait, LONGEST_WAIT_MS));
      return answer;
    } finally {
      limits.settle(place);
    }
  };

  const readOnce = async (url: URL, asked: PageAsked, whose: PagesOf): Promise<WebPage> => {
    const cache = pageCache(blobs, whose.tenant);
    const known = await cache.find(url.href);
    if (known && isGood(known, asked.maxAgeMs, whose)) return known.page;
    const answer = await fetchPage(url, known, asked, whose);
    if (known && answer.status === 304) {
      const page = { ...known.page, fetchedAt: new Date().toISOString() };
      await cache.keep(url.href, { ...known, page });
      return page;
    }
    assertPage(url, answer);
    const page = await readPage(answer, reader, folder, asked.signal);
    const { etag = null, 'last-modified': lastModified = null } = answer.headers;
    await cache.keep(url.href, { page, etag, lastModified });
    return page;
  };

  return {
    of: (whose) => ({
      async read(given, asked) {
        const url = checked(given);
        // Rows with the same address, in this process: the first reads it, the others find it.
        const turn = await limits.take(`page:${whose.tenant}/${url.href}`, 1, asked.signal);
        try {
          return await readOnce(url, asked, whose);
        } finally {
          limits.settle(turn);
        }
      },

      async foresee(given, { maxAgeMs }) {
        const url = checked(given);
        const known = await pageCache(blobs, whose.tenant).find(url.href);
        return { page: known && isGood(known, maxAgeMs, whose) ? known.page : null, address: url.href, host: url.host, limits: limitsOf(url), shared: maxAgeMs > 0 && !whose.force };
      },
    }),
  };
}

/** Without asking its server. */
const isGood = ({ page }: CachedPage, maxAgeMs: number, { force }: PagesOf): boolean => !force && Date.now() - Date.parse(page.fetchedAt) < maxAgeMs;

/** Milliseconds that the server wants to be left alone for; null: it does not say so. */
function waitOf({ status, headers }: WebAnswer): number | null {
  if (status !== 429 && status !== 503) return null;
  const after = headers['retry-after'];
  if (after === undefined) return null;
  const ms = /^\d+$/.test(after) ? Number(after) * 1_000 : Date.parse(after) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

/** Throws what the status, and where the answer came from, say of the page. */
function assertPage(asked: URL, { status, url }: WebAnswer): void {
  if (status === 401 || status === 407) throw doorOf();
  if (status === 403 || status === 451) throw new SheafError('page_forbidden', `The server does not show the page (${status})`, { remedy: 'Open it in a browser: it may be for some people or places only' });
  if (status === 404 || status === 410) throw new SheafError('page_not_found', `There is no such page (${status})`, { remedy: 'Check the address' });
  if (status === 429) throw new SheafError('rate_limited', 'The server was asked too often', { remedy: 'Try again later, with fewer pages of a host a second' });
  if (status >= 500) throw new SheafError('page_unavailable', `The server cannot answer for now (${status})`, { remedy: 'Try again later' });
  if (status < 200 || status >= 300) throw new SheafError('page_refused', `The server answers with status ${status}`, { remedy: 'Open the address in a browser' });
  const { pathname } = new URL(url);
  if (LOGIN_PATH.test(pathname) && !LOGIN_PATH.test(asked.pathname)) throw doorOf();
}
