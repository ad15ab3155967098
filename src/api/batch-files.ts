/** The files of a batch: those that a request names, and what has come of them. */
import { blobKeys } from '../blobs/keys.ts';
import type { BatchFileAnswer } from '../contracts/plans-api.ts';
import { SheafError } from '../contracts/errors.ts';
import { isEnded } from '../contracts/job.ts';
import { FILES_AT_ONCE, type BatchFile, type BatchFileResult, type BatchRecord } from '../contracts/plans.ts';
import { canonicalJson, digest } from '../domain/hashing.ts';
import { listed, numberCursor, readCursor } from '../store/cursor.ts';
import type { Store } from '../store/store.ts';
import type { Listed, ListPage } from '../store/ports/lists.ts';
import type { ApiContext } from './context.ts';

/** Looked at together. */
const AT_ONCE = 20;

/** Every upload is there and whole, or none becomes a document. Rejects with `batch_too_large`, `upload_not_found`, `parts_mismatch`, `wrong_state`. */
export async function filesOf({ config, uploads }: Pick<ApiContext, 'config' | 'uploads'>, tenant: string, name: string | undefined, given: { upload: string }[]): Promise<{ files: BatchFile[]; requestHash: string }> {
  const most = config.SHEAF_MAX_BATCH_JOBS;
  if (given.length > most) throw new SheafError('batch_too_large', `The batch has ${given.length} files; ${most} are allowed.`, { remedy: 'Split it, or raise SHEAF_MAX_BATCH_JOBS.' });
  const files: BatchFile[] = [];
  for (let index = 0; index < given.length; index += AT_ONCE) {
    files.push(...(await Promise.all(given.slice(index, index + AT_ONCE).map(async ({ upload: id }, place) => {
      const { state, parts, totalParts, request: { fileName } } = await uploads.parts.find(tenant, id);
      const where = { place: { field: `files.${index + place}` } };
      if (state === 'failed') throw new SheafError('wrong_state', `The upload ${id} of ${fileName} has failed.`, { remedy: 'Leave it out, or upload the file again.', ...where });
      if (parts < totalParts) throw new SheafError('parts_mismatch', `The upload ${id} of ${fileName} lacks parts: ${parts} of ${totalParts} have arrived.`, { remedy: 'Send what is missing, then ask for the batch again.', ...where });
      return { upload: id, file: fileName };
    }))));
  }
  return { files, requestHash: digest(canonicalJson([name ?? null, files.map(({ upload }) => upload)])) };
}

/** Files in their order, as they are now, only those with one of these outcomes where some are given. */
export async function batchFiles({ store, blobs }: Pick<ApiContext, 'store' | 'blobs'>, batch: BatchRecord, wanted: readonly BatchFileAnswer['outcome'][], { cursor, limit }: ListPage): Promise<Listed<BatchFileAnswer>> {
  const { tenant, id, made, size, requestHash } = batch;
  const [after] = readCursor(cursor, numberCursor) ?? [0];
  if (batch.files === undefined || after >= size) return { items: [], nextCursor: null };
  const files = linesOf<BatchFile>(await blobs.get(blobKeys.batchJobs(tenant, id, requestHash)));
  const found: BatchFileAnswer[] = [];
  for (let chunk = Math.floor(after / FILES_AT_ONCE); chunk * FILES_AT_ONCE < size && found.length <= limit; chunk++) {
    const from = chunk * FILES_AT_ONCE;
    const results = from < made ? linesOf<BatchFileResult>(await blobs.get(blobKeys.batchFiles(tenant, id, chunk))) : [];
    const answers = await Promise.all(files.slice(from, from + FILES_AT_ONCE).map((file, place) => answerOf(store, batch, from + place, file, results[place])));
    found.push(...answers.filter(({ number, outcome }) => number > after && (wanted.length === 0 || wanted.includes(outcome))));
  }
  return listed(found, limit, ({ number }) => [number]);
}

const linesOf = <Line>(content: Buffer): Line[] => content.toString().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Line);

async function answerOf(store: Store, { tenant, open, desired }: BatchRecord, place: number, { file }: BatchFile, result: BatchFileResult | undefined): Promise<BatchFileAnswer> {
  const known = { number: place + 1, file };
  if (result === undefined) return { ...known, outcome: !open && desired === 'cancelled' ? 'cancelled' : 'waiting' };
  if (result.document === null) return { ...known, outcome: 'refused', ...(result.error !== null && { error: result.error }) };
  const document = await store.getDocument(tenant, result.document);
  if (document === null) return { ...known, outcome: 'deleted', document: result.document };
  const { state, job, error, partial, counts: { passages } } = document;
  const outcome = result.outcome === 'duplicate' ? result.outcome : state === 'completed' ? 'ready' : isEnded(state) ? (state as 'failed' | 'cancelled') : 'processing';
  return { ...known, outcome, document: document.id, job, partial, ...(passages !== null && { passages }), ...(error !== null && { error }) };
}
