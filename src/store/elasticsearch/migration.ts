/**
 * Moving data to this version's schema: each kind that is behind is copied into a new index, by point in time and bulk,
 * and then all aliases switch at once. While it runs the old indices take no writes, so whatever still runs on them waits
 * (`store_unavailable`) and goes on after the switch. It may be stopped at any moment and started again: what has
 * been copied is not copied again. The old indices stay, for whoever wants to go back.
 */
import type { estypes } from '@elastic/elasticsearch';
import { SheafError } from '../../contracts/errors.ts';
import { bulk } from './bulk.ts';
import { Cluster, type ElasticsearchOptions } from './connection.ts';
import { createIndex, currentIndices, putTemplates, tooNew } from './indices.ts';
import { ALL_KINDS, type Kind, SCHEMA_VERSION } from './schema.ts';

export interface MigrationStep {
  kind: Kind;
  from: string;
  fromSchema: number;
  to: string;
  documents: number;
}

export interface Migration {
  /** What has to move; empty where everything is of this version. Rejects with `schema_too_new`. */
  plan(): Promise<MigrationStep[]>;
  /** Carries out a plan. `copied` is told of each batch, with the documents of the step that are in the new index. */
  apply(steps: MigrationStep[], copied: (step: MigrationStep, documents: number) => void): Promise<void>;
  close(): Promise<void>;
}

/** Documents read at once: rows are some kilobytes each. */
const BATCH = 500;
const KEEP_ALIVE = '5m';

/** What the documents' guards are made of. */
interface Guarded {
  tenant: string;
  /** Items and failed rows. A version of that size would not survive JavaScript's numbers; this text does. */
  fence?: string;
}

export function openMigration(options: ElasticsearchOptions): Migration {
  const cluster = new Cluster(options);
  const { client, names } = cluster;

  const count = async (index: string): Promise<number> => (await cluster.call(() => client.count({ index }))).count;

  /** Ids of the batch that the new index does not have. */
  const missingOf = async (to: string, hits: estypes.SearchHit<Guarded>[]): Promise<Set<string>> => {
    const { docs } = await cluster.call(() => client.mget({
      index: to, _source: false, docs: hits.map(({ _id, _source }) => ({ _id: _id ?? '', routing: _source?.tenant ?? '' })),
    }));
    return new Set(docs.filter((doc) => !('found' in doc && doc.found)).map(({ _id }) => _id));
  };

  const copy = async (step: MigrationStep, copied: (documents: number) => void): Promise<void> => {
    const { id } = await cluster.call(() => client.openPointInTime({ index: step.from, keep_alive: KEEP_ALIVE }));
    let after: estypes.SortResults | undefined;
    for (let done = 0; ;) {
      const { hits: { hits } } = await cluster.call(() => client.search<Guarded>({
        pit: { id, keep_alive: KEEP_ALIVE }, sort: ['_shard_doc'], size: BATCH, allow_partial_search_results: false, version: true, track_total_hits: false, ...(after !== undefined && { search_after: after }),
      }));
      if (hits.length === 0) break;
      const missing = await missingOf(step.to, hits);
      const outcomes = await bulk(cluster, hits.flatMap(({ _id, _source, _version }) => (_id === undefined || _source === undefined || !missing.has(_id) ? [] : [{
        kind: step.kind, into: step.to, tenant: _source.tenant, id: _id, fence: BigInt(_source.fence ?? _version ?? 1), source: JSON.stringify(_source),
      }])));
      const refused = outcomes.find(({ outcome }) => outcome === 'refused');
      if (refused?.outcome === 'refused') {
        throw new SheafError('store_refused', `The new index ${step.to} does not take a document (${refused.type}).`, { remedy: 'Nothing was switched; Sheaf goes on with the old index once its write block is lifted.' });
      }
      done += hits.length;
      copied(done);
      after = hits.at(-1)?.sort;
    }
    await cluster.call(() => client.closePointInTime({ id }));
    await cluster.call(() => client.indices.refresh({ index: step.to }));
    const [before, now] = [await count(step.from), await count(step.to)];
    if (before !== now) {
      throw new SheafError('store_refused', `${step.from} has ${before} documents, ${step.to} has ${now}.`, { remedy: 'Nothing was switched. Delete the new index and run this again.' });
    }
  };

  return {
    async plan() {
      const current = await currentIndices(cluster);
      const steps: MigrationStep[] = [];
      for (const kind of ALL_KINDS) {
        const found = current.get(kind);
        if (found === undefined || found.schema === SCHEMA_VERSION) continue;
        if (found.schema > SCHEMA_VERSION) throw tooNew(found.index, found.schema);
        await cluster.refresh(kind);
        steps.push({ kind, from: found.index, fromSchema: found.schema, to: names.index(kind, SCHEMA_VERSION), documents: await count(found.index) });
      }
      return steps;
    },

    async apply(steps, copied) {
      if (steps.length === 0) return;
      await putTemplates(cluster);
      for (const step of steps) {
        await createIndex(cluster, step.kind, SCHEMA_VERSION, false);
        await cluster.call(() => client.indices.addBlock({ index: step.from, block: 'write' }));
        await cluster.refresh(step.kind);
        await copy(step, (documents) => copied(step, documents));
      }
      await cluster.call(() => client.indices.updateAliases({
        actions: steps.flatMap(({ kind, from, to }) => [
          { remove: { index: from, aliases: [names.read(kind), names.write(kind)] } },
          { add: { index: to, alias: names.read(kind) } },
          { add: { index: to, alias: names.write(kind), is_write_index: true } },
        ]),
      }));
    },

    close: () => client.close(),
  };
}
