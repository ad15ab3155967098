import type { LimitState, LimitWorker } from '../contracts/limits.ts';

/** Where there are fewer places than workers, they take turns of so long. */
const TURN_MS = 2_000;

const demandOf = ({ running, waiting }: LimitWorker): number => running + waiting;

/**
 * How many calls the worker may have under way: an even share of the places, and what others leave of theirs. What
 * others hold, or may still go by because they have not yet asked again, is not handed out.
 */
export function sharePlaces({ rule, workers }: LimitState, id: string, now: number): number {
  const { concurrency } = rule;
  const me = workers[id];
  if (concurrency === null || !me) return 0;
  let free = concurrency;
  for (const [other, { places, holds }] of Object.entries(workers)) if (other !== id) free -= Math.max(places, holds);
  return Math.max(0, Math.min(demandOf(me), shareOf(workers, id, concurrency, now), free));
}

/** Filled like water: those who want less than an even share leave the rest to the others. */
function shareOf(workers: Record<string, LimitWorker>, id: string, concurrency: number, now: number): number {
  let left = concurrency;
  let asking = Object.keys(workers).filter((one) => demandOf(workers[one]!) > 0).sort();
  for (;;) {
    const even = Math.floor(left / asking.length);
    const content = asking.filter((one) => demandOf(workers[one]!) <= even);
    if (content.includes(id)) return demandOf(workers[id]!);
    if (content.length === 0) {
      const rank = (asking.indexOf(id) + Math.floor(now / TURN_MS)) % asking.length;
      return asking.includes(id) ? even + (rank < left % asking.length ? 1 : 0) : 0;
    }
    for (const one of content) left -= demandOf(workers[one]!);
    asking = asking.filter((one) => !content.includes(one));
    if (asking.length === 0) return 0;
  }
}
