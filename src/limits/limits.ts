/**
 * The port to limits: who may call what, how often, how many at once. `take` before a call, `settle` after it,
 * `penalise` when a server says to hold back.
 */
export interface Lease {
  key: string;
}

export interface Limits {
  /** Waits for a place under the key; rejects with the signal's reason when aborted. `concurrency` is what the key allows from now on. */
  take(key: string, concurrency: number, signal: AbortSignal): Promise<Lease>;
  /** Gives the place back. Once per lease. */
  settle(lease: Lease): void;
  /** Nobody takes a place under the key for so long. */
  penalise(key: string, milliseconds: number): void;
}
