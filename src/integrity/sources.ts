/** Whether sources, their versions and the files of those agree. What is still in work is left alone. */
import { blobKeys } from '../blobs/keys.ts';
import type { VersionRecord } from '../contracts/source.ts';
import type { Parts, Suspicion } from './finding.ts';
import { allOf } from '../store/all-of.ts';

export async function* sourceSuspicions(parts: Parts, tenant: string): AsyncGenerator<Suspicion> {
  for await (const source of allOf((page) => parts.store.listSources(tenant, page))) {
    if (source.deleting) continue;
    for await (const version of allOf((page) => parts.store.listVersions(tenant, source.id, page))) {
      if (version.state === 'completed' || version.state === 'rolled_back') yield* missingPages(parts, version);
    }
  }
  yield* strayBlobs(parts, tenant);
}

async function* missingPages({ store, blobs }: Parts, { tenant, source, sequence, content, pages }: VersionRecord): AsyncGenerator<Suspicion> {
  const there = new Set<string>();
  for await (const { key } of blobs.list(blobKeys.versionFolder(tenant, source, content))) there.add(key);
  const named = [blobKeys.versionManifest(tenant, source, content), ...Array.from({ length: pages }, (_, index) => blobKeys.versionPage(tenant, source, content, index + 1))];
  for (const key of named.filter((one) => !there.has(one))) {
    yield {
      kind: 'missing_blob', tenant, of: source, key, message: `Of version ${sequence} of source ${source} a file is not there: restore it from a backup.`,
      stillSo: async () => (await store.getVersion(tenant, source, sequence)) !== null && (await blobs.head(key)) === null, repair: null,
    };
  }
}

/** Files of versions that no record names: of a source that is gone, or of a version that is. */
async function* strayBlobs({ store, blobs }: Parts, tenant: string): AsyncGenerator<Suspicion> {
  let known = { source: '', contents: new Set<number>() };
  const contentsOf = async (source: string): Promise<Set<number>> => {
    const contents = new Set<number>();
    for await (const version of allOf((page) => store.listVersions(tenant, source, page))) contents.add(version.content).add(version.sequence);
    return contents;
  };
  for await (const { key } of blobs.list(`${tenant}/sources/`)) {
    const [, , source = '', folder = ''] = key.split('/');
    if (known.source !== source) known = { source, contents: await contentsOf(source) };
    if (known.contents.has(Number(folder))) continue;
    yield {
      kind: 'orphaned_blob', tenant, of: source, key, message: `An object of a version of source ${source} that is gone.`,
      stillSo: async () => !(await contentsOf(source)).has(Number(folder)) && (await blobs.head(key)) !== null, repair: () => blobs.delete(key),
    };
  }
}
