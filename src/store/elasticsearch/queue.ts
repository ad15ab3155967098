/**
 * The queue: a document a job, and one document with the places taken, which decides. A place is taken there first, by
 * compare-and-set, so that no limit is exceeded whoever asks at once; what is then cut off by a crash is found by the
 * reconciler, since the entry of a taken place says otherwise.
 */
import type { estypes } from '@elastic/elasticsearch';
import { isEnded, type JobRecord } from '../../contracts/job.ts';
import type { JobRef } from '../../contracts/messages.ts';
import type { QueueEntry, QueueLimits, QueueState } from '../../contracts/queue.ts';
import { compareTurns, effectivePriority, turns } from '../../domain/queue-order.ts';
import type { QueueStore } from '../ports/queue.ts';
import type { LaneRef } from '../ports/rows.ts';
import type { Cluster } from './connection.ts';
import { type Decision, documentId, Documents } from './documents.ts';
import { acquired, jobId, type JobSource, laneId, type LaneSource, released } from './jobs.ts';

/** Only what is searched by; the entry itself is in `body`. */
export interface TurnSource {
  tenant: string;
  job: string;
  source: string;
  lane: string;
  state: QueueState;
  priority: number;
  since: number;
  /** JSON of the QueueEntry. */
  body: string;
}

export interface PlacesSource {
  tenant: string;
  /** JSON of Place[]. */
  body: string;
}
interface Place extends JobRef {
  attempt: number;
  /** Milliseconds since 1970. */
  takenAt: number;
}

/** The places' document is of no tenant. */
const NOBODY = '-';
const PLACES = documentId('places');
/** A place whose job has still not been told after so long was taken by somebody who crashed. */
const TAKING_MS = 5_000;
/** Entries read at once in search of the next. */
const CANDIDATES = 50;

export const turnId = (tenant: string, job: string): string => documentId(tenant, job);
const entryOf = (source: TurnSource): QueueEntry => JSON.parse(source.body) as QueueEntry;
const placesOf = (source: PlacesSource | null): Place[] => (source === null ? [] : (JSON.parse(source.body) as Place[]));
const isOf = (place: Place, { tenant, jobId }: JobRef): boolean => place.tenant === tenant && place.jobId === jobId;

const sourceOf = (entry: QueueEntry): TurnSource => ({
  tenant: entry.tenant, job: entry.jobId, source: entry.source, lane: entry.lane, state: entry.state, priority: entry.priority, since: entry.since,
  body: JSON.stringify(entry),
});

