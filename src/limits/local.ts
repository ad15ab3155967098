/** Places held inside one process: a counting semaphore a key. It knows no named limits; those are `brokered.ts`. */
import type { Lease, Limits } from './limits.ts';

interface Place {
  taken: number;
  /** Those who wait, or were woken and are about to look again; the place is kept for them. */
  asking: number;
  allowed: number;
  heldUntil: number;
  waiting: (() => void)[];
}

/** Keys that nobody uses any more, each web host of a sheet for one, are looked for once there are so many. */
const MANY_KEYS = 2_000;

export function localLimits(now: () => number = Date.now): Limits {
  const places = new Map<string, Place>();

  const wakeNext = (place: Place): void => {
    for (let free = place.allowed - place.taken; free > 0; free--) place.waiting.shift()?.();
  };

  const forgetIdle = (): void => {
    for (const [key, { taken, asking, heldUntil }] of places) if (taken === 0 && asking === 0 && heldUntil <= now()) places.delete(key);
  };

  /** After somebody left: the place is for the next, or for nobody any more. */
  const passOn = (key: string, place: Place): void => {
    if (place.taken === 0 && place.asking === 0 && place.heldUntil <= now()) places.delete(key);
    else wakeNext(place);
  };

  return {
    async take(key, concurrency, signal): Promise<Lease> {
      if (places.size >= MANY_KEYS) forgetIdle();
      let place = places.get(key);
      if (!place) places.set(key, (place = { taken: 0, asking: 0, allowed: concurrency, heldUntil: 0, waiting: [] }));
      if (place.allowed !== concurrency) {
        place.allowed = concurrency;
        wakeNext(place);
      }
      place.asking++;
      try {
        for (;;) {
          signal.throwIfAborted();
          const hold = place.heldUntil - now();
          if (hold <= 0 && place.taken < place.allowed) break;
          await new Promise<void>((resolve) => {
            const timer = hold > 0 ? setTimeout(wake, hold) : undefined;
            const waiting = place.waiting;
            waiting.push(wake);
            signal.addEventListener('abort', wake, { once: true });
            function wake(): void {
              clearTimeout(timer);
              signal.removeEventListener('abort', wake);
              const at = waiting.indexOf(wake);
              if (at >= 0) waiting.splice(at, 1);
              resolve();
            }
          });
        }
        place.taken++;
        return { key };
      } finally {
        place.asking--;
        if (signal.aborted) passOn(key, place);
      }
    },

    settle(lease): void {
      const place = places.get(lease.key);
      if (!place) return;
      place.taken--;
      passOn(lease.key, place);
    },

    penalise(key, milliseconds): void {
      const place = places.get(key) ?? { taken: 0, asking: 0, allowed: 1, heldUntil: 0, waiting: [] };
      places.set(key, place);
      place.heldUntil = Math.max(place.heldUntil, now() + milliseconds);
    },

    backOff() {},
  };
}
