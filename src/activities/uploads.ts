/** Uploads in parts that were begun and never completed. */
import { heartbeat } from '@temporalio/activity';
import type { ActivityDeps } from './deps.ts';

/** Who uploads a large file over a bad line has a day for it. */
const ABANDONED_MS = 24 * 3_600_000;

export function uploadActivities({ blobs, log }: ActivityDeps) {
  return {
    async sweepUploads(): Promise<{ aborted: number }> {
      let aborted = 0;
      for await (const { key, upload, startedAt } of blobs.parts.begunBefore(new Date(Date.now() - ABANDONED_MS))) {
        await blobs.parts.abort(key, upload);
        log.info({ key, startedAt }, 'aborted an upload in parts that was abandoned');
        aborted += 1;
        heartbeat();
      }
      return { aborted };
    },
  };
}
