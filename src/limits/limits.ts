/**
 * The port to limits: who may call what, how often, how many at once. `take` before a call, `settle` after it,
 * `penalise` and `backOff` when a server says to hold back.
 */
import type { LeaseAnswer, LeaseRequest } from '../contracts/limits.ts';

/** A wait that is shorter is waited for; for a longer one whoever waits makes room for others. */
export const PATIENCE_MS = 2_000;

/** Of named limits: held across all workers. */
export interface Claim {
  /** All of them or none are taken. */
  keys: readonly string[];
  /** `tenant/owner`. */
  user: string;
  /** Calls that could begin right now. */
  room: number;
}

export interface Lease {
  key: string;
  /** What was taken of named limits; their adapter's own. */
  calls?: readonly unknown[];
}

/** A named limit has nothing for so long that whoever waits should make room for others. */
export class LimitReached extends Error {
  override readonly name = 'LimitReached';
  readonly limit: string;
  readonly waitMs: number;
  /** It is the server that said so, whatever the limit allows. */
  readonly refused: boolean;

  constructor(limit: string, waitMs: number, reason: string, refused = false) {
    super(reason);
    this.limit = limit;
    this.waitMs = waitMs;
    this.refused = refused;
  }
}

export interface Limits {
  /**
   * Waits for a place under the key, and then for a call of the claim; rejects with the signal's reason when aborted, with
   * `LimitReached` where the claim has to wait for long. `concurrency` is what the key allows from now on.
   */
  take(key: string, concurrency: number, signal: AbortSignal, claim?: Claim): Promise<Lease>;
  /** Gives the place back. Once per lease. `tokens`: what the call took, where that is known. */
  settle(lease: Lease, tokens?: number): void;
  /** Nobody in this process takes a place under the key for so long. */
  penalise(key: string, milliseconds: number): void;
  /** Nobody anywhere calls under the named limits for so long. */
  backOff(keys: readonly string[], milliseconds: number): void;
}

/** Where the brokers of named limits answer. Rejects when one does not. */
export interface LimitBrokers {
  lease(key: string, request: LeaseRequest): Promise<LeaseAnswer>;
}
