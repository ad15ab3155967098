/** Where a queued job stands, and what it waits for, as it is at this moment: nothing of it is kept. */
import type { JobAnswer } from '../contracts/job-api.ts';
import { queueLimits, type Config } from '../config.ts';
import type { JobRecord } from '../contracts/job.ts';
import type { QueueLimits, QueueStanding } from '../contracts/queue.ts';
import type { Store } from '../store/store.ts';

type Shown = Pick<JobAnswer, 'queue' | 'reason'>;
type WaitsFor = NonNullable<JobAnswer['queue']>['waitsFor'];

/** Empty for a job that waits for no place. */
export async function queueAnswer(store: Store, config: Config, job: JobRecord): Promise<Shown> {
  if (job.state !== 'queued' && !(job.state === 'waiting' && job.cause === 'dependency')) return {};
  const limits = queueLimits(config);
  const standing = await store.queueStanding(job.tenant, job.id, limits, Date.now());
  // A queued job whose turn is paused had a place and did not come for it; one that rests for an answer is told of by its record.
  const states = ['waiting', 'blocked', 'offered', ...(job.state === 'queued' ? ['paused'] : [])];
  const waits = standing && states.includes(standing.entry.state);
  if (!waits || standing.entry.attempt !== job.attempt) return {};
  const { entry, ahead, aheadInTenant, taken, takenByTenant } = standing;
  const waitsFor = reasonFor(standing, limits);
  return {
    queue: {
      position: ahead + 1, positionInTenant: aheadInTenant + 1, waitsFor, since: new Date(entry.since).toISOString(),
      running: taken, maxRunning: limits.all, runningInTenant: takenByTenant, maxRunningInTenant: limits.perTenant,
    },
    reason: textOf(waitsFor, standing),
  };
}

function reasonFor({ entry, laneHolder, taken, takenByTenant }: QueueStanding, limits: QueueLimits): WaitsFor {
  if (entry.state === 'offered' || entry.state === 'paused') return 'worker';
  if (laneHolder !== null) return 'lane';
  if (takenByTenant >= limits.perTenant) return 'tenant';
  return taken >= limits.all ? 'deployment' : 'worker';
}

function textOf(waitsFor: WaitsFor, { entry, ahead, aheadInTenant, taken, takenByTenant, laneHolder }: QueueStanding): string {
  switch (waitsFor) {
    case 'lane': return `Job ${laneHolder} is working on the same source and lane.`;
    case 'tenant': return `${run(takenByTenant, ' of this tenant')}, the most allowed; ${before(aheadInTenant)}.`;
    case 'deployment': return `${run(taken, '')}, the most allowed; ${before(ahead)}.`;
    case 'worker': return entry.state === 'paused' ? 'No worker has answered for it; as soon as one does, it asks for a place, in its turn.' : 'There is a place for it; a worker takes it as soon as one answers.';
  }
}

const run = (jobs: number, whose: string): string => `${jobs} ${jobs === 1 ? 'job' : 'jobs'}${whose} ${jobs === 1 ? 'runs' : 'run'}`;
const before = (jobs: number): string => (jobs === 0 ? 'it is the next' : `${jobs} ${jobs === 1 ? 'is' : 'are'} before it`);
