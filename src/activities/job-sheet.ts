/** The sheet of a job: where it is, who asks for it, and what was fetched of it already. */
import { Context, heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { readText, writeText } from '../blobs/pages.ts';
import { SheafError } from '../contracts/errors.ts';
import type { SheetJobRecord } from '../contracts/job.ts';
import type { LimitWait } from '../contracts/messages.ts';
import { digest } from '../domain/hashing.ts';
import { LimitReached } from '../limits/limits.ts';
import type { Caller } from '../sources/google/client.ts';
import type { FetchedParts } from '../sources/google/parts.ts';
import { locateSheet } from '../sources/locate.ts';
import type { FoundSheet } from '../sources/source.ts';
import type { ActivityDeps } from './deps.ts';

/** Calls count for the job's owner, and end when the activity does. */
export const callerOf = (job: SheetJobRecord): Caller => ({ user: `${job.tenant}/${job.owner}`, signal: Context.current().cancellationSignal });

export const findSheet = (deps: ActivityDeps, job: SheetJobRecord): Promise<FoundSheet> =>
  locateSheet(deps, job.request.location, { ...callerOf(job), tenant: job.tenant, fetched: (fingerprint) => fetchedParts(deps, job, digest(fingerprint)) });

/** In the job's own folder, so that nothing of it outlives the job. */
function fetchedParts({ blobs }: ActivityDeps, { tenant, id }: SheetJobRecord, fingerprint: string): FetchedParts {
  const key = (part: number): string => blobKeys.fetched(tenant, id, fingerprint, part);
  return {
    get: (part) => readText(blobs, key(part)).catch((error: unknown) => {
      if (error instanceof SheafError && error.code === 'blob_not_found') return null;
      throw error;
    }),
    put: (part, content) => writeText(blobs, key(part), content),
  };
}

/** Google may take a minute for an answer, and a call may wait for its limit; each ends by itself, or when a pause or cancel arrives with a beat's answer. */
const BEAT_MS = 500;

/** While whoever holds the sheet is asked. Answers how long to wait where a limit has no calls. */
export async function askingGoogle<T>(work: () => Promise<T>): Promise<T | { wait: LimitWait }> {
  const pulse = setInterval(() => heartbeat(), BEAT_MS);
  try {
    return await work();
  } catch (error) {
    if (error instanceof LimitReached) return { wait: { ms: error.waitMs, reason: error.message, refused: error.refused } };
    throw error;
  } finally {
    clearInterval(pulse);
  }
}
