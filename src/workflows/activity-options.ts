/** Every timeout and retry policy, in one place. Imported by workflows: data only. */
import type { ActivityOptions, RetryPolicy } from '@temporalio/common';

/** 1 s, ×3, at most 60 s, 5 retries. */
const RETRY: RetryPolicy = { initialInterval: '1s', backoffCoefficient: 3, maximumInterval: '60s', maximumAttempts: 6 };

/** What a job waits for (`capacity`) instead of failing. */
export const REFUSALS: readonly string[] = ['store_unavailable', 'blobs_unavailable', 'scanner_unavailable', 'source_unavailable'];

/** The adapters have tried again by themselves: from here on the job waits, and shows it, instead of an activity that seems to run. */
const RETRY_UNLESS_REFUSED: RetryPolicy = { ...RETRY, nonRetryableErrorTypes: [...REFUSALS] };

/** The same waits for a row whose error is retryable, inside its page. */
export const ROW_RETRY_DELAYS_MS = [1_000, 3_000, 9_000, 27_000, 60_000] as const;

/** What must happen in the end, however long the store is away. */
const UNTIL_DONE: RetryPolicy = { initialInterval: '500ms', backoffCoefficient: 2, maximumInterval: '15s' };

/** Records of a job: small writes to the store. */
export const RECORD: ActivityOptions = { startToCloseTimeout: '30s', retry: UNTIL_DONE };

/** Closing a job reads and writes its unfinished pages. */
export const FINISH: ActivityOptions = { startToCloseTimeout: '10m', heartbeatTimeout: '30s', retry: UNTIL_DONE };

/** The sheet is read to its end; it tells of every page. */
export const SNAPSHOT: ActivityOptions = {
  startToCloseTimeout: '24h', heartbeatTimeout: '30s', retry: RETRY_UNLESS_REFUSED, cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** A look at what a job would do, for somebody who waits for it. */
export const FORECAST: ActivityOptions = { startToCloseTimeout: '105s', heartbeatTimeout: '15s', retry: { ...RETRY_UNLESS_REFUSED, maximumAttempts: 2 } };

/** A page: some ten seconds of work, or its slow rows' time. Beats twice a second, so silence means that its worker is gone. */
export const PAGE: ActivityOptions = {
  startToCloseTimeout: '24h', heartbeatTimeout: '15s', retry: RETRY_UNLESS_REFUSED, cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** Some seconds of writing into somebody's sheet. Beats twice a second, as a page does. */
export const WRITE_BACK: ActivityOptions = {
  startToCloseTimeout: '1h', heartbeatTimeout: '15s', retry: RETRY_UNLESS_REFUSED, cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** A document: all of its stages, an hour of work at most, which the activity counts itself. Beats twice a second. */
export const DOCUMENT: ActivityOptions = {
  startToCloseTimeout: '2h', heartbeatTimeout: '15s', retry: RETRY_UNLESS_REFUSED, cancellationType: 'WAIT_CANCELLATION_COMPLETED',
};

/** Deletions work in bounded steps and tell of each. */
export const REMOVE: ActivityOptions = { startToCloseTimeout: '1h', heartbeatTimeout: '60s', retry: UNTIL_DONE };

/** Many small changes, each told of: whoever takes over goes on where the record says. */
export const MANY: ActivityOptions = { startToCloseTimeout: '6h', heartbeatTimeout: '60s', retry: UNTIL_DONE };

/** One message to somebody's server: again and again, until the time is over that the workflow gives it. */
export const WEBHOOK: ActivityOptions = { startToCloseTimeout: '60s', retry: { initialInterval: '1s', backoffCoefficient: 3, maximumInterval: '1h' }, cancellationType: 'TRY_CANCEL' };
/** A message is tried for so long after what it tells of, and for a moment at least. */
export const WEBHOOK_PERSISTENCE_MS = 24 * 3_600_000;
export const WEBHOOK_LEAST_MS = 60_000;
/** How often rows that are running are looked at for progress and failures, and how long whoever is told of news waits for it. */
export const WEBHOOK_LOOK_MS = 10_000;
export const WEBHOOK_WAIT_MS = 24 * 3_600_000;

/** Asks the store and the blobs, again and again, until both can be written and read. */
export const STORES: ActivityOptions = {
  startToCloseTimeout: '60s', retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '15s' }, cancellationType: 'TRY_CANCEL',
};

/** How long a job waits at least before it asks again what the store or the blobs refused. */
export const CAPACITY_WAIT_MS = { first: 1_000, factor: 2, most: 30_000 } as const;

/** How long a job waits at least for a limit: longer each time, as long as no row gets through. */
export const LIMIT_WAIT_MS = { first: 250, factor: 2, most: 15_000 } as const;
/** A job that waits for longer lets another have its place: longer than the windows of most limits. */
export const LONG_WAIT_MS = 90_000;
/** A page is there so long before a limit has calls again: it takes a moment until its rows ask. */
export const LIMIT_LEAD_MS = 500;
/** How often in a row a server may refuse (`Retry-After`), without a row getting through, before rows that it refuses fail. */
export const MOST_REFUSALS = 10;
/** How often somebody who is told of a change looks by himself. */
export const LOOK_AGAIN_MS = 15 * 60_000;
/** How often a row that somebody paused looks whether its job is still there. */
export const PAUSED_ROW_LOOK_MS = 24 * 3_600_000;
/** How long an action on many jobs waits before it asks again whether an older one on the same batch has stopped. */
export const TURN_WAIT_MS = { first: 250, factor: 2, most: 10_000 } as const;

/** How often a job looks by itself whether services have answered: who took their callback was perhaps killed before it told. */
export const LOOK_FOR_ANSWERS_MS = 5 * 60_000;
/** While pages run, answers are taken so often at most. */
export const TAKE_ANSWERS_EVERY_MS = 10_000;

/** A wait that is longer is waited for in pieces. */
export const LONGEST_TIMER_MS = 30 * 24 * 3_600_000;

/** Events after which a run continues as new; a run stays under 2,000. */
export const MAX_HISTORY_EVENTS = 1_500;
