/** Templates, indices and aliases: made where they are missing, and looked at before anything is written. */
import { errors } from '@elastic/elasticsearch';
import { SheafError } from '../../contracts/errors.ts';
import type { Cluster } from './connection.ts';
import { ALL_KINDS, type Kind, mappingsOf, SCHEMA_VERSION, SETTINGS } from './schema.ts';

/** The index that a kind's aliases point at now. */
export interface CurrentIndex {
  index: string;
  schema: number;
}

/** Rejects with `schema_too_new`, `schema_outdated`, `store_unavailable`. */
export async function ensureIndices(cluster: Cluster): Promise<void> {
  const current = await currentIndices(cluster);
  for (const { index, schema } of current.values()) {
    if (schema > SCHEMA_VERSION) throw tooNew(index, schema);
    if (schema < SCHEMA_VERSION) {
      throw new SheafError('schema_outdated', `The index ${index} has schema version ${schema}; this version of Sheaf needs ${SCHEMA_VERSION}.`, {
        remedy: 'Run `sheaf store migrate`.',
      });
    }
  }
  const missing = ALL_KINDS.filter((kind) => !current.has(kind));
  if (missing.length === 0) return;
  await putTemplates(cluster);
  await Promise.all(missing.map((kind) => createIndex(cluster, kind, SCHEMA_VERSION, true)));
}

export async function currentIndices(cluster: Cluster): Promise<Map<Kind, CurrentIndex>> {
  const { client, names } = cluster;
  const found = await cluster.call(() => client.indices.get({
    index: ALL_KINDS.map((kind) => names.write(kind)), ignore_unavailable: true, allow_no_indices: true, features: ['aliases', 'mappings'],
  }));
  const current = new Map<Kind, CurrentIndex>();
  for (const [index, { aliases, mappings }] of Object.entries(found)) {
    const kind = ALL_KINDS.find((kind) => aliases !== undefined && names.write(kind) in aliases);
    if (kind !== undefined) current.set(kind, { index, schema: Number(mappings?._meta?.['schema'] ?? 0) });
  }
  return current;
}

export function tooNew(index: string, schema: number): SheafError {
  return new SheafError('schema_too_new', `The index ${index} has schema version ${schema}; this version of Sheaf knows up to ${SCHEMA_VERSION}.`, {
    remedy: 'Run the version of Sheaf that wrote it, or a newer one.',
  });
}

/** Settings that are there stay: shards and replicas are the operator's. */
export async function putTemplates(cluster: Cluster): Promise<void> {
  const { client, names } = cluster;
  if (!(await cluster.call(() => client.cluster.existsComponentTemplate({ name: names.settings })))) {
    await cluster.call(() => client.cluster.putComponentTemplate({ name: names.settings, template: { settings: SETTINGS } }));
  }
  await Promise.all(ALL_KINDS.map(async (kind) => {
    await cluster.call(() => client.cluster.putComponentTemplate({ name: names.mappings(kind), template: { mappings: mappingsOf(kind, SCHEMA_VERSION) } }));
    await cluster.call(() => client.indices.putIndexTemplate({
      name: names.read(kind), index_patterns: [names.index(kind, SCHEMA_VERSION)], composed_of: [names.settings, names.mappings(kind)],
      priority: 500, _meta: { application: 'sheaf', schema: SCHEMA_VERSION },
    }));
  }));
}

/** Nothing happens where it is there. Its mappings come from the template. */
export async function createIndex(cluster: Cluster, kind: Kind, version: number, withAliases: boolean): Promise<void> {
  const { client, names } = cluster;
  await cluster.call(async () => {
    try {
      await client.indices.create({
        index: names.index(kind, version),
        ...(withAliases && { aliases: { [names.read(kind)]: {}, [names.write(kind)]: { is_write_index: true } } }),
      });
    } catch (error) {
      if (!(error instanceof errors.ResponseError) || error.body?.error?.type !== 'resource_already_exists_exception') throw error;
    }
  });
}
