/** Job records, idempotency keys and lanes: small documents, each changed by compare-and-set. */
import type { estypes } from '@elastic/elasticsearch';
import { isEnded, type JobRecord } from '../../contracts/job.ts';
import { changedJob, requeuedJob } from '../job-records.ts';
import { jobCursor, listed, readCursor } from '../cursor.ts';
import { idempotencyConflict } from '../idempotency.ts';
import type { JobStore } from '../ports/jobs.ts';
import type { LaneRef } from '../ports/rows.ts';
import type { Cluster } from './connection.ts';
import { type Decision, documentId, Documents } from './documents.ts';

/** `record` is the whole JobRecord as JSON; the other fields are drawn from it, so that lists can filter. */
export interface JobSource {
  tenant: string;
  id: string;
  createdAt: string;
  kind: string;
  source: string;
  state: string;
  tags: string[];
  open: boolean;
  /** ISO 8601; documents of the first schema have none. */
  endedAt?: string | null;
  batch: string | null;
  dependsOn: string[];
  /** Nothing has to be done about it: it waits for its turn, or for another job. */
  resting: boolean;
  record: string;
  /** Id of the document of the key that the job was created under; null without one. */
  idempotency: string | null;
}

/**
 * A key is claimed first, with the whole job in `pending`; then the job is created, then `pending` is emptied. Whoever
 * finds a pending key finishes what its claimer perhaps no longer can. A key that is not pending and whose job is gone is
 * about to be removed with it.
 */
export interface KeySource {
  tenant: string;
  requestHash: string;
  job: string;
  pending: string | null;
}

export interface LaneSource {
  tenant: string;
  source: string;
  lane: string;
  generation: number;
  holder: string | null;
  attempt: number;
}

type LaneAnswer = Awaited<ReturnType<JobStore['acquireLane']>>;

export const jobId = (tenant: string, id: string): string => documentId(tenant, id);
export const laneId = ({ tenant, source, lane }: LaneRef): string => documentId(tenant, source, lane);

/** What records of schema version 1 lack. */
const NO_PLAN: Pick<JobRecord, 'runAt' | 'dependsOn' | 'onFailure' | 'batch' | 'schedule'> = { runAt: null, dependsOn: [], onFailure: 'cancel', batch: null, schedule: null };

export const recordOf = (source: Pick<JobSource, 'record'>): JobRecord => ({ ...NO_PLAN, ...(JSON.parse(source.record) as JobRecord) });

const sourceOf = (job: JobRecord, idempotency: string | null): JobSource => ({
  tenant: job.tenant, id: job.id, createdAt: job.createdAt, kind: job.kind, source: job.source, state: job.state, tags: job.tags,
  open: !isEnded(job.state) || job.desired === 'deleted',
  resting: job.desired === null && job.sequence > 0 && (job.state === 'queued' || (job.state === 'waiting' && job.cause === 'dependency')),
  batch: job.batch, dependsOn: job.dependsOn, endedAt: job.completedAt, record: JSON.stringify(job), idempotency,
});

/** More would not fit into one answer in every case; a list that is cut goes on with its cursor. */
const MAX_LISTED = 1_000;

