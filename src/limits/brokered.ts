/**
 * Limits as a worker holds them: places inside the process, and named limits across all workers, for which this asks the
 * limits' brokers and hands out what they grant. A row takes all its limits at once or none.
 */
import { randomUUID } from 'node:crypto';
import { LimitReached, PATIENCE_MS, type Claim, type LimitBrokers, type Limits } from './limits.ts';
import { localLimits } from './local.ts';
import { type Call, LimitPool } from './pool.ts';
import type { LimitRules } from './rules.ts';

/** However short the wait was said to be each time. */
const MOST_PATIENCE_MS = 4_000;

interface Waiting extends Claim {
  pools: LimitPool[];
  since: number;
  resolve(calls: Call[]): void;
  reject(reason: unknown): void;
}

export function brokeredLimits({ rules, brokers }: { rules: LimitRules; brokers: LimitBrokers }): Limits & { close(): Promise<void> } {
  const places = localLimits();
  const pools = new Map<string, LimitPool>();
  /** First come, first served. */
  const waiting = new Set<Waiting>();
  const worker = randomUUID();
  const configuredAt = Date.now();
  let timer: NodeJS.Timeout | undefined;

  const poolOf = (key: string): LimitPool => {
    const made = pools.get(key) ?? new LimitPool({
      key, rule: rules.of(key), worker, configuredAt, brokers, changed: serve,
      waiting: () => roomByUser([...waiting].filter(({ keys }) => keys.includes(key))),
    });
    pools.set(key, made);
    return made;
  };

  /** Gives what has come to those who wait, and sends away those who would wait too long. */
  function serve(): void {
    clearTimeout(timer);
    let nextAt = Infinity;
    for (const claim of waiting) {
      const now = performance.now();
      if (claim.pools.every((pool) => pool.has(claim.user))) {
        waiting.delete(claim);
        claim.resolve(claim.pools.map((pool) => pool.take(claim.user)));
        continue;
      }
      const [scarce, at] = claim.pools.map((pool): [LimitPool, number] => [pool, pool.readyAt(claim.user) ?? now]).reduce((a, b) => (b[1] > a[1] ? b : a));
      if (at - now > PATIENCE_MS || now - claim.since > MOST_PATIENCE_MS) {
        waiting.delete(claim);
        scarce.left(claim.user, Math.max(0, at - now));
        claim.reject(new LimitReached(scarce.key, Math.max(0, at - now), scarce.reason));
        continue;
      }
      nextAt = Math.min(nextAt, at > now ? at : Infinity, claim.since + MOST_PATIENCE_MS + 1);
    }
    if (Number.isFinite(nextAt)) timer = setTimeout(serve, Math.max(1, nextAt - performance.now()));
  }

  const claimed = (claim: Claim, signal: AbortSignal): Promise<Call[]> => new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const entry: Waiting = {
      ...claim, pools: claim.keys.map(poolOf), since: performance.now(),
      resolve: (calls) => { signal.removeEventListener('abort', abort); resolve(calls); },
      reject: (reason) => { signal.removeEventListener('abort', abort); reject(reason as Error); },
    };
    const abort = (): void => {
      waiting.delete(entry);
      entry.reject(signal.reason);
    };
    signal.addEventListener('abort', abort, { once: true });
    waiting.add(entry);
    for (const pool of entry.pools) pool.ask();
    serve();
  });

  return {
    async take(key, concurrency, signal, claim) {
      const lease = await places.take(key, concurrency, signal);
      if (claim === undefined || claim.keys.length === 0) return lease;
      try {
        return { key, calls: await claimed(claim, signal) };
      } catch (error) {
        places.settle(lease);
        throw error;
      }
    },

    settle(lease, tokens) {
      places.settle(lease);
      for (const call of (lease.calls ?? []) as Call[]) call.pool.settle(call, tokens);
    },

    penalise: (key, milliseconds) => places.penalise(key, milliseconds),

    backOff(keys, milliseconds) {
      for (const key of keys) poolOf(key).backOff(milliseconds);
    },

    async close() {
      clearTimeout(timer);
      await Promise.all([...pools.values()].map((pool) => pool.close()));
    },
  };
}

function roomByUser(claims: Claim[]): Map<string, number> {
  const rooms = new Map<string, number>();
  for (const { user, room } of claims) rooms.set(user, (rooms.get(user) ?? 0) + room);
  return rooms;
}
