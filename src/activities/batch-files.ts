/** What comes of the files of a batch: each upload is completed as its own `complete` would, for the batch. */
import { heartbeat } from '@temporalio/activity';
import { blobKeys } from '../blobs/keys.ts';
import { SheafError } from '../contracts/errors.ts';
import { FILES_AT_ONCE, type BatchFile, type BatchFileResult, type FilesWithoutJob, type PlanRef } from '../contracts/plans.ts';
import type { Documents } from '../temporal/documents.ts';
import type { Completions } from '../uploads/completing.ts';
import type { ActivityDeps } from './deps.ts';

/** Files of some gigabytes are hashed for a while. */
const HEARTBEAT_MS = 2_000;

export interface FileMaker {
  /** Makes documents of files, the first of which is the `from`th (from 0), and leaves their results. May be repeated: the results are the same. */
  make(ref: PlanRef, from: number, files: BatchFile[]): Promise<FilesWithoutJob>;
}

export function fileMaker({ store, blobs }: Pick<ActivityDeps, 'store' | 'blobs'>, documents: Documents): FileMaker {
  // What looks at files is loaded where there is one.
  const load = async (): Promise<Completions> => (await import('../uploads/completing.ts')).completions({ store, blobs, documents });
  let uploads: Promise<Completions> | null = null;

  const resultOf = async ({ tenant, id }: PlanRef, { upload }: BatchFile): Promise<BatchFileResult> => {
    try {
      const { document, created } = await (await (uploads ??= load())).complete(tenant, upload, id);
      const job = await store.getJob(tenant, document.job);
      return { outcome: created && job?.batch === id ? 'made' : 'duplicate', document: document.id, error: null };
    } catch (error) {
      // What has become of the upload itself, for good; a repeated try is told no more than that.
      const failed = (await store.getUpload(tenant, upload))?.error ?? null;
      if (failed === null && (!(error instanceof SheafError) || error.retryable)) throw error;
      return { outcome: 'refused', document: null, error: failed ?? (error as SheafError).body() };
    }
  };

  return {
    async make(ref, from, files) {
      const pulse = setInterval(() => heartbeat(), HEARTBEAT_MS);
      try {
        const results = await Promise.all(files.map((file) => resultOf(ref, file)));
        await blobs.put(blobKeys.batchFiles(ref.tenant, ref.id, from / FILES_AT_ONCE), Buffer.from(results.map((result) => `${JSON.stringify(result)}\n`).join('')));
        const count = (outcome: BatchFileResult['outcome']): number => results.filter((result) => result.outcome === outcome).length;
        return { duplicate: count('duplicate'), refused: count('refused') };
      } finally {
        clearInterval(pulse);
      }
    },
  };
}
