/** Web pages as text: the port that handlers read them by. */

export interface WebPage {
  /** Where it came from, after redirects. */
  url: string;
  type: 'html' | 'pdf' | 'text';
  title: string | null;
  /** As the page says, else as the text tells: `en`. */
  language: string | null;
  description: string | null;
  author: string | null;
  /** ISO 8601, where the page says. */
  publishedAt: string | null;
  /** The main text, without navigation and the like. */
  text: string;
  /** What a person should know of a page that was read all the same. */
  warnings: string[];
  /** ISO 8601: when the server last said that it is so. */
  fetchedAt: string;
}

/** How a host is called, over all rows that lead to it in this process. */
export interface HostManners {
  /** Pages at once. */
  concurrency: number;
  perSecond: number;
}

export interface PageAsked {
  host: HostManners;
  /** Milliseconds that what was read before is good for, without asking its server. */
  maxAgeMs: number;
  signal: AbortSignal;
}

/** What reading a page would take. */
export interface PageForeseen {
  /** It is good as it was read before: no server would be asked. */
  page: WebPage | null;
  /** As its address is written, without what only browsers look at. */
  address: string;
  /** With a port where it has one. */
  host: string;
  limits: readonly string[];
  /** What has been read is good for the next row with the address. */
  shared: boolean;
}

export interface Pages {
  /**
   * Rejects with what is wrong with the page: all that `Web.request` rejects with, `robots_disallowed`, `robots_unavailable`,
   * `login_required`, `page_forbidden`, `page_not_found`, `page_refused`, `page_unavailable`, `rate_limited`, and what reading a
   * document rejects with (`no_text`, `corrupt_file`, `extraction_timeout` …). With `blobs_unavailable`, `shutting_down` where it is not the page.
   */
  read(url: string, asked: PageAsked): Promise<WebPage>;
  /** Asks no server. Rejects with what is wrong with the address, and with `blobs_unavailable`. */
  foresee(url: string, asked: Pick<PageAsked, 'maxAgeMs'>): Promise<PageForeseen>;
}