export function queueMethods(cluster: Cluster): QueueStore {
  const entries = new Documents<TurnSource>(cluster, 'queue');
  const places = new Documents<PlacesSource>(cluster, 'places');
  const lanes = new Documents<LaneSource>(cluster, 'lanes');
  const jobs = new Documents<JobSource>(cluster, 'jobs');

  const jobOf = async (tenant: string, id: string): Promise<JobRecord | null> => {
    const found = await jobs.read(tenant, jobId(tenant, id));
    return found === null ? null : (JSON.parse(found.record) as JobRecord);
  };
  const readPlaces = async (): Promise<Place[]> => placesOf(await places.read(NOBODY, PLACES));

  /** Changes an entry; `decide` answers null to leave it. Answers what was written, else null. */
  const change = (ref: JobRef, decide: (entry: QueueEntry) => QueueEntry | null): Promise<QueueEntry | null> =>
    entries.change(ref.tenant, turnId(ref.tenant, ref.jobId), (found): Decision<TurnSource, QueueEntry | null> => {
      const next = found === null ? null : decide(entryOf(found));
      return next === null ? { answer: null } : { write: sourceOf(next), answer: next };
    });
  const enter = (entry: QueueEntry, from: QueueState, state: QueueState, now: number, generation?: number): Promise<QueueEntry | null> =>
    change(entry, (found) => (found.state !== from || found.attempt !== entry.attempt ? null
      : { ...found, state, changedAt: now, generation: generation ?? found.generation }));

  const takePlace = (entry: QueueEntry, limits: QueueLimits, now: number): Promise<boolean> =>
    places.change(NOBODY, PLACES, (found): Decision<PlacesSource, boolean> => {
      const taken = placesOf(found);
      if (taken.some((place) => isOf(place, entry))) return { answer: true };
      if (taken.length >= limits.all || taken.filter(({ tenant }) => tenant === entry.tenant).length >= limits.perTenant) return { answer: false };
      const place: Place = { tenant: entry.tenant, jobId: entry.jobId, attempt: entry.attempt, takenAt: now };
      return { write: { tenant: NOBODY, body: JSON.stringify([...taken, place]) }, answer: true };
    });
  const freePlace = (ref: JobRef, attempt: number): Promise<void> =>
    places.change(NOBODY, PLACES, (found): Decision<PlacesSource, void> => {
      const taken = placesOf(found);
      const left = taken.filter((place) => !isOf(place, ref) || place.attempt > attempt);
      return left.length === taken.length ? { answer: undefined } : { write: { tenant: NOBODY, body: JSON.stringify(left) }, answer: undefined };
    });

  const acquireLane = (entry: QueueEntry, over: string | null = null) =>
    lanes.change(entry.tenant, laneId(entry), (found) => acquired(entry, found, entry.jobId, entry.attempt, over));
  /** Null: another job works on it. A holder that has ended, or is gone, works no more. */
  const takeLane = async (entry: QueueEntry): Promise<number | null> => {
    let answer = await acquireLane(entry);
    if (!answer.granted && answer.holder !== entry.jobId) {
      const holder = await jobOf(entry.tenant, answer.holder);
      if (!holder || isEnded(holder.state)) answer = await acquireLane(entry, answer.holder);
    }
    return answer.granted ? answer.generation : null;
  };
  const holderOf = async (lane: LaneRef): Promise<string | null> => (await lanes.read(lane.tenant, laneId(lane)))?.holder ?? null;

  const read = async (tenant: string, job: string): Promise<QueueEntry | null> => {
    const source = await entries.read(tenant, turnId(tenant, job));
    return source === null ? null : entryOf(source);
  };

  const found = async (tenant: string | null, query: estypes.QueryDslBoolQuery): Promise<QueueEntry[]> => {
    const { hits } = await cluster.search<TurnSource>('queue', tenant, {
      query: { bool: query }, sort: [{ since: 'asc' }, { job: 'asc' }], size: CANDIDATES, track_total_hits: false,
    });
    return hits.hits.flatMap(({ _source }) => (_source ? [entryOf(_source)] : []));
  };

  /** Those that wait and are not in `passed`, of tenants that are not full: all of them, or some, the first of which is the next. */
  const waitingNow = async (full: string[], passed: string[], agedSince: number): Promise<{ entries: QueueEntry[]; all: boolean }> => {
    const waiting = { filter: [{ term: { state: 'waiting' } }], must_not: [{ terms: { tenant: full } }, { terms: { job: passed } }] };
    // Mostly few wait, or nobody does: then these are all of them.
    const oldest = await found(null, waiting);
    if (oldest.length < CANDIDATES) return { entries: oldest.toSorted((a, b) => compareTurns(a, b, agedSince)), all: true };
    for (const pieces of turns(agedSince)) {
      const candidates = await found(null, { ...waiting, minimum_should_match: 1, should: pieces.map((piece) => pieceQuery(piece)) });
      if (candidates.length > 0) return { entries: candidates, all: false };
    }
    return { entries: [], all: false };
  };

  return {
    async enqueue(request, now) {
      const job = await jobOf(request.tenant, request.jobId);
      if (!job || isEnded(job.state) || job.attempt !== request.attempt) return null;
      const entry = await entries.change(request.tenant, turnId(request.tenant, request.jobId), (source): Decision<TurnSource, QueueEntry> => {
        const before = source === null ? null : entryOf(source);
        if (!before || before.attempt < request.attempt) {
          const fresh: QueueEntry = { ...request, state: 'waiting', generation: 0, changedAt: now };
          return { write: sourceOf(fresh), answer: fresh };
        }
        if (before.attempt > request.attempt || before.sequence > request.sequence) return { answer: before };
        // What was blocked is looked at again: its turn may be another now.
        const state = before.state === 'offered' || before.state === 'running' ? 'running' : 'waiting';
        const after: QueueEntry = { ...before, sequence: request.sequence, priority: request.priority, state, changedAt: state === before.state ? before.changedAt : now };
        return { write: sourceOf(after), answer: after };
      });
      if (request.attempt > 1) await freePlace(request, request.attempt - 1);
      return entry;
    },

    async admitNext(limits, now, asking) {
      const agedSince = now - limits.ageAfterMs;
      const given: QueueEntry[] = [];
      const passed: string[] = [];
      let waiting: Awaited<ReturnType<typeof waitingNow>> | undefined;
      for (;;) {
        const taken = await readPlaces();
        if (taken.length >= limits.all) return given;
        const full = [...Map.groupBy(taken, ({ tenant }) => tenant)].filter(([, of]) => of.length >= limits.perTenant).map(([tenant]) => tenant);
        // Who comes after a look at all gives out places too.
        if (!waiting?.all) waiting = await waitingNow(full, passed, agedSince);
        const entry = waiting.entries.find(({ tenant, jobId }) => !full.includes(tenant) && !passed.includes(jobId));
        if (!entry) return given;
        passed.push(entry.jobId);
        if (!(await takePlace(entry, limits, now))) continue;
        const generation = await takeLane(entry);
        if (generation === null) {
          await freePlace(entry, entry.attempt);
          const blocked = await enter(entry, 'waiting', 'blocked', now);
          // The lane was perhaps freed before anybody could see who is blocked by it.
          if (blocked && (await holderOf(entry)) === null) await enter(blocked, 'blocked', 'waiting', now);
          continue;
        }
        const asks = asking?.jobId === entry.jobId && asking.tenant === entry.tenant;
        const admitted = await enter(entry, 'waiting', asks ? 'running' : 'offered', now, generation);
        if (!admitted) await giveBack(entry);
        // It took so long that the place was thought lost, and others have it.
        else if (!(await takePlace(entry, limits, now))) await enter(admitted, admitted.state, 'waiting', now);
        else given.push(admitted);
      }
    },

    async pauseTurn(at, now) {
      const paused = await change(at, (entry) => (entry.attempt !== at.attempt || entry.sequence > at.sequence ? null
        : { ...entry, sequence: at.sequence, state: 'paused', changedAt: entry.state === 'paused' ? entry.changedAt : now }));
      if (paused) await freePlace(at, at.attempt);
    },

    async leaveQueue(lane, job, attempt, now) {
      const { tenant } = lane;
      await entries.change(tenant, turnId(tenant, job), (source): Decision<TurnSource, void> =>
        (source !== null && entryOf(source).attempt <= attempt ? { write: null, answer: undefined } : { answer: undefined }));
      await freePlace({ tenant, jobId: job }, attempt);
      await lanes.change(tenant, laneId(lane), (held) => released(held, job, attempt));
      if ((await holderOf(lane)) !== null) return null;
      const blocked = await found(tenant, { filter: [{ term: { tenant } }, { term: { state: 'blocked' } }, { term: { source: lane.source } }, { term: { lane: lane.lane } }] });
      const [first] = blocked.toSorted((a, b) => compareTurns(a, b, -Infinity));
      return first ? enter(first, 'blocked', 'waiting', now) : null;
    },

    queueEntry: read,

    async queueStanding(tenant, job, limits, now) {
      const entry = await read(tenant, job);
      if (entry === null) return null;
      const agedSince = now - limits.ageAfterMs;
      const mine = effectivePriority(entry.priority, entry.since, agedSince);
      const before = turns(agedSince).flat().flatMap((piece) => {
        const theirs = effectivePriority(piece.priority, piece.until, agedSince);
        if (theirs > mine) return [];
        return theirs < mine ? [pieceQuery(piece)] : [{ bool: { filter: [pieceQuery(piece), earlier(entry)] } }];
      });
      const [{ hits, aggregations }, taken, holder] = await Promise.all([
        cluster.search<TurnSource>('queue', null, {
          query: { bool: { filter: [{ term: { state: 'waiting' } }], should: before, minimum_should_match: 1 } }, size: 0, track_total_hits: true,
          aggs: { mine: { filter: { term: { tenant } } } },
        }),
        readPlaces(), holderOf(entry),
      ]);
      const inTenant = aggregations?.['mine'] as estypes.AggregationsFilterAggregate | undefined;
      return {
        entry, ahead: typeof hits.total === 'object' ? hits.total.value : 0, aheadInTenant: inTenant?.doc_count ?? 0,
        taken: taken.length, takenByTenant: taken.filter((place) => place.tenant === tenant).length, laneHolder: holder === job ? null : holder,
      };
    },

    async placesTaken(now) {
      const taken = await readPlaces();
      const found = await Promise.all(taken.map(async (place) => {
        const entry = await read(place.tenant, place.jobId);
        if (entry && (entry.state === 'offered' || entry.state === 'running') && entry.attempt === place.attempt) return entry;
        if (now - place.takenAt > TAKING_MS) await freePlace(place, place.attempt);
        return [];
      }));
      return found.flat();
    },
  };

  /** Somebody changed the entry while it was being admitted: it is admitted already, or gone, or paused. */
  async function giveBack(entry: QueueEntry): Promise<void> {
    const now = await read(entry.tenant, entry.jobId);
    if (now?.state === 'offered' || now?.state === 'running') return;
    await freePlace(entry, entry.attempt);
    // A job that was admitted before keeps its lane over a pause.
    if (!now || now.generation === 0) await lanes.change(entry.tenant, laneId(entry), (held) => released(held, entry.jobId, entry.attempt));
  }
}

const pieceQuery = ({ priority, after, until }: { priority: number; after: number; until: number }): estypes.QueryDslQueryContainer => ({
  bool: { filter: [
    { term: { priority } },
    ...(Number.isFinite(after) || Number.isFinite(until) ? [{ range: { since: { ...(Number.isFinite(after) && { gt: after }), ...(Number.isFinite(until) && { lte: until }) } } }] : []),
  ] },
});

const earlier = ({ since, jobId }: QueueEntry): estypes.QueryDslQueryContainer => ({
  bool: { minimum_should_match: 1, should: [{ range: { since: { lt: since } } }, { bool: { filter: [{ term: { since } }, { range: { job: { lt: jobId } } }] } }] },
});
