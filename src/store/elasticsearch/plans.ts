/** Schedules, batches and actions on many jobs: small documents, each changed by compare-and-set. And what depends on a job. */
import type { estypes } from '@elastic/elasticsearch';
import type { JobRecord } from '../../contracts/job.ts';
import type { BatchRecord, BatchTotals, BulkRecord, PlanKind, PlanRecord, PlanRecords } from '../../contracts/plans.ts';
import { jobCursor, listed, readCursor, tripleCursor } from '../cursor.ts';
import { idempotencyConflict } from '../idempotency.ts';
import type { PlanStore } from '../ports/plans.ts';
import type { ListPage } from '../ports/lists.ts';
import type { Cluster } from './connection.ts';
import { type Decision, documentId, Documents } from './documents.ts';
import { type JobSource, recordOf } from './jobs.ts';
import { blockId, type BlockSource, bodyOf } from './pages.ts';

/** `record` is the whole PlanRecord as JSON; the other fields are drawn from it, so that lists can filter. */
interface PlanSource {
  tenant: string;
  kind: string;
  id: string;
  createdAt: string;
  open: boolean;
  record: string;
}

const sourceOf = (plan: PlanRecord): PlanSource =>
  ({ tenant: plan.tenant, kind: plan.kind, id: plan.id, createdAt: plan.createdAt, open: plan.open, record: JSON.stringify(plan) });
const planId = (tenant: string, kind: PlanKind, id: string): string => documentId(tenant, kind, id);

/** In one answer: a list that is cut goes on with its cursor. */
const MAX_LISTED = 1_000;
/** Members whose records and pages are read at once. */
const MEMBERS_AT_ONCE = 500;

export function planMethods(cluster: Cluster): PlanStore {
  const plans = new Documents<PlanSource>(cluster, 'plans');
  const blocks = new Documents<BlockSource>(cluster, 'pages');

  const find = async <Kind extends PlanKind>(tenant: string, kind: Kind, id: string): Promise<PlanRecords[Kind] | null> => {
    const found = await plans.read(tenant, planId(tenant, kind, id));
    return found === null ? null : (JSON.parse(found.record) as PlanRecords[Kind]);
  };

  const search = async <Source extends { record: string }>(
    kind: 'jobs' | 'plans', tenant: string | null, filter: estypes.QueryDslQueryContainer[], sort: estypes.SortCombinations[], after: readonly string[] | null, limit: number,
  ): Promise<Source[]> => {
    const { hits } = await cluster.search<Source>(kind, tenant, {
      query: { bool: { filter } }, sort, size: limit + 1, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
    });
    return hits.hits.flatMap(({ _source }) => (_source ? [_source] : []));
  };

  const countMembers = async (tenant: string, members: JobRecord[], totals: BatchTotals): Promise<void> => {
    const read = members.filter(({ manifest }) => manifest !== null);
    for (const { state } of members) totals.jobs[state] = (totals.jobs[state] ?? 0) + 1;
    for (const { manifest } of read) totals.rows += manifest?.rows ?? 0;
    totals.unread += members.length - read.length;
    const first = await blocks.readAll(tenant, read.map(({ id }) => blockId(tenant, id, 0)));
    const more = first.flatMap((block) => block === null ? [] : Array.from({ length: bodyOf(block).last }, (_, index) => blockId(tenant, block.job, index + 1)));
    for (const block of [...first, ...(await blocks.readAll(tenant, more))]) {
      for (const { counts } of Object.values(bodyOf(block).pages)) {
        for (const outcome of ['done', 'unchanged', 'failed', 'skipped'] as const) totals[outcome] += counts[outcome];
      }
    }
  };

  return {
    async createPlan<Kind extends PlanKind>(record: PlanRecords[Kind]) {
      for (;;) {
        if (await plans.create(planId(record.tenant, record.kind, record.id), sourceOf(record))) return { record, created: true };
        const existing = await find(record.tenant, record.kind as Kind, record.id);
        if (existing === null) continue; // removed in between
        if (existing.requestHash !== record.requestHash) throw idempotencyConflict();
        return { record: existing, created: false };
      }
    },

    getPlan: find,

    listPlans: async <Kind extends PlanKind>(tenant: string, kind: Kind, page: ListPage) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await search<PlanSource>('plans', tenant, [{ term: { tenant } }, { term: { kind } }], [{ createdAt: 'desc' }, { id: 'desc' }], after, limit);
      return listed(found.map(({ record }) => JSON.parse(record) as PlanRecords[Kind]), limit, ({ createdAt, id }) => [createdAt, id]);
    },

    changePlan: <Kind extends PlanKind>(record: PlanRecords[Kind]) =>
      plans.change(record.tenant, planId(record.tenant, record.kind, record.id), (found): Decision<PlanSource, PlanRecords[Kind] | null> => {
        if (found === null || (JSON.parse(found.record) as PlanRecord).revision !== record.revision) return { answer: null };
        const saved = { ...record, revision: record.revision + 1 };
        return { write: sourceOf(saved), answer: saved };
      }),

    removePlan: (tenant, kind, id) => plans.change(tenant, planId(tenant, kind, id), () => ({ write: null, answer: undefined })),

    openPlans: async (page) => {
      const after = readCursor(page.cursor, tripleCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await search<PlanSource>('plans', null, [{ term: { open: true } }], [{ tenant: 'asc' }, { kind: 'asc' }, { id: 'asc' }], after, limit);
      return listed(found.map(({ record }) => JSON.parse(record) as PlanRecord), limit, ({ tenant, kind, id }) => [tenant, kind, id]);
    },

    closedPlans: async (before, page) => {
      const after = readCursor(page.cursor, tripleCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await search<PlanSource>('plans', null, [
        { term: { open: false } }, { terms: { kind: ['batch', 'bulk'] } }, { range: { createdAt: { lt: before } } },
      ], [{ tenant: 'asc' }, { kind: 'asc' }, { id: 'asc' }], after, limit);
      return listed(found.map(({ record }) => JSON.parse(record) as BatchRecord | BulkRecord), limit, ({ tenant, kind, id }) => [tenant, kind, id]);
    },

    listDependents: async (tenant, job, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const found = await search<JobSource>('jobs', tenant, [{ term: { tenant } }, { term: { dependsOn: job } }], [{ id: 'asc' }], after && [after[1]], limit);
      return listed(found.map(recordOf), limit, ({ id }) => [job, id]);
    },

    batchTotals: async (tenant, batch) => {
      const totals: BatchTotals = { jobs: {}, rows: 0, unread: 0, done: 0, unchanged: 0, failed: 0, skipped: 0 };
      for (let after: [string] | null = null; ;) {
        const found: JobRecord[] = (await search<JobSource>('jobs', tenant, [{ term: { tenant } }, { term: { batch } }], [{ id: 'asc' }], after, MEMBERS_AT_ONCE)).map(recordOf);
        const members = found.slice(0, MEMBERS_AT_ONCE);
        await countMembers(tenant, members, totals);
        if (found.length <= MEMBERS_AT_ONCE) return totals;
        after = [members.at(-1)!.id];
      }
    },
  };
}
