/** Whether documents, their blobs and their passages agree. What is still in work is left alone. */
import { blobKeys } from '../blobs/keys.ts';
import type { DocumentRecord, ReprocessStage } from '../contracts/document.ts';
import { isEnded } from '../contracts/job.ts';
import type { Parts, Suspicion } from './finding.ts';
import { allOf } from '../store/all-of.ts';

export async function* documentSuspicions(parts: Parts, tenant: string): AsyncGenerator<Suspicion> {
  for await (const document of allOf((page) => parts.store.listDocuments(tenant, {}, page))) {
    if (isEnded(document.state)) yield* suspicionsOf(parts, document);
  }
  yield* strayPassages(parts, tenant);
  yield* strayBlobs(parts, tenant);
}

/** Which stage makes it again; the original nobody can. */
const MADE_BY: Record<keyof DocumentRecord['blobs'], ReprocessStage | null> = {
  original: null, text: 'extraction', blocks: 'extraction', extraction: 'extraction', chunks: 'chunking',
};

async function* suspicionsOf({ store, blobs, documents }: Parts, document: DocumentRecord): AsyncGenerator<Suspicion> {
  const { tenant, id, attempt } = document;
  const unmoved = async (): Promise<boolean> => {
    const now = await store.getDocument(tenant, id);
    return now !== null && now.attempt === attempt && isEnded(now.state);
  };
  if ((await store.getJob(tenant, document.job)) === null) {
    yield {
      kind: 'orphaned_document', tenant, of: id, message: `The job of document ${id} is gone, and with it what could be done with the document.`,
      stillSo: async () => (await unmoved()) && (await store.getJob(tenant, document.job)) === null,
      repair: async () => {
        await blobs.deleteUnder(blobKeys.documentFolder(tenant, id));
        await blobs.deleteUnder(blobKeys.quarantineFolder(tenant, id));
        while (!(await store.removeDocument(tenant, id)));
      },
    };
    return;
  }
  const again = (from: ReprocessStage) => () => documents.reprocess(tenant, id, { from, options: null, password: null });
  for (const [name, key] of Object.entries(document.blobs) as [keyof DocumentRecord['blobs'], string | null][]) {
    if (key === null || (await blobs.head(key)) !== null) continue;
    const from = MADE_BY[name];
    yield {
      kind: 'missing_blob', tenant, of: id, key, message: `The ${name} of document ${id} is not there.`,
      stillSo: async () => (await unmoved()) && (await blobs.head(key)) === null, repair: from === null ? null : again(from),
    };
  }
  const { published } = document;
  if (published === null) return;
  const shown = async (): Promise<number> => {
    let count = 0;
    for await (const _ of allOf((page) => store.listPassages(tenant, id, page))) count++;
    return count;
  };
  const found = await shown();
  if (found === published.passages && found === document.counts.passages) return;
  yield {
    kind: 'missing_passages', tenant, of: id, message: `Document ${id} has ${document.counts.passages ?? 0} passages and search finds ${found}.`,
    stillSo: async () => {
      const now = await store.getDocument(tenant, id);
      return now?.published !== null && now?.attempt === attempt && (await shown()) !== published.passages;
    },
    repair: again('indexing'),
  };
}

/** Passages of a document that is gone, or that ended without showing them. */
async function* strayPassages({ store }: Parts, tenant: string): AsyncGenerator<Suspicion> {
  for (const set of (await store.listPassageSets(tenant)).filter(({ published }) => !published)) {
    const stillSo = async (): Promise<boolean> => {
      // Another version of the key may be writing: nothing is stale while one is in work.
      for await (const version of allOf((page) => store.listDocuments(tenant, { documentKey: set.documentKey }, page))) if (!isEnded(version.state)) return false;
      return (await store.listPassageSets(tenant)).some((one) => one.document === set.document && one.generation === set.generation && !one.published);
    };
    yield {
      kind: 'orphaned_passages', tenant, of: set.document, message: `${set.passages} passages of document ${set.document} are found by nobody.`, stillSo,
      repair: async () => {
        while (!(await store.removeStalePassages(tenant, set.documentKey, null)));
      },
    };
  }
}

/** Objects under documents' folders that no record names; those of an upload that is under way have one in its session. */
async function* strayBlobs({ store, blobs }: Parts, tenant: string): AsyncGenerator<Suspicion> {
  for (const folder of ['documents', 'quarantine']) {
    for await (const { key } of blobs.list(`${tenant}/${folder}/`)) {
      const id = key.split('/')[2] ?? '';
      const stray = async (): Promise<boolean> => {
        const document = await store.getDocument(tenant, id);
        if (document !== null) return isEnded(document.state) && !Object.values(document.blobs).includes(key) && key.split('/')[3] !== 'answers';
        // A job that is to make the document, or an upload, names the file before there is a record.
        return (await store.getJob(tenant, id.replace('doc_', 'job_'))) === null && !(await isArriving(store, tenant, id));
      };
      if (!(await stray())) continue;
      const wiped = key === blobKeys.password(tenant, id);
      yield {
        kind: 'orphaned_blob', tenant, of: id, key, message: `${wiped ? 'The password' : 'An object'} of document ${id} is not needed any more.`,
        stillSo: async () => (await stray()) && (await blobs.head(key)) !== null, repair: () => blobs.delete(key),
      };
    }
  }
}

async function isArriving(store: Parts['store'], tenant: string, document: string): Promise<boolean> {
  if ((await store.getUpload(tenant, document.replace('doc_', 'upl_'))) !== null) return true;
  // One that was begun with an Idempotency-Key has an id made of that.
  for await (const upload of allOf((page) => store.listUploads(tenant, {}, page))) if (upload.document === document) return true;
  return false;
}
