/** The queue: which jobs wait for a place among the running, in what order, and which have one. */
import type { JobRef } from './messages.ts';

/**
 * `waiting` for a place; `blocked`: another job works on its source and lane, so no place is wasted on it; `offered`: it has
 * a place and its workflow has not taken it yet; `running`; `paused`: it gave its place back and keeps its turn.
 */
export type QueueState = 'waiting' | 'blocked' | 'offered' | 'running' | 'paused';

export interface QueueRequest extends JobRef {
  attempt: number;
  /** The workflow's: what is written with a lower (attempt, sequence) comes late and changes nothing. */
  sequence: number;
  source: string;
  lane: string;
  /** Temporal's priority key: 1 goes first. */
  priority: number;
  /** Milliseconds since 1970: who came first. Kept over pauses. */
  since: number;
}

export interface QueueEntry extends QueueRequest {
  state: QueueState;
  /** Of the lane, since the last admission; 0 before the first. */
  generation: number;
  /** Milliseconds since 1970: since when it has been in its state. */
  changedAt: number;
}

export interface QueueLimits {
  /** Jobs that run at once, of one tenant and of all. */
  perTenant: number;
  all: number;
  /** After so many milliseconds a job of priority `low` counts as `normal`. */
  ageAfterMs: number;
}

/** How it stands with one job. */
export interface QueueStanding {
  entry: QueueEntry;
  /** Jobs that wait for a place and come before it: all, and those of its tenant. */
  ahead: number;
  aheadInTenant: number;
  /** Places taken: all, and by its tenant. */
  taken: number;
  takenByTenant: number;
  /** The job that works on its source and lane; null where none does or it is this one. */
  laneHolder: string | null;
}
