/** Asks again and again how something is: soon where it changes, seldom where it does not, on through an API that restarts. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Follow<State> {
  ask(): Promise<State>;
  isEnd(state: State): boolean;
  /** Two states of the same text are the same. */
  text(state: State): string;
  /** Told of each answer. */
  onState(state: State): void;
  /** The API does not answer; it is asked for another so many milliseconds. */
  onAway?(leftMs: number): void;
  /** Whether asking again may help. */
  isPassing(error: unknown): boolean;
  /** Milliseconds between two questions, at first and where nothing changes. */
  poll: { first: number; most: number };
  /** Ends it: null is answered. */
  signal?: AbortSignal | undefined;
}

/** How long an API that has answered before may be away. */
const OUTAGE_MS = 60_000;

export async function follow<State>({ ask, isEnd, text, onState, onAway, isPassing, poll, signal }: Follow<State>): Promise<State | null> {
  const stopped = (): boolean => signal?.aborted === true;
  let [wait, before, awaySince]: [number, string | null, number | null] = [poll.first, null, null];
  while (!stopped()) {
    try {
      const state = await ask();
      awaySince = null;
      onState(state);
      if (isEnd(state)) return state;
      const now = text(state);
      wait = now === before ? Math.min(poll.most, wait * 1.5) : poll.first;
      before = now;
    } catch (error) {
      if (stopped()) return null;
      // An API that never answered is not restarting.
      if (before === null || !isPassing(error)) throw error;
      awaySince ??= performance.now();
      const left = OUTAGE_MS - (performance.now() - awaySince);
      if (left <= 0) throw error;
      onAway?.(left);
      wait = poll.first;
    }
    await sleep(wait, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
  return null;
}
