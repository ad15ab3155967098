/** Removing a job, a bounded step a call, the record last: whoever finds it goes on. Found by search, removed in bulk. */
import type { estypes } from '@elastic/elasticsearch';
import { jobBudget } from '../../contracts/budget.ts';
import type { JobRecord } from '../../contracts/job.ts';
import { ownsSource } from '../job-records.ts';
import type { Store } from '../store.ts';
import { type BudgetSource, budgetId } from './budgets.ts';
import { bulk } from './bulk.ts';
import type { Cluster } from './connection.ts';
import { Documents } from './documents.ts';
import { jobId, type JobSource, type KeySource, laneId, type LaneSource, released } from './jobs.ts';
import { type BlockSource, blockId, countBlocks, type EventsSource, eventsId } from './pages.ts';
import { turnId, type TurnSource } from './queue.ts';
import type { Kind } from './schema.ts';

/** Documents removed in one step. */
const STEP = 5_000;

/** Those that a query finds, at most a step of them; false while there is more. */
export async function removeMatching(cluster: Cluster, kind: Kind, tenant: string, query: estypes.QueryDslBoolQuery): Promise<boolean> {
  const { hits } = await cluster.search(kind, tenant, { query: { bool: query }, sort: ['_doc'], size: STEP, _source: false, track_total_hits: false });
  await bulk(cluster, hits.hits.flatMap(({ _id }) => (_id === undefined ? [] : [{ kind, tenant, id: _id, source: null }])));
  return hits.hits.length < STEP;
}

export function removal(cluster: Cluster): Store['removeJob'] {
  const jobs = new Documents<JobSource>(cluster, 'jobs');
  const keys = new Documents<KeySource>(cluster, 'idempotency-keys');
  const lanes = new Documents<LaneSource>(cluster, 'lanes');
  const queue = new Documents<TurnSource>(cluster, 'queue');
  const budgets = new Documents<BudgetSource>(cluster, 'budgets');
  const blocks = new Documents<BlockSource>(cluster, 'pages');
  const logs = new Documents<EventsSource>(cluster, 'events');

  const removeFound = (kind: Kind, tenant: string, terms: Record<string, string>): Promise<boolean> =>
    removeMatching(cluster, kind, tenant, { filter: Object.entries({ tenant, ...terms }).map(([field, value]) => ({ term: { [field]: value } })) });

  return async (tenant, id) => {
    const found = await jobs.read(tenant, jobId(tenant, id));
    if (found === null) return true;
    const job = JSON.parse(found.record) as JobRecord;
    const { source, lane } = job;
    const alone = ownsSource(job);

    if (alone && !((await removeFound('items', tenant, { source })) && (await removeFound('intents', tenant, { source })))) return false;
    if (!(await removeFound('failed-rows', tenant, { job: id }))) return false;
    if (!(await removeFound('deliveries', tenant, { job: id }))) return false;
    // The first block says how many there are, so it goes last.
    for (let block = (await countBlocks(blocks, tenant, id)) - 1; block >= 0; block--) {
      await blocks.change(tenant, blockId(tenant, id, block), () => ({ write: null, answer: undefined }));
    }
    await logs.change(tenant, eventsId(tenant, id), () => ({ write: null, answer: undefined }));
    if (found.idempotency !== null) await keys.change(tenant, found.idempotency, () => ({ write: null, answer: undefined }));
    await budgets.change(tenant, budgetId(tenant, jobBudget(id)), () => ({ write: null, answer: undefined }));
    await queue.change(tenant, turnId(tenant, id), () => ({ write: null, answer: undefined }));
    if (alone) await removeFound('lanes', tenant, { source });
    else await lanes.change(tenant, laneId({ tenant, source, lane }), (held) => released(held, id, Infinity));
    await jobs.change(tenant, jobId(tenant, id), () => ({ write: null, answer: undefined }));
    return true;
  };
}
