/** Uploads that nobody goes on with: their parts take room. */
import { heartbeat } from '@temporalio/activity';
import { removeExpired } from '../uploads/removal.ts';
import type { ActivityDeps } from './deps.ts';

/** Parts that belong to no upload's record are a write's that broke off. An upload lives for a day, and for another while it is completed. */
const STRAY_MS = 48 * 3_600_000;

export function uploadActivities({ store, blobs, log }: ActivityDeps) {
  return {
    async sweepUploads(): Promise<{ expired: number; aborted: number }> {
      const expired = await removeExpired({ store, blobs }, ({ tenant, id, state, expiresAt }) => {
        log.info({ tenant, upload: id, state, expiresAt }, 'removing an upload that has expired');
        heartbeat();
      });
      let aborted = 0;
      for await (const { key, upload, startedAt } of blobs.parts.begunBefore(new Date(Date.now() - STRAY_MS))) {
        await blobs.parts.abort(key, upload);
        log.info({ key, startedAt }, 'aborted an upload in parts that was abandoned');
        aborted += 1;
        heartbeat();
      }
      return { expired, aborted };
    },
  };
}
