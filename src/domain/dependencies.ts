/** What the jobs that a job depends on mean for it, and whether names in a list go round in a circle. */
import type { ErrorBody } from '../contracts/errors.ts';
import type { JobState, OnFailure } from '../contracts/job.ts';
import type { PlanVerdict } from '../contracts/plans.ts';

export interface Dependency {
  id: string;
  /** Null: it was deleted. */
  state: JobState | null;
}

/** Names in a sentence; the record is read by people. */
const MOST_NAMED = 3;

/** `dependencies`: those that were not known to be met. One that completed is met, also with failed rows. */
export function judgeDependencies(dependencies: readonly Dependency[], onFailure: OnFailure): PlanVerdict {
  const lost = dependencies.filter(({ state }) => state === null || state === 'failed' || state === 'cancelled');
  const open = dependencies.filter((one) => one.state !== 'completed' && !lost.includes(one));
  if (onFailure === 'run') return verdictOf(open, open.length > 0 ? `It waits for ${named(open)}.` : null);
  // Nothing brings a deleted job back.
  const hopeless = onFailure === 'cancel' ? lost : lost.filter(({ state }) => state === null);
  if (hopeless.length > 0) return { verdict: 'cancel', unmet: [], reason: null, error: lostError(hopeless) };
  const unmet = [...lost, ...open];
  const reasons = [
    open.length > 0 ? `It waits for ${named(open)}.` : '',
    lost.length > 0 ? `${named(lost)} did not complete: it waits for ${lost.length > 1 ? 'retries' : 'a retry'}.` : '',
  ].filter(Boolean).join(' ');
  return verdictOf(unmet, unmet.length > 0 ? reasons : null);
}

const verdictOf = (unmet: readonly Dependency[], reason: string | null): PlanVerdict =>
  ({ verdict: unmet.length > 0 ? 'wait' : 'go', unmet: unmet.map(({ id }) => id), reason, error: null });

/** Nothing is depended on any more. */
export const MET: PlanVerdict = { verdict: 'go', unmet: [], reason: null, error: null };

export interface PlanWait {
  state: 'queued' | 'waiting';
  cause: 'dependency' | null;
  until: string | null;
  reason: string | null;
  /** Milliseconds; null: until it is called. */
  ms: number | null;
}

/** How a job waits that is to run at `runAt` (ISO 8601) and has this verdict; null: it need not. `now` in milliseconds since 1970. */
export function planWait(runAt: string | null, { verdict, reason }: PlanVerdict, now: number): PlanWait | null {
  const due = runAt === null ? 0 : Date.parse(runAt) - now;
  if (due > 0) return { state: 'queued', cause: null, until: runAt, reason: reason === null ? 'It waits for its time.' : `It waits for its time. ${reason}`, ms: due };
  return verdict === 'wait' ? { state: 'waiting', cause: 'dependency', until: null, reason, ms: null } : null;
}

function named(jobs: readonly Dependency[]): string {
  const names = jobs.slice(0, MOST_NAMED).map(({ id }) => id).join(', ');
  const more = jobs.length - MOST_NAMED;
  return `${jobs.length > 1 ? 'jobs' : 'job'} ${names}${more > 0 ? ` and ${more} more` : ''}`;
}

function lostError(lost: readonly Dependency[]): ErrorBody {
  const fates = lost.slice(0, MOST_NAMED).map(({ id, state }) => `${id} ${state === null ? 'was deleted' : state === 'failed' ? 'failed' : 'was cancelled'}`);
  return {
    code: 'dependency_failed', message: `It depends on other jobs, and ${fates.join(', ')}${lost.length > MOST_NAMED ? ', …' : ''}.`,
    remedy: 'Retry those, then this job; or create it again with `onFailure: run`.',
  };
}

/** Names, what others depend on first, otherwise in the order given; or the names of a circle, its first again at the end. */
export function inOrder(entries: ReadonlyMap<string, readonly string[]>): { order: string[] } | { circle: string[] } {
  const order: string[] = [];
  const done = new Set<string>();
  for (const start of entries.keys()) {
    // Walked without recursion: a chain may be as long as a batch is large.
    const path: { name: string; next: Iterator<string> }[] = [];
    const onPath = new Set<string>();
    const enter = (name: string): void => {
      onPath.add(name);
      path.push({ name, next: (entries.get(name) ?? [])[Symbol.iterator]() });
    };
    if (!done.has(start)) enter(start);
    while (path.length > 0) {
      const { name, next } = path.at(-1)!;
      const step = next.next();
      if (step.done) {
        path.pop();
        onPath.delete(name);
        done.add(name);
        order.push(name);
      } else if (onPath.has(step.value)) {
        const names = path.map((one) => one.name);
        return { circle: [...names.slice(names.indexOf(step.value)), step.value] };
      } else if (entries.has(step.value) && !done.has(step.value)) {
        enter(step.value);
      }
    }
  }
  return { order };
}