export function jobMethods(cluster: Cluster): Omit<JobStore, 'removeJob'> {
  const jobs = new Documents<JobSource>(cluster, 'jobs');
  const keys = new Documents<KeySource>(cluster, 'idempotency-keys');
  const lanes = new Documents<LaneSource>(cluster, 'lanes');

  const find = async (tenant: string, id: string): Promise<JobRecord | null> => {
    const found = await jobs.read(tenant, jobId(tenant, id));
    return found === null ? null : recordOf(found);
  };

  const create = async (job: JobRecord, key: string | null): Promise<{ job: JobRecord; created: boolean }> => {
    for (;;) {
      if (await jobs.create(jobId(job.tenant, job.id), sourceOf(job, key))) return { job, created: true };
      const existing = await find(job.tenant, job.id);
      // Null: removed in between.
      if (existing !== null) return { job: existing, created: false };
    }
  };

  const createUnderKey = async (job: JobRecord, { key, requestHash }: { key: string; requestHash: string }): Promise<{ job: JobRecord; created: boolean }> => {
    const id = documentId(job.tenant, key);
    for (;;) {
      const mine: KeySource = { tenant: job.tenant, requestHash, job: job.id, pending: JSON.stringify(job) };
      const claimed = await keys.create(id, mine);
      const claim = claimed ? mine : await keys.read(job.tenant, id);
      if (claim === null) continue;
      if (claim.requestHash !== requestHash) throw idempotencyConflict();
      if (claim.pending === null) {
        const existing = await find(job.tenant, claim.job);
        if (existing !== null) return { job: existing, created: false };
        // The job is gone: its key goes with it.
        await keys.change(job.tenant, id, (found) => (found?.job === claim.job && found.pending === null ? { write: null, answer: null } : { answer: null }));
        continue;
      }
      const answer = await create(JSON.parse(claim.pending) as JobRecord, id);
      await keys.change(job.tenant, id, (found) => (found?.pending === claim.pending ? { write: { ...found, pending: null }, answer: null } : { answer: null }));
      // Whoever claimed the key created the job, even where somebody else did it in its place.
      return { job: answer.job, created: claimed };
    }
  };

  /** Applies a change to the record; `decide` answers null to leave it. */
  const changeRecord = <Answer>(tenant: string, id: string, decide: (job: JobRecord | null) => { next: JobRecord | null; answer: (saved: JobRecord | null) => Answer }): Promise<Answer> =>
    jobs.change(tenant, jobId(tenant, id), (found): Decision<JobSource, Answer> => {
      const { next, answer } = decide(found === null ? null : recordOf(found));
      if (next === null || found === null) return { answer: answer(null) };
      const saved = { ...next, revision: next.revision + 1, updatedAt: new Date().toISOString() };
      return { write: sourceOf(saved, found.idempotency), answer: answer(saved) };
    });

  const list = async (tenant: string | null, filter: estypes.QueryDslQueryContainer[], sort: estypes.SortCombinations[], after: readonly string[] | null, limit: number): Promise<JobRecord[]> => {
    const { hits } = await cluster.search<JobSource>('jobs', tenant, {
      query: { bool: { filter } }, sort, size: limit + 1, _source: ['record'], track_total_hits: false, ...(after !== null && { search_after: [...after] }),
    });
    return hits.hits.flatMap(({ _source }) => (_source ? [recordOf(_source)] : []));
  };

  return {
    createJob: (job, idempotency) => (idempotency ? createUnderKey(job, idempotency) : create(job, null)),

    getJob: find,

    listJobs: async (tenant, filter, page) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      const terms: estypes.QueryDslQueryContainer[] = [{ term: { tenant } }];
      if (filter.state) terms.push({ terms: { state: filter.state } });
      if (filter.kind !== undefined) terms.push({ term: { kind: filter.kind } });
      if (filter.source !== undefined) terms.push({ term: { source: filter.source } });
      if (filter.tag !== undefined) terms.push({ term: { tags: filter.tag } });
      if (filter.batch !== undefined) terms.push({ term: { batch: filter.batch } });
      return listed(await list(tenant, terms, [{ createdAt: 'desc' }, { id: 'desc' }], after, limit), limit, (job) => [job.createdAt, job.id]);
    },

    changeJob: (tenant, id, revision, change) => changeRecord(tenant, id, (job) => {
      const next = job?.revision !== revision ? null : changedJob(job, change);
      return { next, answer: (saved) => saved };
    }),

    requeueJob: (tenant, id, revision, retry) => changeRecord(tenant, id, (job) => {
      const next = job?.revision !== revision ? null : requeuedJob(job, retry);
      return { next, answer: (saved) => saved };
    }),

    advanceJob: (tenant, id, at, patch) => changeRecord(tenant, id, (job) => {
      const later = job !== null && (at.attempt > job.attempt || (at.attempt === job.attempt && at.sequence > job.sequence));
      return { next: later ? { ...job, ...patch, ...at } : null, answer: (saved) => saved !== null };
    }),

    openJobs: async (page, which) => {
      const after = readCursor(page.cursor, jobCursor);
      const limit = Math.min(page.limit, MAX_LISTED);
      // The reconciler's list is the one that belongs to no tenant.
      const resting: estypes.QueryDslQueryContainer = { term: { resting: true } };
      const also = which === undefined ? [] : which === 'resting' ? [resting] : [{ bool: { must_not: resting } }];
      const found = await list(null, [{ term: { open: true } }, ...also], [{ tenant: 'asc' }, { id: 'asc' }], after, limit);
      return listed(found, limit, (job) => [job.tenant, job.id]);
    },

    acquireLane: (lane, job, attempt) => lanes.change(lane.tenant, laneId(lane), (found) => acquired(lane, found, job, attempt)),
  };
}

/** What becomes of a lane that a job asks for. `over`: a holder that works no more, whose lane may be taken. */
export function acquired(
  { tenant, source, lane }: LaneRef, found: LaneSource | null, job: string, attempt: number, over: string | null = null,
): Decision<LaneSource, LaneAnswer> {
  if (found?.holder === job && found.attempt === attempt) return { answer: { granted: true, generation: found.generation, holder: job } };
  // Free, or held by an earlier attempt of the same job. A late question of an earlier attempt gets nothing.
  const available = !found?.holder || found.holder === over || (found.holder === job && found.attempt < attempt);
  if (!available) return { answer: { granted: false, generation: found.generation, holder: found.holder ?? job } };
  const generation = (found?.generation ?? 0) + 1;
  return { write: { tenant, source, lane, generation, holder: job, attempt }, answer: { granted: true, generation, holder: job } };
}

/** Gives the lane back, unless another job or a later attempt holds it. */
export const released = (found: LaneSource | null, job: string, attempt: number): Decision<LaneSource, void> =>
  (found?.holder === job && found.attempt <= attempt ? { write: { ...found, holder: null }, answer: undefined } : { answer: undefined });
