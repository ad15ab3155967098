/** The queue, as every adapter of the store keeps it. */
import { describe, expect, it } from 'vitest';
import type { QueueEntry, QueueLimits, QueueRequest } from '../../src/contracts/queue.ts';
import type { Store } from '../../src/store/store.ts';
import { aJob, aLane } from './store-samples.ts';

const T0 = 1_800_000_000_000;
const LIMITS: QueueLimits = { perTenant: 3, all: 20, ageAfterMs: 60_000 };

export function queueConformance(open: () => { store: Store; other: Store }): void {
  const request = (jobId: string, over: Partial<QueueRequest> = {}): QueueRequest => ({
    tenant: 'acme', jobId, attempt: 1, sequence: 1, source: `source of ${jobId}`, lane: 'store', priority: 3, since: T0, ...over,
  });
  /** A job with its record, in the queue. */
  const queued = async (jobId: string, over: Partial<QueueRequest> = {}): Promise<QueueEntry> => {
    const asked = request(jobId, over);
    const { store } = open();
    await store.createJob(aJob(jobId, { tenant: asked.tenant, source: asked.source, lane: asked.lane, attempt: asked.attempt }));
    const entry = await store.enqueue(asked, T0);
    if (!entry) throw new Error(`${jobId} was not taken into the queue`);
    return entry;
  };
  const admit = async (limits: Partial<QueueLimits> = {}, now = T0): Promise<string[]> =>
    (await open().store.admitNext({ ...LIMITS, ...limits }, now)).map(({ jobId }) => jobId);
  const leave = (jobId: string, over: Partial<QueueRequest> = {}) => {
    const { tenant, source, lane, attempt } = request(jobId, over);
    return open().store.leaveQueue({ tenant, source, lane }, jobId, attempt, T0);
  };
  const placed = async (): Promise<string[]> => (await open().store.placesTaken(T0)).map(({ jobId }) => jobId).toSorted();

  describe('the queue', () => {
    it('goes by priority, then by who came first, then by id', async () => {
      for (const [job, priority, since] of [['f', 4, T0 - 9], ['e', 3, T0], ['d', 3, T0], ['c', 3, T0 - 1], ['b', 2, T0 + 5], ['a', 1, T0 + 9]] as const) await queued(job, { priority, since });
      const order: string[] = [];
      for (let taken = 1; taken <= 6; taken++) order.push(...await admit({ perTenant: taken, all: taken }));
      expect(order).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    });

    it('gives no tenant more places than it may have, nor all of them together', async () => {
      for (const tenant of ['acme', 'globex', 'initech']) for (const n of [1, 2, 3]) await queued(`${tenant}-${n}`, { tenant, since: T0 + n });
      expect((await admit({ perTenant: 2, all: 5 })).toSorted()).toEqual(['acme-1', 'acme-2', 'globex-1', 'globex-2', 'initech-1']);
      expect(await admit({ perTenant: 2, all: 5 })).toEqual([]);
      await leave('acme-1');
      expect(await admit({ perTenant: 2, all: 5 })).toEqual(['initech-2']);
    });

    it('counts low work as normal once it has waited long enough', async () => {
      await queued('old-low', { priority: 4, since: T0 - 60_000 });
      await queued('new-low', { priority: 4, since: T0 - 59_999 });
      await queued('normal', { priority: 3, since: T0 - 60_001 });
      await queued('later', { priority: 3, since: T0 });
      const order: string[] = [];
      for (let taken = 1; taken <= 4; taken++) order.push(...await admit({ perTenant: taken }));
      expect(order).toEqual(['normal', 'old-low', 'later', 'new-low']);
    });

    it('is the same when a job asks again, and takes its new priority', async () => {
      await queued('one', { since: T0 });
      await queued('two', { since: T0 + 1 });
      expect(await open().other.enqueue(request('two', { sequence: 2, priority: 1, since: T0 + 50 }), T0 + 50)).toMatchObject({ state: 'waiting', priority: 1, since: T0 + 1 });
      expect(await admit({ all: 1 })).toEqual(['two']);
      // It comes for its place, and again because the answer was lost.
      for (const sequence of [3, 3]) expect(await open().store.enqueue(request('two', { sequence }), T0)).toMatchObject({ state: 'running', generation: 1 });
      expect(await placed()).toEqual(['two']);
    });

    it('gives the job that asks its place at once, others an offer', async () => {
      await queued('one');
      await queued('two');
      const given = await open().store.admitNext(LIMITS, T0, { tenant: 'acme', jobId: 'two' });
      expect(Object.fromEntries(given.map(({ jobId, state }) => [jobId, state]))).toEqual({ one: 'offered', two: 'running' });
    });

    it('takes in nobody that has ended, is gone or is another attempt', async () => {
      const { store } = open();
      await store.createJob(aJob('ended', { state: 'completed' }));
      await store.createJob(aJob('second', { attempt: 2 }));
      for (const job of ['ended', 'second', 'gone']) expect(await store.enqueue(request(job), T0)).toBeNull();
      expect(await admit()).toEqual([]);
    });

    it('keeps the turn of a paused job, and gives its place to the next', async () => {
      const { store } = open();
      await queued('one', { since: T0 });
      await queued('two', { since: T0 + 1 });
      await queued('three', { since: T0 + 2 });
      expect(await admit({ all: 1 })).toEqual(['one']);
      await store.pauseTurn({ tenant: 'acme', jobId: 'one', attempt: 1, sequence: 5 }, T0);
      expect(await admit({ all: 1 })).toEqual(['two']);
      expect(await store.enqueue(request('one', { sequence: 6, since: T0 + 100 }), T0)).toMatchObject({ state: 'waiting', since: T0 });
      await leave('two');
      expect(await admit({ all: 1 })).toEqual(['one']);
    });

    it('is not changed by what comes late', async () => {
      const { store } = open();
      await queued('one', { sequence: 7 });
      await admit();
      await store.pauseTurn({ tenant: 'acme', jobId: 'one', attempt: 1, sequence: 6 }, T0);
      expect(await placed()).toEqual(['one']);
      await store.pauseTurn({ tenant: 'acme', jobId: 'one', attempt: 1, sequence: 8 }, T0);
      expect(await store.enqueue(request('one', { sequence: 7 }), T0)).toMatchObject({ state: 'paused' });
      expect(await placed()).toEqual([]);
    });

    it('puts a new attempt in the place of the one before, whose late end changes nothing', async () => {
      const { store } = open();
      await queued('one');
      await admit();
      const job = await store.getJob('acme', 'one');
      await store.advanceJob('acme', 'one', { attempt: 1, sequence: 9 }, { state: 'failed' });
      await store.requeueJob('acme', 'one', job!.revision + 1, { codes: null });
      expect(await store.enqueue(request('one', { attempt: 2, sequence: 1, since: T0 + 500 }), T0)).toMatchObject({ state: 'waiting', since: T0 + 500 });
      expect(await placed()).toEqual([]);
      expect(await admit()).toEqual(['one']);
      await leave('one');
      expect(await placed()).toEqual(['one']);
      expect(await store.acquireLane({ tenant: 'acme', source: 'source of one', lane: 'store' }, 'x', 1)).toMatchObject({ granted: false, holder: 'one' });
    });

    it('wastes no place on a job whose lane is held, and lets the best of them through when it is free', async () => {
      const lane = { source: 'customers', lane: 'store' };
      await queued('first', { ...lane, since: T0 });
      await queued('second', { ...lane, since: T0 + 1 });
      await queued('third', { ...lane, since: T0 + 2, priority: 2 });
      await queued('other', { since: T0 + 3 });
      expect((await admit({ perTenant: 2 })).toSorted()).toEqual(['other', 'third']);
      const standing = await open().store.queueStanding('acme', 'first', LIMITS, T0);
      expect(standing).toMatchObject({ laneHolder: 'third', taken: 2, takenByTenant: 2 });
      await leave('other');
      expect(await admit({ perTenant: 2 })).toEqual([]);
      expect((await open().store.queueStanding('acme', 'first', LIMITS, T0))?.entry.state).toBe('blocked');
      expect(await leave('third', lane)).toMatchObject({ jobId: 'first', state: 'waiting' });
      expect(await admit({ perTenant: 2 })).toEqual(['first']);
      expect(await leave('first', lane)).toMatchObject({ jobId: 'second' });
      expect((await open().store.admitNext(LIMITS, T0))[0]).toMatchObject({ jobId: 'second', generation: 3 });
    });

    it('takes a lane from a holder that has ended or is gone', async () => {
      const { store } = open();
      await store.acquireLane(aLane(), 'gone', 1);
      await queued('next', { source: 'customers' });
      expect(await store.admitNext(LIMITS, T0)).toMatchObject([{ jobId: 'next', generation: 2 }]);
    });

    it('tells how many come before, of all tenants and of the own', async () => {
      for (const n of [1, 2, 3, 4, 5]) await queued(`mine-${n}`, { since: T0 + n });
      await queued('theirs', { tenant: 'globex', since: T0 });
      await queued('urgent', { tenant: 'globex', since: T0 + 9, priority: 1 });
      expect(await admit({ all: 1 })).toEqual(['urgent']);
      const standing = (job: string) => open().other.queueStanding('acme', job, LIMITS, T0);
      expect(await standing('mine-1')).toMatchObject({ ahead: 1, aheadInTenant: 0, taken: 1, takenByTenant: 0 });
      expect(await standing('mine-5')).toMatchObject({ ahead: 5, aheadInTenant: 4 });
      expect(await standing('none')).toBeNull();
    });

    it('forgets a job with its record', async () => {
      const { store } = open();
      await queued('one');
      await admit();
      while (!(await store.removeJob('acme', 'one')));
      await open().store.admitNext(LIMITS, T0);
      expect((await store.placesTaken(T0 + 3_600_000)).map(({ jobId }) => jobId)).toEqual([]);
      expect(await store.queueStanding('acme', 'one', LIMITS, T0)).toBeNull();
    });

    it('exceeds no limit and admits nobody twice when many ask at once', async () => {
      const jobs = await Promise.all(Array.from({ length: 24 }, (_, n) => queued(`job-${n}`, { tenant: `tenant-${n % 4}`, since: T0 + n })));
      const { store, other } = open();
      const admitted: string[] = [];
      const running = new Set<string>();
      const limits = { ...LIMITS, perTenant: 2, all: 5 };
      while (admitted.length < jobs.length) {
        const given = (await Promise.all([store, other, store, other].map((one) => one.admitNext(limits, T0)))).flat();
        for (const { jobId } of given) {
          admitted.push(jobId);
          running.add(jobId);
        }
        const now = await store.placesTaken(T0);
        expect(now.length).toBeLessThanOrEqual(5);
        for (const [, of] of Map.groupBy(now, ({ tenant }) => tenant)) expect(of.length).toBeLessThanOrEqual(2);
        expect(now.map(({ jobId }) => jobId).toSorted()).toEqual([...running].toSorted());
        const [ends] = now;
        running.delete(ends!.jobId);
        await Promise.all([store, other].map((one) => one.leaveQueue(ends!, ends!.jobId, 1, T0)));
      }
      expect(admitted.toSorted()).toEqual(jobs.map(({ jobId }) => jobId).toSorted());
    });
  });

  describe('open jobs', () => {
    it('are resting while they wait for their turn or another job, and active else', async () => {
      const { store } = open();
      await store.createJob(aJob('new'));
      await store.createJob(aJob('queued', { sequence: 1 }));
      await store.createJob(aJob('asked', { sequence: 1, desired: 'paused' }));
      await store.createJob(aJob('running', { sequence: 1, state: 'running' }));
      await store.createJob(aJob('blocked', { sequence: 1, state: 'waiting', cause: 'dependency' }));
      await store.createJob(aJob('ended', { sequence: 2, state: 'completed' }));
      const ids = async (which: 'active' | 'resting') => (await store.openJobs({ limit: 10 }, which)).items.map(({ id }) => id);
      expect(await ids('active')).toEqual(['asked', 'new', 'running']);
      expect(await ids('resting')).toEqual(['blocked', 'queued']);
    });
  });
}
