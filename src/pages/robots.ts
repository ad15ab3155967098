/** What sites ask of robots (RFC 9309), remembered for an hour. */
import robotsParser from 'robots-parser';
import { SheafError } from '../contracts/errors.ts';
import type { Web } from '../web/web.ts';

/** What robots.txt knows us by, and how we introduce ourselves. */
export const ROBOT = 'Sheaf';
export const USER_AGENT = `Mozilla/5.0 (compatible; ${ROBOT}/1.0)`;

// Its types say that it exports a default, but what it exports is the function itself.
const parse = robotsParser as unknown as typeof robotsParser.default;

const KEPT_MS = 3_600_000;
/** Of a site that gave no answer. */
const UNKNOWN_KEPT_MS = 60_000;
const MOST_SITES = 2_000;
/** What is behind counts for nothing, as the standard allows; so does the end of a very long path, which rules take their time with. */
const MAX_BYTES = 500 * 1024;
const MAX_URL_CHARS = 2_000;
const MOST_DELAY_MS = 30_000;

interface Site {
  rules: Promise<Rules>;
  until: number;
}

interface Rules {
  allows(url: string): boolean;
  delayMs: number;
}

export interface Robots {
  /** Milliseconds that the site wants between two requests. Rejects with `robots_disallowed`, `robots_unavailable`, and what reaching the site rejects with. */
  assertAllowed(url: URL): Promise<number>;
}

export function robotsOf(web: Web): Robots {
  /** By origin, those that were asked for longest ago first. */
  const sites = new Map<string, Site>();

  const rulesOf = (origin: string): Promise<Rules> => {
    const known = sites.get(origin);
    if (known && known.until > Date.now()) return known.rules;
    const site: Site = { rules: fetchRules(web, origin), until: Date.now() + KEPT_MS };
    // Whoever comes in a moment asks again, in case it was a passing fault.
    site.rules.catch(() => { site.until = Math.min(site.until, Date.now() + UNKNOWN_KEPT_MS); });
    sites.delete(origin);
    sites.set(origin, site);
    const [oldest] = sites.keys();
    if (sites.size > MOST_SITES && oldest !== undefined) sites.delete(oldest);
    return site.rules;
  };

  return {
    async assertAllowed(url) {
      const { allows, delayMs } = await rulesOf(url.origin);
      if (!allows(url.href.slice(0, MAX_URL_CHARS))) throw new SheafError('robots_disallowed', 'The site asks robots to leave this page alone (robots.txt)', { remedy: 'Ask whoever runs the site, or leave the row out' });
      return delayMs;
    },
  };
}

/** None where the site has no robots.txt; no page may be read while nobody knows. */
async function fetchRules(web: Web, origin: string): Promise<Rules> {
  const { status, body } = await web.request({ url: `${origin}/robots.txt`, redirects: 5, headers: { 'user-agent': USER_AGENT, accept: 'text/plain, */*;q=0.1' }, limits: { totalMs: 20_000 } });
  if (status === 429 || status >= 500) throw new SheafError('robots_unavailable', `The site does not say what robots may read (robots.txt: ${status})`, { remedy: 'Try again later' });
  if (status < 200 || status >= 300) return { allows: () => true, delayMs: 0 };
  const rules = parse(`${origin}/robots.txt`, body.subarray(0, MAX_BYTES).toString());
  return {
    allows: (url) => rules.isAllowed(url, ROBOT) ?? true,
    delayMs: Math.min(MOST_DELAY_MS, (rules.getCrawlDelay(ROBOT) ?? 0) * 1_000),
  };
}
