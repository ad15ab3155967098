/** What `sheaf system check` looks at in a cluster. */
import { errors } from '@elastic/elasticsearch';
import { SheafError } from '../../contracts/errors.ts';
import type { Probe } from '../../contracts/probe.ts';
import { Cluster, type ElasticsearchOptions } from './connection.ts';
import { currentIndices, tooNew } from './indices.ts';
import { ALL_KINDS, SCHEMA_VERSION } from './schema.ts';

/** The oldest server that is tested. */
const OLDEST_MAJOR = 9;
/** What the user or key must be allowed. */
const RIGHTS = { cluster: ['monitor', 'manage_index_templates'], index: ['read', 'write', 'maintenance', 'view_index_metadata', 'create_index', 'manage'] } as const;

/** The first one fails where nothing answers. `close` ends the connection. */
export function elasticsearchProbes(options: ElasticsearchOptions): { probes: Probe[]; close(): Promise<void> } {
  const cluster = new Cluster(options);
  const { client, names } = cluster;
  const pattern = `${names.prefix}-*`;
  const probes: Probe[] = [
    {
      name: 'Elasticsearch',
      async look() {
        const { version } = await cluster.call(() => client.info());
        if (Number(version.number.split('.')[0]) < OLDEST_MAJOR) {
          throw new SheafError('store_unavailable', `Elasticsearch is version ${version.number}.`, { remedy: `Use version ${OLDEST_MAJOR} or later.` });
        }
        return `version ${version.number}`;
      },
    },
    {
      name: 'Elasticsearch health',
      async look() {
        const { status, number_of_data_nodes: nodes } = await cluster.call(() => client.cluster.health());
        if (status === 'red') throw new SheafError('store_unavailable', 'The cluster is red: shards are missing.', { remedy: '`GET _cluster/allocation/explain` says why. Jobs wait until they are back.' });
        return `${status}, ${nodes} data ${nodes === 1 ? 'node' : 'nodes'}`;
      },
    },
    {
      name: 'Elasticsearch rights',
      async look() {
        const missing = await missingRights(cluster, pattern);
        if (missing === null) return 'the cluster has no access control';
        if (missing.length === 0) return `all that is needed on ${pattern}`;
        throw new SheafError('store_unavailable', `The user or key lacks ${missing.join(', ')}.`, {
          remedy: `Give it ${RIGHTS.cluster.join(', ')} on the cluster, and ${RIGHTS.index.join(', ')} on ${pattern}.`,
        });
      },
    },
    {
      name: 'Elasticsearch indices',
      async look() {
        const current = await currentIndices(cluster);
        for (const { index, schema } of current.values()) {
          if (schema > SCHEMA_VERSION) throw tooNew(index, schema);
          if (schema < SCHEMA_VERSION) throw new SheafError('schema_outdated', `${index} has schema version ${schema}; ${SCHEMA_VERSION} is needed.`, { remedy: 'Run `sheaf store migrate`.' });
        }
        const missing = ALL_KINDS.filter((kind) => !current.has(kind));
        if (missing.length === ALL_KINDS.length) return `none of ${pattern} yet; they are made at the start`;
        if (missing.length > 0) {
          throw new SheafError('store_unavailable', `Indices are missing: ${missing.map((kind) => names.read(kind)).join(', ')}.`, {
            remedy: 'Restore the backup if they were deleted; a start makes them anew, and empty.',
          });
        }
        return `${current.size} of ${pattern}, schema version ${SCHEMA_VERSION}`;
      },
    },
    {
      name: 'Elasticsearch writing',
      async look() {
        const settings = await cluster.call(() => client.indices.getSettings({ index: pattern, name: 'index.blocks.*', flat_settings: true, allow_no_indices: true }));
        const blocked = Object.entries(settings).filter(([, index]) => Object.values(index.settings ?? {}).some((value) => String(value) === 'true')).map(([index]) => index);
        if (blocked.length === 0) return 'no index is read-only';
        throw new SheafError('store_unavailable', `Indices are read-only: ${blocked.join(', ')}.`, {
          remedy: 'Free disk space on the cluster: the block is lifted by itself. One that an operator set must be lifted by hand.',
        });
      },
    },
  ];
  return { probes, close: () => client.close() };
}

/** Null: the cluster has no access control. */
async function missingRights(cluster: Cluster, pattern: string): Promise<string[] | null> {
  const answer = await cluster.call(async () => {
    try {
      return await cluster.client.security.hasPrivileges({ cluster: [...RIGHTS.cluster], index: [{ names: [pattern], privileges: [...RIGHTS.index] }] });
    } catch (error) {
      // Without security there is nobody at this address.
      if (error instanceof errors.ResponseError && [400, 404, 405].includes(error.statusCode ?? 0)) return null;
      throw error;
    }
  });
  if (answer === null) return null;
  const granted = { ...answer.cluster, ...answer.index[pattern] };
  return Object.entries(granted).filter(([, has]) => !has).map(([right]) => right);
}
