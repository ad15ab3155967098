/** What a process keeps jobs in, as one name: processes that work in the same Temporal namespace must agree on it. */
import { randomUUID } from 'node:crypto';
import type { Blobs } from './blobs/blobs.ts';
import { blobKeys } from './blobs/keys.ts';
import { SheafError } from './contracts/errors.ts';
import type { Store } from './store/store.ts';
import type { LaneRef } from './store/ports/rows.ts';

/** Of no tenant. Whoever asks first gives it its holder, which it keeps for ever: that is the store's name. */
const NAMED_BY_FIRST: LaneRef = { tenant: '-', source: 'identity', lane: '-' };

/** The same for every process with this store and these blobs, for as long as they are there. Rejects with `store_unavailable`, `blobs_unavailable`. */
export async function storageIdentity(store: Store, blobs: Blobs): Promise<string> {
  const { holder } = await store.acquireLane(NAMED_BY_FIRST, randomUUID(), 1);
  return `${holder}/${(await nameOf(blobs)).toString()}`;
}

/** Whoever writes it first names the blobs. */
async function nameOf(blobs: Blobs): Promise<Buffer> {
  try {
    return await blobs.get(blobKeys.identity);
  } catch (error) {
    if (!(error instanceof SheafError) || error.code !== 'blob_not_found') throw error;
  }
  await blobs.put(blobKeys.identity, Buffer.from(randomUUID()), { ifAbsent: true }).catch((error: unknown) => {
    if (!(error instanceof SheafError) || error.code !== 'conflict') throw error;
  });
  return blobs.get(blobKeys.identity);
}
